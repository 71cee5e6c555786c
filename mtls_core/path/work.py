"""What one verification may cost.

Whoever presents certificates decides how much there is to try; these budgets decide how much is tried. They hold for
one verification as a whole, over all candidate paths (CVE-2026-32280, RUSTSEC-2023-0053, CVE-2025-58187).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from ..certificate import Certificate
from ..signatures import verifies
from .algorithms import check_key, check_signature_algorithm, key_restricts

MAX_SIGNATURE_CHECKS = 64
MAX_NAME_COMPARISONS = 20_000
#: Leaf and anchor counted, hence eight intermediates.
MAX_PATH_LENGTH = 10
#: The leaf counted.
MAX_CERTIFICATES_SENT = 10
#: Bytes of DER, the leaf counted. A chain of three RSA 4096 certificates has about 5,000.
MAX_BYTES_SENT = 64 * 1024

_Fact = TypeVar("_Fact")


class WorkLimitExceeded(Exception):
    """Raised if a budget is used up; :func:`~mtls_core.path.search.find_path` makes it a refusal."""


class Signature(Enum):
    """What is known about one certificate's signature by one issuer."""

    GOOD = "good"
    BAD = "bad"
    #: Not computed: its algorithm or the issuer's key is forbidden, which is a problem by itself.
    UNCHECKED = "unchecked"


class Work:
    """The budgets of one verification, and what it has found out so far.

    A certificate may stand in many candidate paths; what is true of it alone, or of it and its issuer, is found out
    once.
    """

    __slots__ = ("_comparisons", "_facts", "_known", "_signatures")

    def __init__(self) -> None:
        self._signatures = MAX_SIGNATURE_CHECKS
        self._comparisons = MAX_NAME_COMPARISONS
        self._known: dict[tuple[Certificate, Certificate, bool], Signature] = {}
        self._facts: dict[tuple[Callable[..., Any], Certificate], Any] = {}

    def once(self, find_out: Callable[[Certificate], _Fact], certificate: Certificate) -> _Fact:
        """What a function says of a certificate, called once for each."""
        key = (find_out, certificate)
        if key not in self._facts:
            self._facts[key] = find_out(certificate)
        fact: _Fact = self._facts[key]
        return fact

    def try_issuer(self, certificate: Certificate, issuer: Certificate, *, is_anchor: bool) -> Signature:
        """As :meth:`signature`, and counts: each step of a path that is tried costs one, also where the answer is known
        already. Otherwise a mesh of a few CAs that certify each other would have endless paths and cost nothing.

        :raises WorkLimitExceeded: If too many were tried.
        """
        if self._signatures == 0:
            raise WorkLimitExceeded(
                f"more than {MAX_SIGNATURE_CHECKS} signatures would have to be checked to find its path;"
                " too many CA certificates share a name, or certify each other"
            )
        self._signatures -= 1
        return self.signature(certificate, issuer, is_anchor=is_anchor)

    def signature(self, certificate: Certificate, issuer: Certificate, *, is_anchor: bool) -> Signature:
        """Whether the issuer's key verifies the certificate's signature; computed once for each pair."""
        pair = (certificate, issuer, is_anchor)
        if pair not in self._known:
            self._known[pair] = _check(certificate, issuer, is_anchor)
        return self._known[pair]

    def spend_comparisons(self, count: int) -> None:
        """Count comparisons of names with name constraints, before they are made.

        :raises WorkLimitExceeded: If that is too many.
        """
        if count > self._comparisons:
            raise WorkLimitExceeded(
                f"its names and the name constraints of its issuers need more than {MAX_NAME_COMPARISONS} comparisons"
            )
        self._comparisons -= count


def _check(certificate: Certificate, issuer: Certificate, is_anchor: bool) -> Signature:
    if check_signature_algorithm(certificate) is not None or (not is_anchor and check_key(issuer) is not None):
        return Signature.UNCHECKED
    if key_restricts(issuer, certificate) or not verifies(issuer.public_key, certificate.parsed, certificate.tbs):
        return Signature.BAD
    return Signature.GOOD
