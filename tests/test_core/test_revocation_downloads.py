"""Who fetches, of several workers that want the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mtls_core.revocation.cache import MemoryCache
from mtls_core.revocation.downloads import Download, Downloads, Wanted
from mtls_core.revocation.fetch import Fetched, Fetcher, FetchError

#: Nobody listens there.
WANTED = Wanted("crl:a", "http://127.0.0.1:9/a.crl", max_size=1000, accept="application/pkix-crl")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class SlowToLock(MemoryCache):
    """Before a lock is given, another worker has had it, has fetched, and has given it back."""

    def try_lock(self, key: str, *, seconds: float) -> bool:
        self.put(key, Download(b"signed", NOW).pack(), seconds=60)
        return super().try_lock(key, seconds=seconds)


def _get(cache: MemoryCache, *, good: bool = True, timeout: float = 1) -> Download:
    downloads = Downloads(Fetcher(hosts=["127.0.0.1"]), cache, refresh=timedelta(minutes=5), keep=timedelta(minutes=10))
    return downloads.get(WANTED, at=NOW + timedelta(minutes=1), timeout=timeout, is_good=lambda data: good)


def test_what_another_worker_fetched_before_the_lock_was_given_is_not_fetched_again() -> None:
    """P4."""
    cache = SlowToLock()
    assert _get(cache).data == b"signed"
    assert MemoryCache.try_lock(cache, "crl:a", seconds=60), "the lock was not given back"


def test_what_another_worker_fetched_and_is_of_no_use_is_fetched_again(caplog: pytest.LogCaptureFixture) -> None:
    """The address does not answer, so that is what there is; but it was asked."""
    cache = MemoryCache()
    cache.put("crl:a", Download(b"useless", NOW).pack(), seconds=60)
    assert _get(cache, good=False).data == b"useless"
    assert "cannot be asked: http://127.0.0.1:9/a.crl" in caplog.text


def test_whoever_waited_in_vain_does_not_give_back_the_lock_of_another() -> None:
    cache = MemoryCache()
    cache.try_lock("crl:a", seconds=60)
    with pytest.raises(FetchError):
        _get(cache, timeout=0.05)
    assert not cache.try_lock("crl:a", seconds=60)


def test_what_says_that_it_was_fetched_in_the_future_is_not_looked_at() -> None:
    """Somebody who can write to the cache does not decide for how long something counts."""
    for years, found in ((300, False), (0, True)):
        cache = MemoryCache()
        cache.put("crl:a", Download(b"signed", NOW + timedelta(days=365 * years)).pack(), seconds=60)
        if found:
            assert _get(cache).data == b"signed"
        else:
            with pytest.raises(FetchError):
                _get(cache)


class Answering(Fetcher):
    """Has one version, and says so to whoever has its ETag."""

    def fetch(self, url: str, **options: Any) -> Fetched:
        self.etag = options["etag"]
        return Fetched(304, b"") if self.etag == '"new"' else Fetched(200, b"newest", etag='"new"')


def test_an_etag_that_came_with_other_data_is_not_sent() -> None:
    """A 304 would make old data new, for as long as the server has nothing newer."""
    cache, fetcher = MemoryCache(), Answering()
    downloads = Downloads(fetcher, cache, refresh=timedelta(minutes=5), keep=timedelta(days=1))

    def get(minutes: int) -> bytes:
        at = NOW + timedelta(minutes=minutes)
        return downloads.get(WANTED, at=at, timeout=1, is_good=lambda data: True).data

    assert get(0) == b"newest"
    cache.put("crl:a", Download(b"older", NOW, '"new"').pack(), seconds=60)
    assert get(10) == b"newest"
    assert fetcher.etag is None
    assert get(20) == b"newest"
    assert fetcher.etag == '"new"'


def test_an_error_that_is_raised_again_does_not_grow() -> None:
    downloads = Downloads(Fetcher(hosts=["127.0.0.1"]), MemoryCache(), refresh=timedelta(1), keep=timedelta(1))
    lengths = []
    for _ in range(20):
        with pytest.raises(FetchError) as caught:
            downloads.get(WANTED, at=NOW, timeout=1, is_good=lambda data: True)
        lengths.append(len(caught.traceback))
    assert lengths[-1] <= lengths[0]
