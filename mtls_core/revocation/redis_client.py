"""redis-py with bounded times, and with two errors in place of its many. redis-py is imported when it is used."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ConfigurationError
from .deadlines import BoundedCalls

T = TypeVar("T")

#: How many connections are being made at once.
_CONNECTING = 32
#: Seconds between two tries to connect ahead of time.
_RETRY_INTERVAL = 0.02


class RedisUnreachable(Exception):
    """Raised if Redis does not answer, or not in its protocol."""


class RedisRefused(Exception):
    """Raised if Redis answers that it will not do what it was told: it is full, or read-only."""


class RedisClient:
    """Connections of one process to one Redis.

    :param url: Checked already.
    :param timeout: Seconds that connecting takes at most, and each read and write.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        from redis import Redis

        self._pool = _pool(url, timeout, BoundedCalls(limit=_CONNECTING))
        self._redis = Redis(connection_pool=self._pool)

    def connect(self, connections: int, *, deadline: float) -> None:
        """Open connections before there is anything to ask, and try again until the deadline where that fails.

        :param deadline: Monotonic seconds.
        :raises RedisRefused: If that is what Redis says.
        :raises RedisUnreachable: If they cannot be had.
        """
        kind = self._pool.connection_class
        kind.patience, usual = deadline - time.monotonic(), kind.patience
        try:
            with contextlib.ExitStack() as opened:
                for _ in range(connections):
                    opened.enter_context(self._with_connection(deadline))
        finally:
            kind.patience = usual

    def _with_connection(self, deadline: float) -> Any:
        """A client that has a connection to itself, until it is closed."""
        while True:
            try:
                return self.run(lambda redis: redis.client())
            except RedisUnreachable:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_RETRY_INTERVAL)

    def run(self, command: Callable[[Any], T]) -> T:
        """What the command returns, which is given a :class:`redis.Redis`.

        :raises RedisRefused: If that is what Redis says.
        :raises RedisUnreachable: If anything else goes wrong.
        """
        from redis.exceptions import RedisError, ResponseError

        try:
            return command(self._redis)
        except ResponseError as error:
            raise RedisRefused(str(error)) from error
        except (RedisError, OSError, ValueError) as error:  # ValueError: what came was a number to redis-py, and is not
            raise RedisUnreachable(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close the connections. Another command opens new ones."""
        self._pool.disconnect()


def describe_redis(url: str) -> str:
    """A Redis URL without its password and its options, for logs.

    :raises ConfigurationError: If it is not a URL of Redis, or redis-py is not installed.
    """
    try:
        pool = _pool(url, 1.0, BoundedCalls(limit=1))
    except ImportError as error:
        raise ConfigurationError("a shared cache in Redis needs the extra: pip install 'flask-mtls[redis]'") from error
    except (ValueError, TypeError) as error:
        # Not the library's words: they may quote the part of the URL that is the password.
        raise ConfigurationError(
            f"the URL of the shared cache cannot be used ({type(error).__name__}): write"
            " redis://[:password@]host[:port]/database, with special characters of the password as %XX"
        ) from None
    where = pool.connection_kwargs
    database = where.get("db", 0)
    if "path" in where:
        return f"unix://{where['path']}?db={database}"
    return f"{url.partition(':')[0].lower()}://{where.get('host', 'localhost')}:{where.get('port', 6379)}/{database}"


def _pool(url: str, timeout: float, calls: BoundedCalls) -> Any:
    from redis import ConnectionPool
    from redis.backoff import NoBackoff
    from redis.connection import SSLConnection
    from redis.retry import Retry

    # RESP 2 saves a question for each connection; nothing here needs more.
    pool = ConnectionPool.from_url(url, protocol=2)
    # Afterwards, because options in the URL would prevail otherwise.
    pool.connection_kwargs.update(
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        decode_responses=False,
    )
    if issubclass(pool.connection_class, SSLConnection):
        # The default of older versions is not to look at the name.
        verified = pool.connection_kwargs.get("ssl_cert_reqs", "required") != "none"
        pool.connection_kwargs.setdefault("ssl_check_hostname", verified)
    pool.connection_class = _bounded(pool.connection_class, timeout, calls)
    return pool


def _bounded(base: Any, timeout: float, calls: BoundedCalls) -> Any:
    """A kind of connection of which all of connecting ends in time: looking up the name, each address, the greeting."""

    def connect(self: Any) -> None:
        # It is asked to connect before each command, and a thread for nothing may cost more time than there is.
        if not self.is_open:
            calls.call(self, lambda: base.connect(self), deadline=time.monotonic() + self.patience)
            self.is_open = True

    def disconnect(self: Any, *arguments: Any, **options: Any) -> None:
        self.is_open = False
        base.disconnect(self, *arguments, **options)

    methods = {"is_open": False, "patience": timeout, "connect": connect, "disconnect": disconnect}
    return type(f"Bounded{base.__name__}", (base,), methods)
