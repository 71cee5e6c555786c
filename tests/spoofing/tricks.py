"""What an attacker sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mtls_core.devca import Issued

from .cast import Cast
from .formats import Format, Headers


@dataclass(frozen=True)
class Trick:
    """One way to pass for the victim."""

    name: str
    headers: Callable[[Format, Cast], Headers]
    #: The attacker's certificate, where it comes with one of the good CA.
    certificate: Callable[[Format, Cast], Issued] = lambda form, cast: cast.attacker


def _same(form: Format, cast: Cast) -> Headers:
    """What the proxy would send for the victim."""
    return form.headers(cast.victim)


def _twice(form: Format, cast: Cast) -> Headers:
    return tuple(line for line in _same(form, cast) for _ in range(2))


def _underscores(form: Format, cast: Cast) -> Headers:
    """In a WSGI environ these names are the same."""
    return tuple((name.replace("-", "_"), value) for name, value in _same(form, cast))


def _mixed_case(form: Format, cast: Cast) -> Headers:
    return tuple((name.swapcase(), value) for name, value in _same(form, cast))


def _injecting(form: Format, cast: Cast) -> Issued:
    return cast.injecting[form.name]


def _injected(form: Format, cast: Cast) -> Headers:
    """What the proxy would send for the certificate in whose names the victim's stands."""
    return form.headers(_injecting(form, cast))


def _unclosed(form: Format, cast: Cast) -> Headers:
    """A quote that has no end, so that what is added behind it is within."""
    (name, value), *others = _same(form, cast)
    return (name, f'{value};Subject="' if form.is_list else f'"{value}'), *others


TRICKS = (
    Trick("same header", _same),
    Trick("twice", _twice),
    Trick("underscores", _underscores),
    Trick("mixed case", _mixed_case),
    Trick("text in its names", _injected, _injecting),
    Trick("unclosed quote", _unclosed),
)
