"""The order of the decision, the policy's options, and each reason from the face of the verifier."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.errors import CertificateRejected, Reason
from mtls_core.pins import Pin, PinSet
from mtls_core.verifier import ClientPolicy, Verifier

from .crafting import (
    AT,
    DNS,
    extended,
    key_usage,
    make_root,
    raw_name,
    raw_names,
    refusal,
    resign,
    set_fields,
    verifier,
    verify,
)

CLIENT = "1.3.6.1.5.5.7.3.2"
SERVER = "1.3.6.1.5.5.7.3.1"
EMAIL = "1.3.6.1.5.5.7.3.4"
ANY = "2.5.29.37.0"
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def client(ca: DevelopmentCA) -> Issued:
    return ca.client("billing")


@pytest.fixture(scope="module")
def judge(ca: DevelopmentCA) -> Verifier:
    return verifier(ca)


@pytest.fixture(scope="module")
def disputed() -> tuple[Verifier, Certificate]:
    """OpenSSL folds the case of ASCII letters alone, RFC 5280 that of all."""
    root = make_root("Prüfstelle")
    leaf = resign(root.client("billing").certificate, root, set_fields(issuer=raw_name("PRÜFSTELLE")))
    return verifier(root), leaf


def _self_signed_judge(ca: DevelopmentCA, *pins: Pin, types: Any = ("self_signed",)) -> Verifier:
    return verifier(ca, certificate_types=types, allowed=PinSet(*pins))


class TestAccepted:
    def test_a_client_of_the_ca(self, judge: Verifier, client: Issued, ca: DevelopmentCA) -> None:
        found = verify(judge, client)
        assert (found.certificate, found.chain) == (client.certificate, (client.certificate, ca.certificate))
        assert found.kind == "chained"

    def test_until_the_first_certificate_of_the_path_expires(self, ca: DevelopmentCA) -> None:
        short_lived = ca.intermediate(not_after=AT + timedelta(hours=2))
        assert verify(verifier(ca), short_lived.client("billing")).valid_until == AT + timedelta(hours=2)

    def test_through_an_intermediate_that_was_sent(self, judge: Verifier, ca: DevelopmentCA) -> None:
        sub = ca.intermediate()
        issued = sub.client("billing")
        assert verify(judge, issued).chain == (issued.certificate, sub.certificate, ca.certificate)

    def test_through_an_intermediate_that_the_operator_has(self, ca: DevelopmentCA) -> None:
        sub = ca.intermediate()
        issued = sub.client("billing")
        judge = verifier(ca, intermediates=[sub.certificate])
        assert judge.verify(issued.certificate, at=AT).chain[1] == sub.certificate

    def test_with_the_leaf_the_root_doubles_and_strangers_among_what_is_sent(
        self, judge: Verifier, ca: DevelopmentCA
    ) -> None:
        sub = ca.intermediate()
        issued = sub.client("billing")
        stranger = make_root("Stranger")
        sent = [stranger.certificate, ca.certificate, sub.certificate, issued.certificate, sub.certificate]
        assert judge.verify(issued.certificate, sent, at=AT).chain == (
            issued.certificate,
            sub.certificate,
            ca.certificate,
        )

    def test_now_is_the_default_time(self) -> None:
        ca = DevelopmentCA.create()
        judge = Verifier(ClientPolicy(trust=ca.trust_store()))
        assert judge.verify(ca.client("billing").certificate).kind == "chained"

    @pytest.mark.parametrize("key", ["p256", "p384", "p521", "ed25519", "ed448", "rsa", "rsa-pss"])
    def test_every_allowed_kind_of_key_in_every_place(self, key: str) -> None:
        root = make_root(key=key)
        assert len(verify(verifier(root), root.intermediate(key=key).client("billing", key=key)).chain) == 3


class TestTime:
    @pytest.mark.parametrize("offset", [timedelta(0), timedelta(microseconds=999_999)])
    def test_the_last_second_counts(self, judge: Verifier, client: Issued, offset: timedelta) -> None:
        assert verify(judge, client, at=client.certificate.not_after + offset)

    def test_after_the_last_second_it_is_expired(self, judge: Verifier, client: Issued) -> None:
        error = refusal(judge, client, at=client.certificate.not_after + SECOND)
        assert (error.reason, error.depth, error.certificate) == (Reason.EXPIRED, 0, client.certificate)
        assert "expired on 2026-07-01T12:00:00Z" in error.detail

    def test_the_first_second_counts(self, judge: Verifier, client: Issued) -> None:
        assert verify(judge, client, at=client.certificate.not_before)

    def test_before_the_first_second_it_is_not_yet_valid(self, judge: Verifier, ca: DevelopmentCA) -> None:
        tomorrow = ca.client("billing", not_before=AT + timedelta(days=1))
        error = refusal(judge, tomorrow, at=AT + timedelta(days=1) - SECOND)
        assert error.reason is Reason.NOT_YET_VALID

    def test_any_time_zone_will_do(self, judge: Verifier, client: Issued) -> None:
        there = timezone(timedelta(hours=9))
        assert verify(judge, client, at=client.certificate.not_after.astimezone(there))
        assert refusal(judge, client, at=(client.certificate.not_after + SECOND).astimezone(there))

    def test_an_expired_anchor_is_named_with_its_depth(self) -> None:
        old = make_root(not_before=AT - timedelta(days=9), not_after=AT - timedelta(days=1))
        error = refusal(verifier(old), old.client("billing"))
        assert (error.reason, error.depth) == (Reason.EXPIRED, 1)

    @pytest.mark.parametrize("skew", [timedelta(minutes=5), timedelta(days=4000)])
    def test_clock_skew_widens_both_ends(self, ca: DevelopmentCA, client: Issued, skew: timedelta) -> None:
        judge = verifier(ca, clock_skew=skew)
        assert verify(judge, client, at=client.certificate.not_after + min(skew, timedelta(minutes=5)))
        assert verify(judge, client, at=client.certificate.not_before - min(skew, timedelta(minutes=5)))

    def test_clock_skew_ends(self, ca: DevelopmentCA, client: Issued) -> None:
        judge = verifier(ca, clock_skew=timedelta(minutes=5))
        late = client.certificate.not_after + timedelta(minutes=5)
        assert verify(judge, client, at=late)
        assert refusal(judge, client, at=late + SECOND).reason is Reason.EXPIRED
        early = client.certificate.not_before - timedelta(minutes=5)
        assert refusal(judge, client, at=early - SECOND).reason is Reason.NOT_YET_VALID

    def test_clock_skew_does_not_join_certificates_that_were_never_valid_together(self, ca: DevelopmentCA) -> None:
        sub = ca.intermediate(not_after=AT - timedelta(minutes=2))
        issued = sub.client("billing", not_before=AT + timedelta(minutes=2), not_after=AT + timedelta(days=1))
        error = refusal(verifier(ca, clock_skew=timedelta(minutes=5)), issued)
        assert (error.reason, error.depth) == (Reason.EXPIRED, 1)
        assert "never valid together" in error.detail

    def test_clock_skew_joins_certificates_that_were_valid_together(self, ca: DevelopmentCA) -> None:
        sub = ca.intermediate(not_after=AT - timedelta(minutes=2))
        issued = sub.client("billing", not_before=AT - timedelta(minutes=3), not_after=AT + timedelta(days=1))
        assert verify(verifier(ca, clock_skew=timedelta(minutes=5)), issued)

    def test_a_certificate_until_the_end_of_time_with_clock_skew(self, ca: DevelopmentCA) -> None:
        forever = ca.client("device", not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        assert verify(verifier(ca, clock_skew=timedelta(days=1)), forever)

    def test_without_validity_check_dates_do_not_count(self, ca: DevelopmentCA, client: Issued) -> None:
        judge = verifier(ca, check_validity=False)
        assert verify(judge, client, at=AT + timedelta(days=9000))
        assert verify(judge, client, at=AT - timedelta(days=9000))

    def test_without_validity_check_everything_else_counts(self, ca: DevelopmentCA) -> None:
        server = ca.server("orders", not_after=AT - timedelta(days=1))
        error = refusal(verifier(ca, check_validity=False), server)
        assert [problem.reason for problem in error.problems] == [Reason.USAGE_NOT_PERMITTED]


class TestUsage:
    """CVE-2022-21657: what a peer's certificate was issued for decides, also when the path is good."""

    @pytest.mark.parametrize(
        ("usage", "check", "accepted"),
        [
            ((CLIENT,), True, True),
            ((CLIENT, SERVER), True, True),
            ((CLIENT, ANY), True, True),
            ((), True, True),
            ((SERVER,), True, False),
            ((EMAIL,), True, False),
            ((ANY,), True, False),
            ((CLIENT,), "strict", True),
            ((), "strict", False),
            ((ANY,), "strict", False),
            ((SERVER,), False, True),
            ((), False, True),
        ],
    )
    def test_extended_key_usage(self, ca: DevelopmentCA, usage: tuple[str, ...], check: Any, accepted: bool) -> None:
        judge, issued = verifier(ca, check_usage=check), ca.issue("billing", usage=usage)
        if accepted:
            assert verify(judge, issued)
        else:
            error = refusal(judge, issued)
            assert (error.reason, error.depth) == (Reason.USAGE_NOT_PERMITTED, 0)

    def test_the_sentence_says_what_is_missing(self, judge: Verifier, ca: DevelopmentCA) -> None:
        detail = refusal(judge, ca.server("orders")).detail
        assert f"is issued for {SERVER}" in detail
        assert f"client authentication ({CLIENT}) must be" in detail

    @pytest.mark.parametrize(
        ("usages", "accepted"),
        [
            (("digital_signature",), True),
            (("digital_signature", "key_encipherment"), True),
            (("key_agreement",), False),
            (("key_encipherment",), False),
            (("content_commitment",), False),
        ],
    )
    @pytest.mark.parametrize("check", [True, False])
    def test_key_usage(self, ca: DevelopmentCA, usages: tuple[str, ...], accepted: bool, check: bool) -> None:
        """A TLS client signs (RFC 8446, section 4.4.2.2), whatever its extended key usage."""
        judge, issued = verifier(ca, check_usage=check), ca.client("billing", extensions=[key_usage(*usages)])
        if accepted:
            assert verify(judge, issued)
        else:
            error = refusal(judge, issued)
            assert (error.reason, error.depth) == (Reason.KEY_USAGE_NOT_PERMITTED, 0)

    def test_no_key_usage_permits_all(self, judge: Verifier, ca: DevelopmentCA) -> None:
        assert verify(judge, ca.client("billing", without=[ExtensionOID.KEY_USAGE]))

    def test_an_issuer_limits_what_it_issues_for(self, judge: Verifier, ca: DevelopmentCA) -> None:
        servers_only = ca.intermediate(extensions=[extended(SERVER)])
        error = refusal(judge, servers_only.client("billing"))
        assert (error.reason, error.depth) == (Reason.USAGE_NOT_PERMITTED, 1)
        assert verify(verifier(ca, check_usage=False), servers_only.client("billing"))

    @pytest.mark.parametrize("oids", [(CLIENT,), (SERVER, CLIENT), (ANY,)])
    def test_an_issuer_for_clients_may_issue_clients(
        self, judge: Verifier, ca: DevelopmentCA, oids: tuple[str, ...]
    ) -> None:
        assert verify(judge, ca.intermediate(extensions=[extended(*oids)]).client("billing"))


