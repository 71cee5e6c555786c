"""What tests that fetch have in common."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence

import pytest

from mtls_core.revocation.channel import Endpoint
from mtls_core.revocation.fetch import Fetched, Fetcher, FetchError

LOOPBACK = Fetcher(hosts=["127.0.0.1"])


def fetch(
    url: str, fetcher: Fetcher = LOOPBACK, *, seconds: float = 5, max_size: int = 65536, **more: object
) -> Fetched:
    """Fetch with a deadline that is far, and a size that is small."""
    return fetcher.fetch(url, deadline=time.monotonic() + seconds, max_size=max_size, **more)  # type: ignore[arg-type]


def failure(url: str, fetcher: Fetcher = LOOPBACK, **more: object) -> FetchError:
    """What fetching fails with."""
    with pytest.raises(FetchError) as failed:
        fetch(url, fetcher, **more)  # type: ignore[arg-type]
    return failed.value


def resolving(*addresses: tuple[str, int]) -> Callable[[str, int], Sequence[Endpoint]]:
    """A look-up with these results, whatever is asked."""
    endpoints = [Endpoint(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port)) for host, port in addresses]
    return lambda host, port: endpoints
