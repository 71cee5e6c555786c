"""The cache that workers and hosts share, in Redis. It saves questions to responders; nothing depends on it.

Redis holds what the network sent, byte for byte, and everything is verified again when it is read. Whoever can write to
it can cause a miss, or put back a genuine answer that has not run out; no other.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .breaker import Breaker
from .cache import LARGEST_VALUE
from .deadlines import PerProcess
from .redis_client import RedisClient, RedisRefused, RedisUnreachable, describe_redis
from .redis_pieces import read, write

T = TypeVar("T")

#: Counts up when what is kept under the keys changes.
PREFIX = "mtls:1:"

#: So many times the timeout all the pieces of a large value may take.
_LARGE_VALUE = 10
#: Commands of one process that run at once, and so its connections. A command takes a fraction of a millisecond; making
#: a connection for each of many threads takes longer than waiting for a few.
_AT_ONCE = 4
#: Seconds that a process takes at most to connect before it has anything to do.
_WARM_UP = 2.0
#: Compares and deletes in one step: a lock that has run out may be somebody else's by now.
_UNLOCK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"

_log = logging.getLogger("mtls_core.revocation.redis_cache")


class RedisCache:
    """A :class:`SharedCache` in Redis. Where Redis does not answer, nothing is found and every lock is given.

    After a failure Redis is left alone for a while: in an outage one look-up now and then waits for the timeout, the
    others for nothing. One line is logged when it begins, and one when it ends. May be used by several threads, and
    after a fork.

    :param connect: Makes the connections of one process; :meth:`from_url` is the usual way to a cache.
    :param name: What is used, for the log.
    :param timeout: Seconds that a look-up waits at most while others of this process use all connections.
    :param prefix: What all keys begin with.
    :param max_value: Values above this are neither kept nor read.
    :param pause: Seconds that Redis is left alone after a failure.
    :param clock: Monotonic seconds.
    """

    def __init__(
        self,
        connect: Callable[[], RedisClient],
        *,
        name: str,
        timeout: float = 0.05,
        prefix: str = PREFIX,
        max_value: int = LARGEST_VALUE,
        pause: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._timeout = timeout
        self._prefix = prefix
        self._max_value = max_value
        self._process = PerProcess(lambda: _Process(connect(), Breaker(pause=pause, clock=clock)))

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        timeout: float = 0.05,
        prefix: str = PREFIX,
        max_value: int = LARGEST_VALUE,
        pause: float = 5.0,
    ) -> RedisCache:
        """A cache in the Redis of a URL. Nothing is connected before it is used.

        :param url: ``redis://``, ``rediss://`` or ``unix://``, as :meth:`redis.Redis.from_url` reads them.
        :param timeout: Seconds that connecting takes at most, and each read and write, and waiting for a connection.
        :raises ConfigurationError: If it is not such a URL, or the extra ``redis`` is not installed.
        """
        name = describe_redis(url)

        def connect() -> RedisClient:
            return RedisClient(url, timeout=timeout)

        return cls(connect, name=name, timeout=timeout, prefix=prefix, max_value=max_value, pause=pause)

    def warm(self) -> None:
        """Connect, with more patience than a look-up has: when all workers of a host start at once, making a connection
        may well take longer than a request should wait, and each worker would take that for an outage.
        """
        deadline = time.monotonic() + _WARM_UP
        process = self._process.get()
        self._run(process, "connect", lambda: process.client.connect(_AT_ONCE, deadline=deadline), None)

    def get(self, key: str) -> bytes | None:
        """The value, or ``None`` if there is none, it is too large, or Redis does not answer."""
        deadline = time.monotonic() + _LARGE_VALUE * self._timeout
        name, limit = self._prefix + key, self._max_value
        return self._ask("read", lambda client: read(client, name, max_size=limit, deadline=deadline), None)

    def put(self, key: str, value: bytes, *, seconds: float) -> None:
        """Keep a value, unless it is empty or too large, or Redis does not answer."""
        if seconds <= 0 or not 0 < len(value) <= self._max_value:
            return
        name, life = self._prefix + key, _milliseconds(seconds)
        deadline = time.monotonic() + _LARGE_VALUE * self._timeout
        self._ask("write", lambda client: write(client, name, value, milliseconds=life, deadline=deadline), None)

    def try_lock(self, key: str, *, seconds: float) -> bool:
        """Whether nobody else, on any host, has the lock; ``True`` as well if Redis does not answer."""
        name, token, life = self._lock_name(key), secrets.token_hex(16), _milliseconds(seconds)
        given = self._ask("lock", lambda client: bool(client.set(name, token, nx=True, px=life)), True)
        if given:
            self._process.get().tokens[key] = token
        return given

    def unlock(self, key: str) -> None:
        """Give the lock back, if it is still this process's."""
        token = self._process.get().tokens.pop(key, None)
        if token is not None:
            self._ask("unlock", lambda client: client.eval(_UNLOCK, 1, self._lock_name(key), token), None)

    def close(self) -> None:
        """Close this process's connections. Whoever uses the cache afterwards opens new ones."""
        self._process.get().client.close()

    def __repr__(self) -> str:
        return f"RedisCache({self._name!r})"

    def _lock_name(self, key: str) -> str:
        return f"{self._prefix}lock:{key}"

    def _ask(self, what: str, command: Callable[[Any], T], otherwise: T) -> T:
        process = self._process.get()
        if not process.places.acquire(timeout=self._timeout):
            return otherwise
        try:
            # Only now: whoever had the place may have found out that Redis does not answer.
            if not process.breaker.admits():
                return otherwise
            return self._run(process, what, lambda: process.client.run(command), otherwise)
        finally:
            process.places.release()

    def _run(self, process: _Process, what: str, command: Callable[[], T], otherwise: T) -> T:
        try:
            answer = command()
        except RedisUnreachable as error:
            if process.breaker.failed():
                _log.warning("%s does not answer (%s); this process goes on with its own memory", self._name, error)
            return otherwise
        except RedisRefused as error:
            self._note_answer(process)
            if what not in process.refused:
                process.refused.add(what)
                _log.warning("%s refuses to %s: %s", self._name, what, error)
            return otherwise
        self._note_answer(process)
        process.refused.discard(what)
        return answer

    def _note_answer(self, process: _Process) -> None:
        if process.breaker.succeeded():
            _log.info("%s answers again", self._name)


class _Process:
    """What one process has of its own."""

    def __init__(self, client: RedisClient, breaker: Breaker) -> None:
        self.client = client
        self.breaker = breaker
        self.places = threading.BoundedSemaphore(_AT_ONCE)
        #: By the key of a lock, what shows that it is this process's.
        self.tokens: dict[str, str] = {}
        #: What Redis was told and refused to do, and what was logged about.
        self.refused: set[str] = set()


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
