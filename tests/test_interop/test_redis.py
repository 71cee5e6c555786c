"""A real Redis, which is killed, stopped, filled, and made to hold what others wrote."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mtls_core.devca import DevelopmentCA
from mtls_core.revocation.redis_cache import PREFIX, RedisCache
from mtls_core.revocation.redis_pieces import read, write

from ..run import run
from .redis_server import Server, running

Connect = Callable[..., RedisCache]

#: Seconds: what a look-up may take more because of Redis, and what this machine may add to that.
EXTRA, GRACE = 0.05, 0.1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(Server(tmp_path)) as started:
        yield started


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    """Caches in that Redis, each like one of a process of its own."""
    with contextlib.ExitStack() as stack:

        def connect(url: str = server.url, *, timeout: float = 5, pause: float = 0.2) -> RedisCache:
            made = RedisCache.from_url(url, timeout=timeout, pause=pause)
            stack.callback(made.close)
            return made

        yield connect


@pytest.fixture
def cache(connect: Connect) -> RedisCache:
    return connect()


def _timed(cache: RedisCache, key: str = "crl:a") -> tuple[bytes | None, float]:
    began = time.monotonic()
    return cache.get(key), time.monotonic() - began


def _answers_again(cache: RedisCache) -> bool:
    """Whether the cache finds something, once the pause is over."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        cache.put("crl:again", b"signed", seconds=60)
        if cache.get("crl:again") == b"signed":
            return True
        time.sleep(0.01)
    return False


def test_workers_share_what_one_of_them_put(server: Server, cache: RedisCache, connect: Connect) -> None:
    cache.put("crl:http://ca.example/a", b"signed\x00\xff", seconds=60)
    assert connect().get("crl:http://ca.example/a") == b"signed\x00\xff"
    with server.client() as client:
        assert client.keys() == [f"{PREFIX}crl:http://ca.example/a".encode()]
        assert 59_000 < client.pttl(client.keys()[0]) <= 60_000


def test_what_nobody_put_is_not_found(cache: RedisCache) -> None:
    assert cache.get("crl:a") is None