class TestTrust:
    def test_an_unknown_issuer(self, judge: Verifier) -> None:
        error = refusal(judge, make_root("Elsewhere").client("billing"))
        assert error.reason is Reason.ISSUER_NOT_FOUND
        assert "was issued by CN=Elsewhere, which is neither among the trust anchors nor sent" in error.detail

    def test_a_missing_intermediate_is_named(self, judge: Verifier, ca: DevelopmentCA) -> None:
        sub = ca.intermediate("Team CA")
        error = refusal(judge, sub.client("billing").certificate)
        assert error.reason is Reason.ISSUER_NOT_FOUND
        assert "CN=Team CA" in error.detail
        assert verify(judge, sub.client("billing"))

    def test_a_root_that_was_sent_is_not_trusted_for_it(self, judge: Verifier) -> None:
        elsewhere = make_root("Elsewhere")
        error = refusal(judge, elsewhere.client("billing"), elsewhere.certificate)
        assert (error.reason, error.depth, error.certificate) == (Reason.UNTRUSTED_ROOT, 1, elsewhere.certificate)
        assert elsewhere.certificate.thumbprint in error.detail

    def test_a_root_of_the_same_name_is_not_trusted_either(self, judge: Verifier, ca: DevelopmentCA) -> None:
        impostor = make_root()
        assert impostor.certificate.subject == ca.certificate.subject
        assert refusal(judge, impostor.client("billing"), impostor.certificate).reason is Reason.UNTRUSTED_ROOT

    def test_an_unknown_issuer_of_the_same_name(self, judge: Verifier) -> None:
        error = refusal(judge, make_root().client("billing"))
        assert error.reason is Reason.ISSUER_NOT_FOUND
        assert "has another key" in error.detail

    def test_a_self_signed_certificate(self, judge: Verifier) -> None:
        error = refusal(judge, self_signed("billing", at=AT))
        assert (error.reason, error.depth) == (Reason.SELF_SIGNED, 0)

    def test_a_self_signed_certificate_of_an_intermediates_place_anchors_nothing(self, ca: DevelopmentCA) -> None:
        """A bundle may hold any certificate; only anchors anchor."""
        elsewhere = make_root("Elsewhere")
        judge = verifier(ca, intermediates=[elsewhere.certificate])
        assert refusal(judge, elsewhere.client("billing")).reason is Reason.UNTRUSTED_ROOT

    def test_a_changed_certificate(self, judge: Verifier, client: Issued, ca: DevelopmentCA) -> None:
        other_key = make_root(key="ec")
        forged = resign(client.certificate, other_key, set_fields(subject=raw_name("admin")))
        assert refusal(judge, forged).reason is Reason.SIGNATURE_INVALID
        assert verify(judge, resign(client.certificate, ca, set_fields(subject=raw_name("admin"))))

    def test_a_leaf_issues_nothing(self, judge: Verifier, ca: DevelopmentCA, client: Issued) -> None:
        """CVE-2021-3450: whoever has a certificate is not a CA for that."""
        pretender = DevelopmentCA(client.certificate, client.private_key, AT, parent=ca)
        error = refusal(judge, pretender.client("admin"))
        assert (error.reason, error.depth) == (Reason.ISSUER_NOT_A_CA, 1)
        assert verify(judge, ca.intermediate("billing").client("admin"))


