"""Where what was fetched is kept: the signed bytes, nothing else. Who reads them verifies them again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ..errors import ConfigurationError

MEBIBYTE = 1024 * 1024

#: Values above this are not kept.
LARGEST_VALUE = 16 * MEBIBYTE

#: What an entry takes besides its key and its value, about.
_OVERHEAD = 256


class SharedCache(Protocol):
    """What a cache must do. None of it raises, and none of it keeps a request waiting."""

    def warm(self) -> None:
        """Make ready what the first look-up needs, before anybody waits for it. May take two seconds."""

    def get(self, key: str) -> bytes | None:
        """The value, or ``None``. Anybody may have written it."""

    def put(self, key: str, value: bytes, *, seconds: float) -> None:
        """Keep a value for so long at most. An empty one, or one that is too large, is not kept."""

    def try_lock(self, key: str, *, seconds: float) -> bool:
        """Whether the caller is the one to do what the key stands for.

        A lock ends by itself after that time. Where it cannot be known whether somebody else has it, the caller has.
        """

    def unlock(self, key: str) -> None:
        """Give back what :meth:`try_lock` gave to this process. Somebody else's lock stays."""


class _Entry(NamedTuple):
    value: bytes
    expires: float


class MemoryCache:
    """A cache of this process: forgets what was used longest ago when it is full. Safe between threads.

    :param max_bytes: How much is kept, keys and values together.
    :param max_value: Values above this are not kept.
    :param clock: Monotonic seconds.
    :raises ConfigurationError: If a size is not positive.
    """

    def __init__(
        self,
        max_bytes: int = 64 * MEBIBYTE,
        *,
        max_value: int = LARGEST_VALUE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_bytes <= 0 or max_value <= 0:
            raise ConfigurationError("the sizes of a cache are numbers of bytes above 0")
        self._max_bytes = max_bytes
        self._max_value = max_value
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._locks: dict[str, float] = {}
        self._size = 0
        # Nothing that is done while it is held blocks or yields.
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Nothing: memory is always ready."""

    def get(self, key: str) -> bytes | None:
        """The value, which counts as used now, unless its time is over."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry.expires <= self._clock():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry.value

    def put(self, key: str, value: bytes, *, seconds: float) -> None:
        """Keep a value, unless it is empty or too large."""
        if seconds <= 0 or not 0 < len(value) <= self._max_value:
            return
        with self._lock:
            self._drop(key)
            self._entries[key] = _Entry(value, self._clock() + seconds)
            self._size += _size(key, value)
            while self._size > self._max_bytes:
                self._drop(next(iter(self._entries)))

    def try_lock(self, key: str, *, seconds: float) -> bool:
        """Whether nobody else in this process has the lock."""
        with self._lock:
            now = self._clock()
            self._locks = {name: ends for name, ends in self._locks.items() if ends > now}
            if key in self._locks:
                return False
            self._locks[key] = now + seconds
            return True

    def unlock(self, key: str) -> None:
        """Give the lock back."""
        with self._lock:
            self._locks.pop(key, None)

    @property
    def size(self) -> int:
        """How many bytes are kept, about."""
        return self._size

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= _size(key, entry.value)


def _size(key: str, value: bytes) -> int:
    return _OVERHEAD + len(key) + len(value)
