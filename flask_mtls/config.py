"""Every ``MTLS_*`` key, read and checked once, when the extension meets the app.

Nothing here opens a file; that is :mod:`flask_mtls.material`'s.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from mtls_core.certificate import Certificate
from mtls_core.contexts import ClientCertificates, MinimumVersion
from mtls_core.errors import ConfigurationError, PinError
from mtls_core.identity import Identity
from mtls_core.pins import Pin
from mtls_core.revocation.policy import Mode, NoncePolicy, Scope, Unreachable
from mtls_core.trust import TrustStore
from mtls_core.verifier import CertificateType

from . import readers
from .proxies import TrustedProxies
from .readers import Material, Password, Reader, Unusable
from .sources.formats import PRESETS, Format

PREFIX = "MTLS_"

_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the configuration says, each value of one type."""

    identity: Identity | Material | None
    identity_password: Password = field(repr=False)
    identity_key: Material | None = field(repr=False)
    client_ca: TrustStore | bytes | tuple[Path, ...] | None
    client_certs: ClientCertificates
    require: Literal["decorated", "all"]
    certificate_types: frozenset[CertificateType]
    allowed: tuple[Pin | Certificate | Material, ...] | None
    check_validity: bool
    check_usage: bool | Literal["strict"]
    #: Seconds, as all durations here.
    clock_skew: float
    expose_reason: bool
    minimum_version: MinimumVersion
    handshake_timeout: float
    cache_size: int
    cache_seconds: float
    #: 0: never.
    reload_interval: float
    revocation: Literal["off", "available", "required"]
    revocation_scope: Scope
    revocation_unreachable: Unreachable
    revocation_hosts: tuple[str, ...]
    revocation_proxy: str | None = field(repr=False)
    revocation_timeout: float
    revocation_refresh: float
    revocation_max_cache: float
    crls: tuple[Path, ...]
    crl_grace: float
    #: 0: as old as its nextUpdate lets it be.
    crl_max_age: float
    ocsp_responder: str | None
    ocsp_trusted: tuple[Path, ...]
    ocsp_nonce: NoncePolicy
    ocsp_max_age: float
    cache_url: str | None = field(repr=False)
    forwarded: Format | None
    trusted_proxies: TrustedProxies
    forwarded_hops: int
    forwarded_direct: bool
    proxy_ca: TrustStore | bytes | tuple[Path, ...] | None

    @property
    def skew(self) -> timedelta:
        """The clock skew as a duration."""
        return timedelta(seconds=self.clock_skew)

    @property
    def by_own_tls(self) -> bool:
        """Whether callers may show their certificate to this service itself."""
        return self.forwarded is None or self.forwarded_direct

    @property
    def largest_header(self) -> int | None:
        """Bytes that a header of a proxy may hold; ``None`` if none is read."""
        return self.forwarded.largest(self.forwarded_hops) if self.forwarded else None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and folders that were named, all of which may change."""
        issuers = [each for each in (self.client_ca, self.proxy_ca) if isinstance(each, tuple)]
        named = (self.identity, self.identity_key, *chain(*issuers), *(self.allowed or ()), *self.crls)
        return tuple(path for path in named if isinstance(path, Path))


class Key(NamedTuple):
    """How one key is read."""

    default: Any
    read: Reader


KEYS: Mapping[str, Key] = {
    "MTLS_IDENTITY": Key(None, readers.identity),
    "MTLS_IDENTITY_PASSWORD": Key(None, readers.password),
    "MTLS_IDENTITY_KEY": Key(None, readers.material),
    "MTLS_CLIENT_CA": Key(None, readers.trust),
    "MTLS_CLIENT_CERTS": Key("optional", readers.one_of(*get_args(ClientCertificates))),
    "MTLS_REQUIRE": Key("decorated", readers.one_of("decorated", "all")),
    "MTLS_CERTIFICATE_TYPES": Key(("chained",), readers.some_of("chained", "self_signed")),
    "MTLS_ALLOWED": Key(None, readers.allowed),
    "MTLS_CHECK_VALIDITY": Key(True, readers.boolean),
    "MTLS_CHECK_USAGE": Key(True, readers.boolean_or("strict")),
    "MTLS_CLOCK_SKEW": Key(0, readers.seconds(minimum=0, maximum=_DAY)),
    "MTLS_EXPOSE_REASON": Key(True, readers.boolean),
    "MTLS_MINIMUM_VERSION": Key("TLSv1.2", readers.one_of(*get_args(MinimumVersion))),
    "MTLS_HANDSHAKE_TIMEOUT": Key(10, readers.seconds(minimum=0.1, maximum=600)),
    "MTLS_CACHE_SIZE": Key(1024, readers.count(minimum=0, maximum=1_000_000)),
    "MTLS_CACHE_SECONDS": Key(300, readers.seconds(minimum=0, maximum=_DAY)),
    "MTLS_RELOAD_INTERVAL": Key(10, readers.optional_seconds(minimum=0.1, maximum=_DAY)),
    "MTLS_REVOCATION": Key("available", readers.one_of("off", *get_args(Mode))),
    "MTLS_REVOCATION_SCOPE": Key("chain", readers.one_of(*get_args(Scope))),
    "MTLS_REVOCATION_UNREACHABLE": Key("reject", readers.one_of(*get_args(Unreachable))),
    "MTLS_REVOCATION_HOSTS": Key((), readers.words),
    "MTLS_REVOCATION_PROXY": Key(None, readers.secret_word),
    "MTLS_REVOCATION_TIMEOUT": Key(3, readers.seconds(minimum=0.05, maximum=60)),
    "MTLS_REVOCATION_REFRESH": Key(300, readers.seconds(minimum=1, maximum=_DAY)),
    "MTLS_REVOCATION_MAX_CACHE": Key(_DAY, readers.seconds(minimum=1, maximum=365 * _DAY)),
    "MTLS_CRLS": Key((), readers.files),
    "MTLS_CRL_GRACE": Key(0, readers.seconds(minimum=0, maximum=365 * _DAY)),
    "MTLS_CRL_MAX_AGE": Key(None, readers.optional_seconds(minimum=1, maximum=3650 * _DAY)),
    "MTLS_OCSP_RESPONDER": Key(None, readers.optional_word),
    "MTLS_OCSP_TRUSTED": Key((), readers.files),
    "MTLS_OCSP_NONCE": Key("off", readers.one_of(*get_args(NoncePolicy))),
    "MTLS_OCSP_MAX_AGE": Key(7 * _DAY, readers.seconds(minimum=1, maximum=3650 * _DAY)),
    "MTLS_CACHE_URL": Key(None, readers.secret_word),
    "MTLS_FORWARDED": Key(None, readers.forwarded),
    "MTLS_TRUSTED_PROXIES": Key((), readers.proxies),
    "MTLS_FORWARDED_HOPS": Key(1, readers.count(minimum=1, maximum=10)),
    "MTLS_FORWARDED_DIRECT": Key(False, readers.boolean),
    "MTLS_PROXY_CA": Key(None, readers.trust),
}

#: Flask lets the options of ``flask mtls run`` be given as ``FLASK_MTLS_RUN_PORT`` and so on, and
#: ``from_prefixed_env()`` takes these for settings of the app.
_OF_COMMANDS = ("MTLS_RUN_", "MTLS_CONFIG_")


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Read and check the configuration of an app.

    :param config: ``app.config``; ``app.config.from_prefixed_env()`` may have filled it with text.
    :raises ConfigurationError: For the first key that is unknown, or whose value cannot be used.
    """
    for name in config:
        if name.startswith(PREFIX):
            _check_name(name)
    values = {_field_name(name): _read(name, key, config.get(name, key.default)) for name, key in KEYS.items()}
    settings = Settings(**values)
    _check_together(settings)
    return settings


