"""Work that must end in time, and what a process must make for itself.

Everything of :mod:`threading` is made when it is first needed and not on import: by then gevent, where it is used, has
put its own in place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def time_left(deadline: float) -> float:
    """Seconds until the deadline, more than 0.

    :param deadline: Monotonic seconds.
    :raises TimeoutError: If it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(errno.ETIMEDOUT, "the time that was allowed is over")
    return left


class PerProcess(Generic[T]):
    """What a fork must not inherit (threads, locks, connections), made anew in each process when first asked for.

    :param make: Makes it. Should two threads ask first, it may run twice, and one result is dropped.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def get(self) -> T:
        """This process's own."""
        process = os.getpid()
        if process not in self._made:
            made = self._make()
            # No lock, which a fork could inherit while it is held.
            self._made.setdefault(process, made)
            for other in [each for each in self._made if each != process]:
                self._made.pop(other, None)
        return self._made[process]


class BoundedCalls:
    """Calls that have no timeout of their own, such as ``getaddrinfo``, waited for until a deadline and no longer.

    Each runs in a daemon thread, which goes on to its end when nobody waits any more. Whoever asks for what is being
    called already waits for that call, so a name that hangs takes one thread, however many ask.

    :param limit: How many run at once; further ones wait for a place, within their deadline.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._running: dict[Hashable, _Call] = {}
        self._changed = threading.Condition()

    def call(self, key: Hashable, function: Callable[[], T], *, deadline: float) -> T:
        """What the function returns.

        :param key: Calls with the same key are the same call.
        :param deadline: Monotonic seconds.
        :raises TimeoutError: If it did not return in time, or no place became free.
        :raises Exception: What the function raises.
        """
        call = self._join(key, function, deadline)
        if not call.ended.wait(time_left(deadline)):
            raise TimeoutError(errno.ETIMEDOUT, "the call did not return in time")
        if call.error is not None:
            raise call.error
        result: T = call.result
        return result

    def begin(self, key: Hashable, function: Callable[[], object]) -> None:
        """Start a call that nobody waits for, unless it is under way or there is no place for it."""
        with self._changed:
            if key not in self._running and len(self._running) < self._limit:
                with contextlib.suppress(OSError):  # no thread to be had; the next one who asks tries again
                    self._start(key, function)

    def _join(self, key: Hashable, function: Callable[[], Any], deadline: float) -> _Call:
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_place(key), time_left(deadline)):
                raise TimeoutError(errno.ETIMEDOUT, f"{self._limit} calls are under way and none has returned")
            running = self._running.get(key)
            return running or self._start(key, function)

    def _has_place(self, key: Hashable) -> bool:
        return key in self._running or len(self._running) < self._limit

    def _start(self, key: Hashable, function: Callable[[], Any]) -> _Call:
        call = _Call()
        thread = threading.Thread(target=self._run, args=(key, function, call), name="mtls-bounded-call", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process has as many threads as it may have
            raise OSError(errno.EAGAIN, str(error)) from error
        self._running[key] = call
        return call

    def _run(self, key: Hashable, function: Callable[[], Any], call: _Call) -> None:
        try:
            call.result = function()
            call.error = None
        except Exception as error:  # raised again where it is waited for
            call.error = error
        finally:
            with self._changed:
                self._running.pop(key, None)
                self._changed.notify_all()
            call.ended.set()


class _Call:
    def __init__(self) -> None:
        self.ended = threading.Event()
        self.result: Any = None
        # Until it is known better: a greenlet may be killed without an exception that could be caught.
        self.error: Exception | None = RuntimeError("the call was ended from outside")
