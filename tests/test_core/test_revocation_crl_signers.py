"""Lists that somebody else signs than who issued the certificate (RFC 5280, section 6.3.3 (f) and (g))."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.x509.oid import ExtensionOID

from mtls_core.devca import DevelopmentCA, Revocation, scope
from mtls_core.devca.profile import simple_name
from mtls_core.revocation import crl_signers
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Answer, Status

from .crafting import AT, key_usage, make_root
from .revocation_lists import HOUR, ask, point, points

LIST_SIGNER = [key_usage("crl_sign")]


@pytest.fixture(scope="module")
def root() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def sub(root: DevelopmentCA) -> DevelopmentCA:
    return root.intermediate("Issuing CA")


@pytest.fixture(scope="module")
def signer(root: DevelopmentCA) -> DevelopmentCA:
    """A second certificate of the issuing CA, with a key for lists alone."""
    return root.intermediate("Issuing CA", extensions=LIST_SIGNER)


@pytest.fixture(scope="module")
def lists(sub: DevelopmentCA) -> DevelopmentCA:
    """Who issues the list about itself."""
    own = points(point(issuer=simple_name("Lists")))
    return sub.intermediate("Lists", extensions=[*LIST_SIGNER, *own])


def _ask(sub: DevelopmentCA, signer: DevelopmentCA, *lists: bytes, **options: Any) -> Answer:
    return ask(sub.client("billing"), signer.crl(), *lists, signers=[signer.certificate], **options)


class TestWho:
    def test_another_certificate_of_the_same_name(self, sub: DevelopmentCA, signer: DevelopmentCA) -> None:
        assert _ask(sub, signer).status is Status.GOOD

    def test_it_has_to_be_at_hand(self, sub: DevelopmentCA, signer: DevelopmentCA) -> None:
        assert ask(sub.client("billing"), signer.crl()).status is Status.UNKNOWN

    def test_it_revokes(self, sub: DevelopmentCA, signer: DevelopmentCA) -> None:
        issued = sub.client("billing")
        assert ask(issued, signer.crl([issued]), signers=[signer.certificate]).status is Status.REVOKED

    def test_a_certificate_that_is_not_a_ca(self, root: DevelopmentCA, sub: DevelopmentCA) -> None:
        issued = root.issue("Issuing CA", usage=None, extensions=LIST_SIGNER)
        assert not issued.certificate.is_ca
        signer = DevelopmentCA(issued.certificate, issued.private_key, AT, parent=root)
        assert _ask(sub, signer).status is Status.GOOD

    def test_one_of_another_name(self, root: DevelopmentCA, sub: DevelopmentCA) -> None:
        other = root.intermediate("Other CA", extensions=LIST_SIGNER)
        assert _ask(sub, other).status is Status.UNKNOWN

    @pytest.mark.parametrize(
        "options",
        [{"extensions": [key_usage("key_cert_sign")]}, {"without": [ExtensionOID.KEY_USAGE]}],
        ids=["key usage without cRLSign", "no key usage"],
    )
    def test_one_that_may_not_sign_lists(
        self, root: DevelopmentCA, sub: DevelopmentCA, options: dict[str, Any]
    ) -> None:
        answer = _ask(sub, root.intermediate("Issuing CA", **options))
        assert answer.status is Status.UNKNOWN
        assert "cRLSign is not in its key usage" in answer.detail

    def test_one_with_a_weak_key(self, root: DevelopmentCA, sub: DevelopmentCA) -> None:
        answer = _ask(sub, root.intermediate("Issuing CA", extensions=LIST_SIGNER, key="p224"))
        assert answer.status is Status.UNKNOWN
        assert "P-224" in answer.detail

    def test_one_below_a_ca_that_is_only_known_from_the_helpers(self, root: DevelopmentCA, sub: DevelopmentCA) -> None:
        above = root.intermediate("Above")
        signer = above.intermediate("Issuing CA", extensions=LIST_SIGNER)
        assert _ask(sub, signer).status is Status.UNKNOWN
        issued = sub.client("billing")
        helpers = [signer.certificate, above.certificate]
        assert ask(issued, signer.crl(), signers=helpers).status is Status.GOOD

    def test_one_on_which_openssl_does_not_agree(
        self, sub: DevelopmentCA, signer: DevelopmentCA, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(crl_signers, "disagreement", lambda path, at: "no")
        answer = _ask(sub, signer)
        assert answer.status is Status.UNKNOWN
        assert "OpenSSL says: no" in answer.detail

    def test_too_many_that_lead_nowhere(self, sub: DevelopmentCA, signer: DevelopmentCA) -> None:
        """Whoever sends certificates decides how many there are to try."""
        stranger, nameless = make_root(), [ExtensionOID.AUTHORITY_KEY_IDENTIFIER]
        decoys = [
            stranger.intermediate("Issuing CA", extensions=LIST_SIGNER, without=nameless).certificate for _ in range(64)
        ]
        issued = sub.client("billing")
        answer = ask(issued, signer.crl(), signers=[*decoys, signer.certificate])
        assert answer.status is Status.UNKNOWN
        assert ask(issued, signer.crl(), signers=[*decoys[1:], signer.certificate]).status is Status.GOOD

    def test_an_answer_ends_when_its_signer_does(self, root: DevelopmentCA, sub: DevelopmentCA) -> None:
        short = root.intermediate("Issuing CA", extensions=LIST_SIGNER, not_after=AT + HOUR)
        assert _ask(sub, short).valid_until == AT + HOUR

    def test_a_clock_skew_holds_for_signers_too(self, root: DevelopmentCA, sub: DevelopmentCA) -> None:
        ended = root.intermediate("Issuing CA", extensions=LIST_SIGNER, not_after=AT - timedelta(minutes=1))
        assert _ask(sub, ended).status is Status.UNKNOWN
        assert _ask(sub, ended, policy=RevocationPolicy(clock_skew=HOUR)).status is Status.GOOD

    def test_a_ca_further_up_that_has_the_same_name(self, root: DevelopmentCA) -> None:
        """The new key of a CA certifies the old one; the list is signed with the new one."""
        new = root.intermediate("CA")
        old_with_new = new.intermediate("CA")
        issued = old_with_new.client("billing")
        assert ask(issued, new.crl()).status is Status.GOOD
        assert ask(issued, new.crl([issued])).status is Status.REVOKED


class TestTheirOwnRevocation:
    def test_a_signer_that_is_revoked(self, root: DevelopmentCA, sub: DevelopmentCA, signer: DevelopmentCA) -> None:
        answer = _ask(sub, signer, root.crl([signer.certificate]))
        assert answer.status is Status.UNKNOWN
        assert "who signed it, is revoked" in answer.detail
        assert _ask(sub, signer, root.crl([5])).status is Status.GOOD

    def test_a_signer_whose_ca_is_revoked(self, root: DevelopmentCA, sub: DevelopmentCA) -> None:
        above = root.intermediate("Above")
        signer = above.intermediate("Issuing CA", extensions=LIST_SIGNER)
        lists = [signer.crl(), above.crl()]
        helpers = [signer.certificate, above.certificate]
        issued = sub.client("billing")
        assert ask(issued, *lists, root.crl(), signers=helpers).status is Status.GOOD
        assert ask(issued, *lists, root.crl([above.certificate]), signers=helpers).status is Status.UNKNOWN

    def test_a_signer_whose_list_is_out_of_date(
        self, root: DevelopmentCA, sub: DevelopmentCA, signer: DevelopmentCA
    ) -> None:
        answer = _ask(sub, signer, root.crl(next_update=AT - HOUR))
        assert answer.status is Status.UNKNOWN
        assert "who signed it, is revoked is not known" in answer.detail

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            (RevocationPolicy(mode="available"), Status.GOOD),
            (RevocationPolicy(mode="required"), Status.UNKNOWN),
            (RevocationPolicy(mode="required", scope="leaf"), Status.GOOD),
            (RevocationPolicy(mode="required", unreachable="accept"), Status.GOOD),
        ],
        ids=["available", "required", "leaf alone", "unreachable accepted"],
    )
    def test_a_signer_without_any_source_is_treated_as_a_certificate_without_one(
        self, sub: DevelopmentCA, signer: DevelopmentCA, policy: RevocationPolicy, expected: Status
    ) -> None:
        assert _ask(sub, signer, policy=policy).status is expected

    def test_a_signer_that_names_a_source_which_is_not_there(self, root: DevelopmentCA, sub: DevelopmentCA) -> None:
        signer = root.intermediate("Issuing CA", extensions=[*LIST_SIGNER, *points(point("http://crl.example/"))])
        assert _ask(sub, signer).status is Status.UNKNOWN
        assert _ask(sub, signer, root.crl()).status is Status.GOOD

    def test_a_revoked_signer_is_one_whatever_the_policy(
        self, root: DevelopmentCA, sub: DevelopmentCA, signer: DevelopmentCA
    ) -> None:
        lax = RevocationPolicy(scope="leaf", unreachable="accept")
        assert _ask(sub, signer, root.crl([signer.certificate]), policy=lax).status is Status.UNKNOWN

    def test_a_signer_does_not_vouch_for_itself(self, root: DevelopmentCA) -> None:
        signer = root.intermediate("Root", extensions=LIST_SIGNER)
        issued = root.client("billing")
        answer = ask(issued, signer.crl(), signers=[signer.certificate])
        assert answer.status is Status.UNKNOWN
        assert "depends on lists that it signed" in answer.detail
        assert ask(issued, signer.crl(), root.crl(), signers=[signer.certificate]).status is Status.GOOD


class TestNamedAsItsOwnIssuerOfLists:
    """A CA may name the signer itself as who issues the list about it; PKITS has that in 4.14.30."""

    def _ask(self, sub: DevelopmentCA, lists: DevelopmentCA, *more: bytes, revoked: Any = ()) -> Answer:
        issued = sub.client("billing", extensions=points(point(issuer=lists.certificate.subject_name)))
        crl = lists.crl(revoked, scope=scope(indirect=True))
        return ask(issued, crl, *more, signers=[lists.certificate])

    def test_then_its_own_list_counts(self, sub: DevelopmentCA, lists: DevelopmentCA) -> None:
        assert self._ask(sub, lists).status is Status.GOOD

    def test_unless_it_lists_itself(self, sub: DevelopmentCA, lists: DevelopmentCA) -> None:
        listed = Revocation(which=lists.certificate, issuer=sub.certificate.subject_name)
        answer = self._ask(sub, lists, revoked=[listed])
        assert answer.status is Status.UNKNOWN
        assert "who signed it, is revoked" in answer.detail

    def test_unless_its_ca_lists_it(self, sub: DevelopmentCA, lists: DevelopmentCA) -> None:
        cas = scope(only="ca")  # so that it says nothing about the client
        assert self._ask(sub, lists, sub.crl([lists.certificate], scope=cas)).status is Status.UNKNOWN
        assert self._ask(sub, lists, sub.crl([5], scope=cas)).status is Status.GOOD

    def test_unless_an_older_list_by_another_key_says_more(
        self, root: DevelopmentCA, sub: DevelopmentCA, lists: DevelopmentCA
    ) -> None:
        """Whoever stole the key could sign a newer list that says nothing of it."""
        successor = root.intermediate("Lists", extensions=LIST_SIGNER)
        issued = sub.client("billing", extensions=points(point(issuer=lists.certificate.subject_name)))
        indirect = scope(indirect=True)
        theirs = lists.crl(number=2, this_update=AT, scope=indirect)
        helpers = [lists.certificate, successor.certificate]
        leaf, own = issued.certificate, lists.certificate
        for entries, expected in (([leaf], Status.GOOD), ([own, leaf], Status.REVOKED)):
            listed = [Revocation(which=which, issuer=sub.certificate.subject_name) for which in entries]
            ours = successor.crl(listed, number=1, this_update=AT - HOUR, scope=indirect)
            assert ask(issued, ours, theirs, signers=helpers).status is expected
