"""The rules: what each matches, to the letter, and what it refuses to be made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from flask_mtls import (
    ConfigurationError,
    MTLSError,
    PeerCertificate,
    Rule,
    common_name,
    dns,
    email,
    issued_by,
    public_key,
    spiffe,
    thumbprint,
    uri,
)
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.verifier import VerifiedCertificate


def peer_of(issued: Issued, *above: Certificate) -> PeerCertificate:
    verdict = VerifiedCertificate(issued.certificate, (issued.certificate, *above), "chained", datetime.now(UTC))
    return PeerCertificate(verdict, source="test")


@pytest.fixture(scope="module")
def peer(ca: DevelopmentCA, issuing_ca: DevelopmentCA) -> PeerCertificate:
    issued = issuing_ca.client(
        "billing",
        dns=["billing.internal", "Pay.Example.org"],
        uris=["spiffe://example.org/billing/eu"],
        emails=["Ops@Example.org"],
    )
    return peer_of(issued, issuing_ca.certificate, ca.certificate)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (spiffe("spiffe://example.org/billing/eu"), True),
        (spiffe("spiffe://example.org/billing/*"), True),
        (spiffe("spiffe://example.org/billing"), False),
        (spiffe("spiffe://example.org/bill/*"), False),
        (spiffe("spiffe://example.com/billing/eu"), False),
        (spiffe("spiffe://example.org/Billing/eu"), False),
        (uri("spiffe://example.org/billing/eu"), True),
        (uri("spiffe://example.org/billing"), False),
        (uri("SPIFFE://example.org/billing/eu"), False),
        (dns("billing.internal"), True),
        (dns("BILLING.internal"), True),
        (dns("pay.example.org"), True),
        (dns("*.internal"), True),
        (dns("internal"), False),
        (dns("*.billing.internal"), False),
        (dns("billing.internal.evil"), False),
        (email("Ops@example.ORG"), True),
        (email("ops@example.org"), False),
        (common_name("billing"), True),
        (common_name("Billing"), False),
        (common_name("bill"), False),
    ],
)
def test_exact_matching(peer: PeerCertificate, rule: Rule, expected: bool) -> None:
    assert rule(peer) is expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: spiffe("example.org/billing"),
        lambda: spiffe("spiffe://example.org/*/billing"),
        lambda: spiffe("spiffe://example.org/bill*"),
        lambda: uri("no scheme"),
        lambda: uri(""),
        lambda: dns("*"),
        lambda: dns("a.*.internal"),
        lambda: dns("bil*.internal"),
        lambda: dns("billing internal"),
        lambda: dns(None),  # type: ignore[arg-type]
        lambda: email("example.org"),
        lambda: email("@example.org"),
        lambda: common_name(""),
        lambda: thumbprint(),
        lambda: thumbprint("ab" * 20),
        lambda: thumbprint("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        lambda: public_key(),
        lambda: public_key("ab" * 32),
        lambda: issued_by("/nowhere/ca.pem"),
        lambda: issued_by(b"nothing"),
    ],
)
def test_bad_patterns_fail_where_they_are_written(make: Callable[[], Rule]) -> None:
    with pytest.raises(MTLSError):
        make()


def test_sha1_thumbprint_says_how_to_get_the_other() -> None:
    with pytest.raises(MTLSError, match=r"SHA-1.*openssl x509"):
        thumbprint("AB:" * 19 + "AB")


def test_thumbprint(peer: PeerCertificate, billing: Issued) -> None:
    mine, other = peer.thumbprint, billing.certificate.thumbprint
    assert thumbprint(mine.upper())(peer)
    assert thumbprint(other, mine)(peer)
    assert not thumbprint(other)(peer)


def test_public_key(peer: PeerCertificate, billing: Issued) -> None:
    assert public_key(f"sha256/{peer.spki_pin}")(peer)
    assert not public_key(f"sha256/{billing.certificate.spki_pin}")(peer)


@pytest.mark.parametrize("form", ["path", "pem", "der", "object"])
def test_issued_by(peer: PeerCertificate, issuing_ca: DevelopmentCA, tmp_path: Path, form: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(issuing_ca.pem)
    forms: dict[str, str | bytes | Certificate] = {
        "path": str(path),
        "pem": issuing_ca.pem.encode(),
        "der": issuing_ca.certificate.der,
        "object": issuing_ca.certificate,
    }
    assert issued_by(forms[form])(peer)


def test_issued_by_a_ca_further_up(peer: PeerCertificate, ca: DevelopmentCA) -> None:
    assert issued_by(ca.certificate)(peer)


def test_issued_by_another_ca_of_the_same_name(peer: PeerCertificate) -> None:
    assert not issued_by(DevelopmentCA.create("Test CA").certificate)(peer)


def test_issued_by_wants_a_ca(billing: Issued) -> None:
    with pytest.raises(ConfigurationError, match="is not a CA"):
        issued_by(billing.certificate)


def test_both(peer: PeerCertificate) -> None:
    assert (dns("billing.internal") & common_name("billing"))(peer)
    assert not (dns("billing.internal") & common_name("stock"))(peer)


def test_either(peer: PeerCertificate) -> None:
    assert (dns("stock.internal") | common_name("billing"))(peer)
    assert not (dns("stock.internal") | common_name("stock"))(peer)


def test_plain_callables_combine_on_either_side(peer: PeerCertificate) -> None:
    def never(peer: PeerCertificate) -> bool:
        return False

    assert (dns("billing.internal") | never)(peer)
    assert (never | dns("billing.internal"))(peer)
    assert not (never & dns("billing.internal"))(peer)
    assert not (dns("billing.internal") & never)(peer)


def test_something_that_is_no_rule_does_not_combine() -> None:
    with pytest.raises(ConfigurationError, match="not a rule"):
        _ = dns("billing.internal") | "stock.internal"  # type: ignore[operator]


def test_python_and_and_or_are_refused() -> None:
    """``a and b`` is ``b`` alone, which would admit more than is written."""
    with pytest.raises(TypeError, match=r"combine rules with & and \|"):
        _ = dns("billing.internal") and common_name("billing")


def test_rules_print_as_they_are_written() -> None:
    rule = (dns("a.internal") | spiffe("spiffe://example.org/a")) & common_name("a")
    assert repr(rule) == "((dns('a.internal') | spiffe('spiffe://example.org/a')) & common_name('a'))"


def test_combined_coroutine_lets_nobody_in(peer: PeerCertificate) -> None:
    async def rule(peer: PeerCertificate) -> bool:
        return False

    with pytest.raises(TypeError, match="not combined"):
        (dns("billing.internal") & rule)(peer)


def name_of(*common_names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value) for value in common_names])


@pytest.mark.parametrize(
    "names",
    [("billing,CN=admin",), ("billing", "admin"), ("billing+CN=admin",), ('"admin"',), ("admin\x00.evil",)],
)
def test_common_name_tricks_make_nobody_an_admin(ca: DevelopmentCA, names: tuple[str, ...]) -> None:
    """CVE-2026-22747, CVE-2026-47838: a value is compared whole, and a subject with two common names has none."""
    trickster = peer_of(ca.client("x", subject=name_of(*names)))
    assert not common_name("admin")(trickster)
    assert not common_name("billing")(trickster)


def test_two_common_names_match_neither(ca: DevelopmentCA) -> None:
    assert not common_name("admin")(peer_of(ca.client("x", subject=name_of("admin", "admin"))))


@pytest.mark.parametrize("name", ["a.internal, DNS:admin.internal", "admin.internal\x00.evil", "admin.internal\n"])
def test_dns_name_tricks_make_nobody_an_admin(ca: DevelopmentCA, name: str) -> None:
    """CVE-2021-44532, CVE-2013-4314: SANs are values, never text to be split."""
    assert not dns("admin.internal")(peer_of(ca.client("x", dns=[name])))


def test_dns_name_in_the_subject_is_none(ca: DevelopmentCA) -> None:
    assert not dns("billing.internal")(peer_of(ca.client("billing.internal")))


def test_wildcard_in_a_certificate_matches_nothing(ca: DevelopmentCA) -> None:
    trickster = peer_of(ca.client("x", dns=["*.internal"]))
    assert not dns("*.internal")(trickster)
    assert not dns("billing.internal")(trickster)


def test_email_does_not_match_a_dns_rule(ca: DevelopmentCA) -> None:
    """CVE-2022-21656: a name of one kind is not a name of another."""
    assert not dns("billing.internal")(peer_of(ca.client("x", emails=["ops@billing.internal"])))
    assert not email("ops@billing.internal")(peer_of(ca.client("x", dns=["billing.internal"])))


def test_two_uris_are_no_spiffe_id(ca: DevelopmentCA) -> None:
    """X509-SVID, section 2: exactly one."""
    two = peer_of(ca.client("x", uris=["spiffe://example.org/a", "spiffe://example.org/b"]))
    assert not spiffe("spiffe://example.org/a")(two)
    assert uri("spiffe://example.org/a")(two)
