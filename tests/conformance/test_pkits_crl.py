"""NIST's Public Key Interoperability Test Suite with its revocation lists: every certificate of a path must be cleared.

All lists and all CA certificates of the suite are at hand in every test, more than each test gives: what does not
belong to it must not help, nor harm.
"""

from __future__ import annotations

from functools import cache

import pytest

from mtls_core.certificate import Certificate
from mtls_core.errors import CertificateRejected, MalformedCertificate, Reason
from mtls_core.path.build import PathBuilder
from mtls_core.path.work import Work
from mtls_core.revocation.crl import CertificateList, judge
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Answer, Status

from .test_pkits import AT, CASES, FOLDER, POLICY_LEAVES, STRICTER, _problems, _read, _verifier

#: Section, and the leaves of its tests 1, 2, ... without their "Test<number>EE".
SECTIONS: dict[str, tuple[str, ...]] = {
    "4.4": (
        "InvalidMissingCRL",
        "InvalidRevokedCA",
        "InvalidRevokedEE",
        "InvalidBadCRLSignature",
        "InvalidBadCRLIssuerName",
        "InvalidWrongCRL",
        "ValidTwoCRLs",
        "InvalidUnknownCRLEntryExtension",
        "InvalidUnknownCRLExtension",
        "InvalidUnknownCRLExtension",
        "InvalidOldCRLnextUpdate",
        "Invalidpre2000CRLnextUpdate",
        "ValidGeneralizedTimeCRLnextUpdate",
        "ValidNegativeSerialNumber",
        "InvalidNegativeSerialNumber",
        "ValidLongSerialNumber",
        "ValidLongSerialNumber",
        "InvalidLongSerialNumber",
        "ValidSeparateCertificateandCRLKeys",
        "InvalidSeparateCertificateandCRLKeys",
        "InvalidSeparateCertificateandCRLKeys",
    ),
    "4.14": (
        "ValiddistributionPoint",
        "InvaliddistributionPoint",
        "InvaliddistributionPoint",
        "ValiddistributionPoint",
        "ValiddistributionPoint",
        "InvaliddistributionPoint",
        "ValiddistributionPoint",
        "InvaliddistributionPoint",
        "InvaliddistributionPoint",
        "ValidNoissuingDistributionPoint",
        "InvalidonlyContainsUserCerts",
        "InvalidonlyContainsCACerts",
        "ValidonlyContainsCACerts",
        "InvalidonlyContainsAttributeCerts",
        "InvalidonlySomeReasons",
        "InvalidonlySomeReasons",
        "InvalidonlySomeReasons",
        "ValidonlySomeReasons",
        "ValidonlySomeReasons",
        "InvalidonlySomeReasons",
        "InvalidonlySomeReasons",
        "ValidIDPwithindirectCRL",
        "InvalidIDPwithindirectCRL",
        "ValidIDPwithindirectCRL",
        "ValidIDPwithindirectCRL",
        "InvalidIDPwithindirectCRL",
        "InvalidcRLIssuer",
        "ValidcRLIssuer",
        "ValidcRLIssuer",
        "ValidcRLIssuer",
        "InvalidcRLIssuer",
        "InvalidcRLIssuer",
        "ValidcRLIssuer",
        "InvalidcRLIssuer",
        "InvalidcRLIssuer",
    ),
    "4.15": (
        "InvaliddeltaCRLIndicatorNoBase",
        "ValiddeltaCRL",
        "InvaliddeltaCRL",
        "InvaliddeltaCRL",
        "ValiddeltaCRL",
        "InvaliddeltaCRL",
        "ValiddeltaCRL",
        "ValiddeltaCRL",
        "InvaliddeltaCRL",
        "InvaliddeltaCRL",
    ),
}
REVOCATION_CASES = [
    (f"{section}.{number}", f"{name}Test{number}EE")
    for section, names in SECTIONS.items()
    for number, name in enumerate(names, 1)
]

