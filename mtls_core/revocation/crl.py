"""Is a certificate on a revocation list? The whole of RFC 5280, section 6.3.

:class:`CertificateList` reads one list, :func:`distribution_points` says where a certificate has its lists, and
:func:`judge` decides by all lists that are at hand, wherever they came from. Nothing here fetches anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ..certificate import Certificate
from ..path.algorithms import algorithm_name, is_signed_as_allowed
from ..path.distinguished_names import canonical
from ..path.problems import issuer_of, subject_of
from .crl_entries import Entry as Entry
from .crl_group import Finding, Genuine, Moment, decide
from .crl_history import CRLHistory as CRLHistory
from .crl_list import MAX_CRL_SIZE as MAX_CRL_SIZE
from .crl_list import CertificateList as CertificateList
from .crl_list import MalformedCRL as MalformedCRL
from .crl_scope import ALL_REASONS, covered_reasons, implied_point, names_a_source, reason_names
from .crl_scope import DistributionPoint as DistributionPoint
from .crl_scope import Scope as Scope
from .crl_scope import delta_points as delta_points
from .crl_scope import distribution_points as distribution_points
from .crl_signers import Signer, Signers
from .index_file import IndexFolder as IndexFolder
from .policy import RevocationPolicy
from .status import Answer, Status

__all__ = [
    "MAX_CRL_SIZE",
    "CRLHistory",
    "CertificateList",
    "DistributionPoint",
    "Entry",
    "IndexFolder",
    "MalformedCRL",
    "Scope",
    "delta_points",
    "distribution_points",
    "judge",
]

#: Signatures of lists that are looked at for one certificate, those of its lists' signers included.
MAX_SIGNATURE_CHECKS = 1000
#: Objections that stand in one sentence.
_MAX_NOTES = 4

_Path = tuple[Certificate, ...]


def judge(
    path: Sequence[Certificate],
    depth: int,
    lists: Iterable[CertificateList],
    *,
    at: datetime,
    policy: RevocationPolicy,
    signers: Iterable[Certificate] = (),
    history: CRLHistory | None = None,
) -> Answer:
    """What revocation lists say about one certificate of a path.

    :param path: Leaf first; found good already, up to its anchor.
    :param depth: Which certificate of it is asked about; not the anchor, which nobody revokes.
    :param lists: Any that may concern it. Which do, who signed them, and whether they are in force is found out here.
    :param at: The time for which to decide, aware.
    :param signers: Certificates that may have signed lists, besides those of the path, or help to build a path to such
        a signer. They are verified, and their own revocation is looked for in ``lists``.
    :param history: Where given, a list that is older than one seen before does not count.
    :raises ValueError: If there is no such certificate, or ``at`` has no time zone.
    """
    if not 0 <= depth < len(path) - 1:
        raise ValueError(f"a path of {len(path)} certificates has no certificate at depth {depth} with an issuer")
    if at.utcoffset() is None:
        raise ValueError(f"the time {at} has no time zone; pass an aware datetime, such as datetime.now(UTC)")
    moment = Moment(at.astimezone(UTC).replace(microsecond=0), policy, path[-1], history)
    try:
        return _Judge(path, lists, signers, moment).status(tuple(path), depth, frozenset())
    except _TooMuchWork:
        detail = (
            f"the revocation lists about {subject_of(path[depth])} are not looked at further: more than"
            f" {MAX_SIGNATURE_CHECKS} signatures would have to be checked"
        )
        return Answer(Status.UNKNOWN, detail, "crl")


class _TooMuchWork(Exception):
    """Raised if the budget of signature checks is used up."""


@dataclass(frozen=True, slots=True)
class _Question:
    """About which certificate lists are asked, and what may not be used to answer."""

    path: _Path
    depth: int
    #: Signers whose own revocation is being looked for; their lists do not count until it is found.
    busy: frozenset[Certificate]
    #: Whether lists count that the certificate itself signed.
    own: bool = False
    #: Why lists do not count.
    notes: list[str] = field(default_factory=list)

    @property
    def certificate(self) -> Certificate:
        """The one that is asked about."""
        return self.path[self.depth]


class _Judge:
    """One call of :func:`judge`."""

    def __init__(
        self,
        path: Sequence[Certificate],
        lists: Iterable[CertificateList],
        signers: Iterable[Certificate],
        moment: Moment,
    ) -> None:
        self._lists = tuple({crl.thumbprint: crl for crl in lists}.values())
        self._signers = Signers(path, signers, at=moment.at, policy=moment.policy)
        self._moment = moment
        self._checks = MAX_SIGNATURE_CHECKS

    def status(self, path: _Path, depth: int, busy: frozenset[Certificate]) -> Answer:
        """Decide about ``path[depth]``.

        :param busy: Signers whose own revocation depends on the answer.
        """
        certificate = path[depth]
        question = _Question(path, depth, busy | {certificate})
        answer = self._decide(question)
        if answer.status is Status.UNKNOWN and _vouches_for_itself(certificate):
            return self._decide(replace(question, own=True, notes=[]))
        return answer

    def _decide(self, question: _Question) -> Answer:
        certificate, notes = question.certificate, question.notes
        issuer = canonical(certificate.issuer_name)
        points = (*distribution_points(certificate), implied_point(certificate))
        issuers = frozenset({issuer}).union(*(point.issuers for point in points))
        groups: dict[object, list[Genuine]] = {}
        for crl in self._lists:
            if crl.issuer_key not in issuers:
                continue
            reasons = covered_reasons(certificate, issuer, points, list_issuer=crl.issuer_key, scope=crl.scope)
            if not reasons:
                notes.append(f"the {crl.describe()} covers {crl.scope.describe()}, which is not this one")
                continue
            signer = self._signer_of(crl, question)
            if signer is not None and _is_usable(crl, notes):
                groups.setdefault((crl.issuer_key, crl.scope), []).append(Genuine(crl, reasons, signer))
        return _answer(certificate, [decide(group, certificate, self._moment) for group in groups.values()], notes)

    def _signer_of(self, crl: CertificateList, question: _Question) -> Signer | None:
        """Who signed a list, if they may; else there is a note about it."""
        notes = question.notes
        if not is_signed_as_allowed(crl):
            name = algorithm_name(crl.signature_algorithm_oid)
            notes.append(f"the {crl.describe()} is signed with {name}, which is not allowed")
            return None
        for signer in self._signers.of(crl.issuer_key, question.path, question.depth, notes):
            self._checks -= 1
            if self._checks < 0:
                raise _TooMuchWork
            if not crl.is_signed_by(signer.certificate):
                continue
            objection = self._objection(signer, question) if signer.separate else None
            if objection is None:
                return signer
            notes.append(f"the {crl.describe()} does not count: {objection}")
        notes.append(f"the {crl.describe()} is not signed by anybody here who may sign it")
        return None

    def _objection(self, signer: Signer, question: _Question) -> str | None:
        """Why a separate signer does not count: it, or a CA above it, is revoked, or may be.

        The certificates of the path itself are judged one by one, by whoever asks about this one.
        """
        for place, certificate in enumerate(signer.path[:-1]):
            if certificate in question.path[question.depth + 1 :]:
                continue
            if question.own and certificate == question.certificate:
                continue
            if certificate in question.busy:
                return f"whether {subject_of(certificate)}, who signed it, is revoked depends on lists that it signed"
            answer = self.status(signer.path, place, question.busy)
            if answer.status is Status.REVOKED:
                return f"{subject_of(certificate)}, who signed it, is revoked"
            if answer.status is Status.UNKNOWN and not self._may_be_unknown(certificate):
                return f"whether {subject_of(certificate)}, who signed it, is revoked is not known ({answer.detail})"
        return None

    def _may_be_unknown(self, certificate: Certificate) -> bool:
        """Whether the policy would have a certificate of which no list speaks."""
        policy = self._moment.policy
        if policy.scope == "leaf" or policy.unreachable == "accept":
            return True
        issuer = canonical(certificate.issuer_name)
        has_source = names_a_source(certificate) or any(crl.issuer_key == issuer for crl in self._lists)
        return policy.mode == "available" and not has_source


def _vouches_for_itself(certificate: Certificate) -> bool:
    """Whether a certificate names its own subject as the issuer of the lists about it. Then nobody else can tell."""
    subject = canonical(certificate.subject_name)
    return any(subject in point.issuers for point in distribution_points(certificate))


def _is_usable(crl: CertificateList, notes: list[str]) -> bool:
    """Whether the content of a list can be taken for what it seems to be."""
    try:
        crl.prepare()
    except MalformedCRL as error:
        notes.append(str(error))
        return False
    if crl.unknown_critical:
        # RFC 5280, section 5.2: it says nothing about any certificate.
        unknown = ", ".join(crl.unknown_critical)
        notes.append(f"the {crl.describe()} has critical extensions that are not evaluated here: {unknown}")
        return False
    if crl.names_other_issuers and not crl.scope.indirect:
        notes.append(f"the {crl.describe()} names other issuers of certificates, but does not say that it is indirect")
        return False
    return True


def _answer(certificate: Certificate, findings: Sequence[Finding], notes: Sequence[str]) -> Answer:
    """What the lists of all issuers and scopes say together (RFC 5280, section 6.3.3, at the end)."""
    for finding in findings:
        if finding.status is Status.REVOKED:
            return _revoked(certificate, finding)
    good = [finding for finding in findings if finding.status is Status.GOOD]
    # Those that hold longest, until no reason is missing.
    used: list[Finding] = []
    covered: frozenset[object] = frozenset()
    for finding in sorted(good, key=lambda f: f.valid_until or f.crl.this_update, reverse=True):
        if not finding.reasons <= covered:
            used.append(finding)
            covered |= finding.reasons
    if covered == ALL_REASONS:
        return _good(certificate, used)
    objections = [f"the {f.crl.describe()} does not count: {f.objection}" for f in findings if f.objection]
    if covered:
        missing = reason_names(ALL_REASONS - covered)
        objections.append(f"the lists that count do not cover these reasons of revocation: {missing}")
    return _unknown(certificate, [*objections, *notes])


def _revoked(certificate: Certificate, finding: Finding) -> Answer:
    entry, crl = finding.entry, finding.crl
    reason = entry.reason.value if entry and entry.reason else None
    revoked_at = entry.revoked_at if entry else None
    detail = (
        f"{subject_of(certificate)} is revoked since {revoked_at:%Y-%m-%dT%H:%M:%SZ} ({reason or 'no reason given'})"
    )
    detail += f", says the {crl.describe()}"
    if finding.objection:
        detail += f"; that list clears nobody, {finding.objection}, but whom it names stays revoked"
    return Answer(
        Status.REVOKED,
        detail,
        f"crl {crl.source}",
        this_update=crl.this_update,
        valid_until=finding.valid_until,
        revoked_at=revoked_at,
        revocation_reason=reason,
    )


def _good(certificate: Certificate, used: Sequence[Finding]) -> Answer:
    lists = [finding.crl for finding in used]
    return Answer(
        Status.GOOD,
        f"{subject_of(certificate)} is not on the {', nor on the '.join(crl.describe() for crl in lists)}",
        "crl " + ", ".join(crl.source for crl in lists),
        this_update=min(crl.this_update for crl in lists),
        valid_until=min(finding.valid_until for finding in used if finding.valid_until),
    )


def _unknown(certificate: Certificate, objections: Sequence[str]) -> Answer:
    unique = list(dict.fromkeys(objections))
    if not unique:
        unique = [
            f"there is no revocation list of {issuer_of(certificate)} about it;"
            " add one to the configured lists, or have the CA name a distribution point"
        ]
    more = f"; and {len(unique) - _MAX_NOTES} more" if len(unique) > _MAX_NOTES else ""
    detail = f"whether {subject_of(certificate)} is revoked is not known: {'; '.join(unique[:_MAX_NOTES])}{more}"
    return Answer(Status.UNKNOWN, detail, "crl")
