"""Which paths are proposed, in which order, and for how much work."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.x509.oid import ExtensionOID, NameOID

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA
from mtls_core.errors import CertificateRejected, Reason
from mtls_core.path.build import Candidate, PathBuilder
from mtls_core.path.distinguished_names import canonical
from mtls_core.path.search import find_path
from mtls_core.path.work import MAX_SIGNATURE_CHECKS, Work, WorkLimitExceeded

from .crafting import (
    AT,
    DNS,
    PRINTABLE_STRING,
    RULES,
    UTF8_STRING,
    certificate_for,
    make_root,
    problems_of,
    raw_name,
    raw_names,
    reasons_of,
    refusal,
    resign,
    set_fields,
    verifier,
    verify,
)

NO_KEY_IDS = [ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.SUBJECT_KEY_IDENTIFIER]


@pytest.fixture(scope="module")
def root() -> DevelopmentCA:
    return make_root()


def _candidates(builder: PathBuilder, leaf: Certificate, *sent: Certificate) -> list[Candidate]:
    return list(builder.candidates(leaf, sent, Work()))


def _anchored(builder: PathBuilder, leaf: Certificate, *sent: Certificate) -> list[tuple[Certificate, ...]]:
    return [candidate.path for candidate in _candidates(builder, leaf, *sent) if candidate.anchored]


def _line(root: DevelopmentCA, length: int) -> DevelopmentCA:
    """A CA with so many intermediates from the root to itself."""
    ca = root
    for number in range(length):
        ca = ca.intermediate(f"CA {number}")
    return ca


def _certified_by(issuer: DevelopmentCA, subject: DevelopmentCA, **options: Any) -> DevelopmentCA:
    """The same CA, name and key, under another issuer."""
    return issuer.intermediate(subject.certificate.common_names[0], key=subject.private_key, **options)


def _any_spki() -> bytes:
    return make_root().certificate.spki_der


def _names_issuer(ca: DevelopmentCA, serial_number: int) -> tuple[x509.AuthorityKeyIdentifier, bool]:
    """An authority key identifier without a key, with the issuer and serial number of the CA's certificate."""
    names = [x509.DirectoryName(ca.certificate.issuer_name)]
    return x509.AuthorityKeyIdentifier(None, names, serial_number), False


class TestNames:
    """RFC 5280, section 7.1."""

    @pytest.mark.parametrize(
        ("subject", "issuer", "equal"),
        [
            (("Root CA", UTF8_STRING), ("Root CA", PRINTABLE_STRING), True),
            (("Root CA", UTF8_STRING), ("ROOT ca", UTF8_STRING), True),
            (("Root CA", UTF8_STRING), ("  Root   CA ", UTF8_STRING), True),
            (("Straße", UTF8_STRING), ("STRASSE", UTF8_STRING), True),
            (("\u212bngstr\u00f6m", UTF8_STRING), ("\u00e5ngstro\u0308m", UTF8_STRING), True),
            (("Root CA", UTF8_STRING), ("RootCA", UTF8_STRING), False),
            (("Root CA", UTF8_STRING), ("Root CA 2", UTF8_STRING), False),
            (("Root", UTF8_STRING), ("Root\0", UTF8_STRING), False),
        ],
    )
    def test_comparison(
        self, root: DevelopmentCA, subject: tuple[str, int], issuer: tuple[str, int], equal: bool
    ) -> None:
        fields = {"subject": raw_name(*subject), "issuer": raw_name(*issuer)}
        certificate = resign(root.client("x").certificate, root, set_fields(**fields))
        assert (canonical(certificate.subject_name) == canonical(certificate.issuer_name)) is equal

    def test_the_order_of_rdns_counts_and_that_within_one_does_not(self) -> None:
        country = x509.NameAttribute(NameOID.COUNTRY_NAME, "DE")
        name = x509.NameAttribute(NameOID.COMMON_NAME, "Root")
        assert canonical(x509.Name([country, name])) != canonical(x509.Name([name, country]))
        one, other = x509.RelativeDistinguishedName([country, name]), x509.RelativeDistinguishedName([name, country])
        assert canonical(x509.Name([one])) == canonical(x509.Name([other]))

    def test_two_values_are_not_one(self) -> None:
        one = x509.NameAttribute(NameOID.COMMON_NAME, "Root")
        other = x509.NameAttribute(NameOID.COMMON_NAME, "ROOT")
        both = x509.Name([x509.RelativeDistinguishedName([one, other])])
        assert canonical(both) != canonical(x509.Name([one]))

    def test_a_path_is_found_through_names_that_differ_in_case_and_string_type(self) -> None:
        root = make_root("Root CA")
        leaf = resign(
            root.client("billing").certificate, root, set_fields(issuer=raw_name("root  ca", PRINTABLE_STRING))
        )
        assert verify(verifier(root), leaf)


