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
from typing import NamedTuple

from ..certificate import Certificate
from ..errors import CertificateRejected, ConfigurationError, Problem, Reason
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

    def counts(self, at: datetime) -> bool:
        """Whether the answer is of use. A revocation is for ever, until somebody says otherwise."""
        end = self.answer.valid_until
        return self.answer.status is Status.REVOKED or (self.since <= at and (end is None or at < end))

    @property
    def is_final(self) -> bool:
        """Whether it is a revocation that does not rest on the lists of this host."""
        return self.answer.status is Status.REVOKED and self.answer.source.startswith("ocsp ")


class Checked(NamedTuple):
    """What was found out about a path that is let in."""

    answers: tuple[Answer, ...]
    #: When the first of the answers is asked for again. Until then, and as long as the lists of this host are the
    #: same, none of them can change.
    settled_until: datetime


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
        return self.examine(path, at=at).answers

    def examine(self, path: _Path, *, at: datetime) -> Checked:
        """As :meth:`check`, with how long what it says cannot change."""
        if at.utcoffset() is None:
            raise ConfigurationError(f"the time {at} has no time zone; pass an aware datetime")
        state = self._state.get()
        state.take(self._lists())
        known = [state.remembered(path, depth, at) for depth in self._covered(path)]
        found = self._wait(state, path, known, at)
        for status in (Status.REVOKED, Status.UNKNOWN):
            for depth, each in enumerate(found):
                if each.answer.status is status:
                    self._judge(path[depth], depth, each.answer)
        answers = tuple(each.answer for each in found if each.answer is not _NO_SOURCE)
        return Checked(answers, min((each.ask_from for each in found), default=at))

    def _covered(self, path: _Path) -> range:
        return range(1 if self.policy.scope == "leaf" else len(path) - 1)

    def warm(self) -> None:
        """Connect to what workers share, before the first request, in each process. May take two seconds."""
        if self._shared is not None:
            self._shared.warm()

    def _wait(self, state: _State, path: _Path, known: list[_Known | None], at: datetime) -> list[_Known]:
        """Ask for what is missing, all of it at once, and wait for it together."""
        deadline = time.monotonic() + self.policy.timeout
        for depth, each in enumerate(known):
            if each is None:
                state.begin(path, depth, at)
        return [each or state.wait(path, depth, at, deadline) for depth, each in enumerate(known)]

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
            MemoryCache() if self._shared is None else self._shared,
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
        #: Counts the changes of the lists: whoever asks now must not be told what was found out with earlier ones.
        self._epoch = 0

    def take(self, lists: Sequence[CertificateList]) -> None:
        """Forget what was known if this host has other lists than before."""
        if lists is self._lists:
            return
        with self._lock:
            if lists is not self._lists:
                self._lists = lists
                self._epoch += 1
                # What other sources revoked stays so: an answer of before the revocation must not undo it now.
                self._known = OrderedDict((key, known) for key, known in self._known.items() if known.is_final)

    def remembered(self, path: _Path, depth: int, at: datetime) -> _Known | None:
        """What is known and still counts; ``None`` if it must be asked first."""
        known = self._known.get(_key(path, depth))
        if known is None or not known.counts(at) or at >= known.wait_from:
            return None
        if at >= known.ask_from:
            self.begin(path, depth, at)
        return known

    def begin(self, path: _Path, depth: int, at: datetime) -> None:
        """Ask, and wait for nothing."""
        self._calls.begin((*_key(path, depth), self._epoch), lambda: self._ask(path, depth, at))

    def wait(self, path: _Path, depth: int, at: datetime, deadline: float) -> _Known:
        """Ask, or wait for whoever asks already, and answer by the deadline."""
        known = self.remembered(path, depth, at)
        if known is not None:
            return known
        known = self._ask_until(deadline, path, depth, at)
        if known is not None and known.counts(at):
            return known
        detail = f"no source of revocation answered about {subject_of(path[depth])} in {self._policy.timeout:g} s"
        return _Known(Answer(Status.UNKNOWN, detail, "timeout"), ask_from=at, wait_from=at, since=at)

    def _ask_until(self, deadline: float, path: _Path, depth: int, at: datetime) -> _Known | None:
        key = _key(path, depth)
        try:
            known = self._calls.call((*key, self._epoch), lambda: self._ask(path, depth, at), deadline=deadline)
            if at >= known.wait_from:  # whoever was asking already had asked for an earlier moment
                known = self._calls.call((*key, self._epoch), lambda: self._ask(path, depth, at), deadline=deadline)
            return known
        except OSError:  # not in time, or no thread to be had
            pass
        except Exception:
            # A fault of ours must not become an admission, nor a 500.
            _log.exception("asking about the revocation of %s failed; please report this", subject_of(path[depth]))
        return self._known.get(key)

    def _ask(self, path: _Path, depth: int, at: datetime) -> _Known:
        lists = self._lists
        answer = self._asking.ask(path, depth, at) or _NO_SOURCE
        before = self._known.get(_key(path, depth))
        if before is not None and _is_older(answer, before.answer):
            _log.warning("%s: an older answer does not undo the revocation: %s", subject_of(path[depth]), answer.detail)
            known = self._dated(before.answer, at, new=False)
        elif answer.status is Status.UNKNOWN and before is not None and before.counts(at):
            # Nothing new is to be had; what was said before counts until it goes stale.
            known = self._dated(before.answer, at, new=False)
        else:
            known = self._dated(answer, at, new=True)
        self._remember(_key(path, depth), known, lists)
        return known

    def _dated(self, answer: Answer, at: datetime, *, new: bool) -> _Known:
        refresh = self._policy.refresh
        if answer.status is Status.UNKNOWN and answer is not _NO_SOURCE:
            return _Known(answer, at + _PAUSE, at + _PAUSE, at - refresh)
        if not new:
            return _Known(answer, at + _PAUSE, at + refresh, at - refresh)
        left = refresh if answer.valid_until is None else answer.valid_until - at
        return _Known(answer, at + min(refresh, left * 3 / 4), at + 2 * refresh, at - refresh)

    def _remember(self, key: _Key, known: _Known, lists: Sequence[CertificateList]) -> None:
        with self._lock:
            if lists is not self._lists:
                return  # what was found out rests on lists that are no longer in force
            self._known[key] = known
            self._known.move_to_end(key)
            if len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)


def _key(path: _Path, depth: int) -> _Key:
    return path[depth].thumbprint, path[depth + 1].thumbprint


def _is_older(answer: Answer, before: Answer) -> bool:
    """Whether a revocation is contradicted by what was said before it: kept back, or sent once more by somebody."""
    if before.status is not Status.REVOKED or answer.status is not Status.GOOD:
        return False
    return None not in (answer.this_update, before.this_update) and answer.this_update <= before.this_update  # type: ignore[operator]
