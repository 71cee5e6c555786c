"""Signed bytes from the addresses that certificates name: each asked once, however many workers wait for it.

What comes out is not believed; whoever reads it verifies it.
"""

from __future__ import annotations

import logging
import random
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from .cache import SharedCache
from .fetch import Fetched, Fetcher, FetchError, FetchErrorKind

_log = logging.getLogger("mtls_core.revocation")

#: Seconds after a first failure; doubled with each further one.
_FIRST_PAUSE = 5.0
#: How long an answer of no use is left alone.
_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = 300.0
#: Addresses whose failures are remembered.
_MAX_ADDRESSES = 2000
#: Seconds between two looks at whether the worker that asks has its answer.
_LOOK_INTERVAL = 0.02
#: How far the clock of another worker may be ahead.
_TOLERANCE = timedelta(minutes=1)
#: When it was fetched, in milliseconds since 1970, and the length of the ETag that follows.
_HEADER = struct.Struct(">QH")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something to be fetched."""

    #: Names it in the shared cache. Equal keys are the same thing.
    key: str
    url: str
    max_size: int
    accept: str
    #: Whose outage it is if it fails, where one server has many addresses; ``None``: the address is its own.
    server: str | None = None
    #: What it must say that it is; ``None``: that does not matter.
    must_be: str | None = None
    body: bytes | None = None
    content_type: str | None = None
    #: Whether the answer is of use to anybody else.
    shared: bool = True


@dataclass(frozen=True, slots=True)
class Download:
    """What was fetched, by this worker or by another."""

    data: bytes
    fetched_at: datetime
    etag: str = ""

    def pack(self) -> bytes:
        """As it lies in the shared cache."""
        etag = self.etag.encode("ascii", "ignore")
        return _HEADER.pack(int(self.fetched_at.timestamp() * 1000), len(etag)) + etag + self.data

    @classmethod
    def unpack(cls, value: bytes | None) -> Download | None:
        """What lay in the shared cache, where anybody may have put it; ``None`` if it is nothing of ours."""
        if value is None or len(value) < _HEADER.size:
            return None
        milliseconds, length = _HEADER.unpack_from(value)
        start = _HEADER.size + length
        try:
            fetched_at = datetime.fromtimestamp(milliseconds / 1000, UTC)
            etag = value[_HEADER.size : start].decode("ascii")
        except (ValueError, OverflowError, OSError):
            return None
        return cls(value[start:], fetched_at, etag)


class Downloads:
    """Fetches, shares what was fetched, and leaves an address in peace that has just failed.

    :param fetcher: What asks.
    :param shared: Where what was fetched is kept, for this process or for all.
    :param refresh: How long what was fetched counts as new.
    :param keep: How long it is kept for the case that its address fails.
    """

    def __init__(self, fetcher: Fetcher, shared: SharedCache, *, refresh: timedelta, keep: timedelta) -> None:
        self._fetcher = fetcher
        self._shared = shared
        self._refresh = refresh
        self._keep = keep
        self._failures = Failures()
        #: SHA-256 of what this process itself got from an address.
        self._own: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, wanted: Wanted, *, at: datetime, timeout: float, is_good: Callable[[bytes], bool], etag: str = ""
    ) -> Download:
        """Something, not older than ``refresh`` if its address answers, else the last that is at hand.

        :param at: Now.
        :param timeout: Seconds that this may take.
        :param is_good: Whether something that was fetched before is of use now; else it is fetched anew.
        :param etag: That of a version the caller holds. If it is still the newest and is not in the cache, which keeps
            nothing large, what is returned has no data.
        :raises FetchError: If there is nothing.
        """
        deadline = time.monotonic() + timeout
        if not wanted.shared:
            return self._fetch(wanted, None, at, deadline, "")
        held = self._held(wanted, at)
        if held is not None and self._is_new(held, at, is_good):
            return held
        refused = self._failures.recent(wanted.server or wanted.url)
        if refused is not None:
            return self._fall_back(held, refused, at)
        return self._fetch_once(wanted, held, at, deadline, is_good, etag)

    def _fetch_once(
        self,
        wanted: Wanted,
        held: Download | None,
        at: datetime,
        deadline: float,
        is_good: Callable[[bytes], bool],
        etag: str,
    ) -> Download:
        """Fetch, or wait for the worker that does."""
        seconds = deadline - time.monotonic() + 1
        while not (locked := self._shared.try_lock(wanted.key, seconds=seconds)) and time.monotonic() < deadline:
            time.sleep(_LOOK_INTERVAL)
            other = self._fetched_by_another(wanted, at, is_good)
            if other is not None:
                return other
        if not locked:
            detail = "another worker asks, and has no answer yet"
            return self._fall_back(held, FetchError(FetchErrorKind.TIMEOUT, detail, wanted.url), at)
        try:
            # Between the look before and the lock another may have had it, and given it back.
            return self._fetched_by_another(wanted, at, is_good) or self._fetch(wanted, held, at, deadline, etag)
        except FetchError as error:
            return self._fall_back(held, error, at)
        finally:
            self._shared.unlock(wanted.key)

    def _held(self, wanted: Wanted, at: datetime) -> Download | None:
        """What lies in the cache. Anybody may have put it there: a date of the future, or an ETag that belongs to other
        data, would keep it there although the server has something newer.
        """
        held = Download.unpack(self._shared.get(wanted.key))
        if held is None or held.fetched_at > at + _TOLERANCE:
            return None
        own = self._own.get(wanted.url) == sha256(held.data).digest()
        return held if own else replace(held, etag="")

    def _fetched_by_another(self, wanted: Wanted, at: datetime, is_good: Callable[[bytes], bool]) -> Download | None:
        other = self._held(wanted, at)
        return other if other is not None and self._is_new(other, at, is_good) else None

    def _fetch(self, wanted: Wanted, held: Download | None, at: datetime, deadline: float, etag: str) -> Download:
        known = held or Download(b"", at, etag)
        try:
            fetched = self._fetcher.fetch(
                wanted.url,
                deadline=deadline,
                max_size=wanted.max_size,
                body=wanted.body,
                content_type=wanted.content_type,
                accept=wanted.accept,
                etag=known.etag or None,
            )
            _check_type(wanted, fetched)
        except FetchError as error:
            self._failures.add(wanted.server or wanted.url, error)
            raise
        self._failures.clear(wanted.server or wanted.url)
        data = known.data if fetched.not_modified else fetched.body
        download = Download(data, at, known.etag if fetched.not_modified else fetched.etag or "")
        if download.etag and data:
            self._remember_own(wanted.url, data)
        if data and wanted.shared:
            self._shared.put(wanted.key, download.pack(), seconds=self._keep.total_seconds())
        return download

    def _remember_own(self, url: str, data: bytes) -> None:
        with self._lock:
            self._own[url] = sha256(data).digest()
            self._own.move_to_end(url)
            if len(self._own) > _MAX_ADDRESSES:
                self._own.popitem(last=False)

    def _fall_back(self, held: Download | None, error: FetchError, at: datetime) -> Download:
        if held is None or at - held.fetched_at > self._keep:
            raise error
        return held

    def _is_new(self, download: Download, at: datetime, is_good: Callable[[bytes], bool]) -> bool:
        """Whether there is no need to ask. What is of no use is asked for again after a pause, by one for all."""
        if not at - self._refresh < download.fetched_at <= at + _TOLERANCE:
            return False
        return is_good(download.data) or at - download.fetched_at < _PAUSE


class Failures:
    """Addresses that failed: how often, and until when they are left in peace. One log line an outage."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[int, float, FetchError]] = OrderedDict()
        self._lock = threading.Lock()

    def recent(self, url: str) -> FetchError | None:
        """The last failure, if it is too early to ask again."""
        with self._lock:
            found = self._known.get(url)
        return _anew(found[2]) if found and self._clock() < found[1] else None

    def add(self, url: str, error: FetchError) -> None:
        """Note a failure; the pause doubles with each, and is not the same in every worker."""
        with self._lock:
            count = self._known[url][0] + 1 if url in self._known else 1
            pause = min(_FIRST_PAUSE * 2 ** (count - 1), _LONGEST_PAUSE) * random.uniform(1, 1.5)  # noqa: S311
            self._known[url] = (count, self._clock() + pause, _anew(error))
            self._known.move_to_end(url)
            if len(self._known) > _MAX_ADDRESSES:
                self._known.popitem(last=False)
        if count == 1:
            _log.warning("a source of revocation cannot be asked: %s", error)

    def clear(self, url: str) -> None:
        """Note that the address answers."""
        with self._lock:
            found = self._known.pop(url, None)
        if found:
            _log.info("a source of revocation answers again: %s", found[2].url)


def _check_type(wanted: Wanted, fetched: Fetched) -> None:
    if wanted.must_be is not None and not fetched.not_modified and fetched.content_type != wanted.must_be:
        detail = f"what came says that it is {fetched.content_type}, not {wanted.must_be}"
        raise FetchError(FetchErrorKind.WRONG_TYPE, detail, wanted.url)


def _anew(error: FetchError) -> FetchError:
    """The same error without its traceback, which grows each time it is raised and keeps every frame alive."""
    return FetchError(error.kind, error.detail, error.url, error.status)
