"""The cache of one process, and what shields it from a shared one that fails."""

from __future__ import annotations

import sys
import threading

import pytest

from mtls_core.errors import ConfigurationError
from mtls_core.revocation.breaker import Breaker
from mtls_core.revocation.cache import MemoryCache, SharedCache
from mtls_core.revocation.redis_cache import RedisCache
from mtls_core.revocation.redis_client import RedisClient, RedisRefused, RedisUnreachable


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_is_put_is_found_until_its_time_is_over(clock: Clock) -> None:
    cache = MemoryCache(clock=clock)
    cache.put("crl:a", b"signed", seconds=60)
    clock.now += 59
    assert cache.get("crl:a") == b"signed"
    clock.now += 1
    assert cache.get("crl:a") is None
    assert (len(cache), cache.size) == (0, 0)


def test_what_was_not_put_is_not_found() -> None:
    assert MemoryCache().get("crl:a") is None


def test_a_later_value_takes_the_place_of_an_earlier_one(clock: Clock) -> None:
    cache = MemoryCache(clock=clock)
    cache.put("crl:a", b"x" * 5000, seconds=60)
    cache.put("crl:a", b"new", seconds=60)
    assert cache.get("crl:a") == b"new"
    assert cache.size < 1000


def test_a_full_cache_forgets_what_was_used_longest_ago() -> None:
    cache = MemoryCache(10_000)
    for key in ("a", "b", "c"):
        cache.put(key, b"x" * 3000, seconds=60)
    cache.get("a")
    cache.put("d", b"x" * 3000, seconds=60)
    assert [key for key in ("a", "b", "c", "d") if cache.get(key)] == ["a", "c", "d"]


def test_no_number_of_small_values_makes_a_cache_larger_than_it_may_be() -> None:
    cache = MemoryCache(10_000)
    for number in range(1000):
        cache.put(f"key {number}", b"x", seconds=60)
    assert cache.size <= 10_000
    assert len(cache) < 40


@pytest.mark.parametrize(("size", "kept"), [(1, True), (1000, True), (1001, False), (0, False)])
def test_an_empty_or_too_large_value_is_not_kept(size: int, kept: bool) -> None:
    cache = MemoryCache(max_value=1000)
    cache.put("crl:a", b"x" * size, seconds=60)
    assert (cache.get("crl:a") is not None) == kept


@pytest.mark.parametrize(("seconds", "kept"), [(1, True), (0, False), (-5, False)])
def test_what_has_no_time_left_is_not_kept(seconds: float, kept: bool) -> None:
    cache = MemoryCache()
    cache.put("crl:a", b"signed", seconds=seconds)
    assert (len(cache) == 1) == kept


@pytest.mark.parametrize(("max_bytes", "max_value"), [(0, 1), (-1, 1), (1, 0)])
def test_a_cache_without_room_is_refused(max_bytes: int, max_value: int) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        MemoryCache(max_bytes, max_value=max_value)


def test_a_lock_is_given_once_until_it_is_given_back() -> None:
    cache = MemoryCache()
    assert cache.try_lock("crl:a", seconds=5)
    assert not cache.try_lock("crl:a", seconds=5)
    assert cache.try_lock("crl:b", seconds=5)
    cache.unlock("crl:a")
    assert cache.try_lock("crl:a", seconds=5)


def test_a_lock_ends_by_itself(clock: Clock) -> None:
    cache = MemoryCache(clock=clock)
    assert cache.try_lock("crl:a", seconds=5)
    clock.now += 5
    assert cache.try_lock("crl:a", seconds=5)


