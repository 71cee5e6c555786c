"""Everything that is wrong with one path (RFC 5280, section 6.1).

Nothing stops at the first problem: who has to mend a certificate wants to know all of them at once. Anchors are the
operator's decision: of them only the dates, the right to issue, the path length, the name constraints and unknown
critical extensions are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from ..certificate import Certificate
from ..errors import Problem, Reason
from .algorithms import check_key, check_signature_algorithm, check_signature_fields
from .constraints import check_constraints
from .distinguished_names import canonical_issuer, canonical_subject, is_self_issued
from .policies import POLICY_MAPPINGS, check_policies
from .problems import issuer_of, most_telling_first, printable, subject_of
from .profile import check_profile
from .rules import Purpose, Rules
from .validity import check_validity
from .work import Signature, Work

_ANY_USAGE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string

#: Critical extensions that are evaluated here. Key identifiers are not among them: RFC 5280 forbids to mark them
#: critical.
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        POLICY_MAPPINGS,
    }
)


def validate(path: Sequence[Certificate], rules: Rules, work: Work, *, anchored: bool = True) -> tuple[Problem, ...]:
    """Every problem of a path, the most telling one first; none if it is good.

    :param path: Leaf first.
    :param anchored: Whether the last certificate is a trust anchor. If not, the path is not good whatever is found
        here; the caller knows why it ends.
    :raises WorkLimitExceeded: If that takes too much.
    """
    issued = path[:-1] if anchored else path
    return most_telling_first(
        (
            *_certificates(path, issued, rules, work),
            *_leaf_usage(path[0], rules),
            *_ca_as_leaf(path[0]),
            *_links(path, work, anchored=anchored),
            *_issuers(path, work),
            *_issuers_usage(issued, rules),
            *check_constraints(path, work),
            *check_policies(issued, work),
        )
    )


def validate_self_signed(leaf: Certificate, rules: Rules, work: Work) -> tuple[Problem, ...]:
    """Every problem of a certificate that stands for itself.

    Whether it may is for the caller. That it calls itself a CA (as ``openssl req -x509`` makes it) is none: it issues
    nothing here.
    """
    return most_telling_first(
        (
            *_certificates((leaf,), (leaf,), rules, work),
            *_leaf_usage(leaf, rules),
            *_signature(leaf, leaf, 0, work, is_anchor=False),
        )
    )


def _certificates(
    path: Sequence[Certificate], issued: Sequence[Certificate], rules: Rules, work: Work
) -> Iterator[Problem]:
    yield from check_validity(path, rules)
    for depth, certificate in enumerate(path):
        found = work.once(_critical_extensions, certificate)
        if depth < len(issued):
            found += work.once(_of_issued, certificate)
        yield from (replace(problem, depth=depth) for problem in found)


def _of_issued(certificate: Certificate) -> tuple[Problem, ...]:
    """What is wrong with a certificate by itself, if it is no anchor."""
    checks = (check_key, check_signature_algorithm, check_signature_fields)
    problems = [problem for check in checks if (problem := check(certificate)) is not None]
    return (*problems, *check_profile(certificate))


def _critical_extensions(certificate: Certificate) -> tuple[Problem, ...]:
    oids = [e.oid.dotted_string for e in certificate.extensions if e.critical and e.oid not in _UNDERSTOOD]
    if not oids:
        return ()
    detail = (
        f"{subject_of(certificate)} has critical extensions that are not evaluated here: {printable(', '.join(oids))};"
        " what they would forbid is not known"
    )
    return (Problem(Reason.UNKNOWN_CRITICAL_EXTENSION, detail, 0, certificate),)


def _leaf_usage(leaf: Certificate, rules: Rules) -> Iterator[Problem]:
    purpose = rules.purpose
    if leaf.key_usage is not None and not leaf.key_usage & purpose.key_usages:
        detail = (
            f"the key usage of {subject_of(leaf)} is {_list(leaf.key_usage)};"
            f" {purpose.name} needs {' or '.join(sorted(purpose.key_usages))}"
        )
        yield Problem(Reason.KEY_USAGE_NOT_PERMITTED, detail, 0, leaf)
    usages = leaf.extended_key_usage
    if not rules.check_usage or (usages is None and rules.check_usage != "strict"):
        return
    # anyExtendedKeyUsage does not name a purpose; a CA that means clients says so (RFC 5280, section 4.2.1.12 lets us
    # ask for that).
    if usages is None or purpose.extended_key_usage not in usages:
        found = "has no extended key usage" if usages is None else f"is issued for {_list(usages)}"
        detail = (
            f"{subject_of(leaf)} {found}; {purpose.name} ({purpose.extended_key_usage})"
            " must be among its extended key usages"
        )
        yield Problem(Reason.USAGE_NOT_PERMITTED, detail, 0, leaf)


def _ca_as_leaf(leaf: Certificate) -> Iterator[Problem]:
    if leaf.is_ca:
        detail = (
            f"{subject_of(leaf)} is a CA; what signs certificates does not speak for a service."
            " Issue a certificate with it"
        )
        yield Problem(Reason.CA_CERTIFICATE, detail, 0, leaf)


def _links(path: Sequence[Certificate], work: Work, *, anchored: bool) -> Iterator[Problem]:
    for depth in range(len(path) - 1):
        certificate, issuer = path[depth], path[depth + 1]
        if work.once(canonical_issuer, certificate) != work.once(canonical_subject, issuer):
            detail = f"{subject_of(certificate)} was issued by {issuer_of(certificate)}, not by {subject_of(issuer)}"
            yield Problem(Reason.ISSUER_NOT_FOUND, detail, depth, certificate)
        yield from _signature(certificate, issuer, depth, work, is_anchor=anchored and depth + 2 == len(path))


def _signature(
    certificate: Certificate, issuer: Certificate, depth: int, work: Work, *, is_anchor: bool
) -> Iterator[Problem]:
    # An unchecked one is the forbidden algorithm or the weak key that is reported elsewhere.
    if work.signature(certificate, issuer, is_anchor=is_anchor) is Signature.BAD:
        detail = (
            f"the signature of {subject_of(certificate)} does not verify with the key of {subject_of(issuer)}, which it"
            " names as its issuer: it was changed after it was issued, or another CA of the same name issued it"
        )
        yield Problem(Reason.SIGNATURE_INVALID, detail, depth, certificate)


def _issuers(path: Sequence[Certificate], work: Work) -> Iterator[Problem]:
    """Whether every certificate but the leaf may issue the one below it (RFC 5280, section 6.1.4 (k) to (n))."""
    intermediates = 0
    for depth, issuer in enumerate(path[1:], 1):
        if not issuer.is_ca:
            detail = f"{subject_of(issuer)} issued {subject_of(path[depth - 1])} but is not a CA"
            yield Problem(Reason.ISSUER_NOT_A_CA, detail, depth, issuer)
        elif issuer.key_usage is not None and "key_cert_sign" not in issuer.key_usage:
            detail = f"{subject_of(issuer)} is a CA without keyCertSign in its key usage: it may not issue certificates"
            yield Problem(Reason.KEY_USAGE_NOT_PERMITTED, detail, depth, issuer)
        limit = issuer.basic_constraints.path_length if issuer.basic_constraints else None
        if limit is not None and intermediates > limit:
            detail = f"{subject_of(issuer)} allows {limit} CAs below it; in this path there are {intermediates}"
            yield Problem(Reason.PATH_LENGTH_EXCEEDED, detail, depth, issuer)
        # Key rollover certificates do not count (RFC 5280, section 4.2.1.9).
        intermediates += not work.once(is_self_issued, issuer)


def _issuers_usage(issued: Sequence[Certificate], rules: Rules) -> Iterator[Problem]:
    """A CA's extended key usage limits what it issues for. RFC 5280 does not say so; every implementation does."""
    if not rules.check_usage:
        return
    for depth, issuer in enumerate(issued[1:], 1):
        if issuer.extended_key_usage is not None and not _may_issue_for(issuer.extended_key_usage, rules.purpose):
            detail = (
                f"{subject_of(issuer)} issues for {_list(issuer.extended_key_usage)};"
                f" {rules.purpose.name} ({rules.purpose.extended_key_usage}) is not among its extended key usages"
            )
            yield Problem(Reason.USAGE_NOT_PERMITTED, detail, depth, issuer)


def _may_issue_for(usages: frozenset[str], purpose: Purpose) -> bool:
    return purpose.extended_key_usage in usages or _ANY_USAGE in usages


def _list(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)) or "nothing"
