"""Each rule for one path: what breaks it, and the twin that does not."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from mtls_core import ber, der
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, self_signed
from mtls_core.errors import MalformedCertificate, Problem, Reason
from mtls_core.path.problems import PRIORITY, most_telling_first, printable
from mtls_core.path.rules import SERVER_AUTHENTICATION, Rules
from mtls_core.path.validate import validate, validate_self_signed
from mtls_core.path.work import Work

from .crafting import (
    AT,
    ECDSA_SHA256,
    ECDSA_SHA384,
    EMAIL,
    RULES,
    Tbs,
    extended,
    key_usage,
    make_root,
    problems_of,
    raw_name,
    raw_names,
    reasons_of,
    resign,
    set_fields,
    verifier,
    verify,
)

PRIVATE_OID = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
POLICY_MAPPINGS = x509.ObjectIdentifier("2.5.29.33")
ANY_POLICY = bytes.fromhex("0604551d2000")
POLICY_ONE = bytes.fromhex("06092b06010401868d1f01")
POLICY_TWO = bytes.fromhex("06092b06010401868d1f02")


@pytest.fixture(scope="module")
def root() -> DevelopmentCA:
    return make_root()


def _reasons(root: DevelopmentCA, leaf: Any, rules: Rules = RULES) -> list[tuple[Reason, int]]:
    return reasons_of(root, leaf.certificate, *leaf.chain, rules=rules)


def _details(root: DevelopmentCA, leaf: Certificate) -> list[str]:
    problems = problems_of(root, leaf)
    assert {problem.reason for problem in problems} <= {Reason.PROFILE_VIOLATION}
    return [problem.detail for problem in problems]


def _subject(*values: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in values])


def _age(tbs: Tbs) -> None:
    """Make it a certificate of version 1."""
    tbs.version = tbs.extensions = b""


class TestPathLength:
    def test_a_ca_below_one_that_allows_none(self, root: DevelopmentCA) -> None:
        issued = root.intermediate("One", path_length=0).intermediate("Two").client("x")
        assert _reasons(root, issued) == [(Reason.PATH_LENGTH_EXCEEDED, 2)]

    def test_a_ca_below_one_that_allows_one(self, root: DevelopmentCA) -> None:
        assert _reasons(root, root.intermediate("One", path_length=1).intermediate("Two").client("x")) == []

    def test_the_leaf_does_not_count(self, root: DevelopmentCA) -> None:
        assert _reasons(root, root.intermediate("One", path_length=0).client("x")) == []

    def test_a_key_rollover_does_not_count(self, root: DevelopmentCA) -> None:
        assert _reasons(root, root.intermediate("One", path_length=0).intermediate("One").client("x")) == []

    def test_the_anchors_limit_holds(self) -> None:
        anchor = make_root(path_length=0)
        assert _reasons(anchor, anchor.client("x")) == []
        assert _reasons(anchor, anchor.intermediate().client("x")) == [(Reason.PATH_LENGTH_EXCEEDED, 2)]


class TestIssuers:
    def test_a_ca_without_basic_constraints(self, root: DevelopmentCA) -> None:
        ca = root.intermediate(without=[ExtensionOID.BASIC_CONSTRAINTS])
        assert (Reason.ISSUER_NOT_A_CA, 1) in _reasons(root, ca.client("x"))

    def test_a_ca_that_may_not_sign_certificates(self, root: DevelopmentCA) -> None:
        crl_only = root.intermediate(extensions=[key_usage("crl_sign")])
        assert _reasons(root, crl_only.client("x")) == [(Reason.KEY_USAGE_NOT_PERMITTED, 1)]
        assert _reasons(root, root.intermediate(extensions=[key_usage("key_cert_sign")]).client("x")) == []

    def test_a_ca_without_key_usage_may(self, root: DevelopmentCA) -> None:
        assert _reasons(root, root.intermediate(without=[ExtensionOID.KEY_USAGE]).client("x")) == []

    def test_an_anchor_that_may_not_sign_certificates(self) -> None:
        anchor = make_root(extensions=[key_usage("crl_sign")])
        assert _reasons(anchor, anchor.client("x")) == [(Reason.KEY_USAGE_NOT_PERMITTED, 1)]

    def test_an_anchor_that_is_no_ca(self) -> None:
        anchor = make_root(extensions=[(x509.BasicConstraints(ca=False, path_length=None), True)])
        assert _reasons(anchor, anchor.client("x")) == [(Reason.ISSUER_NOT_A_CA, 1)]

    def test_basic_constraints_need_not_be_critical(self, root: DevelopmentCA) -> None:
        ca = root.intermediate(extensions=[(x509.BasicConstraints(ca=True, path_length=None), False)])
        assert _reasons(root, ca.client("x")) == []


class TestLinks:
    """The engine stands by itself: also a path that no builder proposed is judged."""

    def test_names_that_do_not_chain(self, root: DevelopmentCA) -> None:
        other = make_root("Other", key=root.private_key)
        leaf = root.client("x").certificate
        problems = validate((leaf, other.certificate), RULES, Work())
        assert [problem.reason for problem in problems] == [Reason.ISSUER_NOT_FOUND]

    def test_a_signature_of_another_key(self, root: DevelopmentCA) -> None:
        leaf = make_root().client("x").certificate
        problems = validate((leaf, root.certificate), RULES, Work())
        assert [problem.reason for problem in problems] == [Reason.SIGNATURE_INVALID]

    def test_a_path_that_is_whole(self, root: DevelopmentCA) -> None:
        assert validate((root.client("x").certificate, root.certificate), RULES, Work()) == ()

    def test_a_self_signed_one_whose_signature_is_not_its_own(self, root: DevelopmentCA) -> None:
        problems = validate_self_signed(root.client("x").certificate, RULES, Work())
        assert [problem.reason for problem in problems] == [Reason.SIGNATURE_INVALID]
        assert validate_self_signed(self_signed("x", at=AT).certificate, RULES, Work()) == ()


class TestPurpose:
    """The engine is told what the leaf is for."""

    RULES = Rules(SERVER_AUTHENTICATION, at=AT)

    def test_a_server_for_servers(self, root: DevelopmentCA) -> None:
        assert _reasons(root, root.server("orders"), self.RULES) == []

    def test_a_client_for_servers(self, root: DevelopmentCA) -> None:
        assert _reasons(root, root.client("x"), self.RULES) == [(Reason.USAGE_NOT_PERMITTED, 0)]

    def test_below_an_issuer_of_clients(self, root: DevelopmentCA) -> None:
        clients_only = root.intermediate(extensions=[extended("1.3.6.1.5.5.7.3.2")])
        assert _reasons(root, clients_only.server("orders"), self.RULES) == [(Reason.USAGE_NOT_PERMITTED, 1)]


class TestCriticalExtensions:
    @pytest.mark.parametrize("place", ["leaf", "intermediate", "anchor"])
    def test_one_that_is_not_known(self, place: str) -> None:
        unknown: Any = {"extensions": [(x509.UnrecognizedExtension(PRIVATE_OID, b"\x05\x00"), True)]}
        anchor = make_root(**unknown if place == "anchor" else {})
        ca = anchor.intermediate(**unknown if place == "intermediate" else {})
        leaf = ca.client("x", **unknown if place == "leaf" else {})
        depth = ["leaf", "intermediate", "anchor"].index(place)
        assert _reasons(anchor, leaf) == [(Reason.UNKNOWN_CRITICAL_EXTENSION, depth)]

    def test_one_that_is_not_critical(self, root: DevelopmentCA) -> None:
        leaf = root.client("x", extensions=[(x509.UnrecognizedExtension(PRIVATE_OID, b"\x05\x00"), False)])
        assert _reasons(root, leaf) == []

    def test_one_that_must_not_be_critical(self, root: DevelopmentCA) -> None:
        """RFC 5280, section 4.2.1.2."""
        key_id = x509.SubjectKeyIdentifier(b"\x01" * 20)
        assert _reasons(root, root.client("x", extensions=[(key_id, True)])) == [(Reason.UNKNOWN_CRITICAL_EXTENSION, 0)]

    def test_those_that_are_understood(self, root: DevelopmentCA) -> None:
        usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.2")])
        policies = x509.CertificatePolicies([x509.PolicyInformation(PRIVATE_OID, None)])
        names = x509.SubjectAlternativeName([x509.DNSName("x.example")])
        leaf = root.client("x", extensions=[(usage, True), (policies, True), (names, True)])
        assert verify(verifier(root), leaf)


class TestProfile:
    """RFC 5280, section 4.1 and 4.2; not asked of anchors."""

    @pytest.mark.parametrize(
        ("number", "good"), [(1, True), (0, False), (-5, False), (2**159 - 1, True), (2**159, False)]
    )
    def test_serial_number(self, root: DevelopmentCA, number: int, good: bool) -> None:
        value = number.to_bytes(number.bit_length() // 8 + 1, signed=True)
        leaf = resign(root.client("x").certificate, root, set_fields(serial=ber.encode(der.INTEGER, value)))
        assert bool(_details(root, leaf)) is not good

    def test_an_empty_subject_needs_critical_names(self, root: DevelopmentCA) -> None:
        names = x509.SubjectAlternativeName([x509.DNSName("billing.internal")])
        assert _details(root, root.issue(None, extensions=[(names, True)]).certificate) == []
        assert len(_details(root, root.issue(None, extensions=[(names, False)]).certificate)) == 1

    def test_an_empty_subject_needs_names(self, root: DevelopmentCA) -> None:
        assert len(_details(root, root.issue(None).certificate)) == 1

    def test_a_ca_needs_a_subject(self, root: DevelopmentCA) -> None:
        nobody = DevelopmentCA(
            resign(root.intermediate().certificate, root, set_fields(subject=ber.encode(der.SEQUENCE))),
            root.intermediate().private_key,
            AT,
            parent=root,
        )
        problems = validate((nobody.certificate, root.certificate), RULES, Work())
        assert any("is a CA without a subject" in problem.detail for problem in problems)

    def test_no_issuer(self) -> None:
        anchor = make_root()
        nameless = resign(anchor.certificate, anchor, set_fields(subject=ber.encode(der.SEQUENCE)))
        leaf = resign(anchor.client("x").certificate, anchor, set_fields(issuer=ber.encode(der.SEQUENCE)))
        problems = validate((leaf, nameless), RULES, Work())
        assert [problem.reason for problem in problems] == [Reason.PROFILE_VIOLATION]
        assert "names no issuer" in problems[0].detail

    def test_subject_alternative_names_without_a_name(self, root: DevelopmentCA) -> None:
        value = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ber.encode(der.SEQUENCE))
        assert len(_details(root, root.client("x", extensions=[(value, False)]).certificate)) == 1

    @pytest.mark.parametrize(
        "name", ["billing", "billing.internal", "a_b.example", "*.example.org", "xn--mnchen-3ya.de"]
    )
    def test_dns_names(self, root: DevelopmentCA, name: str) -> None:
        assert _details(root, root.client("x", dns=[name]).certificate) == []

    @pytest.mark.parametrize(
        "name",
        ["", ".", "a..b", ".example", "example.", "a b", "a\0.example", "*", "*.", "f*.example", "a.*.example", "-"],
    )
    def test_what_is_not_a_dns_name(self, root: DevelopmentCA, name: str) -> None:
        """CVE-2013-4314 for the NUL, CVE-2026-27138 for the empty one."""
        assert len(_details(root, root.client("x", dns=[name]).certificate)) == 1

    @pytest.mark.parametrize(
        ("address", "good"),
        [
            ("a@example.org", True),
            ("a+b@c", True),
            ("example.org", False),
            ("@b", False),
            ("a@", False),
            ("a b@c", False),
            ("a\0@b", False),
        ],
    )
    def test_email_addresses(self, root: DevelopmentCA, address: str, good: bool) -> None:
        leaf = root.client("x", extensions=[raw_names((EMAIL, address.encode()))])
        assert bool(_details(root, leaf.certificate)) is not good

    @pytest.mark.parametrize(
        ("uri", "good"),
        [
            ("https://example.org/a", True),
            ("urn:uuid:1", True),
            ("/a/b", False),
            ("example.org/a", False),
            ("https:", False),
            ("https://a b/", False),
            ("https://a\0.example/", False),
        ],
    )
    def test_uris(self, root: DevelopmentCA, uri: str, good: bool) -> None:
        assert bool(_details(root, root.client("x", uris=[uri]).certificate)) is not good

    def test_a_nul_in_a_common_name(self, root: DevelopmentCA) -> None:
        """CVE-2013-4314."""
        assert len(_details(root, root.client("admin\0.evil").certificate)) == 1

    def test_an_extended_key_usage_without_a_usage(self, root: DevelopmentCA) -> None:
        value = x509.UnrecognizedExtension(ExtensionOID.EXTENDED_KEY_USAGE, ber.encode(der.SEQUENCE))
        with pytest.raises(MalformedCertificate):
            root.issue("x", usage=(), extensions=[(value, False)])

    def test_an_extension_that_stands_there_twice(self, root: DevelopmentCA) -> None:
        leaf = root.client("x").certificate

        def double(tbs: Tbs) -> None:
            extensions = der.read(der.read(tbs.extensions).value).value
            tbs.extensions = ber.encode(0xA3, ber.encode(der.SEQUENCE, extensions, extensions))

        with pytest.raises(MalformedCertificate):
            resign(leaf, root, double)

    def test_a_leaf_that_may_sign_certificates(self, root: DevelopmentCA) -> None:
        leaf = root.client("x", extensions=[key_usage("digital_signature", "key_cert_sign")])
        assert _reasons(root, leaf) == [(Reason.PROFILE_VIOLATION, 0)]

    def test_a_leaf_with_name_constraints(self, root: DevelopmentCA) -> None:
        constraints = x509.NameConstraints([x509.DNSName("example.org")], None)
        leaf = root.client("x", extensions=[(constraints, True)])
        assert _reasons(root, leaf) == [(Reason.PROFILE_VIOLATION, 0)]

    def test_a_policy_that_is_named_twice(self, root: DevelopmentCA) -> None:
        policies = [x509.PolicyInformation(PRIVATE_OID, None)]
        once = root.client("x", extensions=[(x509.CertificatePolicies(policies), False)])
        twice = root.client("x", extensions=[(x509.CertificatePolicies(policies * 2), False)])
        assert _reasons(root, once) == []
        assert _reasons(root, twice) == [(Reason.PROFILE_VIOLATION, 0)]

    def test_other_algorithms_inside_and_outside(self, root: DevelopmentCA) -> None:
        """RFC 5280, section 4.1.1.2; the signature itself is good with the outer one."""
        leaf = root.client("x").certificate
        same = resign(leaf, root, set_fields(algorithm=ECDSA_SHA256), outer=ECDSA_SHA256)
        differing = resign(leaf, root, set_fields(algorithm=ECDSA_SHA384), outer=ECDSA_SHA256)
        assert reasons_of(root, same) == []
        assert reasons_of(root, differing) == [(Reason.PROFILE_VIOLATION, 0)]

    def test_version_1(self, root: DevelopmentCA) -> None:
        assert len(_details(root, resign(root.client("x").certificate, root, _age))) == 1

    def test_an_intermediate_of_version_1_is_no_ca(self, root: DevelopmentCA) -> None:
        ca = root.intermediate()
        leaf = ca.client("x").certificate
        assert reasons_of(root, leaf, resign(ca.certificate, root, _age)) == [
            (Reason.ISSUER_NOT_A_CA, 1),
            (Reason.PROFILE_VIOLATION, 1),
        ]

    def test_an_anchor_is_the_operators_decision(self) -> None:
        """SHA-1, RSA 1024, serial number 0: refused elsewhere, and not looked at in an anchor."""
        anchor = make_root(key="rsa1024", hash="sha1")
        assert verify(verifier(anchor), anchor.client("x"))
        zero = make_root()
        renumbered = resign(zero.certificate, zero, set_fields(serial=bytes.fromhex("020100")))
        assert verify(verifier(renumbered), zero.client("x", without=[ExtensionOID.AUTHORITY_KEY_IDENTIFIER]))


class TestSpiffe:
    """X509-SVID, section 4: a workload's certificate signs nothing and names more than its trust domain."""

    def test_a_workload(self, root: DevelopmentCA) -> None:
        assert _details(root, root.client("x", uris=["spiffe://example.org/billing"]).certificate) == []

    def test_a_trust_domain_is_no_workload(self, root: DevelopmentCA) -> None:
        assert len(_details(root, root.client("x", uris=["spiffe://example.org"]).certificate)) == 1

    def test_a_workload_signs_no_crls(self, root: DevelopmentCA) -> None:
        usage = [key_usage("digital_signature", "crl_sign")]
        assert _details(root, root.client("x", extensions=usage).certificate) == []
        signer = root.client("x", uris=["spiffe://example.org/billing"], extensions=usage)
        assert len(_details(root, signer.certificate)) == 1


