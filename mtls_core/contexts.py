"""The only place where TLS contexts are made, for servers and for clients."""

from __future__ import annotations

import contextlib
import os
import secrets
import ssl
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

from .certificate import Certificate
from .errors import ConfigurationError, IdentityError, IdentityProblem
from .handshake import record_failures
from .identity import Identity
from .sealed import following_context as following_context
from .sealed import unsealed_context
from .trust import TrustStore

ClientCertificates = Literal["off", "optional", "required", "on_demand"]
MinimumVersion = Literal["TLSv1.2", "TLSv1.3"]

#: OpenSSL's X509_V_FLAG_NO_CHECK_TIME; the ssl module has no name for it.
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def server_context(
    identity: Identity,
    *,
    trust: TrustStore | None = None,
    client_certs: ClientCertificates = "optional",
    self_signed: Sequence[Certificate] = (),
    minimum_version: MinimumVersion = "TLSv1.2",
    check_time: bool = True,
    keylog: str | os.PathLike[str] | None = None,
    defer_handshake: bool = False,
) -> ssl.SSLContext:
    """A sealed context that serves with an identity and asks callers for theirs.

    The TLS layer turns away what it can judge by itself (untrusted issuers, wrong usage); the application
    still decides every request.

    :param identity: Who serves.
    :param trust: Who may issue callers' certificates.
    :param client_certs: ``"off"`` asks for none; ``"optional"`` asks and takes none for an answer;
        ``"required"`` ends the handshake without one; ``"on_demand"`` lets the application ask later (TLS
        1.3; in TLS 1.2 it is ``"optional"``).
    :param self_signed: Self-signed certificates that are to pass the handshake. OpenSSL passes only those it
        has at hand.
    :param minimum_version: ``"TLSv1.2"`` or ``"TLSv1.3"``.
    :param check_time: Whether the handshake ends if a caller's certificate is expired or not yet valid.
        Switched off where the application checks the dates itself and can say so in a response.
    :param keylog: File to which session secrets are appended, for Wireshark. ``SSLKEYLOGFILE`` is never looked at.
    :param defer_handshake: Whether accepted connections come without their handshake done, so that a client that stalls
        does not hold up the accept loop. The server then calls ``do_handshake()``, under a deadline of its own.
    :raises ConfigurationError: If certificates are asked for and neither ``trust`` nor ``self_signed`` says
        whose, or an option is not one of those above.
    :raises IdentityError: If OpenSSL does not take the key.
    """
    _check_choice("client_certs", client_certs, get_args(ClientCertificates))
    context = _new_context(ssl.PROTOCOL_TLS_SERVER, identity, minimum_version=minimum_version, keylog=keylog)
    if client_certs != "off":
        accepted = (trust.certificates if trust else ()) + tuple(self_signed)
        if not accepted:
            raise ConfigurationError(
                f'client certificates are {client_certs} but no CA says whose: name one (MTLS_CLIENT_CA), or say "off"'
            )
        context.load_verify_locations(cadata="".join(certificate.pem for certificate in accepted))
        context.verify_mode = ssl.CERT_REQUIRED if client_certs == "required" else ssl.CERT_OPTIONAL
        context.post_handshake_auth = client_certs == "on_demand"
        if not check_time:
            context.verify_flags |= _NO_CHECK_TIME
    context.defer_handshake = defer_handshake
    return _seal(context)


def client_context(
    identity: Identity | None,
    *,
    trust: TrustStore | None = None,
    minimum_version: MinimumVersion = "TLSv1.2",
    partial_chain: bool = False,
    keylog: str | os.PathLike[str] | None = None,
) -> ssl.SSLContext:
    """A sealed context that verifies servers, by chain and by name, and shows them an identity if they ask.

    :param identity: Who calls; ``None`` for a connection that must not show a certificate, such as one to a proxy.
    :param trust: Who may issue servers' certificates, and nobody else. ``None``: the CAs of the operating system.
    :param minimum_version: ``"TLSv1.2"`` or ``"TLSv1.3"``.
    :param partial_chain: Whether a certificate of ``trust`` that is not self-signed ends a chain
        (OpenSSL's ``X509_V_FLAG_PARTIAL_CHAIN``).
    :param keylog: As for :func:`server_context`.
    :raises ConfigurationError: If an option is not one of those above.
    :raises IdentityError: If OpenSSL does not take the key.
    """
    context = _new_context(ssl.PROTOCOL_TLS_CLIENT, identity, minimum_version=minimum_version, keylog=keylog)
    if trust is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cadata=trust.pem)
    # Names stand in SANs; a common name is for people (RFC 9525, section 2).
    context.hostname_checks_common_name = False
    # Without this a server that asks for the certificate only when it needs it drops the connection.
    context.post_handshake_auth = True
    if partial_chain:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    record_failures(context, verified_chain)
    return _seal(context)


