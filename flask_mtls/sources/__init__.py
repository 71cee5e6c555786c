"""The ways in which a certificate reaches a WSGI application, one module each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from mtls_core.certificate import Certificate
from mtls_core.errors import Problem

#: Of one header. No path of a client has more.
MOST_CERTIFICATES = 10


class MalformedHeader(ValueError):
    """Raised if a header does not hold what its format says.

    Its message continues a sentence that begins with the header's name, and quotes no more than a few characters.
    """


@functools.lru_cache(maxsize=128)
def parsed(der: bytes) -> Certificate:
    """A certificate that comes with every request, parsed once.

    :raises MalformedCertificate: If it is none.
    """
    return Certificate.from_der(der)


@dataclass(frozen=True, slots=True)
class Presented:
    """A certificate as it arrived, not yet looked at."""

    #: DER.
    leaf: bytes
    #: Which way it came, such as ``"tls"``.
    source: str
    #: DER of what was sent along. Called only if the leaf is not known yet.
    intermediates: Callable[[], tuple[bytes, ...]] = tuple
    #: What a proxy has against it. To be refused even if this service has nothing against it.
    objection: Problem | None = None