def test_one_thread_of_many_gets_the_lock() -> None:
    cache, given = MemoryCache(), []
    threads = [threading.Thread(target=lambda: given.append(cache.try_lock("crl:a", seconds=5))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given.count(True) == 1


def test_a_breaker_lets_everybody_pass_while_all_is_well(clock: Clock) -> None:
    breaker = Breaker(pause=5, clock=clock)
    assert [breaker.admits(), breaker.succeeded(), breaker.admits()] == [True, False, True]


def test_a_breaker_lets_one_pass_after_each_pause(clock: Clock) -> None:
    breaker = Breaker(pause=5, clock=clock)
    breaker.failed()
    assert not breaker.admits()
    clock.now += 5
    assert [breaker.admits(), breaker.admits()] == [True, False]
    clock.now += 5
    assert breaker.admits()


def test_a_breaker_tells_the_beginning_and_the_end_of_an_outage_once(clock: Clock) -> None:
    breaker = Breaker(pause=5, clock=clock)
    assert [breaker.failed(), breaker.failed()] == [True, False]
    assert [breaker.succeeded(), breaker.succeeded()] == [True, False]


class _Scripted(RedisClient):
    """A client that does what a test says."""

    outcomes: list[object]

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = list(outcomes)

    def run(self, command: object) -> object:  # type: ignore[override]
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        pass


def _redis(clock: Clock, *outcomes: object) -> tuple[RedisCache, _Scripted]:
    client = _Scripted(*outcomes)
    return RedisCache(lambda: client, name="redis://r:6379/0", clock=clock, pause=5, max_value=10), client


def test_redis_is_left_alone_after_a_failure_and_asked_again_later(clock: Clock) -> None:
    """P8."""
    cache, client = _redis(clock, RedisUnreachable("gone"), b"signed")
    assert [cache.get("a"), cache.get("a"), cache.get("a")] == [None, None, None]
    assert client.outcomes == [b"signed"]
    clock.now += 5
    assert cache.get("a") == b"signed"


def test_without_redis_every_lock_is_given_and_giving_it_back_does_nothing(clock: Clock) -> None:
    """P8: whoever would wait for a lock that nobody keeps would wait for nothing."""
    cache, _ = _redis(clock, RedisUnreachable("gone"))
    assert cache.try_lock("a", seconds=5)
    assert cache.try_lock("a", seconds=5)
    cache.unlock("a")


def test_an_outage_is_logged_when_it_begins_and_when_it_ends(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    gone = RedisUnreachable("Connection refused.")
    cache, _ = _redis(clock, b"signed", gone, gone, b"signed", b"signed")
    caplog.set_level("INFO")
    for _ in range(5):
        cache.get("a")
        clock.now += 5
    assert [record.getMessage() for record in caplog.records] == [
        "redis://r:6379/0 does not answer (Connection refused.); this process goes on with its own memory",
        "redis://r:6379/0 answers again",
    ]


def test_a_refusal_is_logged_once_and_is_no_outage(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Redis that is full still finds what it has."""
    full = RedisRefused("OOM command not allowed when used memory > 'maxmemory'.")
    cache, _ = _redis(clock, full, b"signed", full, None, full)
    cache.put("a", b"x", seconds=5)
    assert cache.get("a") == b"signed"
    for _ in range(3):
        cache.put("a", b"x", seconds=5)
    assert [record.getMessage() for record in caplog.records] == [
        "redis://r:6379/0 refuses to write: OOM command not allowed when used memory > 'maxmemory'."
    ] * 2


@pytest.mark.parametrize("value", [b"", b"x" * 11])
def test_an_empty_or_too_large_value_is_not_sent_to_redis(clock: Clock, value: bytes) -> None:
    cache, client = _redis(clock, "never asked for")
    cache.put("a", value, seconds=5)
    assert client.outcomes == ["never asked for"]


def test_redis_that_is_not_used_needs_no_redis() -> None:
    assert repr(RedisCache.from_url("redis://user:secret@r.example:7000/3")) == (
        "RedisCache('redis://r.example:7000/3')"
    )


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://r.example", "redis://r.example:6379/0"),
        ("rediss://:secret@r.example:6380/?ssl_cert_reqs=none", "rediss://r.example:6380/0"),
        ("unix://user:secret@/run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
    ],
)
def test_the_name_in_the_log_holds_no_password(url: str, name: str) -> None:
    assert repr(RedisCache.from_url(url)) == f"RedisCache({name!r})"


@pytest.mark.parametrize("url", ["http://r.example", "r.example:6379", "", "redis://r:port/", "redis://r/?db=x"])
def test_a_url_that_is_not_of_redis_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="shared cache"):
        RedisCache.from_url(url)


def test_without_the_extra_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'flask-mtls\[redis\]'"):
        RedisCache.from_url("redis://r.example")


def test_both_caches_are_shared_caches() -> None:
    caches: list[SharedCache] = [MemoryCache(), RedisCache.from_url("redis://r.example")]
    assert [cache.get("a") for cache in caches[:1]] == [None]
