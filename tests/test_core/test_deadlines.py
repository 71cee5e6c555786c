"""Calls that are waited for until a deadline, and no longer."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mtls_core.revocation.deadlines import BoundedCalls, PerProcess, time_left


@pytest.fixture
def hang() -> Iterator[Callable[[], str]]:
    """A call that returns when the test is over."""
    release = threading.Event()

    def call() -> str:
        release.wait(10)
        return "too late"

    yield call
    release.set()


def _in(seconds: float) -> float:
    return time.monotonic() + seconds


def test_there_is_time_left_before_a_deadline() -> None:
    assert 4 < time_left(_in(5)) <= 5


def test_there_is_none_after_it() -> None:
    with pytest.raises(TimeoutError):
        time_left(_in(-1))


def test_a_call_returns_what_the_function_returns() -> None:
    assert BoundedCalls(limit=1).call("a", lambda: "found", deadline=_in(5)) == "found"


def test_a_call_raises_what_the_function_raises() -> None:
    def fail() -> None:
        raise LookupError("no such name")

    with pytest.raises(LookupError, match="no such name"):
        BoundedCalls(limit=1).call("a", fail, deadline=_in(5))


def test_a_call_that_hangs_is_left_at_the_deadline(hang: Callable[[], str]) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        BoundedCalls(limit=1).call("a", hang, deadline=_in(0.1))
    assert 0.09 < time.monotonic() - began < 0.3


def test_more_calls_than_the_limit_wait_for_a_place_until_their_deadline(hang: Callable[[], str]) -> None:
    calls = BoundedCalls(limit=1)
    with pytest.raises(TimeoutError):
        calls.call("a", hang, deadline=_in(0.02))
    with pytest.raises(TimeoutError, match="1 calls are under way"):
        calls.call("b", lambda: "found", deadline=_in(0.05))


def test_one_more_place_is_enough(hang: Callable[[], str]) -> None:
    calls = BoundedCalls(limit=2)
    with pytest.raises(TimeoutError):
        calls.call("a", hang, deadline=_in(0.02))
    assert calls.call("b", lambda: "found", deadline=_in(5)) == "found"


def test_a_place_that_becomes_free_is_taken() -> None:
    calls, release, found = BoundedCalls(limit=1), threading.Event(), []
    first = threading.Thread(target=lambda: calls.call("a", lambda: release.wait(10), deadline=_in(10)))
    second = threading.Thread(target=lambda: found.append(calls.call("b", lambda: "found", deadline=_in(10))))
    first.start()
    second.start()
    release.set()
    first.join()
    second.join()
    assert found == ["found"]


def test_whoever_asks_for_what_is_being_called_gets_its_result() -> None:
    calls, release, found, times = BoundedCalls(limit=8), threading.Event(), [], []

    def call() -> str:
        times.append(time.monotonic())
        release.wait(10)
        return "found"

    with pytest.raises(TimeoutError):
        calls.call("a", call, deadline=_in(0.02))
    threads = [threading.Thread(target=lambda: found.append(calls.call("a", call, deadline=_in(10)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    with pytest.raises(TimeoutError):
        calls.call("a", call, deadline=_in(0.05))
    assert len(times) == 1
    release.set()
    for thread in threads:
        thread.join()
    assert found == ["found"] * 8


def test_a_process_makes_its_own_once() -> None:
    made: PerProcess[list[int]] = PerProcess(lambda: [os.getpid()])
    assert made.get() is made.get()
