"""NIST's Public Key Interoperability Test Suite (PKITS 1.0.1), the sections that need no revocation lists.

Its certificates come with the package cryptography_vectors. The expected outcome of each test is that of the document;
the file of the leaf says it too (Valid..., Invalid...). Refusing more than the document is allowed where the reason is
listed below; accepting more never.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import cryptography_vectors
import pytest

from mtls_core.certificate import Certificate
from mtls_core.errors import CertificateRejected, Reason
from mtls_core.trust import TrustStore
from mtls_core.verifier import ClientPolicy, Verifier

FOLDER = Path(str(cryptography_vectors.__file__)).parent / "x509" / "PKITS_data" / "certs"
#: The certificates that are to be expired are so from 2011 on.
AT = datetime(2020, 1, 1, tzinfo=UTC)

#: Section, and the leaves of its tests 1, 2, ... without their "Test<number>EE".
SECTIONS: dict[str, tuple[str, ...]] = {
    "4.1": (
        "ValidCertificatePath",
        "InvalidCASignature",
        "InvalidEESignature",
        "ValidDSASignatures",
        "ValidDSAParameterInheritance",
        "InvalidDSASignature",
    ),
    "4.2": (
        "InvalidCAnotBeforeDate",
        "InvalidEEnotBeforeDate",
        "Validpre2000UTCnotBeforeDate",
        "ValidGeneralizedTimenotBeforeDate",
        "InvalidCAnotAfterDate",
        "InvalidEEnotAfterDate",
        "Invalidpre2000UTCEEnotAfterDate",
        "ValidGeneralizedTimenotAfterDate",
    ),
    "4.3": (
        "InvalidNameChaining",
        "InvalidNameChainingOrder",
        "ValidNameChainingWhitespace",
        "ValidNameChainingWhitespace",
        "ValidNameChainingCapitalization",
        "ValidNameUIDs",
        "ValidRFC3280MandatoryAttributeTypes",
        "ValidRFC3280OptionalAttributeTypes",
        "ValidUTF8StringEncodedNames",
        "ValidRolloverfromPrintableStringtoUTF8String",
        "ValidUTF8StringCaseInsensitiveMatch",
    ),
    "4.5": (
        "ValidBasicSelfIssuedOldWithNew",
        "InvalidBasicSelfIssuedOldWithNew",
        "ValidBasicSelfIssuedNewWithOld",
        "ValidBasicSelfIssuedNewWithOld",
        "InvalidBasicSelfIssuedNewWithOld",
        "ValidBasicSelfIssuedCRLSigningKey",
        "InvalidBasicSelfIssuedCRLSigningKey",
        "InvalidBasicSelfIssuedCRLSigningKey",
    ),
    "4.6": (
        "InvalidMissingbasicConstraints",
        "InvalidcAFalse",
        "InvalidcAFalse",
        "ValidbasicConstraintsNotCritical",
        "InvalidpathLenConstraint",
        "InvalidpathLenConstraint",
        "ValidpathLenConstraint",
        "ValidpathLenConstraint",
        "InvalidpathLenConstraint",
        "InvalidpathLenConstraint",
        "InvalidpathLenConstraint",
        "InvalidpathLenConstraint",
        "ValidpathLenConstraint",
        "ValidpathLenConstraint",
        "ValidSelfIssuedpathLenConstraint",
        "InvalidSelfIssuedpathLenConstraint",
        "ValidSelfIssuedpathLenConstraint",
    ),
    "4.7": (
        "InvalidkeyUsageCriticalkeyCertSignFalse",
        "InvalidkeyUsageNotCriticalkeyCertSignFalse",
        "ValidkeyUsageNotCritical",
        "InvalidkeyUsageCriticalcRLSignFalse",
        "InvalidkeyUsageNotCriticalcRLSignFalse",
    ),
    "4.13": (
        "ValidDNnameConstraints",
        "InvalidDNnameConstraints",
        "InvalidDNnameConstraints",
        "ValidDNnameConstraints",
        "ValidDNnameConstraints",
        "ValidDNnameConstraints",
        "InvalidDNnameConstraints",
        "InvalidDNnameConstraints",
        "InvalidDNnameConstraints",
        "InvalidDNnameConstraints",
        "ValidDNnameConstraints",
        "InvalidDNnameConstraints",
        "InvalidDNnameConstraints",
        "ValidDNnameConstraints",
        "InvalidDNnameConstraints",
        "InvalidDNnameConstraints",
        "InvalidDNnameConstraints",
        "ValidDNnameConstraints",
        "ValidDNnameConstraints",
        "InvalidDNnameConstraints",
        "ValidRFC822nameConstraints",
        "InvalidRFC822nameConstraints",
        "ValidRFC822nameConstraints",
        "InvalidRFC822nameConstraints",
        "ValidRFC822nameConstraints",
        "InvalidRFC822nameConstraints",
        "ValidDNandRFC822nameConstraints",
        "InvalidDNandRFC822nameConstraints",
        "InvalidDNandRFC822nameConstraints",
        "ValidDNSnameConstraints",
        "InvalidDNSnameConstraints",
        "ValidDNSnameConstraints",
        "InvalidDNSnameConstraints",
        "ValidURInameConstraints",
        "InvalidURInameConstraints",
        "ValidURInameConstraints",
        "InvalidURInameConstraints",
        "InvalidDNSnameConstraints",
    ),
    "4.16": (
        "ValidUnknownNotCriticalCertificateExtension",
        "InvalidUnknownCriticalCertificateExtension",
    ),
}

#: Valid to the document, refused here, and why.
STRICTER = {
    "4.1.4": Reason.FORBIDDEN_ALGORITHM,  # DSA
    "4.1.5": Reason.MALFORMED,  # DSA with inherited parameters, which cryptography does not read
    "4.6.8": Reason.CA_CERTIFICATE,  # the end entity is a CA
    "4.6.14": Reason.CA_CERTIFICATE,
}

#: Invalid to the document for a revocation list alone, which nobody reads in these tests; the path itself is good.
REVOCATION_ALONE = {"4.5.2", "4.5.5", "4.5.7", "4.7.4", "4.7.5"}

#: What each refusal has to be for, where the document leaves no doubt.
REASONS = {
    "4.1.2": Reason.SIGNATURE_INVALID,
    "4.1.3": Reason.SIGNATURE_INVALID,
    "4.1.6": Reason.FORBIDDEN_ALGORITHM,
    "4.2.1": Reason.NOT_YET_VALID,
    "4.2.2": Reason.NOT_YET_VALID,
    "4.2.5": Reason.EXPIRED,
    "4.2.6": Reason.EXPIRED,
    "4.2.7": Reason.EXPIRED,
    "4.3.1": Reason.ISSUER_NOT_FOUND,
    "4.3.2": Reason.ISSUER_NOT_FOUND,
    "4.5.8": Reason.ISSUER_NOT_A_CA,
    "4.6.1": Reason.ISSUER_NOT_A_CA,
    "4.6.2": Reason.ISSUER_NOT_A_CA,
    "4.6.3": Reason.ISSUER_NOT_A_CA,
    "4.7.1": Reason.KEY_USAGE_NOT_PERMITTED,
    "4.7.2": Reason.KEY_USAGE_NOT_PERMITTED,
    "4.16.2": Reason.UNKNOWN_CRITICAL_EXTENSION,
}
_REASONS_OF_SECTIONS = {"4.6": Reason.PATH_LENGTH_EXCEEDED, "4.13": Reason.NAME_CONSTRAINT_VIOLATED}

CASES = [
    (f"{section}.{number}", f"{name}Test{number}EE")
    for section, names in SECTIONS.items()
    for number, name in enumerate(names, 1)
]
#: Sections 4.8 to 4.12, policies: refused where they are required, so nothing is accepted that must not be.
POLICY_LEAVES = sorted(path.stem for path in FOLDER.glob("Invalid*olicy*EE.crt"))


def _read(name: str) -> Certificate:
    return Certificate.from_der((FOLDER / f"{name}.crt").read_bytes())


@cache
def _verifier() -> Verifier:
    """Trusts the suite's anchor and knows all of its CA certificates at once: more to get lost in than in each test."""
    names = sorted(path.stem for path in FOLDER.glob("*.crt") if not path.stem.endswith("EE"))
    anchor = "TrustAnchorRootCertificate"
    unreadable = {"DSAParametersInheritedCACert"}
    cas = tuple(_read(name) for name in names if name not in {anchor, *unreadable})
    return Verifier(ClientPolicy(trust=TrustStore((_read(anchor),), cas)))


