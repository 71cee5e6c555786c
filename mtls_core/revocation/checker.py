"""Is anything on this path revoked? Sources in, verdict out, without a request waiting longer than it may.

What was answered is remembered until it goes stale, asked again in the background before that, and used meanwhile. So a
request waits at most once for a certificate, and never longer than the policy's timeout.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..certificate import Certificate
from ..errors import CertificateRejected, Problem, Reason
from ..path.problems import subject_of
from .asking import Asking
from .cache import MemoryCache, SharedCache
from .crl import CertificateList, CRLHistory, IndexFolder
from .deadlines import BoundedCalls, PerProcess
from .downloads import Downloads
from .fetch import Fetcher
from .list_store import ListStore
from .policy import RevocationPolicy
from .status import Answer, Status

_log = logging.getLogger("mtls_core.revocation")

#: Certificates whose answers are remembered.
_MAX_REMEMBERED = 10_000
#: Sources that are asked at once.
_MAX_ASKING = 32
#: After a source failed, so long nobody waits for it.
_PAUSE = timedelta(seconds=5)

_Key = tuple[str, str]
_Path = tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer, and what to do about its age."""

    answer: Answer
    #: From then on it is asked again, in the background.
    ask_from: datetime
    #: From then on a request waits for the new answer.
    wait_from: datetime
    #: Before that the clock was set back.
    since: datetime


class RevocationChecker:
    """Applies a policy to paths whose signatures hold. One serves all threads, and the children of a fork.

    :param policy: What to apply.
    :param lists: The revocation lists of this host, at the moment of the call.
    :param signers: Certificates that may have signed lists besides those of a path, at the moment of the call.
    :param fetcher: What asks addresses; one that asks public addresses alone, if left out.
    :param shared: Where workers share what they fetched; the memory of each, if left out.
    :param folder: Where the tables of long lists are kept.
    """

    def __init__(
        self,
        policy: RevocationPolicy,
        *,
        lists: Callable[[], Sequence[CertificateList]] = tuple,
        signers: Callable[[], Sequence[Certificate]] = tuple,
        fetcher: Fetcher | None = None,
        shared: SharedCache | None = None,
        folder: IndexFolder | None = None,
    ) -> None:
        self.policy = policy
        self._lists = lists
        self._signers = signers
        self._fetcher = fetcher or Fetcher()
        self._shared = shared
        self._folder = folder
        self._state = PerProcess(self._new_state)

    def check(self, path: _Path, *, at: datetime) -> tuple[Answer, ...]:
        """Decide about every certificate of a path that the policy's scope covers.

        :param path: Leaf first, the anchor last; found good already.
        :param at: Now, aware.
        :returns: An answer for each certificate that has a source; ``UNKNOWN`` ones only if the policy accepts them.
        :raises CertificateRejected: As ``revoked``, or as ``revocation_unknown``.
        """
        state = self._state.get()
        state.take(self._lists())
        covered = 1 if self.policy.scope == "leaf" else len(path) - 1
        answers: list[Answer | None] = [state.remembered(path, depth, at) for depth in range(covered)]
        if None in answers:
            answers = self._wait(state, path, answers, at)
        found = tuple(answer for answer in answers if answer is not None)
        for status in (Status.REVOKED, Status.UNKNOWN):
            for depth, answer in enumerate(found):
                if answer.status is status:
                    self._judge(path[depth], depth, answer)
        return tuple(answer for answer in found if answer is not _NO_SOURCE)

    def _wait(self, state: _State, path: _Path, answers: list[Answer | None], at: datetime) -> list[Answer | None]:
        """Ask for what is missing, all of it at once, and wait for it together."""
        deadline = time.monotonic() + self.policy.timeout
        missing = [depth for depth, answer in enumerate(answers) if answer is None]
        for depth in missing:
            state.begin(path, depth, at)
        for depth in missing:
            answers[depth] = state.wait(path, depth, at, deadline)
        return answers

    def _judge(self, certificate: Certificate, depth: int, answer: Answer) -> None:
        if answer.status is Status.REVOKED:
            raise CertificateRejected(Problem(Reason.REVOKED, answer.detail, depth, certificate))
        if answer is _NO_SOURCE:
            if self.policy.mode == "required":
                detail = (
                    f"{subject_of(certificate)} names no source of revocation and none is configured for its issuer;"
                    " have one put into its CA's certificates, or give the CA's list (MTLS_CRLS)"
                )
                raise CertificateRejected(Problem(Reason.REVOCATION_UNKNOWN, detail, depth, certificate))
        elif self.policy.unreachable == "reject":
            raise CertificateRejected(Problem(Reason.REVOCATION_UNKNOWN, answer.detail, depth, certificate))

    def _new_state(self) -> _State:
        policy = self.policy
        downloads = Downloads(
            self._fetcher,
            self._shared or MemoryCache(),
            refresh=policy.refresh,
            keep=policy.max_cache_age,
        )
        store = ListStore(downloads, refresh=policy.refresh, keep=policy.max_cache_age, folder=self._folder)
        asking = Asking(policy, downloads, store, lists=self._lists, signers=self._signers, history=CRLHistory())
        return _State(asking, policy)


