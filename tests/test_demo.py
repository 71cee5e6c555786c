"""``make demo`` shows what it says, and would say so if it did not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .run import run

FOLDER = Path(__file__).parent.parent / "examples" / "service_to_service"


def test_every_row_passes() -> None:
    printed = run(sys.executable, str(FOLDER / "demo.py"))
    rows = [line for line in printed.splitlines() if line[:1].isdigit()]
    assert len(rows) >= 23
    assert all(row.endswith("pass") for row in rows)
    assert "All rows passed" in printed


def test_a_row_that_goes_wrong_is_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import demo

    good = demo.Row("good", "200 up", lambda: "200 up")
    bad = demo.Row("bad", "403 expired", lambda: "200 up")
    broken = demo.Row("broken", "200 up", lambda: str(1 / 0))
    assert demo.report({"All": [good, bad, broken]}) == [bad, broken]
    printed = capsys.readouterr().out
    assert "FAIL" in printed
    assert "ZeroDivisionError" in printed
