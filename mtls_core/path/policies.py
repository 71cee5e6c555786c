"""Certificate policies, as far as they decide anything without a policy tree (RFC 5280, sections 6.1.2 to 6.1.5).

Nobody here asks for a policy, so the tree decides only where a certificate of the path requires an explicit one. That
is counted as the RFC counts it; and where it takes effect, the path is refused, whatever policies its certificates
name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography.x509.oid import ExtensionOID, ObjectIdentifier

from .. import der as asn1
from ..certificate import Certificate
from ..errors import Problem, Reason
from .distinguished_names import is_self_issued
from .problems import subject_of
from .work import Work

#: cryptography has no class for it.
POLICY_MAPPINGS = ObjectIdentifier("2.5.29.33")

_ANY_POLICY = bytes.fromhex("0604551d2000")


def check_policies(issued: Sequence[Certificate], work: Work) -> Iterator[Problem]:
    """Policy mappings that the RFC forbids, and explicit policies that would be needed.

    :param issued: The path without its anchor, leaf first.
    """
    # How many certificates may follow before an explicit policy is needed, and who said so.
    remaining, source = len(issued) + 1, None
    for depth in range(len(issued) - 1, -1, -1):
        certificate = issued[depth]
        if depth and work.once(_maps_any_policy, certificate):
            detail = (
                f"{subject_of(certificate)} maps anyPolicy, which must not be mapped, or its mappings cannot be read"
            )
            yield Problem(Reason.POLICY_NOT_SATISFIED, detail, depth, certificate)
        if remaining and (depth == 0 or not work.once(is_self_issued, certificate)):
            remaining -= 1
        required = _explicit_policy(certificate)
        # In the leaf only a zero means something: nothing follows it (section 6.1.5 (b)).
        if required is not None and required < remaining and (depth or required == 0):
            remaining, source = required, depth
    if remaining == 0:
        culprit = issued[source or 0]
        detail = (
            f"{subject_of(culprit)} requires an explicit certificate policy;"
            " policies are not evaluated here, so the path is not accepted"
        )
        yield Problem(Reason.POLICY_NOT_SATISFIED, detail, source or 0, culprit)


def _explicit_policy(certificate: Certificate) -> int | None:
    extension = certificate.extension(ExtensionOID.POLICY_CONSTRAINTS)
    required: int | None = extension.value.require_explicit_policy if extension else None
    return required


def _maps_any_policy(certificate: Certificate) -> bool:
    extension = certificate.extension(POLICY_MAPPINGS)
    if extension is None:
        return False
    try:
        mappings = asn1.read_all(extension.value.value).children()
        return any(policy.raw == _ANY_POLICY for mapping in mappings for policy in mapping.children())
    except asn1.DerError:
        return True