def _field_name(key: str) -> str:
    return key.removeprefix(PREFIX).lower()


def _read(name: str, key: Key, value: Any) -> Any:
    try:
        return key.read(value)
    except Unusable as error:
        raise ConfigurationError(f"{name} {error}") from None
    except PinError as error:
        raise ConfigurationError(f"{name}: {error} (nor is there a file of that name)") from error


def _check_name(name: str) -> None:
    if name in KEYS or name.startswith(_OF_COMMANDS):
        return
    near = difflib.get_close_matches(name, KEYS, n=1)
    advice = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(KEYS)}"
    raise ConfigurationError(f"{name} is not a setting; {advice}")


def _check_together(settings: Settings) -> None:
    """What no key shows by itself."""
    types = settings.certificate_types
    if "chained" in types and settings.client_ca is None:
        raise ConfigurationError(
            "MTLS_CLIENT_CA is not set: name the CA that issues your callers' certificates"
            ' (only with MTLS_CERTIFICATE_TYPES = {"self_signed"} none is needed)'
        )
    if "self_signed" in types and settings.allowed is None:
        raise ConfigurationError(
            "MTLS_CERTIFICATE_TYPES has 'self_signed', but MTLS_ALLOWED is not set: anybody can make a self-signed"
            " certificate; name those you mean"
        )
    _check_identity(settings)
    _check_forwarded(settings)


def _check_identity(settings: Settings) -> None:
    dependent = {"MTLS_IDENTITY_KEY": settings.identity_key, "MTLS_IDENTITY_PASSWORD": settings.identity_password}
    for name, value in dependent.items():
        if value is None:
            continue
        if settings.identity is None:
            raise ConfigurationError(f"{name} is set, but MTLS_IDENTITY is not: name the certificate or PFX it is for")
        if isinstance(settings.identity, Identity):
            raise ConfigurationError(f"{name} is set, but MTLS_IDENTITY is loaded already; remove {name}")