@pytest.mark.parametrize("size", [1, 256 * 1024, 256 * 1024 + 1, 16 * 1024 * 1024])
def test_a_value_comes_back_as_it_was(cache: RedisCache, size: int) -> None:
    value = os.urandom(1024) * (size // 1024) + b"x" * (size % 1024)
    cache.put("crl:a", value, seconds=60)
    assert cache.get("crl:a") == value


def test_every_piece_of_a_large_value_goes_when_its_time_is_over(server: Server, cache: RedisCache) -> None:
    cache.put("crl:a", b"x" * 1024 * 1024, seconds=60)
    with server.client() as client:
        names = client.keys()
        assert len(names) == 5
        assert all(59_000 < client.pttl(name) <= 60_000 for name in names)


def test_a_large_value_of_which_a_piece_is_missing_is_not_found(server: Server, cache: RedisCache) -> None:
    """Redis that is full drops what it likes."""
    cache.put("crl:a", b"x" * 1024 * 1024, seconds=60)
    with server.client() as client:
        client.delete(next(name for name in client.keys() if name.endswith(b":2")))
    assert cache.get("crl:a") is None


def test_a_large_value_that_takes_another_s_place_has_pieces_of_its_own(server: Server, cache: RedisCache) -> None:
    """So that nobody who reads meanwhile gets parts of both."""
    with server.client() as client:
        cache.put("crl:a", b"a" * 1024 * 1024, seconds=60)
        before = set(client.keys("*#*"))
        cache.put("crl:a", b"b" * 1024 * 1024, seconds=60)
        assert len(set(client.keys("*#*")) - before) == len(before) == 4
    assert cache.get("crl:a") == b"b" * 1024 * 1024


def test_a_large_value_that_takes_too_long_is_given_up(server: Server) -> None:
    """P8: however many pieces it has."""
    with server.client() as client:
        write(client, f"{PREFIX}crl:a", b"x" * 1024 * 1024, milliseconds=60_000, deadline=math.inf)
        assert read(client, f"{PREFIX}crl:a", max_size=1024 * 1024, deadline=math.inf) == b"x" * 1024 * 1024
        assert read(client, f"{PREFIX}crl:a", max_size=1024 * 1024, deadline=0) is None
        write(client, f"{PREFIX}crl:b", b"x" * 1024 * 1024, milliseconds=60_000, deadline=0)
        assert not client.exists(f"{PREFIX}crl:b")


@pytest.mark.parametrize(
    "head",
    [
        *(b"signed", b"#", b"#2", b"#x:0123456789abcdef", b"#1:../../../../etc", b"#99999:0123456789abcdef"),
        *(b"#-1:0123456789abcdef", b"#" + b"9" * 5000 + b":0123456789abcdef", b"#0:0123456789abcdef"),
        *(b"=", b"\x80" * 1000),
    ],
)
def test_what_somebody_else_wrote_is_a_miss_and_no_outage(
    server: Server, cache: RedisCache, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as client:
        client.set(f"{PREFIX}crl:a", head)
    assert cache.get("crl:a") is None
    assert caplog.records == []


def test_a_value_that_is_too_large_is_not_kept(server: Server, cache: RedisCache) -> None:
    cache.put("crl:a", b"x" * (16 * 1024 * 1024 + 1), seconds=60)
    with server.client() as client:
        assert client.keys() == []


def test_a_value_that_somebody_else_made_too_large_is_not_read(server: Server, cache: RedisCache) -> None:
    with server.client() as client:
        client.setrange(f"{PREFIX}crl:a", 64 * 1024 * 1024, b"x")
    assert cache.get("crl:a") is None


def test_a_value_of_another_kind_is_a_miss_and_no_outage(server: Server, cache: RedisCache) -> None:
    with server.client() as client:
        client.lpush(f"{PREFIX}crl:a", b"x")
    assert cache.get("crl:a") is None
    cache.put("crl:b", b"signed", seconds=60)
    assert cache.get("crl:b") == b"signed"


def test_one_of_two_hosts_gets_a_lock_until_it_gives_it_back(cache: RedisCache, connect: Connect) -> None:
    other = connect()
    assert cache.try_lock("crl:a", seconds=60)
    assert not other.try_lock("crl:a", seconds=60)
    other.unlock("crl:a")
    assert not other.try_lock("crl:a", seconds=60)
    cache.unlock("crl:a")
    assert other.try_lock("crl:a", seconds=60)


def test_a_lock_that_ran_out_and_went_to_another_is_not_given_back(cache: RedisCache, connect: Connect) -> None:
    other = connect()
    assert cache.try_lock("crl:a", seconds=0.01)
    end = time.monotonic() + 5
    while not other.try_lock("crl:a", seconds=60):
        assert time.monotonic() < end
    cache.unlock("crl:a")
    assert not connect().try_lock("crl:a", seconds=60)


def test_redis_that_is_killed_is_a_miss_and_costs_nothing(server: Server, connect: Connect) -> None:
    """P8."""
    cache = connect(timeout=EXTRA)
    cache.put("crl:a", b"signed", seconds=60)
    server.kill()
    for _ in range(20):
        found, took = _timed(cache)
        assert found is None
        assert took < EXTRA + GRACE
    assert cache.try_lock("crl:a", seconds=5)
    server.start()
    assert _answers_again(cache)


def test_redis_that_hangs_is_a_miss_and_costs_its_timeout_once(server: Server, connect: Connect) -> None:
    """P8: SIGSTOP leaves connections open, on which nothing comes."""
    cache = connect(timeout=EXTRA, pause=2)
    assert _answers_again(cache)
    with server.stopped():
        found, took = _timed(cache, "crl:again")
        assert found is None
        assert EXTRA * 0.9 < took < EXTRA + GRACE
        began = time.monotonic()
        assert [cache.get("crl:again") for _ in range(100)] == [None] * 100
        assert cache.try_lock("crl:a", seconds=5)
        cache.put("crl:a", b"signed", seconds=60)
        assert time.monotonic() - began < EXTRA


def test_redis_that_hangs_from_the_beginning_costs_its_timeout_once(server: Server, connect: Connect) -> None:
    """P8: the kernel accepts the connection, and nobody greets."""
    cache = connect(timeout=EXTRA, pause=60)
    with server.stopped():
        found, took = _timed(cache)
    assert found is None
    assert took < EXTRA + GRACE


def test_redis_that_goes_on_after_hanging_answers_again(server: Server, connect: Connect) -> None:
    cache = connect(timeout=EXTRA)
    with server.stopped():
        assert cache.get("crl:a") is None
    assert _answers_again(cache)


def test_the_timeout_holds_whatever_the_url_says(server: Server, connect: Connect) -> None:
    """P8."""
    options = "socket_timeout=30&socket_connect_timeout=30&retry_on_timeout=yes&health_check_interval=1"
    cache = connect(f"{server.url}?{options}", timeout=EXTRA, pause=2)
    assert _answers_again(cache)
    with server.stopped():
        assert EXTRA * 0.9 < _timed(cache)[1] < EXTRA + GRACE


def test_a_name_that_is_looked_up_for_ever_costs_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: ``getaddrinfo`` has no timeout of its own."""
    release = threading.Event()

    def hang(*arguments: object, **options: object) -> list[object]:
        release.wait(10)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    found, took = _timed(RedisCache.from_url("redis://redis.example"))
    release.set()
    assert found is None
    assert took < EXTRA + GRACE


def test_what_is_not_redis_is_a_miss() -> None:
    """P8: whatever listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"$nonsense\r\nHTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        assert RedisCache.from_url(f"redis://127.0.0.1:{listener.getsockname()[1]}").get("crl:a") is None
        thread.join()


def test_a_redis_that_is_full_is_asked_on(server: Server, caplog: pytest.LogCaptureFixture, connect: Connect) -> None:
    cache = connect()
    cache.put("crl:a", b"signed", seconds=60)
    with server.client() as client:
        client.config_set("maxmemory", "1")
    for _ in range(3):
        cache.put("crl:b", b"signed", seconds=60)
        assert cache.get("crl:a") == b"signed"
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith(f"{server.url} refuses to write: ")


def test_a_wrong_password_is_a_miss_and_stays_out_of_the_log(
    server: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as client:
        client.config_set("requirepass", "right")
    with_password = server.url.replace("//", "//:{}@")
    wrong = connect(with_password.format("wrong-one"))
    wrong.put("crl:a", b"signed", seconds=60)
    assert wrong.get("crl:a") is None
    assert _answers_again(connect(with_password.format("right")))
    assert len(caplog.records) == 1
    assert "wrong-one" not in caplog.text


@pytest.mark.parametrize(("name", "found"), [("localhost", b"signed"), ("redis.example", None)])
def test_over_tls_redis_must_have_the_name_that_the_url_has(tmp_path: Path, name: str, found: bytes | None) -> None:
    """It is told the password; older versions of redis-py only look at the name if they are told to."""
    ca = DevelopmentCA.create()
    files = ca.server(name).write(tmp_path, "redis")
    authority = tmp_path / "ca.pem"
    authority.write_text(ca.pem)
    server = Server(tmp_path)
    options = [
        *("--port", "0", "--tls-port", str(server.port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key)),
        *("--tls-ca-cert-file", str(authority)),
    ]
    url = f"rediss://localhost:{server.port}?ssl_ca_certs={authority}"
    with running(server, *options), contextlib.closing(RedisCache.from_url(url, timeout=5)) as cache:
        cache.put("crl:a", b"signed", seconds=60)
        assert cache.get("crl:a") == found


def test_a_cache_that_was_warmed_up_has_all_its_connections(server: Server, connect: Connect) -> None:
    cache = connect()
    with server.client() as client:
        cache.warm()
        before = client.info("stats")["total_connections_received"]
        threads = [threading.Thread(target=cache.get, args=("crl:a",)) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.info("stats")["total_connections_received"] == before


def test_warming_up_has_patience_with_a_redis_that_is_slow(server: Server, connect: Connect) -> None:
    """As when all workers of a host start at once: what would be an outage to a request is none yet."""
    cache = connect(timeout=EXTRA, pause=60)
    thread = threading.Thread(target=cache.warm)
    with server.stopped():
        thread.start()
        thread.join(timeout=4 * EXTRA)
        assert thread.is_alive()
    thread.join()
    cache.put("crl:a", b"signed", seconds=60)
    assert cache.get("crl:a") == b"signed"


def test_warming_up_ends_where_there_is_no_redis(server: Server, connect: Connect) -> None:
    """P8: the start is delayed by two seconds at most, and the first requests by nothing."""
    cache = connect(timeout=EXTRA, pause=60)
    server.kill()
    began = time.monotonic()
    cache.warm()
    assert time.monotonic() - began < 2 + EXTRA + 2 * GRACE
    assert _timed(cache)[1] < EXTRA


def test_threads_share_a_cache(cache: RedisCache) -> None:
    given: list[bool] = []

    def work() -> None:
        given.append(cache.try_lock("crl:a", seconds=60))
        cache.put("crl:b", b"signed", seconds=60)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given.count(True) == 1
    assert cache.get("crl:b") == b"signed"


def test_greenlets_share_a_cache(server: Server) -> None:
    """P22: made before gevent puts its own sockets and threads in place."""
    program = f"""
        from mtls_core.revocation.redis_cache import RedisCache
        cache = RedisCache.from_url("{server.url}", timeout=5)
        from gevent import monkey
        monkey.patch_all()
        import gevent
        greenlets = [gevent.spawn(cache.try_lock, "crl:a", seconds=60) for _ in range(16)]
        gevent.joinall(greenlets)
        print(sum(greenlet.value for greenlet in greenlets))
        """
    assert run(sys.executable, "-c", textwrap.dedent(program)) == "1\n"


def test_a_cache_works_on_after_a_fork(server: Server) -> None:
    """P21: parent and child use connections of their own, and neither gives back the other's lock."""
    program = f"""
        import os
        from mtls_core.revocation.redis_cache import RedisCache
        cache = RedisCache.from_url("{server.url}", timeout=2)
        cache.put("crl:a", b"parent", seconds=60)
        assert cache.try_lock("crl:a", seconds=60)
        if os.fork() == 0:
            assert cache.get("crl:a") == b"parent"
            cache.unlock("crl:a")
            assert not cache.try_lock("crl:a", seconds=60)
            cache.put("crl:b", b"child", seconds=60)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        print(cache.get("crl:b"))
        cache.unlock("crl:a")
        print(cache.try_lock("crl:a", seconds=60))
        """
    assert run(sys.executable, "-c", textwrap.dedent(program)) == "b'child'\nTrue\n"


def test_redis_killed_in_the_middle_costs_no_thread_more_than_a_look_up(server: Server, connect: Connect) -> None:
    """P8: eight threads look up all the time while Redis dies and comes back."""
    cache = connect(timeout=EXTRA)
    cache.put("crl:a", b"signed", seconds=600)
    times, ended, failures = [], threading.Event(), []

    def work() -> None:
        while not ended.wait(0.005):
            try:
                times.append(_timed(cache)[1])
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    server.kill()
    server.start()
    came_back = _answers_again(cache)
    ended.set()
    for thread in threads:
        thread.join()
    assert came_back
    assert failures == []
    assert max(times) < EXTRA + 2 * GRACE
