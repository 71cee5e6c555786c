"""Verdicts about certificates: given anew, or remembered for as long as nothing they rest on changes."""

from __future__ import annotations

import hashlib
import itertools
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from mtls_core.certificate import Certificate
from mtls_core.errors import CertificateRejected, Problem, Reason
from mtls_core.revocation.checker import RevocationChecker
from mtls_core.verifier import ClientPolicy, VerifiedCertificate, Verifier

from .config import Settings
from .material import LoadedMaterial, load_material
from .sources import Presented, parsed

T = TypeVar("T")

_numbers = itertools.count(1)


class BoundedMap(Generic[T]):
    """A map that forgets what was used longest ago. Safe between threads; nothing in it blocks or yields."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> T | None:
        """The value, which counts as used now."""
        with self._lock:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def put(self, key: bytes, value: T) -> None:
        """Remember a value."""
        if not self._size:
            return
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True, slots=True)
class _Remembered:
    verdict: VerifiedCertificate
    since: datetime
    until: datetime


class VerdictCache:
    """Acceptances, by SHA-256 of the whole certificate. Refusals are never remembered: what is missing may turn up.

    :param size: How many are kept.
    :param lifetime: How long one is kept at most. It ends before that if a certificate of its path expires.
    """

    def __init__(self, size: int, lifetime: timedelta) -> None:
        self._entries: BoundedMap[_Remembered] = BoundedMap(size)
        self._lifetime = lifetime

    def get(self, key: bytes, *, at: datetime) -> VerifiedCertificate | None:
        """What is remembered, if it still holds at that moment."""
        found = self._entries.get(key)
        # A clock that was set back before the verdict was given leaves nothing to rely on.
        if found is None or not found.since <= at <= found.until:
            return None
        return found.verdict

    def put(self, key: bytes, verdict: VerifiedCertificate, *, at: datetime, expires: datetime | None) -> None:
        """Remember an acceptance of that moment.

        :param expires: When the certificates of its path cease to be valid; ``None`` if that does not matter.
        """
        until = at + self._lifetime
        self._entries.put(key, _Remembered(verdict, at, until if expires is None else min(until, expires)))

    def replace(self, key: bytes, verdict: VerifiedCertificate) -> None:
        """Put another verdict in the place of one that is remembered, for as long as that would have been."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.put(key, _Remembered(verdict, found.since, found.until))

    def __len__(self) -> int:
        return len(self._entries)


class KnownIssuers:
    """Intermediates of paths that were verified once, by the issuer of the certificate below them.

    A resumed session brings no intermediates, and several proxies forward none. What is remembered is no verdict, only
    a place to look: the path is verified anew.

    :param size: For how many issuers.
    """

    def __init__(self, size: int) -> None:
        self._entries: BoundedMap[tuple[Certificate, ...]] = BoundedMap(size)

    def remember(self, path: tuple[Certificate, ...]) -> None:
        """Keep what stands between a leaf and its anchor.

        :param path: A verified one, leaf first, anchor last.
        """
        between = path[1:-1]
        if between:
            key = _issuer_key(path[0])
            # An issuer's name and key may have several certificates above them, of which the newest come first.
            known = dict.fromkeys((*between, *(self._entries.get(key) or ())))
            self._entries.put(key, tuple(known)[:_MOST_PER_ISSUER])

    def above(self, leaf: Certificate) -> tuple[Certificate, ...]:
        """What may stand above a leaf."""
        return self._entries.get(_issuer_key(leaf)) or ()


_MOST_PER_ISSUER = 8


def _issuer_key(certificate: Certificate) -> bytes:
    return hashlib.sha256(certificate.issuer_der + (certificate.authority_key_id or b"")).digest()


class _Judge:
    """Verifies the certificates of one kind of caller, and remembers what it admitted."""

    def __init__(self, verifier: Verifier, cache: VerdictCache, issuers: KnownIssuers) -> None:
        self._verifier = verifier
        self.cache = cache
        self._issuers = issuers

    def verify(self, presented: Presented, *, at: datetime) -> VerifiedCertificate:
        key = hashlib.sha256(presented.leaf).digest()
        verdict = self.cache.get(key, at=at)
        if verdict is None:
            leaf = parsed(presented.leaf)
            verdict = self._verifier.verify(leaf, self._intermediates(leaf, presented), at=at)
            self.cache.put(key, verdict, at=at, expires=self._expiry(verdict))
            self._issuers.remember(verdict.chain)
        elif verdict.recheck_from is not None and at >= verdict.recheck_from:
            # What a path is made of does not change; whether it was revoked may have.
            verdict = self._verifier.check_revocation(verdict, at=at)
            self.cache.replace(key, verdict)
        return verdict

    def _expiry(self, verdict: VerifiedCertificate) -> datetime | None:
        policy = self._verifier.policy
        return verdict.valid_until + policy.clock_skew if policy.check_validity else None

    def _intermediates(self, leaf: Certificate, presented: Presented) -> tuple[Certificate, ...]:
        sent = tuple(map(parsed, presented.intermediates()))
        return sent or self._issuers.above(leaf)


