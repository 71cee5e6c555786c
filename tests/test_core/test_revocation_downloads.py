"""Who fetches, of several workers that want the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mtls_core.revocation.cache import MemoryCache
from mtls_core.revocation.downloads import Download, Downloads, Wanted
from mtls_core.revocation.fetch import Fetcher, FetchError

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