class TestCaAsClient:
    def test_an_intermediate_is_not_a_client(self, judge: Verifier, ca: DevelopmentCA) -> None:
        error = refusal(judge, ca.intermediate().certificate)
        assert (error.reason, error.depth) == (Reason.CA_CERTIFICATE, 0)

    def test_a_leaf_that_calls_itself_a_ca_is_not_a_client(self, judge: Verifier, ca: DevelopmentCA) -> None:
        assert refusal(judge, ca.client("billing", ca=True)).reason is Reason.CA_CERTIFICATE
        assert verify(judge, ca.client("billing", ca=False))

    def test_the_anchor_is_not_a_client(self, judge: Verifier, ca: DevelopmentCA) -> None:
        error = refusal(judge, ca.certificate)
        assert (error.reason, error.depth) == (Reason.CA_CERTIFICATE, 0)
        assert "is a trust anchor" in error.detail

    def test_a_foreign_root_is_self_signed(self, judge: Verifier) -> None:
        assert refusal(judge, make_root("Elsewhere").certificate).reason is Reason.SELF_SIGNED


class TestExpected:
    def test_a_certificate_that_is_not_listed(self, ca: DevelopmentCA, client: Issued) -> None:
        judge = verifier(ca, allowed=PinSet(Pin.for_certificate(client.certificate)))
        other = ca.client("billing")
        error = refusal(judge, other)
        assert (error.reason, error.depth) == (Reason.NOT_EXPECTED, 0)
        assert other.certificate.thumbprint in error.detail
        assert verify(judge, client)

    def test_a_public_key_may_be_listed(self, ca: DevelopmentCA, client: Issued) -> None:
        judge = verifier(ca, allowed=PinSet(Pin.for_public_key(client.certificate)))
        assert verify(judge, ca.client("billing", key=client.private_key))
        assert refusal(judge, ca.client("billing")).reason is Reason.NOT_EXPECTED

    def test_a_listed_issuer_does_not_admit_its_leaves(self, ca: DevelopmentCA, client: Issued) -> None:
        judge = verifier(ca, allowed=PinSet(Pin.for_certificate(ca.certificate)))
        assert refusal(judge, client).reason is Reason.NOT_EXPECTED

    def test_being_listed_is_no_excuse(self, ca: DevelopmentCA) -> None:
        expired = ca.client("billing", not_after=AT - SECOND)
        judge = verifier(ca, allowed=PinSet(Pin.for_certificate(expired.certificate)))
        assert refusal(judge, expired).reason is Reason.EXPIRED


