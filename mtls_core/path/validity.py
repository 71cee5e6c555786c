"""Validity periods against a clock that may be wrong by a known amount (RFC 5280, section 4.1.2.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ..certificate import Certificate
from ..errors import Problem, Reason
from .problems import subject_of
from .rules import Rules


def check_validity(path: Sequence[Certificate], rules: Rules) -> Iterator[Problem]:
    """Certificates that are not valid, both ends of the period included.

    A clock skew says that the true time is within that distance of the clock's. So there must be one moment within it
    at which all certificates of the path are valid; each for itself is not enough.
    """
    if rules.at is None:
        return
    found = [problem for depth, c in enumerate(path) if (problem := _period(c, depth, rules.at, rules))]
    yield from found
    if not found and moment_of(path, rules) is None:
        depth, first_to_end = min(enumerate(path), key=lambda item: item[1].not_after)
        last_to_begin = max(path, key=lambda c: c.not_before)
        detail = (
            f"{subject_of(first_to_end)} expired on {_date(first_to_end.not_after)}, before {subject_of(last_to_begin)}"
            f" became valid on {_date(last_to_begin.not_before)}; they were never valid together"
        )
        yield Problem(Reason.EXPIRED, detail, depth, first_to_end)


def moment_of(path: Sequence[Certificate], rules: Rules) -> datetime | None:
    """The moment next to the clock's at which the whole path is valid; ``None`` if none is, or dates do not count."""
    if rules.at is None:
        return None
    begin, end = max(c.not_before for c in path), min(c.not_after for c in path)
    moment = min(max(rules.at, begin), end)
    return moment if begin <= moment and abs(moment - rules.at) <= rules.clock_skew else None


def _period(certificate: Certificate, depth: int, at: datetime, rules: Rules) -> Problem | None:
    # Differences, not sums: a date of the year 9999 has no later one.
    if certificate.not_before - at > rules.clock_skew:
        detail = (
            f"{subject_of(certificate)} is not valid before {_date(certificate.not_before)}; it is {_date(at)} here."
            " Check the clocks, or wait"
        )
        return Problem(Reason.NOT_YET_VALID, detail, depth, certificate)
    if at - certificate.not_after > rules.clock_skew:
        detail = (
            f"{subject_of(certificate)} expired on {_date(certificate.not_after)}; it is {_date(at)} here. Renew it"
        )
        return Problem(Reason.EXPIRED, detail, depth, certificate)
    return None


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
