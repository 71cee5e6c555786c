"""The TLS context that the settings ask for."""

from __future__ import annotations

import logging
import ssl
from datetime import datetime

from mtls_core.contexts import ClientCertificates, server_context
from mtls_core.errors import ConfigurationError, IdentityError
from mtls_core.trust import TrustStore

from ..config import Settings
from ..material import LoadedMaterial

_SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1"

_log = logging.getLogger("flask_mtls")


def build_context(settings: Settings, material: LoadedMaterial, *, at: datetime | None) -> ssl.SSLContext:
    """A context for a server of this app, with which accepted connections come before their handshake.

    :param at: The moment for which the service's own certificate must be valid; ``None`` if its dates do not matter.
    :raises ConfigurationError: If there is nothing to serve with, or nobody whom it could let in.
    """
    if material.identity is None:
        raise ConfigurationError(
            "MTLS_IDENTITY is not set: name the PFX, or PEM certificate, with which this service shows who it is"
        )
    usages = material.identity.certificate.extended_key_usage
    if usages is not None and _SERVER_AUTHENTICATION not in usages:
        raise ConfigurationError(
            f"MTLS_IDENTITY: {material.identity.certificate.describe()} is not for servers: its extended key usage"
            " lacks serverAuth, so every client would refuse it; have one issued with serverAuth, and with clientAuth"
            " if the service calls others too"
        )
    self_signed = material.self_signed if "self_signed" in settings.certificate_types and settings.by_own_tls else ()
    client_certs = _asked(settings)
    if client_certs != "off" and settings.by_own_tls:
        _check_self_signed(settings, material)
    try:
        if at is not None:
            material.identity.check_validity(at)
        return server_context(
            material.identity,
            trust=_accepted(settings, material),
            client_certs=client_certs,
            self_signed=self_signed,
            minimum_version=settings.minimum_version,
            check_time=_tls_checks_time(settings),
            defer_handshake=True,
        )
    except IdentityError as error:
        raise ConfigurationError(f"MTLS_IDENTITY: {error}") from error


def _asked(settings: Settings) -> ClientCertificates:
    """What the TLS layer asks. A proxy that is known by its address need not show a certificate of its own."""
    expected = settings.by_own_tls or settings.trusted_proxies.by_certificate
    return "off" if settings.client_certs == "optional" and not expected else settings.client_certs


def _accepted(settings: Settings, material: LoadedMaterial) -> TrustStore | None:
    """Whose certificates pass the handshake: clients', proxies', or both. Which is which is decided later."""
    stores = [material.trust] if settings.by_own_tls else []
    if settings.forwarded is not None and material.proxy_trust is not material.trust:
        stores.append(material.proxy_trust)
    certificates = [each for store in stores or [material.trust] if store for each in store.certificates]
    return TrustStore.from_certificates(certificates) if certificates else None


def _tls_checks_time(settings: Settings) -> bool:
    """Whether the handshake looks at dates.

    Where a certificate is optional the application does it alone: an expired one then gets a 403 with its reason,
    a log line and a signal, not a broken connection. Nor can OpenSSL be told of a clock skew.
    """
    return settings.client_certs == "required" and settings.check_validity and not settings.clock_skew


def _check_self_signed(settings: Settings, material: LoadedMaterial) -> None:
    """OpenSSL lets a self-signed certificate through only if it has the certificate; a thumbprint does not help it."""
    if settings.certificate_types != {"self_signed"} or material.allowed is None:
        return
    unknown = [pin for pin in material.allowed if not any(pin.matches(each) for each in material.self_signed)]
    if not unknown:
        return
    advice = "the TLS layer needs the certificate itself; put its file into MTLS_ALLOWED instead of its pin"
    names = ", ".join(str(pin) for pin in unknown)
    if not material.self_signed:
        raise ConfigurationError(
            f"no self-signed certificate can pass the handshake: of {names} only the pin is known, and {advice}"
        )
    _log.warning(
        "a self-signed certificate cannot pass the handshake: of %s only the pin is known, and %s", names, advice
    )
