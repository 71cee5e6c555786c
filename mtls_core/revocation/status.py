"""What a source of revocation says about one certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """Checked and good is a value of its own, not the absence of a problem."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """One source's word about one certificate, after everything about the source was verified."""

    status: Status
    #: A sentence for logs: what was asked and what came of it. For ``UNKNOWN``, what to do about it.
    detail: str
    #: Such as ``ocsp http://ocsp.example/`` or ``crl /etc/pki/ca.crl``.
    source: str
    #: UTC; when the source said so.
    this_update: datetime | None = None
    #: UTC; from then on the answer counts for nothing. ``None`` only for ``UNKNOWN``.
    valid_until: datetime | None = None
    #: UTC; for ``REVOKED``.
    revoked_at: datetime | None = None
    #: As RFC 5280, section 5.3.1 names it, such as ``keyCompromise``; ``None`` if none was given.
    revocation_reason: str | None = None
