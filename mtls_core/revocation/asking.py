"""Asks every source that there is about one certificate: OCSP first, lists where OCSP says nothing."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from ..certificate import Certificate
from ..path.distinguished_names import canonical
from ..path.problems import subject_of
from . import crl, ocsp
from .crl import CertificateList, CRLHistory
from .crl_scope import names_a_source
from .downloads import Download, Downloads, Wanted
from .fetch import FetchError, FetchErrorKind
from .list_store import ListStore
from .ocsp import (
    MAX_RESPONSE_SIZE,
    NONCE_SIZE,
    REQUEST_TYPE,
    RESPONSE_TYPE,
    build_request,
    get_url,
    responder_urls,
)
from .policy import RevocationPolicy
from .status import Answer, Status

_Path = tuple[Certificate, ...]


class Asking:
    """Asks, and takes the time that takes.

    :param lists: The revocation lists of this host.
    :param signers: Certificates that may have signed lists.
    :param history: Remembers lists, so that an older one does not come back.
    """

    def __init__(
        self,
        policy: RevocationPolicy,
        downloads: Downloads,
        store: ListStore,
        *,
        lists: Callable[[], Sequence[CertificateList]],
        signers: Callable[[], Sequence[Certificate]],
        history: CRLHistory,
    ) -> None:
        self._policy = policy
        self._downloads = downloads
        self._store = store
        self._lists = lists
        self._signers = signers
        self._history = history

    def ask(self, path: _Path, depth: int, at: datetime, *, about_responder: bool = False) -> Answer | None:
        """What is to be known about a certificate; ``None`` if there is nobody to ask.

        :param about_responder: Whether the certificate is a delegated responder's. Then what another delegated
            responder says, about which one would have to ask again, does not count.
        """
        certificate = path[depth]
        local = self._local_lists(certificate)
        if not local and self._policy.ocsp_responder is None and not names_a_source(certificate):
            return None
        # Lists that were fetched before may have been replaced since: they can revoke, and clear nobody.
        by_local = self._by_lists(path, depth, local, at) if local else None
        held = self._store.held(crl.distribution_points(certificate))
        by_held = self._by_lists(path, depth, [*local, *held], at) if held else None
        for answer in (by_local, by_held):
            if answer is not None and answer.status is Status.REVOKED:
                return answer
        answers = [by_local, *self._by_ocsp(path, depth, at, about_responder)]
        if not any(answer and answer.status is not Status.UNKNOWN for answer in answers):
            answers.append(self._by_fetched_lists(path, depth, local, at))
        return _most_telling([answer for answer in answers if answer], certificate)

    def _local_lists(self, certificate: Certificate) -> list[CertificateList]:
        issuer = canonical(certificate.issuer_name)
        return [found for found in self._lists() if found.issuer_key == issuer or found.scope.indirect]

    def _by_lists(self, path: _Path, depth: int, lists: Sequence[CertificateList], at: datetime) -> Answer:
        return crl.judge(path, depth, lists, at=at, policy=self._policy, signers=self._signers(), history=self._history)

    def _by_fetched_lists(
        self, path: _Path, depth: int, local: Sequence[CertificateList], at: datetime
    ) -> Answer | None:
        points = crl.distribution_points(path[depth])
        if not points:
            return None
        started, timeout = time.monotonic(), self._share_of(path[depth])
        full = self._store.fetch(points, at=at, timeout=timeout)
        delta_points = [*crl.delta_points(path[depth]), *(each for found in full.lists for each in found.delta_points)]
        deltas = self._store.fetch(delta_points, at=at, timeout=timeout)
        moment = at + timedelta(seconds=time.monotonic() - started)
        answer = self._by_lists(path, depth, [*local, *full.lists, *deltas.lists], moment)
        if answer.status is Status.UNKNOWN and full.notes:
            return dataclasses.replace(answer, detail=f"{answer.detail}; {'; '.join(full.notes)}")
        return self._capped(answer, min(full.fetched_at, deltas.fetched_at))

    def _by_ocsp(self, path: _Path, depth: int, at: datetime, about_responder: bool) -> list[Answer]:
        """What responders say, up to the first that says something."""
        answers: list[Answer] = []
        configured = self._policy.ocsp_responder
        for url in (configured,) if configured else responder_urls(path[depth]):
            answers.append(self._by_responder(url, path, depth, at, about_responder))
            if answers[-1].status is not Status.UNKNOWN:
                break
        return answers

    def _by_responder(self, url: str, path: _Path, depth: int, at: datetime, about_responder: bool) -> Answer:
        source = f"ocsp {url}"
        nonce = None if self._policy.nonce == "off" else secrets.token_bytes(NONCE_SIZE)

        def judge(response: bytes, moment: datetime) -> Answer:
            return ocsp.judge(response, path, depth, at=moment, policy=self._policy, nonce=nonce, source=source)

        def is_good(response: bytes) -> bool:
            return _has_time_left(judge(response, at), at)

        started = time.monotonic()
        request = build_request(path[depth], path[depth + 1], nonce=nonce)
        try:
            download = self._ask_responder(url, request, at, is_good, self._share_of(path[depth]))
        except FetchError as error:
            return Answer(Status.UNKNOWN, f"{subject_of(path[depth])}: {error}", source)
        # The answer may have been signed after the question was asked.
        moment = at + timedelta(seconds=time.monotonic() - started)
        answer = self._capped(judge(download.data, moment), download.fetched_at)
        if answer.status is Status.UNKNOWN:
            return answer
        delegate = ocsp.delegated_responder(download.data, path, depth, at=moment, policy=self._policy)
        if delegate is None:
            return answer
        if about_responder:
            detail = (
                f"the OCSP responder {subject_of(delegate)} does not count: it would have to be asked about as well"
            )
            return Answer(Status.UNKNOWN, detail, source)
        return self._if_not_revoked(delegate, answer, path[depth + 1 :], at)

    def _ask_responder(
        self, url: str, request: bytes, at: datetime, is_good: Callable[[bytes], bool], timeout: float
    ) -> Download:
        """By GET where the request is short, for the sake of caches on the way, else, or if that fails, by POST."""
        # With a nonce the answer is for nobody else, and no cache on the way may have it.
        shared = self._policy.nonce == "off"
        name = f"ocsp:{url}:{sha256(request).hexdigest()}"
        by_post = Wanted(
            name,
            url,
            MAX_RESPONSE_SIZE,
            RESPONSE_TYPE,
            must_be=RESPONSE_TYPE,
            body=request,
            content_type=REQUEST_TYPE,
            shared=shared,
        )
        address = get_url(url, request) if shared else None
        if address is not None:
            # A responder that knows no GET is not out of order.
            by_get = Wanted(name, address, MAX_RESPONSE_SIZE, RESPONSE_TYPE, server=f"GET {url}", must_be=RESPONSE_TYPE)
            try:
                return self._downloads.get(by_get, at=at, timeout=timeout, is_good=is_good)
            except FetchError as error:
                if error.kind is not FetchErrorKind.HTTP_STATUS:
                    raise
        return self._downloads.get(by_post, at=at, timeout=timeout, is_good=is_good)

    def _share_of(self, certificate: Certificate) -> float:
        """Seconds for one source, so that the next can still answer when it does not."""
        has_lists = any(point.urls for point in crl.distribution_points(certificate))
        has_responder = bool(self._policy.ocsp_responder or responder_urls(certificate))
        return self._policy.timeout / (2 if has_lists and has_responder else 1)

    def _if_not_revoked(self, delegate: Certificate, answer: Answer, above: _Path, at: datetime) -> Answer:
        """An answer of a delegated responder, if the responder itself is not revoked (RFC 6960, section 4.2.2.2.1)."""
        own = self.ask((delegate, *above), 0, at, about_responder=True)
        nothing_to_ask = own is None and self._policy.mode == "available"
        if nothing_to_ask or (own is not None and own.status is Status.GOOD):
            return answer
        why = own.detail if own else "it names no source of revocation, and nothing says that it need not be checked"
        detail = f"the OCSP responder {subject_of(delegate)} does not count: {why}"
        return Answer(Status.UNKNOWN, detail, answer.source)

    def _capped(self, answer: Answer, fetched_at: datetime) -> Answer:
        """The answer, counting no longer than the policy lets one that was fetched then."""
        if answer.valid_until is None:
            return answer
        return dataclasses.replace(answer, valid_until=min(answer.valid_until, fetched_at + self._policy.max_cache_age))


def _has_time_left(answer: Answer, at: datetime) -> bool:
    """Whether an answer counts, and is not in the last quarter of its time, when a newer one should be there."""
    if answer.status is Status.UNKNOWN or answer.valid_until is None:
        return False
    life = answer.valid_until - (answer.this_update or at)
    return answer.valid_until - at > life / 4


def _most_telling(answers: Sequence[Answer], certificate: Certificate) -> Answer:
    for status in (Status.REVOKED, Status.GOOD):
        for answer in answers:
            if answer.status is status:
                return answer
    if not answers:
        detail = f"{subject_of(certificate)} names no source of revocation that could be asked over http"
        return Answer(Status.UNKNOWN, detail, "none")
    return dataclasses.replace(answers[-1], detail="; ".join(answer.detail for answer in answers))