class TestOrder:
    def test_issuers_in_any_order_and_with_strangers(self, root: DevelopmentCA) -> None:
        ca = _line(root, 3)
        sent = [*reversed(ca.chain), make_root("Stranger").certificate]
        assert _anchored(PathBuilder([root.certificate]), ca.client("x").certificate, *sent)[0][1:] == (
            *ca.chain,
            root.certificate,
        )

    def test_an_anchor_comes_before_a_longer_way(self, root: DevelopmentCA) -> None:
        """A root that is certified by another root too."""
        older = make_root("Older root")
        cross = _certified_by(older, root)
        leaf = root.client("x").certificate
        builder = PathBuilder([older.certificate, root.certificate], [cross.certificate])
        assert _anchored(builder, leaf)[0] == (leaf, root.certificate)

    def test_the_longer_way_is_taken_where_the_anchor_expired(self, root: DevelopmentCA) -> None:
        expired = make_root("Sub", not_before=AT.replace(year=2020), not_after=AT.replace(year=2025))
        cross = _certified_by(root, expired)
        leaf = expired.client("x").certificate
        found = verify(verifier(expired, root), leaf, cross.certificate)
        assert found.chain == (leaf, cross.certificate, root.certificate)

    def test_the_issuer_that_the_key_identifier_names_comes_first(self, root: DevelopmentCA) -> None:
        ca = root.intermediate("Same")
        nameless = [root.intermediate("Same", without=NO_KEY_IDS).certificate for _ in range(3)]
        work = Work()
        leaf = ca.client("x").certificate
        builder = PathBuilder([root.certificate], [*nameless, ca.certificate])
        assert next(builder.candidates(leaf, (), work)).path == (leaf, ca.certificate, root.certificate)

    def test_an_issuer_with_another_key_identifier_is_not_tried(self, root: DevelopmentCA) -> None:
        others = [root.intermediate("Same").certificate for _ in range(MAX_SIGNATURE_CHECKS + 1)]
        ca = root.intermediate("Same")
        leaf = ca.client("x").certificate
        assert _anchored(PathBuilder([root.certificate], [*others, ca.certificate]), leaf)

    def test_an_issuer_with_another_serial_number_is_not_tried(self, root: DevelopmentCA) -> None:
        number = root.certificate.serial_number
        assert verify(verifier(root), root.client("x", extensions=[_names_issuer(root, number)]))
        error = refusal(verifier(root), root.client("x", extensions=[_names_issuer(root, number + 1)]))
        assert error.reason is Reason.ISSUER_NOT_FOUND

    def test_an_issuer_with_another_issuer_is_not_tried(self, root: DevelopmentCA) -> None:
        named = _names_issuer(make_root("Elsewhere"), root.certificate.serial_number)
        error = refusal(verifier(root), root.client("x", extensions=[named]))
        assert error.reason is Reason.ISSUER_NOT_FOUND

    def test_the_same_input_gives_the_same_candidates(self, root: DevelopmentCA) -> None:
        ca = _line(root, 2)
        decoys = [make_root("CA 1", without=NO_KEY_IDS).certificate for _ in range(3)]
        leaf = ca.client("x").certificate
        builder = PathBuilder([root.certificate])
        assert _candidates(builder, leaf, *decoys, *ca.chain) == _candidates(builder, leaf, *decoys, *ca.chain)


class TestKeyRollover:
    def test_a_new_key_certified_with_the_old_one(self) -> None:
        old, new = make_root("CA"), make_root("CA")
        bridge = _certified_by(old, new)
        leaf = new.client("x").certificate
        assert verify(verifier(old), leaf, bridge.certificate).chain == (leaf, bridge.certificate, old.certificate)

    def test_an_old_key_certified_with_the_new_one(self) -> None:
        old, new = make_root("CA"), make_root("CA")
        bridge = _certified_by(new, old)
        leaf = old.client("x").certificate
        assert verify(verifier(new), leaf, bridge.certificate).chain == (leaf, bridge.certificate, new.certificate)


