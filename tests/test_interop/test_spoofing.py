"""Nobody becomes somebody else: the spoofing matrix, cell by cell; and that it would notice if somebody did."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_mtls.sources.formats import PRESETS
from mtls_core.devca import DevelopmentCA

from ..processes import free_port
from ..spoofing import origins
from ..spoofing.formats import Format, all_formats
from ..spoofing.matrix import ITSELF, NO_TRICK, Result, run
from ..spoofing.naive import naive
from ..spoofing.origins import ORIGINS, Origin
from ..spoofing.report import show
from ..spoofing.servers import SERVERS, Place, Places
from ..spoofing.tricks import TRICKS

_FORMATS = all_formats(edge=DevelopmentCA.create().client("edge"))
_WAYS = [(origin, form) for origin in ORIGINS for form in _FORMATS if origin.exists(form)]
_ORIGINS = {origin.name: origin for origin in ORIGINS}
_LISTS = [form.name for form in _FORMATS if form.is_list]

_IN_NAMES = "text in its names"


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return run()


@pytest.fixture(scope="module")
def fooled() -> list[Result]:
    """What becomes of applications that believe the first certificate they find, or the last."""
    return run({"first": naive(lambda found: found[0]), "last": naive(lambda found: found[-1])})


def test_every_preset_takes_part() -> None:
    assert set(PRESETS) <= {form.setting for form in _FORMATS if isinstance(form.setting, str)}


@pytest.mark.parametrize("form", _FORMATS, ids=lambda form: form.name)
def test_the_victim_itself_is_known(results: list[Result], form: Format) -> None:
    cells = [result for result in results if (result.form, result.trick) == (form.name, NO_TRICK)]
    assert {cell.server: cell.outcome for cell in cells} == dict.fromkeys(SERVERS, ITSELF)


@pytest.mark.parametrize(("origin", "form"), _WAYS, ids=lambda part: part.name)
def test_nobody_becomes_somebody_else(results: list[Result], origin: Origin, form: Format) -> None:
    cells = [result for result in results if (result.origin, result.form) == (origin.name, form.name)]
    assert {(cell.server, cell.trick) for cell in cells} == {(s, trick.name) for s in SERVERS for trick in TRICKS}
    assert [str(cell) for cell in cells if cell.outcome not in _expected(cell)] == []


def test_every_attempt_that_is_not_stripped_fools_a_naive_application(fooled: list[Result]) -> None:
    """So that none of the cells above is good only because the attempt never got there."""
    cells = {(cell.origin, cell.form, cell.trick) for cell in fooled if cell.origin in _ORIGINS}
    wrong = {(cell.origin, cell.form, cell.trick) for cell in fooled if cell.is_wrong}
    assert {cell for cell in cells if _gets_there(*cell)} - wrong == set()


def test_the_table_ends_well_only_if_everybody_is_who_they_are(
    results: list[Result], fooled: list[Result], capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(results) == 0
    assert "nobody became somebody else" in capsys.readouterr().out
    assert show(fooled) == 1
    assert "WRONG: first, nginx, straight to the application, same header: SOMEBODY ELSE: victim" in (
        capsys.readouterr().out
    )


def test_the_table_does_not_end_well_if_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    @contextlib.contextmanager
    def nobody(settings: Path, folder: Path) -> Iterator[Places]:
        port = free_port()
        yield lambda mount: Place(port, mount)

    results = run({"nobody": nobody})
    assert all(result.is_wrong for result in results)
    assert show(results) == 1
    assert f"{len(results)} of them WRONG" in capsys.readouterr().out


def _expected(cell: Result) -> set[str]:
    """What must come of an attempt; several where it does not matter which header is looked at first."""
    origin = _ORIGINS[cell.origin]
    # What comes of a request from which nothing is believed but what the proxy says.
    as_shown = {"nothing": "certificate_required", "a certificate": ITSELF, "a CA's": "self_signed"}[origin.shows]
    # gunicorn joins what the others refuse.
    doubled = "malformed" if cell.server == "gunicorn" else "400"
    # The end of a list is the proxy's, unless nobody can say any more what begins where.
    ambiguous = cell.form not in _LISTS or cell.trick in (_IN_NAMES, "unclosed quote")
    added = "malformed" if ambiguous else as_shown
    if cell.trick == "underscores":
        return {"400" if cell.server == "cheroot" else as_shown}
    match origin.proxy:
        case origins.strip_and_set:
            own_names = origin.shows == "a certificate" and cell.trick == _IN_NAMES and cell.form in _LISTS
            return {"malformed" if own_names else as_shown}
        case origins.pass_on:
            return {"400" if cell.trick == "twice" and cell.server != "gunicorn" else "untrusted_proxy"}
        case origins.add_below | origins.add_above:
            return {added if cell.server == "gunicorn" else "400"}
        case origins.append:
            # It replaces by one line only what it adds to.
            return {added, doubled} if cell.trick == "twice" and cell.form not in _LISTS else {added}
        case origins.set_verdicts_alone:
            return {doubled} if cell.trick == "twice" else {"malformed", "second_opinion"}
    raise AssertionError(f"nobody knows what comes of {cell}")


def _gets_there(origin_name: str, form: str, trick: str) -> bool:
    """Whether the application receives what the attacker made up."""
    origin = _ORIGINS[origin_name]
    if trick == _IN_NAMES and origin.shows == "a certificate":
        # Everywhere else it is a part of the attacker's own certificate, and cannot be taken for more.
        return form in _LISTS
    return origin.proxy is not origins.strip_and_set or trick == "underscores"