def _check_forwarded(settings: Settings) -> None:
    trusted, forwarded = settings.trusted_proxies, settings.forwarded
    if forwarded is None:
        dependent = {
            "MTLS_TRUSTED_PROXIES": trusted != TrustedProxies(),
            "MTLS_FORWARDED_HOPS": settings.forwarded_hops != 1,
            "MTLS_FORWARDED_DIRECT": settings.forwarded_direct,
            "MTLS_PROXY_CA": settings.proxy_ca is not None,
        }
        for name in (name for name, is_set in dependent.items() if is_set):
            raise ConfigurationError(f"{name} is set, but MTLS_FORWARDED is not: name a format, or remove it")
        return
    if trusted == TrustedProxies():
        raise ConfigurationError(
            f"MTLS_FORWARDED is set, but MTLS_TRUSTED_PROXIES is not: whoever reaches this service could send"
            f" {forwarded.header} and be anybody; name the addresses of your proxies, 'unix', or a pin (sha256/…) or"
            " SPIFFE ID of the certificate that they show"
        )
    if settings.forwarded_hops != 1 and forwarded.encoding != "xfcc":
        raise ConfigurationError(
            f"MTLS_FORWARDED_HOPS is {settings.forwarded_hops}, but {forwarded.header} holds one certificate;"
            " only Envoy's header counts proxies"
        )
    if settings.client_certs == "on_demand" and not settings.forwarded_direct:
        raise ConfigurationError(
            "MTLS_CLIENT_CERTS is 'on_demand', which would ask the proxy for its own certificate; leave it out"
            " (MTLS_FORWARDED is set)"
        )
    _check_proxy_certificates(settings)


def _check_proxy_certificates(settings: Settings) -> None:
    if not settings.trusted_proxies.by_certificate:
        if settings.proxy_ca is not None:
            raise ConfigurationError(
                "MTLS_PROXY_CA is set, but MTLS_TRUSTED_PROXIES has no pin or SPIFFE ID that a proxy's certificate"
                " would have to match"
            )
        return
    if settings.client_certs in ("off", "on_demand"):
        raise ConfigurationError(
            f"MTLS_TRUSTED_PROXIES names a certificate, but MTLS_CLIENT_CERTS is {settings.client_certs!r}: proxies are"
            " not asked for theirs; leave it out"
        )
    if settings.proxy_ca is None and settings.client_ca is None:
        raise ConfigurationError(
            "MTLS_TRUSTED_PROXIES names a certificate, and nothing says who may issue it: set MTLS_PROXY_CA"
        )


def loosened(settings: Settings) -> list[str]:
    """What the settings permit that is refused without them, for the log."""
    certificates = [
        (not settings.check_validity, "MTLS_CHECK_VALIDITY is off: expired certificates are admitted"),
        (
            settings.check_usage is False,
            "MTLS_CHECK_USAGE is off: certificates for any usage are admitted (the TLS layer still refuses those that"
            " are not for clients)",
        ),
        (
            settings.clock_skew > 0,
            f"MTLS_CLOCK_SKEW: certificates are good {settings.clock_skew:g} s longer, and earlier",
        ),
        (settings.revocation == "off", "MTLS_REVOCATION is off: revoked certificates are admitted"),
        (
            settings.revocation_unreachable == "accept",
            'MTLS_REVOCATION_UNREACHABLE is "accept": in an outage of its CA a revoked certificate is admitted',
        ),
        (
            settings.forwarded_direct,
            "MTLS_FORWARDED_DIRECT is on: callers may come by a proxy or past it",
        ),
        (settings.crl_grace > 0, f"MTLS_CRL_GRACE: revocation lists count {settings.crl_grace:g} s longer"),
    ]
    return [text for holds, text in certificates if holds]


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, without secrets, for people."""
    hidden = {"identity_password", "identity_key", "cache_url", "revocation_proxy"}
    return {
        f"{PREFIX}{each.name.upper()}": _shown(getattr(settings, each.name), secret=each.name in hidden)
        for each in fields(settings)
    }


def _shown(value: Any, *, secret: bool) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case Path():
            return str(value)
        case _ if secret:
            return "(set)"
        case str():
            return value
        case bytes():
            return f"({len(value)} bytes)"
        case Format():
            return value.name if PRESETS.get(value.name) == value else list(value.headers)
        case frozenset():
            return sorted(value)
        case tuple():
            return [_shown(item, secret=False) for item in value]
    return str(value) if isinstance(value, (Pin, TrustedProxies)) else repr(value)