def _require_policy(skip: int | None) -> dict[str, Any]:
    return {"extensions": [(x509.PolicyConstraints(skip, 0 if skip is None else None), True)]}


def _map_policy(issuer: bytes, subject: bytes) -> dict[str, Any]:
    mapping = ber.encode(der.SEQUENCE, ber.encode(der.SEQUENCE, issuer, subject))
    return {"extensions": [(x509.UnrecognizedExtension(POLICY_MAPPINGS, mapping), True)]}


class TestPolicies:
    """Without a policy tree: refused where the RFC would need one."""

    @pytest.mark.parametrize(("skip", "good"), [(0, False), (2, False), (3, True), (None, True)])
    def test_an_explicit_policy_that_is_needed_in_time(self, root: DevelopmentCA, skip: int | None, good: bool) -> None:
        """The leaf counts once more at the end (RFC 5280, section 6.1.5 (a))."""
        issued = root.intermediate("One", **_require_policy(skip)).intermediate("Two").client("x")
        assert _reasons(root, issued) == ([] if good else [(Reason.POLICY_NOT_SATISFIED, 2)])

    def test_a_key_rollover_does_not_count(self, root: DevelopmentCA) -> None:
        issued = root.intermediate("One", **_require_policy(3)).intermediate("Two").intermediate("Two").client("x")
        assert _reasons(root, issued) == []

    @pytest.mark.parametrize(("skip", "good"), [(0, False), (1, True)])
    def test_in_the_leaf(self, root: DevelopmentCA, skip: int, good: bool) -> None:
        issued = root.client("x", **_require_policy(skip))
        assert _reasons(root, issued) == ([] if good else [(Reason.POLICY_NOT_SATISFIED, 0)])

    def test_the_anchor_is_not_asked(self) -> None:
        """RFC 5280, section 6.1.1 takes name and key of an anchor; its policies are none of the path."""
        anchor = make_root(**_require_policy(0))
        assert _reasons(anchor, anchor.client("x")) == []

    @pytest.mark.parametrize(
        ("issuer", "subject", "good"),
        [
            (POLICY_ONE, POLICY_TWO, True),
            (ANY_POLICY, POLICY_TWO, False),
            (POLICY_ONE, ANY_POLICY, False),
            (POLICY_ONE, b"\x06", False),
        ],
    )
    def test_mappings(self, root: DevelopmentCA, issuer: bytes, subject: bytes, good: bool) -> None:
        issued = root.intermediate("One", **_map_policy(issuer, subject)).client("x")
        assert _reasons(root, issued) == ([] if good else [(Reason.POLICY_NOT_SATISFIED, 1)])

    def test_policies_that_nobody_requires_do_not_matter(self, root: DevelopmentCA) -> None:
        one = x509.CertificatePolicies([x509.PolicyInformation(PRIVATE_OID, None)])
        issued = root.intermediate("One", extensions=[(one, True)]).client("x")
        assert verify(verifier(root), issued)


