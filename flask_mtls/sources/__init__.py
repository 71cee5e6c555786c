"""The ways in which a certificate reaches a WSGI application, one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Presented:
    """A certificate as it arrived, not yet looked at."""

    #: DER.
    leaf: bytes
    #: Which way it came, such as ``"tls"``.
    source: str
    #: DER of what was sent along. Called only if the leaf is not known yet.
    intermediates: Callable[[], tuple[bytes, ...]] = tuple