class TestSelfSigned:
    def test_one_that_is_listed(self, ca: DevelopmentCA) -> None:
        issued = self_signed("device", at=AT)
        found = verify(_self_signed_judge(ca, Pin.for_certificate(issued.certificate)), issued)
        assert (found.kind, found.chain) == ("self_signed", (issued.certificate,))
        assert found.valid_until == issued.certificate.not_after

    def test_one_that_is_not_listed(self, ca: DevelopmentCA) -> None:
        listed = self_signed("device", at=AT)
        judge = _self_signed_judge(ca, Pin.for_certificate(listed.certificate))
        assert refusal(judge, self_signed("device", at=AT)).reason is Reason.NOT_EXPECTED

    def test_no_trust_store_is_needed(self) -> None:
        issued = self_signed("device", at=AT)
        allowed = PinSet(Pin.for_certificate(issued.certificate))
        judge = Verifier(ClientPolicy(trust=None, certificate_types=frozenset({"self_signed"}), allowed=allowed))
        assert verify(judge, issued)

    def test_the_name_alone_does_not_make_it_self_signed(self, ca: DevelopmentCA) -> None:
        """Subject and issuer are equal, but another key signed it."""
        issued = ca.client(ca.certificate.common_names[0])
        assert verify(verifier(ca), issued).kind == "chained"

    def test_calling_itself_a_ca_does_not_matter(self, ca: DevelopmentCA) -> None:
        """``openssl req -x509`` makes them so."""
        issued = self_signed("device", at=AT, ca=True)
        assert verify(_self_signed_judge(ca, Pin.for_certificate(issued.certificate)), issued)

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"not_after": AT - SECOND}, Reason.EXPIRED),
            ({"not_before": AT + SECOND}, Reason.NOT_YET_VALID),
            ({"usage": ("server",)}, Reason.USAGE_NOT_PERMITTED),
            ({"extensions": [key_usage("key_encipherment")]}, Reason.KEY_USAGE_NOT_PERMITTED),
            ({"key": "rsa1024"}, Reason.WEAK_KEY),
            ({"hash": "sha1"}, Reason.FORBIDDEN_ALGORITHM),
            (
                {"extensions": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b""), True)]},
                Reason.UNKNOWN_CRITICAL_EXTENSION,
            ),
            ({"uris": ["spiffe://example.org"]}, Reason.PROFILE_VIOLATION),
        ],
    )
    def test_the_other_rules_apply(self, ca: DevelopmentCA, options: dict[str, Any], reason: Reason) -> None:
        issued = self_signed("device", at=AT, **options)
        judge = _self_signed_judge(ca, Pin.for_certificate(issued.certificate))
        error = refusal(judge, issued)
        assert (error.reason, error.depth) == (reason, 0)

    def test_where_only_they_are_admitted_those_of_a_ca_are_not(self, ca: DevelopmentCA, client: Issued) -> None:
        pin = Pin.for_certificate(client.certificate)
        error = refusal(_self_signed_judge(ca, pin), client)
        assert (error.reason, error.depth) == (Reason.NOT_EXPECTED, 0)
        assert "was issued by a CA" in error.detail
        assert verify(_self_signed_judge(ca, pin, types=("self_signed", "chained")), client)

    def test_where_they_are_not_admitted_being_listed_does_not_help(self, ca: DevelopmentCA) -> None:
        issued = self_signed("device", at=AT)
        judge = verifier(ca, allowed=PinSet(Pin.for_certificate(issued.certificate)))
        assert refusal(judge, issued).reason is Reason.SELF_SIGNED


