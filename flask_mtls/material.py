"""What the settings name, loaded: keys, anchors, certificates. All of it, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtls_core.certificate import Certificate
from mtls_core.errors import ConfigurationError, MTLSError
from mtls_core.identity import Identity
from mtls_core.pins import Pin, PinSet
from mtls_core.revocation.crl import CertificateList
from mtls_core.trust import TrustStore

from . import readers
from .config import Settings
from .revocation import load_lists


@dataclass(frozen=True, slots=True)
class LoadedMaterial:
    """What one generation of decisions and TLS contexts is made of."""

    identity: Identity | None
    trust: TrustStore | None
    #: ``None`` pins nothing.
    allowed: PinSet | None
    #: Those of the allowed certificates that vouch for themselves and are at hand, not merely pinned.
    self_signed: tuple[Certificate, ...]
    #: The revocation lists of this host.
    crls: tuple[CertificateList, ...] = ()
    #: Who may issue the certificates of proxies; the clients' issuers where none else is named.
    proxy_trust: TrustStore | None = None

    @property
    def serves_as(self) -> str | None:
        """The thumbprint of the identity, if there is one."""
        return self.identity.thumbprint if self.identity else None


def load_material(settings: Settings, in_force: LoadedMaterial | None = None) -> LoadedMaterial:
    """Load all that the settings name.

    :param in_force: What is replaced.
    :raises ConfigurationError: If a file cannot be read or used; names the key.
    """
    trust = _load_trust("MTLS_CLIENT_CA", settings.client_ca)
    if trust is not None and not trust.anchors and "chained" in settings.certificate_types:
        raise ConfigurationError(
            "MTLS_CLIENT_CA: none of its certificates is a CA that could issue your callers' certificates"
        )
    pins, certificates = _load_allowed(settings.allowed or ())
    at_hand = (*certificates, *(trust.self_signed_leaves if trust else ()))
    return LoadedMaterial(
        identity=_load_identity(settings),
        trust=trust,
        allowed=PinSet(*pins) if settings.allowed is not None else None,
        self_signed=tuple(certificate for certificate in at_hand if certificate.is_self_signed),
        crls=load_lists(settings.crls, trust, in_force.crls if in_force else ()),
        proxy_trust=_load_trust("MTLS_PROXY_CA", settings.proxy_ca) or trust,
    )


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Let every error name the key it comes from."""
    try:
        yield
    except (MTLSError, OSError) as error:
        raise ConfigurationError(f"{key}: {error}") from error


def _load_identity(settings: Settings) -> Identity | None:
    source = settings.identity
    if source is None or isinstance(source, Identity):
        return source
    with _naming("MTLS_IDENTITY"):
        if settings.identity_key is not None:
            return Identity.from_pem(source, settings.identity_key, settings.identity_password)
        if _is_pem(source):
            return Identity.from_pem(source, None, settings.identity_password)
        return Identity.from_pfx(source, settings.identity_password)


def _load_trust(key: str, source: TrustStore | bytes | tuple[Path, ...] | None) -> TrustStore | None:
    with _naming(key):
        if isinstance(source, tuple):
            return TrustStore.from_files(*source)
        return TrustStore.from_certificates(_certificates(source)) if isinstance(source, bytes) else source


def _load_allowed(
    entries: Iterable[Pin | Certificate | readers.Material],
) -> tuple[list[Pin], list[Certificate]]:
    pins: list[Pin] = []
    certificates: list[Certificate] = []
    for entry in entries:
        if isinstance(entry, Pin):
            pins.append(entry)
            continue
        with _naming("MTLS_ALLOWED"):
            found = [entry] if isinstance(entry, Certificate) else _certificates(_content(entry))
            if not found:
                raise ConfigurationError(f"{entry if isinstance(entry, Path) else 'the text'} holds no certificate")
        certificates += found
    return pins + [Pin.for_certificate(certificate) for certificate in certificates], certificates


def _certificates(data: bytes) -> list[Certificate]:
    """Certificates of PEM, or the one of DER."""
    return [Certificate.from_der(data)] if data[:1] == b"\x30" else list(Certificate.all_from_pem(data))


def _content(source: readers.Material) -> bytes:
    return source.read_bytes() if isinstance(source, Path) else source


def _is_pem(source: readers.Material) -> bool:
    try:
        return b"-----BEGIN " in _content(source)
    except OSError:
        return False  # loading it will say what is wrong
