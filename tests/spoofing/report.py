"""The matrix as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from .matrix import ITSELF, NO_TRICK, Result
from .origins import CONTROL, ORIGINS
from .tricks import TRICKS

LEGEND = f"""\
{ITSELF}: let in, as whom its own certificate says.
400: refused by the server, before the application sees it.
Everything else is the reason of a refusal (403). Formats that behave alike share a row.

Left out, because no application can tell it from a request of the victim:
- a trusted proxy that passes on what a client sent and adds nothing of its own. A proxy that forgets to strip does so
  where it sets no header at all without a certificate, as with envoy, traefik, both of aws-alb, azure and iis;
- an Envoy that adds its element above: only the place in the list tells who wrote it. Envoy adds below;
- a trusted proxy that lets a client end a header's value and begin another header;
- a server that takes X_SSL_Client_Cert for X-SSL-Client-Cert. flask_mtls refuses to work with those it knows."""

_LABEL_WIDTH = 54


def show(results: list[Result]) -> int:
    """Print the table, and what is wrong.

    :returns: The number of the process' exit: 1 if anything is.
    """
    for line in _lines(results):
        print(line)
    return 1 if any(result.is_wrong for result in results) else 0


def _lines(results: list[Result]) -> Iterator[str]:
    for server in dict.fromkeys(result.server for result in results):
        yield from _table(server, [result for result in results if result.server == server])
    yield LEGEND
    yield ""
    wrong = [result for result in results if result.is_wrong]
    yield from (f"WRONG: {result}" for result in wrong)
    yield f"{len(results)} attempts, {len(wrong)} of them WRONG." if wrong else _all_well(results)


def _all_well(results: list[Result]) -> str:
    controls = sum(result.trick == NO_TRICK for result in results)
    attempts = len(results) - controls
    return f"{attempts} attempts: nobody became somebody else. The victim itself was known, each of {controls} times."


def _table(server: str, results: list[Result]) -> Iterator[str]:
    columns = [trick.name for trick in TRICKS]
    by_origin = {
        origin.name: _rows([result for result in results if result.origin == origin.name], columns)
        for origin in ORIGINS
    }
    cells = [columns, *(list(outcomes) for rows in by_origin.values() for outcomes in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    controls = [result.outcome.partition(":")[0] for result in results if result.origin == CONTROL.name]
    yield _line(f"under {server}", columns, widths)
    yield f"{CONTROL.name}, {len(controls)} formats: {', '.join(dict.fromkeys(controls))}"
    for origin, rows in by_origin.items():
        yield f"{origin}:"
        for outcomes, forms in rows.items():
            label = f"all {len(controls)} formats" if len(forms) == len(controls) else "; ".join(forms)
            first, *more = textwrap.wrap(label, _LABEL_WIDTH - 2, break_on_hyphens=False)
            yield _line(f"  {first}", outcomes, widths)
            yield from (f"  {line}" for line in more)
    yield ""


def _rows(results: list[Result], columns: list[str]) -> dict[tuple[str, ...], list[str]]:
    """The formats of each row of outcomes."""
    outcomes = {(result.form, result.trick): result.outcome.partition(":")[0] for result in results}
    rows: dict[tuple[str, ...], list[str]] = {}
    for form in dict.fromkeys(result.form for result in results):
        rows.setdefault(tuple(outcomes[form, trick] for trick in columns), []).append(form)
    return rows


def _line(label: str, cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([label.ljust(_LABEL_WIDTH), *padded]).rstrip()