#: Of the invalid ones, those that are revoked, or whose CA is; nothing is known about the others.
REVOKED = {
    *("4.4.2", "4.4.3", "4.4.8", "4.4.15", "4.4.18", "4.4.20"),
    *("4.14.2", "4.14.6", "4.14.15", "4.14.16", "4.14.20", "4.14.21", "4.14.23", "4.14.31", "4.14.32", "4.14.34"),
    *("4.15.3", "4.15.4", "4.15.6", "4.15.9"),
}

#: Their lists say what the document expects; as the certificate of a client the verifier takes neither.
NOT_FOR_CLIENTS = {
    "4.14.13",  # a CA
}

POLICY = RevocationPolicy(mode="required")
_ANCHOR = "TrustAnchorRootCertificate"


@cache
def _cas() -> tuple[Certificate, ...]:
    certificates = []
    for path in sorted(FOLDER.glob("*.crt")):
        if not path.stem.endswith("EE") and path.stem != _ANCHOR:
            try:
                certificates.append(_read(path.stem))
            except MalformedCertificate:
                assert path.stem == "DSAParametersInheritedCACert"
    return tuple(certificates)


@cache
def _lists() -> tuple[CertificateList, ...]:
    files = sorted((FOLDER.parent / "crls").glob("*.crl"))
    assert len(files) == 173
    return tuple(CertificateList.from_der(file.read_bytes(), source=file.stem) for file in files)


def _path(leaf: Certificate) -> tuple[Certificate, ...]:
    """The path that the names and signatures lead along, whatever else is wrong with it."""
    builder = PathBuilder([_read(_ANCHOR)], _cas())
    candidates = builder.candidates(leaf, (), Work())
    return next(c.path for c in candidates if c.anchored and c.good_signatures == len(c.path) - 1)


def _answers(path: tuple[Certificate, ...]) -> list[Answer]:
    """What the lists say about each certificate of a path, from the leaf upwards."""
    return [judge(path, depth, _lists(), at=AT, policy=POLICY, signers=_cas()) for depth in range(len(path) - 1)]


def _is_accepted(leaf: str) -> bool:
    try:
        path = _verifier().verify(_read(leaf), at=AT).chain
    except CertificateRejected:
        return False
    return all(answer.status is Status.GOOD for answer in _answers(path))


@pytest.mark.parametrize(("number", "leaf"), REVOCATION_CASES)
def test_lists_say_what_the_document_says(number: str, leaf: str) -> None:
    statuses = {answer.status for answer in _answers(_path(_read(leaf)))}
    assert (statuses == {Status.GOOD}) is leaf.startswith("Valid")
    assert (Status.REVOKED in statuses) is (number in REVOKED)


@pytest.mark.parametrize(("number", "leaf"), [*CASES, *REVOCATION_CASES])
def test_a_certificate_is_accepted_if_the_document_says_so_and_no_stricter_rule_forbids_it(
    number: str, leaf: str
) -> None:
    refused = number in STRICTER or number in NOT_FOR_CLIENTS
    assert _is_accepted(leaf) is (leaf.startswith("Valid") and not refused)


def test_what_the_document_says_holds_for_159_of_161_but_for_cas_as_clients() -> None:
    """The two are DSA. A CA's certificate is refused as a client's for that reason alone."""
    leaves = dict([*CASES, *REVOCATION_CASES])
    cas = {number for number, leaf in leaves.items() if _is_a_ca(leaf) and leaf.startswith("Valid")}
    assert cas == {"4.6.8", "4.6.14", "4.14.13"}
    assert all(_problems(leaves[number]) == {Reason.CA_CERTIFICATE} for number in cas)
    agreeing = [number for number, leaf in leaves.items() if _is_accepted(leaf) is leaf.startswith("Valid")]
    assert len({*agreeing, *cas}) == 159


def _is_a_ca(leaf: str) -> bool:
    try:
        return _read(leaf).is_ca
    except MalformedCertificate:
        return False


@pytest.mark.parametrize("leaf", POLICY_LEAVES)
def test_lists_do_not_make_a_policy_satisfied(leaf: str) -> None:
    assert not _is_accepted(leaf)


def test_all_tests_of_the_sections_are_there() -> None:
    assert {section: len(names) for section, names in SECTIONS.items()} == {"4.4": 21, "4.14": 35, "4.15": 10}
    assert len(CASES) + len(REVOCATION_CASES) == 161
