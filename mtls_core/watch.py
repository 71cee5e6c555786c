"""Material that changes on disk: looked at now and then, loaded whole or not at all, the last good kept.

There is no thread. Whoever asks for the value pays, once an interval, for a ``stat`` of each file; so it works
in every worker after a fork, with threads and with greenlets alike.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

Signature = tuple[tuple[object, ...], ...]

_log = logging.getLogger("mtls_core.watch")


@dataclass(frozen=True, slots=True)
class _Loaded(Generic[T]):
    number: int
    signature: Signature
    value: T


class Watched(Generic[T]):
    """A value that is made from files, and made anew when they change.

    A half-written or broken file changes nothing: the value stays, one line is logged, and loading is tried again at
    every interval until it succeeds. Replace files by renaming a finished one over the old.

    :param load: Makes the value; is given the one in force, or ``None`` the first time. What it raises the first
        time leaves the constructor.
    :param paths: Files, and folders of which every file counts.
    :param interval: Seconds between two looks; ``0`` never looks.
    :param name: What is watched, for the log.
    :param clock: Monotonic seconds.
    """

    def __init__(
        self,
        load: Callable[[T | None], T],
        paths: Iterable[Path],
        *,
        interval: float,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._paths = tuple(paths)
        self._interval = interval
        self._name = name
        self._clock = clock
        self._complaint: str | None = None
        self._numbers = itertools.count()
        self._swap = threading.Lock()
        self._next_look = clock() + interval
        self._loaded = self._load_now(None)

    def current(self) -> T:
        """The value, after a look at the files if one is due."""
        # Should two threads look at once, both load the same files; waiting for one another would cost more.
        if self._interval and self._clock() >= self._next_look:
            self._next_look = self._clock() + self._interval
            self._look()
        return self._loaded.value

    def reload(self) -> T:
        """Load now, whether the files changed or not.

        :raises Exception: What loading raises; the value in force stays.
        """
        loaded = self._load_now(self._loaded.value)
        with self._swap:
            if loaded.number > self._loaded.number:  # what began to load later saw later files
                self._loaded = loaded
        self._complaint = None
        return self._loaded.value

    def _look(self) -> None:
        try:
            if self._complaint is not None or signature_of(self._paths) != self._loaded.signature:
                self.reload()
                _log.info("%s: loaded anew", self._name)
        except Exception as error:
            # Whatever it was (a password callable may raise anything), requests go on with what is in force.
            self._complain(error)

    def _load_now(self, previous: T | None) -> _Loaded[T]:
        # The signature first: what changes while the files are read is noticed at the next look.
        number, signature = next(self._numbers), signature_of(self._paths)
        return _Loaded(number, signature, self._load(previous))

    def _complain(self, error: Exception) -> None:
        complaint = f"{type(error).__name__}: {error}"
        if complaint != self._complaint:
            self._complaint = complaint
            _log.error("%s: cannot be loaded anew, the last good one stays in force: %s", self._name, error)


def signature_of(paths: Iterable[Path]) -> Signature:
    """What changes when one of the files does; a missing file has a signature as well."""
    return tuple(_stamp(path) for path in _expand(paths))


def _expand(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        yield path
        if path.is_dir():
            yield from sorted(path.iterdir())


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        status = os.stat(path)  # follows links: Kubernetes replaces a folder by turning a link
    except OSError as error:
        return (str(path), error.errno)
    return (str(path), status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