def _problems(leaf: str) -> set[Reason]:
    """Every reason for which a leaf is refused; none if it is accepted."""
    try:
        _verifier().verify(_read(leaf), at=AT)
    except CertificateRejected as error:
        return {problem.reason for problem in error.problems}
    return set()


def _reason(number: str) -> Reason:
    return REASONS.get(number) or _REASONS_OF_SECTIONS[number.rpartition(".")[0]]


VALID = [(number, leaf) for number, leaf in CASES if leaf.startswith("Valid")]
INVALID = [(number, leaf) for number, leaf in CASES if leaf.startswith("Invalid")]


@pytest.mark.parametrize(("number", "leaf"), VALID)
def test_a_valid_path_is_accepted_unless_it_is_listed(number: str, leaf: str) -> None:
    assert _problems(leaf) >= {STRICTER[number]} if number in STRICTER else not _problems(leaf)


@pytest.mark.parametrize(("number", "leaf"), [case for case in INVALID if case[0] not in REVOCATION_ALONE])
def test_an_invalid_path_is_refused_for_its_reason(number: str, leaf: str) -> None:
    assert _reason(number) in _problems(leaf)


@pytest.mark.parametrize(("number", "leaf"), [case for case in INVALID if case[0] in REVOCATION_ALONE])
def test_a_path_that_only_its_revocation_list_makes_invalid(number: str, leaf: str) -> None:
    assert not _problems(leaf)


@pytest.mark.parametrize("leaf", POLICY_LEAVES)
def test_no_policy_is_taken_for_satisfied(leaf: str) -> None:
    assert Reason.POLICY_NOT_SATISFIED in _problems(leaf)


def test_all_tests_of_the_sections_are_there() -> None:
    counts = {section: len(names) for section, names in SECTIONS.items()}
    assert counts == {"4.1": 6, "4.2": 8, "4.3": 11, "4.5": 8, "4.6": 17, "4.7": 5, "4.13": 38, "4.16": 2}
    assert len(VALID) + len(INVALID) == len(CASES)
    assert len(POLICY_LEAVES) == 23
