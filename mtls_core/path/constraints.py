"""Name constraints: what a CA may certify names for (RFC 5280, sections 4.2.1.10 and 6.1.3 (b), (c)).

Every constraint on the path must be met by itself, which makes the intersection of the permitted subtrees and the union
of the excluded ones. Whatever cannot be compared (a name that is not what its type says, a type that is not known here)
counts as outside of what is permitted and inside of what is excluded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from .. import der as asn1
from ..certificate import Certificate
from ..errors import Problem, Reason
from .distinguished_names import is_self_issued
from .problems import printable, subject_of
from .subtrees import NAME_TYPES, NEVER_COMPARED, NameType, is_host_name
from .work import Work

#: A type of general names; those of otherName differ by their OID.
Kind = type[x509.GeneralName] | tuple[type[x509.GeneralName], str]
_Names = dict[Kind, list[Any]]

_SMTP_UTF8_MAILBOX: Kind = (x509.OtherName, "1.3.6.1.5.5.7.8.9")
_MAX_EXAMPLES = 10
_NAME_CONSTRAINTS_DER = bytes.fromhex("0603551d1e")


def check_constraints(path: Sequence[Certificate], work: Work) -> Iterator[Problem]:
    """Every name of a path that an issuer above it may not certify.

    :param path: Leaf first; the last one is the anchor.
    :raises WorkLimitExceeded: If comparing takes too much.
    """
    for depth in range(len(path) - 1, 0, -1):
        constraints = work.once(_constraints_of, path[depth])
        if constraints is None:
            continue
        if not constraints.is_evaluated:
            yield _not_evaluated(path[depth], depth)
            continue
        for lower in range(depth):
            # Key rollover certificates are no use of the names (RFC 5280, section 6.1.3); the leaf always is.
            if lower == 0 or not work.once(is_self_issued, path[lower]):
                yield from _check_names(path, lower, depth, constraints, work)


@dataclass(frozen=True, slots=True)
class _Constraints:
    """One name constraints extension."""

    permitted: _Names
    excluded: _Names
    #: Whether there is nothing in it but what is shown here.
    is_evaluated: bool


def _constraints_of(issuer: Certificate) -> _Constraints | None:
    extension = issuer.extension(ExtensionOID.NAME_CONSTRAINTS)
    if extension is None:
        return None
    value: x509.NameConstraints = extension.value
    return _Constraints(
        _by_kind(value.permitted_subtrees or ()),
        _by_kind(value.excluded_subtrees or ()),
        # The parsed form leaves out minimum and maximum distances, which RFC 5280 does not want.
        is_evaluated=_raw_constraints(issuer) == value.public_bytes(),
    )


def _check_names(
    path: Sequence[Certificate], lower: int, depth: int, constraints: _Constraints, work: Work
) -> Iterator[Problem]:
    """Names of the certificate at ``lower`` that the CA at ``depth`` may not certify."""
    names = work.once(_names_of_leaf if lower == 0 else _names_of, path[lower])
    for kind in names:
        permitted, excluded = constraints.permitted.get(kind, []), constraints.excluded.get(kind, [])
        work.spend_comparisons(len(names[kind]) * (len(permitted) + len(excluded)))
        if not permitted and not excluded:
            continue
        outside = _outside(names[kind], permitted, excluded, NAME_TYPES.get(kind, NEVER_COMPARED))
        # A few examples say it; there may be thousands.
        for name, where in islice(outside, _MAX_EXAMPLES):
            detail = (
                f"the name {_text(name)} of {subject_of(path[lower])} is {where}"
                f" the names that {subject_of(path[depth])} may certify"
            )
            yield Problem(Reason.NAME_CONSTRAINT_VIOLATED, detail, lower, path[lower])


def _outside(
    names: list[Any], permitted: list[Any], excluded: list[Any], name_type: NameType
) -> Iterator[tuple[Any, str]]:
    limits = [name_type.read_base(base) for base in permitted]
    forbidden = [name_type.read_base(base) for base in excluded]
    for name in names:
        found = None if name is None else name_type.read_name(name)
        # Excluded is asked first: it holds whatever is permitted.
        if any(name_type.may_be_within(found, base) for base in forbidden):
            yield name, "excluded from"
        elif limits and not any(name_type.is_within(found, base) for base in limits):
            yield name, "not among"


def _by_kind(names: Iterable[x509.GeneralName]) -> _Names:
    sorted_names: defaultdict[Kind, list[Any]] = defaultdict(list)
    for name in names:
        kind: Kind = (x509.OtherName, name.type_id.dotted_string) if isinstance(name, x509.OtherName) else type(name)
        sorted_names[kind].append(name.value)
    return dict(sorted_names)


def _names_of(certificate: Certificate) -> _Names:
    """All names of a certificate that constraints may concern; ``None`` is one that cannot be compared."""
    extension = certificate.extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    names = _by_kind(extension.value if extension else ())
    if certificate.subject_name.rdns:
        names.setdefault(x509.DirectoryName, []).append(certificate.subject_name)
    addresses: list[Any] = [a.value for a in certificate.subject_name.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)]
    # RFC 9598, section 6: the constraints of rfc822Name concern mailboxes with other letters too.
    addresses += [None] * len(names.get(_SMTP_UTF8_MAILBOX, ()))
    if addresses:
        names.setdefault(x509.RFC822Name, []).extend(addresses)
    return names


def _names_of_leaf(certificate: Certificate) -> _Names:
    """As OpenSSL: without DNS SANs, somebody will take a common name that looks like a host for one."""
    names = _names_of(certificate)
    if x509.DNSName not in names:
        hosts = [name for name in certificate.common_names if "." in name and is_host_name(name)]
        if hosts:
            names[x509.DNSName] = hosts
    return names


def _text(name: Any) -> str:
    if isinstance(name, x509.Name):
        return printable(name.rfc4514_string())
    return repr(printable(name)) if isinstance(name, str) else printable(str(name))


def _raw_constraints(certificate: Certificate) -> bytes | None:
    """The value of the extension as it stands in the certificate (RFC 5280, section 4.1.2.9)."""
    try:
        *_, wrapper = asn1.read(certificate.tbs).children()
        for extension in asn1.read(wrapper.value).children():
            oid, *_, value = extension.children()
            if oid.raw == _NAME_CONSTRAINTS_DER:
                return value.value
    except (asn1.DerError, ValueError):
        pass
    return None


def _not_evaluated(issuer: Certificate, depth: int) -> Problem:
    detail = (
        f"the name constraints of {subject_of(issuer)} cannot be evaluated"
        " (they have minimum or maximum distances, or are not DER); nothing below it is accepted"
    )
    return Problem(Reason.NAME_CONSTRAINT_VIOLATED, detail, depth, issuer)