class TestLoops:
    def test_cas_that_certify_each_other(self, root: DevelopmentCA) -> None:
        one, two = root.intermediate("One"), make_root("Two")
        leaf = two.client("x").certificate
        sent = [_certified_by(one, two).certificate, _certified_by(two, one).certificate]
        for candidate in _candidates(PathBuilder([root.certificate]), leaf, *sent):
            keys = [(c.subject_der, c.spki_der) for c in candidate.path]
            assert len(set(keys)) == len(keys)

    def test_they_do_not_hide_the_way_out(self, root: DevelopmentCA) -> None:
        one, two = root.intermediate("One"), make_root("Two")
        leaf = two.client("x").certificate
        sent = [_certified_by(two, one).certificate, _certified_by(one, two).certificate, one.certificate]
        assert len(verify(verifier(root), leaf, *sent).chain) == 4

    def test_a_renewed_root_that_was_sent_is_no_step_of_its_own(self, root: DevelopmentCA) -> None:
        renewed = make_root(key=root.private_key)
        leaf = root.client("x").certificate
        assert _anchored(PathBuilder([root.certificate]), leaf, renewed.certificate) == [(leaf, root.certificate)]


class TestLength:
    def test_eight_intermediates(self, root: DevelopmentCA) -> None:
        issued = _line(root, 8).client("x")
        assert len(verify(verifier(root), issued).chain) == 10

    def test_nine_are_not_followed(self, root: DevelopmentCA) -> None:
        issued = _line(root, 9).client("x")
        error = refusal(verifier(root, intermediates=issued.chain), issued.certificate)
        assert (error.reason, error.depth) == (Reason.WORK_LIMIT_EXCEEDED, 8)
        assert "more than 8 intermediates" in error.detail


class TestWork:
    """P18, CVE-2026-32280, RUSTSEC-2023-0053: whoever sends certificates does not decide how long it takes."""

    def test_five_hundred_issuers_of_one_name(self, root: DevelopmentCA) -> None:
        one = root.intermediate("Same", without=NO_KEY_IDS)
        crowd = [resign(one.certificate, root, set_fields(spki=_any_spki())) for _ in range(500)]
        leaf = make_root("Same").client("x", without=NO_KEY_IDS).certificate
        error = refusal(verifier(root, intermediates=crowd), leaf)
        assert error.reason is Reason.WORK_LIMIT_EXCEEDED
        assert "64 signatures" in error.detail

    def test_a_few_issuers_of_one_name(self, root: DevelopmentCA) -> None:
        crowd = [root.intermediate("Same", without=NO_KEY_IDS) for _ in range(20)]
        leaf = crowd[-1].client("x", without=NO_KEY_IDS)
        assert verify(verifier(root, intermediates=[ca.certificate for ca in crowd]), leaf)

    @pytest.mark.parametrize(("decoys", "accepted"), [(62, True), (63, False)])
    def test_the_last_signature_that_is_checked(self, root: DevelopmentCA, decoys: int, accepted: bool) -> None:
        """Besides those of the decoys, the leaf's own and its issuer's."""
        ca = root.intermediate("Same", without=NO_KEY_IDS)
        crowd = [resign(ca.certificate, root, set_fields(spki=_any_spki())) for _ in range(decoys)]
        judge = verifier(root, intermediates=[*crowd, ca.certificate])
        leaf = ca.client("x", without=NO_KEY_IDS)
        if accepted:
            assert verify(judge, leaf)
        else:
            error = refusal(judge, leaf.certificate)
            assert (error.reason, error.depth) == (Reason.WORK_LIMIT_EXCEEDED, 0)

    def test_a_mesh_of_cas_that_all_certify_each_other(self, root: DevelopmentCA) -> None:
        """Without a count of repeated steps it has 8! paths."""
        members = [make_root(f"Member {n}") for n in range(8)]
        mesh = [_certified_by(a, b).certificate for a in members for b in members if a is not b]
        builder = PathBuilder([root.certificate], mesh)
        with pytest.raises(WorkLimitExceeded):
            _candidates(builder, members[0].client("x").certificate)

    def test_a_mesh_costs_no_more_than_its_budget(self, root: DevelopmentCA) -> None:
        """75 ms of CPU are what P18 allows; three times that, for a slow machine."""
        members = [make_root(f"Member {n}") for n in range(8)]
        mesh = [_certified_by(a, b).certificate for a in members for b in members if a is not b]
        judge, leaf = verifier(root, intermediates=mesh), members[0].client("x").certificate
        start = time.process_time()
        assert refusal(judge, leaf).reason is Reason.WORK_LIMIT_EXCEEDED
        assert time.process_time() - start < 0.225

    def test_large_certificates_are_looked_at_once(self) -> None:
        """Nine of one name, each with hundreds of malformed names, in every order: every path ends at the anchor."""
        anchor = make_root("X", without=NO_KEY_IDS)
        names = raw_names(*((DNS, b"a..%d" % number) for number in range(700)))
        options: Any = {"without": NO_KEY_IDS, "hash": "sha1"}
        sent = [make_root("X").intermediate("X", extensions=[names], **options).certificate for _ in range(9)]
        leaf = make_root("X").client("x", **options).certificate
        judge, start = verifier(anchor), time.process_time()
        assert refusal(judge, leaf, *sent).reason is Reason.FORBIDDEN_ALGORITHM
        assert time.process_time() - start < 0.225

    def test_what_a_whole_path_lacks_is_told_before_the_limit(self, root: DevelopmentCA) -> None:
        ca = root.intermediate("Same", without=NO_KEY_IDS)
        crowd = [resign(ca.certificate, root, set_fields(spki=_any_spki())) for _ in range(70)]
        expired = ca.client("x", without=NO_KEY_IDS, not_after=AT.replace(year=2025)).certificate
        error = refusal(verifier(root, intermediates=[ca.certificate, *crowd]), expired)
        assert [problem.reason for problem in error.problems] == [Reason.EXPIRED, Reason.WORK_LIMIT_EXCEEDED]


