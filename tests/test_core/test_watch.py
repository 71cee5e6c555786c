"""Material that changes on disk: when it is looked at, what is loaded, and what stays."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_core.watch import Watched, signature_of


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "material.txt"
    path.write_text("first")
    return path


def watch(file: Path, ticks: Ticks, *, interval: float = 10) -> Watched[str]:
    def load(previous: str | None) -> str:
        content = file.read_text()
        if content == "broken":
            raise ValueError("it is broken")
        return content

    return Watched(load, [file], interval=interval, name="material", clock=ticks)


def test_change_is_seen_after_the_interval(file: Path, ticks: Ticks) -> None:
    watched = watch(file, ticks)
    file.write_text("second")
    ticks.now += 9.9
    assert watched.current() == "first"
    ticks.now += 0.1
    assert watched.current() == "second"


def test_interval_of_zero_never_looks(file: Path, ticks: Ticks) -> None:
    watched = watch(file, ticks, interval=0)
    file.write_text("second")
    ticks.now += 1e9
    assert watched.current() == "first"


def test_unchanged_file_is_not_loaded_again(file: Path, ticks: Ticks) -> None:
    loads: list[str | None] = []

    def load(previous: str | None) -> str:
        loads.append(previous)
        return "value"

    watched: Watched[str] = Watched(load, [file], interval=1, name="x", clock=ticks)
    for _ in range(5):
        ticks.now += 2
        watched.current()
    assert loads == [None]


def test_broken_file_keeps_the_last_good_one(file: Path, ticks: Ticks, caplog: pytest.LogCaptureFixture) -> None:
    watched = watch(file, ticks)
    file.write_text("broken")
    for _ in range(3):
        ticks.now += 10
        assert watched.current() == "first"
    assert [record.getMessage() for record in caplog.records] == [
        "material: cannot be loaded anew, the last good one stays in force: it is broken"
    ]


def test_missing_file_keeps_the_last_good_one(file: Path, ticks: Ticks) -> None:
    watched = watch(file, ticks)
    file.unlink()
    ticks.now += 10
    assert watched.current() == "first"


def test_mended_file_is_loaded(file: Path, ticks: Ticks, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watched = watch(file, ticks)
    file.write_text("broken")
    ticks.now += 10
    watched.current()
    file.write_text("second")
    ticks.now += 10
    assert watched.current() == "second"
    assert caplog.messages[-1] == "material: loaded anew"


def test_what_broke_for_another_reason_is_tried_again(file: Path, ticks: Ticks) -> None:
    """A password that could not be fetched: nothing on the disk changes when it can be again."""
    answers: Iterator[str | None] = iter(["first", None, "second"])

    def load(previous: str | None) -> str:
        answer = next(answers)
        if answer is None:
            raise OSError("the vault is closed")
        return answer

    watched: Watched[str] = Watched(load, [file], interval=10, name="x", clock=ticks)
    file.write_text("changed")
    ticks.now += 10
    assert watched.current() == "first"
    ticks.now += 10
    assert watched.current() == "second"


def test_file_replaced_by_renaming_is_seen(file: Path, ticks: Ticks) -> None:
    """Also if size and time of change are those of the old one."""
    watched = watch(file, ticks)
    status = file.stat()
    new = file.with_suffix(".new")
    new.write_text("other")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(file)
    ticks.now += 10
    assert watched.current() == "other"


def test_turned_link_is_seen(tmp_path: Path, ticks: Ticks) -> None:
    """How Kubernetes replaces the files of a mounted secret."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "ca.pem").write_text(version)
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "one")
    watched = watch(link / "ca.pem", ticks)
    (tmp_path / "next").symlink_to(tmp_path / "two")
    (tmp_path / "next").replace(link)
    ticks.now += 10
    assert watched.current() == "two"


def test_files_of_a_folder_count(tmp_path: Path) -> None:
    before = signature_of([tmp_path])
    (tmp_path / "new.pem").write_text("x")
    with_file = signature_of([tmp_path])
    (tmp_path / "new.pem").write_text("xy")
    assert len({before, with_file, signature_of([tmp_path])}) == 3


def test_reload_does_not_wait(file: Path, ticks: Ticks) -> None:
    watched = watch(file, ticks)
    file.write_text("second")
    assert watched.reload() == "second"


def test_reload_raises_and_keeps(file: Path, ticks: Ticks) -> None:
    watched = watch(file, ticks)
    file.write_text("broken")
    with pytest.raises(ValueError, match="it is broken"):
        watched.reload()
    assert watched.current() == "first"


def test_what_began_to_load_first_does_not_win(file: Path, ticks: Ticks) -> None:
    """A slow load of the old file ends after a quick one of the new file."""

    def load(previous: str | None) -> str:
        content = file.read_text()
        if content == "slow":
            file.write_text("quick")
            watched.reload()
        return content

    watched: Watched[str] = Watched(load, [file], interval=0, name="x", clock=ticks)
    file.write_text("slow")
    assert watched.reload() == "quick"


def test_first_load_raises(file: Path, ticks: Ticks) -> None:
    file.write_text("broken")
    with pytest.raises(ValueError, match="it is broken"):
        watch(file, ticks)


def test_folder_that_cannot_be_read_any_more_keeps_the_last_good_one(tmp_path: Path, ticks: Ticks) -> None:
    folder = tmp_path / "cas"
    folder.mkdir()

    def load(previous: str | None) -> str:
        return ",".join(sorted(path.name for path in folder.iterdir()))

    watched: Watched[str] = Watched(load, [folder], interval=10, name="x", clock=ticks)
    folder.rmdir()
    ticks.now += 10
    assert watched.current() == ""
