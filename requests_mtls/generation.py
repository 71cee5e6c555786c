"""One identity with the TLS context that was made for it, and the terms on which it is shown.

A generation is never changed: whatever changes makes a new one.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mtls_core.certificate import Certificate
from mtls_core.contexts import MinimumVersion, client_context, verified_chain
from mtls_core.errors import ConfigurationError, IdentityError, MalformedCertificate, TrustStoreError
from mtls_core.identity import Identity
from mtls_core.pins import Pin, PinSet
from mtls_core.trust import TrustStore

from .errors import HostNotAllowed, IdentityExpired, PinMismatch
from .hosts import HostList, Target

FilePath = str | os.PathLike[str]
#: Certificates of CAs: file(s), folder(s), their content, or a store.
CASource = FilePath | bytes | TrustStore | Iterable[FilePath]
PinSource = Pin | str | Iterable[Pin | str]


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """Who calls, whom it calls, and how the called one is recognised."""

    identity: Identity
    #: Sealed, and holds the identity's key: for the hosts, and never for a proxy.
    context: ssl.SSLContext
    hosts: HostList
    pins: PinSet | None

    @classmethod
    def make(
        cls,
        identity: Identity,
        *,
        hosts: str | Iterable[str],
        ca: CASource | None,
        pins: PinSource | None,
        minimum_version: MinimumVersion,
    ) -> Generation:
        """Read the options of an adapter; the parameters are those of :class:`~requests_mtls.MTLSAdapter`.

        :raises ConfigurationError: If one of them cannot be used.
        """
        if not isinstance(identity, Identity):
            raise ConfigurationError(
                f"identity is {type(identity).__name__}; load it with Identity.from_pfx() or Identity.from_pem()"
            )
        host_list, pin_set = HostList.parse(hosts), read_pins(pins)
        context = client_context(identity, trust=read_trust("ca", ca), minimum_version=minimum_version)
        return cls(identity, context, host_list, pin_set)

    def check_host(self, target: Target) -> None:
        """Check that the identity is meant for a host.

        :raises HostNotAllowed: If it is not on the list.
        """
        if not self.hosts.allows(target):
            raise HostNotAllowed(
                f"{target} is not one of the hosts that this identity is meant for ({self.hosts}); nothing was sent"
                " to it. If it should be, add it to hosts. If a mount prefix led here, end the prefix with a slash.",
                host=target.host,
                port=target.port,
            )

    def check_identity(self, at: datetime) -> None:
        """Check that the identity can be shown at a moment.

        :raises IdentityExpired: If its certificate is expired or not yet valid.
        """
        try:
            self.identity.check_validity(at)
        except IdentityError as error:
            certificate = self.identity.certificate
            raise IdentityExpired(
                f"the identity {certificate.describe()} cannot be used: {error}", certificate=certificate
            ) from error

    def check_pins(self, host: str, connection: ssl.SSLSocket | ssl.SSLObject) -> None:
        """Check the chain that OpenSSL verified: one pinned certificate in it will do (RFC 7469, section 2.6).

        :raises PinMismatch: If none is pinned.
        :raises MalformedCertificate: If a certificate of the chain cannot be read.
        """
        if self.pins is None:
            return
        chain = verified_chain(connection)
        if self.pins.match(chain) is None:
            raise PinMismatch(_mismatch(host, self.pins, chain), host=host, chain=chain)


def read_trust(option: str, source: CASource | None) -> TrustStore | None:
    """The certificates of CAs that an option names; ``None``, the system's, if it is ``None``.

    :raises ConfigurationError: If it is empty or cannot be read.
    """
    if source is None:
        return None
    if isinstance(source, TrustStore):
        store = source
    elif not source:
        raise ConfigurationError(f"{option} is empty: name the CAs, or leave the option out to trust the system's")
    elif isinstance(source, bytes):
        store = _read_certificates(source)
    elif isinstance(source, str | os.PathLike):
        store = TrustStore.from_files(source)
    elif isinstance(source, Iterable):
        store = TrustStore.from_files(*source)
    else:
        raise ConfigurationError(f"{option} is {source!r}; it must be a path, several, bytes, or a TrustStore")
    if not store.certificates:
        raise ConfigurationError(f"{option} holds no certificate")
    return store


def _read_certificates(data: bytes) -> TrustStore:
    if not data.startswith(b"\x30"):
        return TrustStore.from_pem(data)
    try:
        return TrustStore.from_certificates([Certificate.from_der(data)])
    except MalformedCertificate as error:
        raise TrustStoreError(f"the bytes are neither PEM nor a certificate in DER: {error.detail}") from error


def read_pins(source: PinSource | None) -> PinSet | None:
    """The pins that an option lists; ``None`` if it is ``None``.

    :raises PinError: If there is none in the list, or one cannot be read.
    """
    if source is None or isinstance(source, PinSet):
        return source
    return PinSet(*([source] if isinstance(source, Pin | str) else source))


def _mismatch(host: str, pins: PinSet, chain: tuple[Certificate, ...]) -> str:
    found = "; ".join(f"{Pin.for_public_key(certificate)} {certificate.describe()}" for certificate in chain)
    return (
        f"{host}: no certificate of the server's chain is pinned, and nothing of the request was sent."
        f" Pinned: {', '.join(map(str, pins))}. The server has: {found or 'no verified chain'}."
        " If the server's key was changed on purpose, pin one of these."
    )
