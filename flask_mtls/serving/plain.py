"""Plain HTTP, for an app whose proxies speak TLS with its clients."""

from __future__ import annotations

from mtls_core.errors import ConfigurationError

from ..config import Settings


def serves_plain(settings: Settings) -> bool:
    """Whether this app's servers speak plain HTTP: it believes proxies, and has nothing to speak TLS with.

    :raises ConfigurationError: If its proxies could then not show what they are known by.
    """
    if settings.forwarded is None or settings.identity is not None:
        return False
    expected = {
        "MTLS_CLIENT_CERTS = 'required'": settings.client_certs == "required",
        "MTLS_FORWARDED_DIRECT": settings.forwarded_direct,
    }
    for setting in (name for name, is_set in expected.items() if is_set):
        raise ConfigurationError(
            f"{setting} expects certificates on the connection itself, and over plain HTTP there are none; set"
            " MTLS_IDENTITY, with which this service speaks TLS"
        )
    if settings.trusted_proxies.by_certificate:
        raise ConfigurationError(
            "MTLS_TRUSTED_PROXIES names certificates of proxies, and over plain HTTP they cannot show them; set"
            " MTLS_IDENTITY, with which this service speaks TLS to them"
        )
    return True


def announcement(settings: Settings) -> str:
    """What the log says of a port without TLS."""
    return (
        "this port speaks plain HTTP, for the proxies in MTLS_TRUSTED_PROXIES"
        f" ({settings.trusted_proxies}); with MTLS_IDENTITY it would speak TLS"
    )