#: Neither the certificate nor the configuration says whom to ask.
_NO_SOURCE = Answer(Status.UNKNOWN, "there is no source of revocation", "none")


class _State:
    """What a process knows."""

    def __init__(self, asking: Asking, policy: RevocationPolicy) -> None:
        self._asking = asking
        self._policy = policy
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._calls = BoundedCalls(limit=_MAX_ASKING)
        self._lists: Sequence[CertificateList] = ()

    def take(self, lists: Sequence[CertificateList]) -> None:
        """Forget what was known if this host has other lists than before."""
        if lists is not self._lists:
            with self._lock:
                self._lists = lists
                self._known.clear()

    def remembered(self, path: _Path, depth: int, at: datetime) -> Answer | None:
        """What is known and still counts; ``None`` if it must be asked first."""
        known = self._known.get(_key(path, depth))
        if known is None or not _counts(known, at) or at >= known.wait_from:
            return None
        if at >= known.ask_from:
            self.begin(path, depth, at)
        return known.answer

    def begin(self, path: _Path, depth: int, at: datetime) -> None:
        """Ask, and wait for nothing."""
        self._calls.begin(_key(path, depth), lambda: self._ask(path, depth, at))

    def wait(self, path: _Path, depth: int, at: datetime, deadline: float) -> Answer:
        """Ask, or wait for whoever asks already, and answer by the deadline."""
        answered = self.remembered(path, depth, at)
        if answered is not None:
            return answered
        key = _key(path, depth)
        try:
            answer: Answer | None = self._calls.call(key, lambda: self._ask(path, depth, at), deadline=deadline)
        except OSError:  # not in time, or no thread to be had
            known = self._known.get(key)
            answer = known.answer if known is not None and known.since <= at else None
        except Exception:
            # A fault of ours must not become an admission, nor a 500.
            _log.exception("asking about the revocation of %s failed; please report this", subject_of(path[depth]))
            answer = None
        # Whoever was asking already may have asked for an earlier moment.
        if answer is not None and (answer.valid_until is None or at < answer.valid_until):
            return answer
        detail = f"no source of revocation answered about {subject_of(path[depth])} in {self._policy.timeout:g} s"
        return Answer(Status.UNKNOWN, detail, "timeout")

    def _ask(self, path: _Path, depth: int, at: datetime) -> Answer:
        lists = self._lists
        answer = self._asking.ask(path, depth, at) or _NO_SOURCE
        known = self._known.get(_key(path, depth))
        new = answer.status is not Status.UNKNOWN or known is None or not _counts(known, at)
        if known is not None and not new:
            answer = known.answer  # nothing new is to be had; what was said before counts until it goes stale
        if lists is self._lists:  # else what was found out rests on lists that are no longer in force
            self._remember(_key(path, depth), self._dated(answer, at, new=new))
        return answer

    def _dated(self, answer: Answer, at: datetime, *, new: bool) -> _Known:
        refresh = self._policy.refresh
        if answer.status is Status.UNKNOWN and answer is not _NO_SOURCE:
            return _Known(answer, at + _PAUSE, at + _PAUSE, at - refresh)
        if not new:
            return _Known(answer, at + _PAUSE, at + refresh, at - refresh)
        left = refresh if answer.valid_until is None else answer.valid_until - at
        return _Known(answer, at + min(refresh, left * 3 / 4), at + 2 * refresh, at - refresh)

    def _remember(self, key: _Key, known: _Known) -> None:
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            if len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)


def _key(path: _Path, depth: int) -> _Key:
    return path[depth].thumbprint, path[depth + 1].thumbprint


def _counts(known: _Known, at: datetime) -> bool:
    end = known.answer.valid_until
    return known.since <= at and (end is None or at < end)