class TestDecoys:
    """What somebody adds to the certificates that are sent does not change what is reported."""

    def test_beside_an_expired_leaf(self, root: DevelopmentCA) -> None:
        leaf = root.client("x", not_after=AT.replace(year=2025), without=NO_KEY_IDS).certificate
        decoys = [make_root(without=NO_KEY_IDS).certificate, make_root(key="rsa1024", without=NO_KEY_IDS).certificate]
        assert reasons_of(root, leaf, *decoys) == reasons_of(root, leaf) == [(Reason.EXPIRED, 0)]

    def test_beside_an_unknown_issuer(self, root: DevelopmentCA) -> None:
        leaf = make_root("Elsewhere").client("x", without=NO_KEY_IDS).certificate
        decoy = make_root("Elsewhere", without=NO_KEY_IDS).certificate
        assert reasons_of(root, leaf, decoy) == reasons_of(root, leaf) == [(Reason.ISSUER_NOT_FOUND, 0)]

    def test_beside_a_forged_leaf(self, root: DevelopmentCA) -> None:
        leaf = resign(root.client("x", without=NO_KEY_IDS).certificate, make_root(), lambda tbs: None)
        decoys = [make_root(without=NO_KEY_IDS).certificate, make_root(key="rsa1024", without=NO_KEY_IDS).certificate]
        assert reasons_of(root, leaf, *decoys) == reasons_of(root, leaf) == [(Reason.SIGNATURE_INVALID, 0)]

    def test_beside_a_good_leaf(self, root: DevelopmentCA) -> None:
        leaf = root.client("x", without=NO_KEY_IDS).certificate
        decoys = [make_root(without=NO_KEY_IDS).certificate for _ in range(8)]
        assert verify(verifier(root), leaf, *decoys)

    def test_a_decoy_for_the_intermediate(self, root: DevelopmentCA) -> None:
        ca = root.intermediate("Sub", not_after=AT.replace(year=2026, month=5), not_before=AT.replace(year=2025))
        issued = ca.client("x", without=NO_KEY_IDS)
        decoys = [root.intermediate("Sub", without=NO_KEY_IDS).certificate, make_root("Sub").certificate]
        assert reasons_of(root, issued.certificate, *decoys, *issued.chain) == [(Reason.EXPIRED, 1)]

    def test_an_impostors_root_is_untrusted_although_it_has_the_name_of_an_anchor(self, root: DevelopmentCA) -> None:
        impostor = make_root(without=NO_KEY_IDS)
        leaf = impostor.client("x", without=NO_KEY_IDS).certificate
        assert reasons_of(root, leaf, impostor.certificate) == [(Reason.UNTRUSTED_ROOT, 1)]


