"""What a failed handshake means, in words a person can act on."""

from __future__ import annotations

import ssl
from datetime import datetime

from mtls_core.certificate import Certificate
from mtls_core.handshake import FailedHandshake
from mtls_core.identity import Identity

from .errors import IdentityRejected, ServerVerificationError

#: The alerts by which a server refuses a client's certificate (RFC 8446, section 6.2), and what may help.
_REFUSALS = {
    "bad certificate": "its usage or its contents do not suit the server",
    "unsupported certificate": "its usage or its key type does not suit the server: look for the usage clientAuth",
    "certificate revoked": "have a new one issued",
    "certificate expired": "compare the clocks here and there, and its dates, also those of its intermediates",
    "certificate unknown": "ask the server's log for the reason",
    "unknown ca": "the server does not trust its issuer, or an intermediate is missing from the identity's file",
    "decrypt error": "the server could not verify the signature that was made with its key",
    "access denied": "the certificate is valid, but its holder may not connect",
    "certificate required": "the server accepts no certificate of this key type or of this issuer",
}

# Values of OpenSSL's X509_V_ERR_*; the ssl module has no names for them.
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED = 18
_NO_ISSUER = frozenset({2, 19, 20, 21})
_WRONG_USAGE = 26
_WRONG_NAME = frozenset({62, 64})


def alert_in(error: ssl.SSLError) -> str | None:
    """The peer's alert in words, such as ``"unknown ca"``; ``None`` if the error is not an alert.

    OpenSSL calls it ``TLSV1_ALERT_UNKNOWN_CA``; the version in front is the one that brought the alert into being.
    """
    _, is_alert, name = (error.reason or "").partition("ALERT_")
    return name.lower().replace("_", " ") if is_alert else None


def identity_rejected(error: ssl.SSLError, host: str, identity: Identity) -> IdentityRejected | None:
    """The error for a server's alert, if that alert is about the identity's certificate."""
    alert = alert_in(error)
    if alert not in _REFUSALS:
        return None
    certificate = identity.certificate
    return IdentityRejected(
        f"{host} refused the identity {certificate.describe()}, issued by {certificate.issuer}:"
        f" {alert} ({_REFUSALS[alert]})",
        host=host,
        alert=alert,
        certificate=certificate,
    )


def server_not_verified(
    error: ssl.SSLCertVerificationError, failed: FailedHandshake, host: str, *, option: str, at: datetime
) -> ServerVerificationError:
    """The error for a server, or proxy, that OpenSSL did not accept.

    :param host: The name that was connected to.
    :param option: The adapter's option that says whom to trust here: ``ca`` or ``proxy_ca``.
    :param at: When it happened, to tell which certificate was out of date.
    """
    peer = "the proxy" if option == "proxy_ca" else "the server"
    leaf = f"{peer}'s certificate {failed.chain[0].describe()}" if failed.chain else f"{peer}'s certificate"
    problem = error.verify_message.rstrip(".")
    explanation = _explain(error.verify_code, failed.chain, host, option, at)
    return ServerVerificationError(
        f"{host}: {leaf}: {problem}; {explanation}", host=host, problem=problem, chain=failed.chain
    )


def _explain(code: int, chain: tuple[Certificate, ...], host: str, option: str, at: datetime) -> str:
    if not chain:
        return "no certificate could be read"
    if code in _WRONG_NAME:
        return (
            f"it is valid for {_names(chain[0]) or 'no name at all'}: connect by one of these,"
            f" or have a certificate issued for {host}"
        )
    if code in _NO_ISSUER:
        return (
            f"none of the trusted CAs is its issuer, {chain[-1].issuer}: name that CA with {option}=,"
            " or, if it is trusted already, let the intermediates be sent that lead to it"
        )
    if code == _SELF_SIGNED:
        return f"if it is the right one (SHA-256 {chain[0].thumbprint}), name the certificate itself with {option}="
    if code in {_EXPIRED, _NOT_YET_VALID}:
        return _outdated(chain, at)
    if code == _WRONG_USAGE:
        return "one of its chain may not be used for servers (serverAuth) or for CAs: have it issued anew"
    return f"it was issued by {chain[0].issuer}"


def _outdated(chain: tuple[Certificate, ...], at: datetime) -> str:
    wrong = next((c for c in chain if not c.not_before <= at <= c.not_after), chain[0])
    return (
        f"{wrong.subject} is valid from {wrong.not_before.isoformat()} to {wrong.not_after.isoformat()},"
        f" and here it is {at.isoformat(timespec='seconds')}: renew it, or set the clock"
    )


def _names(certificate: Certificate) -> str:
    return ", ".join((*certificate.dns_names, *map(str, certificate.ip_addresses)))