def verified_chain(connection: ssl.SSLSocket | ssl.SSLObject) -> tuple[Certificate, ...]:
    """The chain that OpenSSL verified, leaf first, anchor last; empty on a resumed session.

    :raises MalformedCertificate: If OpenSSL reads a certificate of it that this project does not.
    """
    return tuple(Certificate.from_der(data) for data in _chain(connection, "get_verified_chain"))


def sent_chain(connection: ssl.SSLSocket | ssl.SSLObject) -> tuple[bytes, ...]:
    """DER of the chain as the peer sent it, leaf first; empty on a resumed session or without a peer certificate."""
    # Without a peer certificate Python 3.13.0 raises here and older ones answer [None].
    if not connection.getpeercert(True):
        return ()
    return _chain(connection, "get_unverified_chain")


def _chain(connection: Any, method: str) -> tuple[bytes, ...]:
    """The one place that looks behind the public face: both chains are public from Python 3.13 on only."""
    if sys.version_info >= (3, 13) and hasattr(connection, method):
        return tuple(getattr(connection, method)() or ())
    chain = getattr(connection._sslobj, method)()
    return tuple(ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain or ())


def _new_context(
    protocol: int,
    identity: Identity | None,
    *,
    minimum_version: MinimumVersion,
    keylog: str | os.PathLike[str] | None,
) -> Any:
    _check_choice("minimum_version", minimum_version, tuple(_VERSIONS))
    context = unsealed_context(protocol)
    context.minimum_version = _VERSIONS[minimum_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if keylog is not None:
        context.keylog_filename = os.fspath(keylog)
    if identity is not None:
        load_identity(context, identity)
    return context


def _seal(context: Any) -> ssl.SSLContext:
    context.sealed = True
    sealed: ssl.SSLContext = context
    return sealed


def load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    """Give OpenSSL the key and the chain, with the key encrypted on its way.

    OpenSSL reads keys from files only. The file is in memory where the system has that, and the key in it is
    encrypted with a random password either way.

    :raises IdentityError: If OpenSSL does not take them, for instance because the key is too small for its
        security level.
    """
    password = secrets.token_hex(32).encode("ascii")
    pem = identity.encrypted_key_pem(password) + identity.certificate_chain_pem()
    with _private_file(pem) as path:
        try:
            # A callable: with a plain value of None OpenSSL would prompt on the terminal.
            context.load_cert_chain(path, password=lambda: password)
        except ssl.SSLError as error:
            raise IdentityError(
                IdentityProblem.REFUSED_BY_OPENSSL,
                f"OpenSSL does not take this identity: {error.reason or error}",
                source=identity.source,
            ) from error


@contextlib.contextmanager
def _private_file(content: bytes) -> Iterator[str]:
    """The path of a file with this content that only this process can read, gone afterwards."""
    try:
        descriptor = os.memfd_create("mtls-identity", os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        with _temporary_file(content) as path:
            yield path
        return
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(content)
        path = f"/proc/self/fd/{descriptor}"
        if os.access(path, os.R_OK):
            yield path
        else:  # no /proc in this container
            with _temporary_file(content) as fallback:
                yield fallback


@contextlib.contextmanager
def _temporary_file(content: bytes) -> Iterator[str]:
    # mkstemp creates with mode 0600; what it holds is encrypted all the same.
    descriptor, path = tempfile.mkstemp(prefix="mtls-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield path
    finally:
        os.unlink(path)


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}")
