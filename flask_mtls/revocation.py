"""What the settings say about revocation, made into what asks about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from mtls_core.certificate import Certificate
from mtls_core.errors import ConfigurationError, MTLSError
from mtls_core.path.distinguished_names import CanonicalName
from mtls_core.revocation.addresses import parse_url
from mtls_core.revocation.cache import SharedCache
from mtls_core.revocation.checker import RevocationChecker
from mtls_core.revocation.crl import CertificateList, MalformedCRL
from mtls_core.revocation.crl_scope import Scope
from mtls_core.revocation.fetch import Fetcher, FetchError
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.trust import TrustStore

from .config import Settings

_log = logging.getLogger("flask_mtls")

_PEM = b"-----BEGIN X509 CRL-----"
#: How far a source's clock may be ahead: a responder that signs as it is asked is easily a second from here.
_SOURCE_CLOCKS = timedelta(minutes=1)
_SUFFIXES = frozenset({".crl", ".der", ".pem"})

_Series = tuple[CanonicalName, Scope, bool, x509.AuthorityKeyIdentifier | None]


def make_checker(
    settings: Settings,
    *,
    lists: Callable[[], Sequence[CertificateList]],
    signers: Callable[[], Sequence[Certificate]],
) -> RevocationChecker | None:
    """What asks about the revocation of an app's callers; ``None`` if nothing is to be asked.

    :param lists: The revocation lists of this host that are in force.
    :param signers: Certificates that may have signed lists besides those of a path.
    :raises ConfigurationError: If the settings cannot be used.
    """
    if settings.revocation == "off":
        return None
    try:
        return RevocationChecker(
            _policy(settings),
            lists=lists,
            signers=signers,
            fetcher=Fetcher(hosts=settings.revocation_hosts, proxy=settings.revocation_proxy),
            shared=_shared_cache(settings),
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"MTLS_REVOCATION_* and MTLS_OCSP_*: {error}") from error


def load_lists(
    paths: Iterable[Path], trust: TrustStore | None, in_force: Sequence[CertificateList] = ()
) -> tuple[CertificateList, ...]:
    """Load revocation lists from files, and from folders.

    :param trust: Whose lists they may be; a list that names one of these as its issuer must be signed by it.
    :param in_force: The lists that are replaced; none of them by an older one. One that nothing replaces stays in
        force: while a file is being exchanged it may not be there for a moment.
    :raises ConfigurationError: If one of them cannot be used.
    """
    try:
        lists = tuple(crl for path in paths for crl in _read(path))
    except (MalformedCRL, OSError) as error:
        raise ConfigurationError(f"MTLS_CRLS: {error}") from error
    for crl in lists:
        _check_signature(crl, trust)
        crl.prepare()
    lists += _not_replaced(lists, in_force)
    # The same object for the same lists: whoever remembers what they said sees that nothing has changed.
    same = [crl.thumbprint for crl in lists] == [crl.thumbprint for crl in in_force]
    return tuple(in_force) if same else lists


def _policy(settings: Settings) -> RevocationPolicy:
    return RevocationPolicy(
        mode="required" if settings.revocation == "required" else "available",
        scope=settings.revocation_scope,
        unreachable=settings.revocation_unreachable,
        ocsp_responder=_responder(settings.ocsp_responder),
        trusted_responders=_trusted_responders(settings.ocsp_trusted),
        nonce=settings.ocsp_nonce,
        ocsp_max_age=timedelta(seconds=settings.ocsp_max_age),
        crl_max_age=timedelta(seconds=settings.crl_max_age) if settings.crl_max_age else None,
        crl_grace=timedelta(seconds=settings.crl_grace),
        refresh=timedelta(seconds=settings.revocation_refresh),
        max_cache_age=timedelta(seconds=settings.revocation_max_cache),
        clock_skew=max(settings.skew, _SOURCE_CLOCKS),
        timeout=settings.revocation_timeout,
    )


def _responder(url: str | None) -> str | None:
    if url is not None:
        try:
            parse_url(url)
        except FetchError as error:
            raise ConfigurationError(f"MTLS_OCSP_RESPONDER: {error}") from error
    return url


def _trusted_responders(paths: Iterable[Path]) -> tuple[Certificate, ...]:
    found: list[Certificate] = []
    for path in paths:
        try:
            found += Certificate.all_from_pem(path.read_bytes())
        except (MTLSError, OSError) as error:
            raise ConfigurationError(f"MTLS_OCSP_TRUSTED: {path}: {error}") from error
    if paths and not found:
        raise ConfigurationError("MTLS_OCSP_TRUSTED: no certificate in these files")
    return tuple(found)


def _shared_cache(settings: Settings) -> SharedCache | None:
    if settings.cache_url is None:
        return None
    from mtls_core.revocation.redis_cache import RedisCache

    try:
        return RedisCache.from_url(settings.cache_url)
    except ConfigurationError as error:
        raise ConfigurationError(f"MTLS_CACHE_URL: {error}") from error


def _read(path: Path) -> list[CertificateList]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
        if not files:
            raise ConfigurationError(f"MTLS_CRLS: {path}: no .crl, .der or .pem file in this folder")
        return [crl for file in files for crl in _read(file)]
    data = path.read_bytes()
    if _PEM in data:
        return list(CertificateList.all_from_pem(data, source=str(path)))
    return [CertificateList.from_der(data, source=str(path))]


def _check_signature(crl: CertificateList, trust: TrustStore | None) -> None:
    issuers = [c for c in (trust.certificates if trust else ()) if c.subject_name == crl.issuer_name]
    if issuers and not any(crl.is_signed_by(issuer) for issuer in issuers):
        raise ConfigurationError(
            f"MTLS_CRLS: {crl.describe()}: its signature is not that of {issuers[0].subject}; fetch it anew"
        )


def _not_replaced(lists: Iterable[CertificateList], in_force: Iterable[CertificateList]) -> tuple[CertificateList, ...]:
    """The lists in force of which there is no new version.

    :raises ConfigurationError: If there is an older version of one.
    """
    newest, missing = _newest(lists), []
    for old in _newest(in_force).values():
        new = newest.get(_series(old))
        if new is None:
            _log.error("MTLS_CRLS: %s is not there any more; what was loaded stays in force", old.describe())
            missing.append(old)
        elif _is_older(new, old):
            raise ConfigurationError(
                f"MTLS_CRLS: {new.describe()} is older than the one in force ({old.describe()}),"
                " and would make good what that one revokes"
            )
    return tuple(missing)


def _newest(lists: Iterable[CertificateList]) -> dict[_Series, CertificateList]:
    """Of each series the newest, in the order in which they came."""
    newest: dict[_Series, CertificateList] = {}
    for crl in lists:
        other = newest.setdefault(_series(crl), crl)
        if other.age_key < crl.age_key:
            newest[_series(crl)] = crl
    return newest


def _series(crl: CertificateList) -> _Series:
    """What the versions of a list have in common. A CA that changes its key begins another series."""
    return crl.issuer_key, crl.scope, crl.is_delta, crl.authority_key_identifier


def _is_older(crl: CertificateList, other: CertificateList) -> bool:
    (moment, number), (other_moment, other_number) = crl.age_key, other.age_key
    return moment < other_moment or number < other_number