class TestSeveralProblems:
    def test_all_are_told(self, root: DevelopmentCA) -> None:
        ca = root.intermediate(not_before=AT.replace(year=2020), not_after=AT.replace(year=2025))
        leaf = ca.server("orders", key="rsa1024", not_after=AT.replace(year=2025), dns=["a..b"])
        assert _reasons(root, leaf) == [
            (Reason.WEAK_KEY, 0),
            (Reason.EXPIRED, 0),
            (Reason.EXPIRED, 1),
            (Reason.USAGE_NOT_PERMITTED, 0),
            (Reason.PROFILE_VIOLATION, 0),
        ]

    def test_each_names_its_certificate(self, root: DevelopmentCA) -> None:
        ca = root.intermediate("Old CA", not_before=AT.replace(year=2020), not_after=AT.replace(year=2025))
        [problem] = problems_of(root, ca.client("x").certificate, ca.certificate)
        assert problem.certificate == ca.certificate
        assert "CN=Old CA" in problem.detail

    def test_an_expired_leaf_of_the_right_ca_says_expired(self, root: DevelopmentCA) -> None:
        leaf = root.issue("x", usage=("server",), not_after=AT.replace(year=2025), extensions=[key_usage("crl_sign")])
        assert _reasons(root, leaf)[0] == (Reason.EXPIRED, 0)

    def test_the_priority_has_every_reason_of_a_path_once(self) -> None:
        later = {
            Reason.SECOND_OPINION,
            Reason.REVOKED,
            Reason.REVOCATION_UNKNOWN,
            Reason.NOT_EXPECTED,
            Reason.NOT_AUTHORIZED,
            Reason.CERTIFICATE_REQUIRED,
            Reason.UNTRUSTED_PROXY,
        }
        assert sorted(PRIORITY) == sorted(set(Reason) - later)

    def test_of_one_kind_the_leafs_comes_first(self) -> None:
        problems = [Problem(Reason.EXPIRED, "", depth) for depth in (2, 0, 1)]
        assert [problem.depth for problem in most_telling_first(problems)] == [0, 1, 2]


class TestPrintable:
    def test_ordinary_text_stays(self) -> None:
        assert printable("CN=Prüfstelle, O=Example") == "CN=Prüfstelle, O=Example"

    @pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x1b[0m", "a\u202eb", "a\u2028b", "a\0b"])
    def test_what_could_change_a_log_does_not(self, text: str) -> None:
        assert printable(text).isprintable()

    def test_it_is_not_endless(self) -> None:
        assert len(printable("a" * 10_000)) < 300


def test_several_common_names_are_all_looked_at(root: DevelopmentCA) -> None:
    subject = _subject((NameOID.COMMON_NAME, "billing"), (NameOID.COMMON_NAME, "admin\0x"))
    assert len(_details(root, root.client("x", subject=subject).certificate)) == 1


def test_a_changed_name_is_a_changed_certificate(root: DevelopmentCA) -> None:
    forged = resign(root.client("x").certificate, make_root(), set_fields(subject=raw_name("admin")))
    assert reasons_of(root, forged) == [(Reason.SIGNATURE_INVALID, 0)]