class TestBestCandidate:
    def test_the_path_with_the_fewest_problems_is_reported(self, root: DevelopmentCA) -> None:
        """A CA's old certificate beside its new one."""
        old = root.intermediate("Sub", not_before=AT.replace(year=2020), not_after=AT.replace(year=2025))
        new = _certified_by(root, old)
        server = new.server("orders").certificate
        for sent in ([old, new], [new, old]):
            assert reasons_of(root, server, *(ca.certificate for ca in sent)) == [(Reason.USAGE_NOT_PERMITTED, 0)]

    def test_the_farthest_dead_end_is_reported_with_what_else_is_wrong(self, root: DevelopmentCA) -> None:
        elsewhere = make_root("Elsewhere")
        issued = elsewhere.intermediate("Sub").server("orders", not_after=AT.replace(year=2025))
        assert reasons_of(root, issued.certificate, *issued.chain) == [
            (Reason.ISSUER_NOT_FOUND, 1),
            (Reason.EXPIRED, 0),
            (Reason.USAGE_NOT_PERMITTED, 0),
        ]

    def test_of_two_dead_ends_the_one_with_more_good_signatures_is_reported(self, root: DevelopmentCA) -> None:
        """Two CAs of one name and key: one was issued by nobody known, the other by a CA that was sent."""
        upper = make_root("Upper").intermediate("Middle")
        long_way = upper.intermediate("Same")
        short_way = _certified_by(make_root("Nobody"), long_way)
        leaf = long_way.client("x").certificate
        for sent in ([short_way, upper, long_way], [long_way, upper, short_way]):
            [problem] = problems_of(root, leaf, *(ca.certificate for ca in sent))
            assert (problem.reason, problem.depth) == (Reason.ISSUER_NOT_FOUND, 2)
            assert "CN=Upper" in problem.detail

    def test_what_follows_a_bad_signature_does_not_count(self, root: DevelopmentCA) -> None:
        """A decoy with a long way behind it is no better than one with none."""
        decoy = make_root("Upper").intermediate("Middle").intermediate("Same", without=NO_KEY_IDS)
        leaf = make_root("Same").client("x", without=NO_KEY_IDS).certificate
        assert reasons_of(root, leaf, decoy.certificate, *decoy.chain) == [(Reason.ISSUER_NOT_FOUND, 0)]

    def test_of_two_equal_ones_the_first_is_reported(self, root: DevelopmentCA) -> None:
        old = root.intermediate("Same", not_before=AT.replace(year=2020), not_after=AT.replace(year=2024))
        other = _certified_by(root, old, not_before=AT.replace(year=2020), not_after=AT.replace(year=2025))
        leaf = old.client("x").certificate
        for first, second in ((old, other), (other, old)):
            [problem] = problems_of(root, leaf, first.certificate, second.certificate)
            assert problem.certificate == first.certificate

    def test_a_forged_intermediate(self, root: DevelopmentCA) -> None:
        ca = root.intermediate("Sub")
        forged = resign(ca.certificate, make_root(), lambda tbs: None)
        assert reasons_of(root, ca.client("x").certificate, forged) == [(Reason.SIGNATURE_INVALID, 1)]
        assert problems_of(root, ca.client("x").certificate, ca.certificate) == ()

    def test_a_self_signed_leaf_has_a_reason_of_its_own(self, root: DevelopmentCA) -> None:
        with pytest.raises(CertificateRejected) as caught:
            find_path(PathBuilder([root.certificate]), make_root("Other").certificate, (), RULES, Work())
        assert caught.value.reason is Reason.SELF_SIGNED

    def test_a_weak_issuer_is_not_asked_to_verify(self, root: DevelopmentCA) -> None:
        """Its signature stays unchecked, which is no problem of its own beside the weak key."""
        weak = root.intermediate("Sub", key="rsa1024")
        issued = weak.client("x")
        assert reasons_of(root, issued.certificate, *issued.chain) == [(Reason.WEAK_KEY, 1)]

    def test_every_link_is_named_after_the_one_above_it(self, root: DevelopmentCA) -> None:
        issued = _line(root, 4).client("x")
        path = verify(verifier(root), issued).chain
        assert all(one.issuer == other.subject for one, other in pairwise(path))

    def test_an_issuer_whose_key_signs_nothing(self, root: DevelopmentCA) -> None:
        key = x25519.X25519PrivateKey.generate().public_key()
        middle = certificate_for(key, root, "Sub", ca=True)
        leaf = resign(root.client("x", without=NO_KEY_IDS).certificate, root, set_fields(issuer=raw_name("Sub")))
        assert reasons_of(root, leaf, middle) == [(Reason.FORBIDDEN_ALGORITHM, 1)]
