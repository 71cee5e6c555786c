"""Leaving alone for a while what does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Breaker:
    """Remembers that something failed, and lets one caller at a time find out whether it works again.

    :param pause: Seconds between a failure and the next try.
    :param clock: Monotonic seconds.
    """

    def __init__(self, *, pause: float, clock: Callable[[], float]) -> None:
        self._pause = pause
        self._clock = clock
        #: ``None`` while all is well.
        self._next_try: float | None = None
        self._lock = threading.Lock()

    def admits(self) -> bool:
        """Whether to ask: always while all is well, and once after each pause."""
        with self._lock:
            if self._next_try is None:
                return True
            now = self._clock()
            if now < self._next_try:
                return False
            self._next_try = now + self._pause
            return True

    def failed(self) -> bool:
        """Take note of a failure; whether an outage begins with it."""
        with self._lock:
            begins = self._next_try is None
            self._next_try = self._clock() + self._pause
            return begins

    def succeeded(self) -> bool:
        """Take note of an answer; whether an outage ends with it."""
        with self._lock:
            ends = self._next_try is not None
            self._next_try = None
            return ends
