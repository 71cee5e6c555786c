"""Which problem of several is told first, and how certificates are named in sentences."""

from __future__ import annotations

from collections.abc import Iterable

from ..certificate import Certificate
from ..errors import Problem, Reason

#: First what leaves open who issued the certificate at all: nothing else in it can be believed then. After that the
#: dates, the commonest cause and the easiest to mend; then what the certificate may be used for; last its form.
PRIORITY = (
    Reason.MALFORMED,
    Reason.SELF_SIGNED,
    Reason.UNTRUSTED_ROOT,
    Reason.ISSUER_NOT_FOUND,
    Reason.WORK_LIMIT_EXCEEDED,
    Reason.SIGNATURE_INVALID,
    Reason.FORBIDDEN_ALGORITHM,
    Reason.WEAK_KEY,
    Reason.ISSUER_NOT_A_CA,
    Reason.EXPIRED,
    Reason.NOT_YET_VALID,
    Reason.CA_CERTIFICATE,
    Reason.USAGE_NOT_PERMITTED,
    Reason.KEY_USAGE_NOT_PERMITTED,
    Reason.PATH_LENGTH_EXCEEDED,
    Reason.NAME_CONSTRAINT_VIOLATED,
    Reason.POLICY_NOT_SATISFIED,
    Reason.UNKNOWN_CRITICAL_EXTENSION,
    Reason.PROFILE_VIOLATION,
)

_RANK = {reason: rank for rank, reason in enumerate(PRIORITY)}
_LONGEST = 200


def most_telling_first(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems by :data:`PRIORITY`, those of one kind from the leaf upwards."""
    return tuple(sorted(problems, key=lambda problem: (_RANK[problem.reason], problem.depth)))


def printable(text: str) -> str:
    """Text from a certificate so that it cannot forge a line of a log: printable characters alone, and not endless."""
    start = text[:_LONGEST]
    if not start.isprintable():
        start = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in start)
    return start if len(text) <= _LONGEST else start + "..."


def subject_of(certificate: Certificate) -> str:
    """The subject for a sentence; the serial number where there is none."""
    return printable(certificate.subject) or f"the certificate with serial number {certificate.serial_number:x}"


def issuer_of(certificate: Certificate) -> str:
    """The issuer for a sentence."""
    return printable(certificate.issuer) or "an issuer without a name"