class Generation:
    """All that decides, made of one state of the material, and replaced whole when that changes.

    A request keeps the generation it began with, and what it verifies is remembered there and nowhere else. So no
    verdict outlives the trust it rests on, whatever the threads do.
    """

    def __init__(
        self,
        settings: Settings,
        material: LoadedMaterial,
        issuers: KnownIssuers,
        revocation: RevocationChecker | None = None,
    ) -> None:
        #: Counts up in a process.
        self.number = next(_numbers)
        self.material = material
        self._revocation = revocation
        policy = client_policy(settings, material, revocation)
        self._clients = _judge(settings, policy, issuers, revocation)
        self._proxies = (
            _judge(settings, _proxy_policy(policy, material), issuers, revocation)
            if settings.trusted_proxies.by_certificate
            else None
        )
        self._context: ssl.SSLContext | None = None

    def verify(self, presented: Presented, *, at: datetime) -> VerifiedCertificate:
        """The verdict on a certificate.

        :param presented: What came over the wire.
        :param at: The moment for which it must hold.
        :raises CertificateRejected: If it is not admitted.
        """
        verdict = self._clients.verify(presented, at=at)
        if presented.objection is not None:
            raise CertificateRejected(replace(presented.objection, certificate=verdict.certificate))
        return verdict

    def verify_proxy(self, presented: Presented, *, at: datetime) -> VerifiedCertificate:
        """The verdict on the certificate that a proxy showed of itself.

        :raises CertificateRejected: If it is not admitted, or none would be.
        """
        if self._proxies is None:
            raise CertificateRejected(Problem(Reason.UNTRUSTED_PROXY, "no certificate of a proxy is trusted"))
        return self._proxies.verify(presented, at=at)

    @property
    def cache(self) -> VerdictCache:
        """What was admitted of clients."""
        return self._clients.cache

    def warm(self) -> None:
        """Get ready what the first request would otherwise wait for."""
        if self._revocation is not None:
            self._revocation.warm()

    def context(self, build: Callable[[LoadedMaterial], ssl.SSLContext]) -> ssl.SSLContext:
        """The TLS context of this generation, built when it is first asked for.

        Not before: gevent replaces the classes of :mod:`ssl` after ``--preload`` has imported the app.
        """
        if self._context is None:
            self._context = build(self.material)
        return self._context

    @property
    def serves(self) -> bool:
        """Whether a context was asked for."""
        return self._context is not None


def _judge(
    settings: Settings, policy: ClientPolicy, issuers: KnownIssuers, revocation: RevocationChecker | None
) -> _Judge:
    cache = VerdictCache(settings.cache_size, timedelta(seconds=settings.cache_seconds))
    return _Judge(Verifier(policy, revocation=revocation), cache, issuers)


def client_policy(
    settings: Settings, material: LoadedMaterial, revocation: RevocationChecker | None = None
) -> ClientPolicy:
    """What the settings demand of a client certificate."""
    return ClientPolicy(
        trust=material.trust,
        certificate_types=settings.certificate_types,
        check_validity=settings.check_validity,
        check_usage=settings.check_usage,
        clock_skew=settings.skew,
        allowed=material.allowed,
        revocation=revocation.policy if revocation else None,
    )


def _proxy_policy(policy: ClientPolicy, material: LoadedMaterial) -> ClientPolicy:
    """The same for a proxy, except for who issues its certificate; which one it must be is said by pins of its own."""
    return replace(policy, trust=material.proxy_trust, allowed=None, certificate_types=frozenset({"chained"}))


def first_generation(settings: Settings) -> Generation:
    """Load the material and make what decides from it."""
    return Generation(settings, load_material(settings), KnownIssuers(settings.cache_size))
