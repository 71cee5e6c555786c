"""Eight workers, one Redis, one responder: it is asked once, and Redis may go."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.devca.responder import Responder
from mtls_core.trust import TrustStore

from ..processes import serving
from ..test_flask_mtls.serving import fetch
from .redis_server import Server, running

WORKERS = 8
CALLERS = 4


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Server]:
    with running(Server(tmp_path)) as started:
        yield started


@pytest.fixture
def responder(ca: DevelopmentCA) -> Iterator[Responder]:
    with Responder(ca) as started:
        yield started


@pytest.fixture
def callers(ca: DevelopmentCA, responder: Responder) -> list[Issued]:
    return [ca.client(f"caller-{number}", ocsp_urls=[responder.ocsp_url]) for number in range(CALLERS)]


@dataclass
class Seen:
    """What a caller was answered by which worker."""

    outcomes: Counter[Any]
    workers: set[int]
    requests: int = 0


class Load:
    """Every caller asks all the time, each request on a connection of its own.

    :param port: Whom they ask.
    """

    def __init__(self, port: int, callers: list[Issued], trust: TrustStore) -> None:
        self.port = port
        self._trust = trust
        self._ended = threading.Event()
        self.seen = [Seen(Counter(), set()) for _ in callers]
        self._threads = [threading.Thread(target=self._ask, args=pair) for pair in zip(callers, self.seen, strict=True)]

    def _ask(self, caller: Issued, seen: Seen) -> None:
        while not self._ended.is_set():
            try:
                answer = fetch(self.port, caller, self._trust)
            except OSError as error:
                seen.outcomes[repr(error)] += 1
            else:
                seen.outcomes[answer.outcome] += 1
                if answer.status == 200:
                    seen.workers.add(answer.document["pid"])
            seen.requests += 1

    @property
    def outcomes(self) -> list[set[Any]]:
        """What each caller was answered, ever."""
        return [set(seen.outcomes) for seen in self.seen]

    @property
    def requests(self) -> int:
        """How many were answered."""
        return sum(seen.requests for seen in self.seen)

    def go_on(self, requests: int) -> None:
        """Wait for so many more."""
        enough = self.requests + requests
        until(lambda: self.requests >= enough)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Keep it up until the block ends."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()


def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@contextlib.contextmanager
def fleet(
    ca: DevelopmentCA, callers: list[Issued], cache_url: str, folder: Path, **settings: str
) -> Iterator[tuple[Load, Path]]:
    """Workers that have just been started, and callers who did not wait for them; gives the log besides."""
    (folder / "ca.pem").write_text(ca.pem)
    common = {
        "FLASK_MTLS_IDENTITY": str(ca.server("localhost").write(folder, "server").pfx),
        "FLASK_MTLS_CLIENT_CA": str(folder / "ca.pem"),
        "FLASK_MTLS_REVOCATION_HOSTS": '["127.0.0.1"]',
        "FLASK_MTLS_CACHE_URL": cache_url,
    }
    more = ["--workers", str(WORKERS), "--threads", "4"]
    with serving("gthread", "tests.test_flask_mtls.wsgi", common | settings, folder, more=more) as server:
        load = Load(server.port, callers, ca.trust_store())
        with load.running():
            yield load, server.log


def test_a_responder_is_asked_once_by_all_workers(
    ca: DevelopmentCA, callers: list[Issued], responder: Responder, redis_server: Server, tmp_path: Path
) -> None:
    """P4: about each certificate, though every worker decided about every one, and all of them from the cold."""
    with fleet(ca, callers, redis_server.url, tmp_path) as (load, _):
        until(lambda: all(len(seen.workers) == WORKERS for seen in load.seen))
    assert load.outcomes == [{200}] * CALLERS
    assert responder.counts_by_serial() == {caller.certificate.serial_number: 1 for caller in callers}


def test_a_responder_is_asked_once_a_period(
    ca: DevelopmentCA, callers: list[Issued], responder: Responder, redis_server: Server, tmp_path: Path
) -> None:
    """P4: also when the answers of all workers come of age at once."""
    period = 1
    with fleet(ca, callers, redis_server.url, tmp_path, FLASK_MTLS_REVOCATION_REFRESH=str(period)) as (load, _):
        until(lambda: responder.counts()["ocsp"] > 0)
        began = time.monotonic()
        until(lambda: min(_asked(responder, callers)) >= 3)
        # Moments are whole seconds: two that are a period apart may be a second less apart.
        most = 1 + (time.monotonic() - began + 1) / period
    assert load.outcomes == [{200}] * CALLERS
    assert max(_asked(responder, callers)) <= most


def _asked(responder: Responder, callers: list[Issued]) -> list[int]:
    counts = responder.counts_by_serial()
    return [counts[caller.certificate.serial_number] for caller in callers]


@pytest.mark.parametrize("outage", ["killed", "stopped"])
def test_no_request_fails_because_redis_is_gone(
    outage: str,
    ca: DevelopmentCA,
    callers: list[Issued],
    responder: Responder,
    redis_server: Server,
    tmp_path: Path,
) -> None:
    """P8: nor is a revoked certificate let in; answers come of age in the outage, and newcomers turn up."""
    responder.revoke(callers[0])
    expected = [{"revoked"}, *[{200}] * (CALLERS - 1)]
    newcomer = ca.client("newcomer", ocsp_urls=[responder.ocsp_url])
    with fleet(ca, callers, redis_server.url, tmp_path, FLASK_MTLS_REVOCATION_REFRESH="1") as (load, log):
        load.go_on(100)
        with contextlib.ExitStack() as ends:
            if outage == "killed":
                redis_server.kill()
            else:
                ends.enter_context(redis_server.stopped())
            before = responder.counts()["ocsp"]
            load.go_on(200)
            assert fetch(load.port, newcomer, ca.trust_store()).outcome == 200
            until(lambda: responder.counts()["ocsp"] > before + WORKERS)
    assert load.outcomes == expected
    complaints = [line for line in log.read_text().splitlines() if "does not answer" in line]
    assert 0 < len(complaints) <= WORKERS
