"""What the lists of one issuer and scope say together: the newest complete one, brought up to date by a delta.

The newest list counts, not the first that is found. One that is not in force clears nobody; but a certificate that it
names is revoked all the same, as long as no newer list in force takes that back: its issuer said so and signed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from ..certificate import Certificate
from .crl_entries import Entry
from .crl_history import CRLHistory
from .crl_list import CertificateList
from .crl_signers import Signer
from .policy import RevocationPolicy
from .status import Status

_FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """When, and by what rules, lists are judged."""

    #: UTC, whole seconds.
    at: datetime
    policy: RevocationPolicy
    #: Where the path that is judged ends.
    anchor: Certificate
    history: CRLHistory | None


@dataclass(frozen=True, slots=True)
class Genuine:
    """A list whose signature was found good, with what it covers of the certificate that is asked about."""

    crl: CertificateList
    reasons: frozenset[x509.ReasonFlags]
    signer: Signer


@dataclass(frozen=True, slots=True)
class Finding:
    """What the lists of one issuer and scope say about a certificate."""

    status: Status
    #: The list that says it.
    crl: CertificateList
    #: For ``GOOD``: of which reasons. For the others empty.
    reasons: frozenset[x509.ReasonFlags] = frozenset()
    entry: Entry | None = None
    valid_until: datetime | None = None
    #: Why the list is not in force.
    objection: str | None = None


def decide(group: Sequence[Genuine], certificate: Certificate, moment: Moment) -> Finding:
    """Judge by all lists of one issuer and scope.

    :param group: At least one.
    """
    begun = [genuine for genuine in group if _not_begun(genuine.crl, moment) is None]
    base = max((g for g in begun if not g.crl.is_delta), key=_age, default=None)
    delta = None if base is None else _applicable_delta(base, begun, moment)
    current = delta or base
    if base is not None:
        source, entry = _look_up(base, delta, certificate)
        if entry is not None:
            return _revoked(source, entry, moment)
    for other in sorted(group, key=_age, reverse=True):
        if current is None or _age(other) > _age(current):
            entry = _entry(other.crl, certificate)
            if entry is not None and not _is_removal(entry):
                return _revoked(other, entry, moment)
    if base is None or current is None:
        newest = max(group, key=_age)
        return Finding(Status.UNKNOWN, newest.crl, objection=_why_no_base(newest.crl, moment))
    objection = _flaw(base.crl, moment) or _out_of_date(current.crl, moment)
    if objection is not None:
        return Finding(Status.UNKNOWN, base.crl, objection=objection)
    return Finding(Status.GOOD, current.crl, base.reasons, valid_until=_valid_until(current, moment))


def _look_up(base: Genuine, delta: Genuine | None, certificate: Certificate) -> tuple[Genuine, Entry | None]:
    """The entry that revokes, and where it stands; a delta's word comes before that of the list it updates (RFC 5280,
    section 6.3.3 (i) to (k)).
    """
    changed = None if delta is None else _entry(delta.crl, certificate)
    if delta is not None and changed is not None:
        return delta, None if _is_removal(changed) else changed
    return base, _entry(base.crl, certificate)


def _applicable_delta(base: Genuine, begun: Sequence[Genuine], moment: Moment) -> Genuine | None:
    """The newest delta that brings ``base`` up to date (RFC 5280, sections 5.2.4 and 6.3.3 (c) and (h)).

    Issuer and scope are equal already, or they would not be in one group.
    """
    for delta in sorted(begun, key=_age, reverse=True):
        if (
            _updates(delta.crl, base.crl)
            and delta.crl.authority_key_identifier == base.crl.authority_key_identifier
            and delta.crl.is_signed_by(base.signer.certificate)
            and _out_of_date(delta.crl, moment) is None
            and _flaw(delta.crl, moment) is None
        ):
            return delta
    return None


def _updates(delta: CertificateList, base: CertificateList) -> bool:
    """Whether it has all changes since ``base``, and is newer."""
    if delta.base_number is None or delta.number is None or base.number is None:
        return False
    return delta.base_number <= base.number < delta.number


def _flaw(crl: CertificateList, moment: Moment) -> str | None:
    """Why a list clears nobody whatever its dates are."""
    unknown = crl.unknown_critical_entry
    if unknown is not None:
        # RFC 5280, section 5.3: such a list says nothing about any certificate.
        return f"an entry has a critical extension {unknown}, which is not evaluated here"
    newer = None if moment.history is None else moment.history.newer_than(crl, moment.anchor)
    return None if newer is None else f"a newer list was seen before: {newer}; somebody may have put an old one back"


def _not_begun(crl: CertificateList, moment: Moment) -> str | None:
    if crl.this_update - moment.at > moment.policy.clock_skew:
        return f"it is dated in the future; it is {_date(moment.at)} here. Check the clocks"
    return None


def _out_of_date(crl: CertificateList, moment: Moment) -> str | None:
    if crl.next_update is None:
        return "it does not say when the next one is due, so it could be as old as it likes; its CA must say that"
    if moment.at - crl.next_update > moment.policy.crl_grace:
        return (
            f"the next one was due on {_date(crl.next_update)}; it is {_date(moment.at)} here."
            " Have the CA issue a new one, or fetch it"
        )
    max_age = moment.policy.crl_max_age
    if max_age is not None and moment.at - crl.this_update > max_age:
        return f"it is older than {max_age}, which is the most that is allowed here"
    return None


def _why_no_base(crl: CertificateList, moment: Moment) -> str:
    return _not_begun(crl, moment) or "it is a delta, and the complete list that it updates is not there"


def _revoked(genuine: Genuine, entry: Entry, moment: Moment) -> Finding:
    crl = genuine.crl
    objection = _not_begun(crl, moment) or _out_of_date(crl, moment)
    until = _valid_until(genuine, moment) if objection is None else moment.at + moment.policy.max_cache_age
    return Finding(Status.REVOKED, crl, entry=entry, valid_until=until, objection=objection)


def _valid_until(genuine: Genuine, moment: Moment) -> datetime:
    """When a list that is in force ceases to be."""
    crl, policy = genuine.crl, moment.policy
    ends = [_later(crl.next_update, policy.crl_grace) if crl.next_update else moment.at]
    if policy.crl_max_age is not None:
        ends.append(_later(crl.this_update, policy.crl_max_age))
    if genuine.signer.separate:
        ends.append(min(certificate.not_after for certificate in genuine.signer.path))
    return min(ends)


def _later(moment: datetime, by: timedelta) -> datetime:
    """A list may be valid up to the year 9999."""
    return moment + by if by < _FOREVER - moment else _FOREVER


def _entry(crl: CertificateList, certificate: Certificate) -> Entry | None:
    return crl.entry(certificate.serial_number, certificate.issuer_name)


def _is_removal(entry: Entry) -> bool:
    return entry.reason is x509.ReasonFlags.remove_from_crl


def _age(genuine: Genuine) -> tuple[datetime, int]:
    return genuine.crl.age_key


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