class TestSecondOpinion:
    """Neither judge alone admits."""

    def test_a_disagreement_refuses(self, disputed: tuple[Verifier, Certificate]) -> None:
        error = refusal(*disputed)
        assert (error.reason, error.depth, error.certificate) == (Reason.SECOND_OPINION, 0, disputed[1])
        assert "unable to get local issuer certificate" in error.detail

    def test_a_disagreement_is_logged_as_an_error(
        self, disputed: tuple[Verifier, Certificate], caplog: pytest.LogCaptureFixture
    ) -> None:
        refusal(*disputed)
        assert [(record.name, record.levelno) for record in caplog.records] == [("mtls_core", logging.ERROR)]
        assert disputed[1].thumbprint in caplog.text
        assert "Please report this" in caplog.text

    def test_ascii_letters_are_no_matter_of_dispute(self) -> None:
        root = make_root("Inspectors")
        leaf = resign(root.client("billing").certificate, root, set_fields(issuer=raw_name(" INSPECTORS  ")))
        assert verify(verifier(root), leaf)

    def test_an_ordinary_refusal_is_not_logged(self, judge: Verifier, caplog: pytest.LogCaptureFixture) -> None:
        refusal(judge, self_signed("billing", at=AT))
        assert not caplog.records


class TestInputLimits:
    def test_more_than_ten_certificates_are_not_looked_at(self, judge: Verifier, client: Issued) -> None:
        """P18."""
        strangers = [make_root(f"Stranger {n}").certificate for n in range(10)]
        error = refusal(judge, client, *strangers)
        assert (error.reason, error.depth) == (Reason.WORK_LIMIT_EXCEEDED, 0)
        assert "11 certificates of" in error.detail
        assert verify(judge, client, *strangers[:9])

    def test_more_than_64_kilobytes_are_not_looked_at(self, judge: Verifier, client: Issued) -> None:
        """P18."""
        large = [make_root(f"Large {n}", extensions=[raw_names(*[(DNS, b"a" * 63)] * 250)]) for n in range(4)]
        error = refusal(judge, client, *(ca.certificate for ca in large))
        assert error.reason is Reason.WORK_LIMIT_EXCEEDED
        assert "65536 bytes" in error.detail
        assert verify(judge, client, *(ca.certificate for ca in large[:3]))

    def test_doubles_count_once(self, judge: Verifier, client: Issued, ca: DevelopmentCA) -> None:
        assert verify(judge, client, *[ca.certificate] * 30)

    def test_a_path_longer_than_the_policy_allows(self, ca: DevelopmentCA) -> None:
        issued = ca.intermediate().client("billing")
        error = refusal(verifier(ca, max_chain_length=2), issued)
        assert error.reason is Reason.WORK_LIMIT_EXCEEDED
        assert verify(verifier(ca, max_chain_length=3), issued)


def test_one_verifier_serves_many_threads(ca: DevelopmentCA, judge: Verifier) -> None:
    """P20: the same decision in every thread."""
    good, bad = ca.intermediate().client("billing"), ca.server("orders")

    def decide(number: int) -> object:
        try:
            return verify(judge, good if number % 2 else bad).kind
        except CertificateRejected as error:
            return error.reason

    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(decide, range(200)))
    assert decisions == [Reason.USAGE_NOT_PERMITTED, "chained"] * 100


def test_a_hostile_subject_cannot_write_lines_into_a_log(judge: Verifier, ca: DevelopmentCA) -> None:
    expired = ca.client("a\nERROR forged \x1b[31m", not_after=AT - SECOND)
    assert refusal(judge, expired).detail.isprintable()
