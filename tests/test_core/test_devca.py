"""The development CA: its good certificates satisfy strict verifiers, its bad ones are bad in the way asked for."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from cryptography.x509 import verification
from cryptography.x509.oid import ExtensionOID, NameOID

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.devca.__main__ import main
from mtls_core.errors import IdentityError
from mtls_core.identity import Identity
from mtls_core.signatures import verifies

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return DevelopmentCA.create("Test Root", at=AT)


def verified_by_cryptography(issued: Issued, ca: DevelopmentCA) -> list[x509.Certificate]:
    """The path that cryptography's own strict verifier finds for a client."""
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([ca.root.certificate.parsed]))
        .time(AT)
        .build_client_verifier()
    )
    return verifier.verify(issued.certificate.parsed, [c.parsed for c in issued.chain]).chain


@pytest.mark.parametrize("key", ["ec", "p256", "p384", "p521", "rsa", "rsa-pss"])
def test_clients_satisfy_a_strict_verifier(key: str) -> None:
    root = DevelopmentCA.create(key=key, at=AT)
    billing = root.intermediate(key=key).client("billing", dns=["billing.internal"], key=key)
    assert len(verified_by_cryptography(billing, root)) == 3


def test_servers_satisfy_a_strict_verifier(ca: DevelopmentCA) -> None:
    orders = ca.intermediate().server("orders.internal")
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([ca.certificate.parsed]))
        .time(AT)
        .build_server_verifier(x509.DNSName("orders.internal"))
    )
    assert len(verifier.verify(orders.certificate.parsed, [c.parsed for c in orders.chain])) == 3


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        ("ec", "EC secp256r1"),
        ("p192", "EC secp192r1"),
        ("p224", "EC secp224r1"),
        ("p384", "EC secp384r1"),
        ("p521", "EC secp521r1"),
        ("rsa", "RSA 2048"),
        ("rsa1024", "RSA 1024"),
        ("rsa3072", "RSA 3072"),
        ("ed25519", "Ed25519"),
        ("ed448", "Ed448"),
    ],
)
def test_each_kind_of_key(ca: DevelopmentCA, kind: str, described: str) -> None:
    assert ca.client("billing", key=kind).certificate.key_type == described


def test_a_given_key_is_used(ca: DevelopmentCA) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert ca.client("billing", key=key).certificate.spki_pin == ca.client("again", key=key).certificate.spki_pin


def test_an_unknown_kind_of_key_is_refused(ca: DevelopmentCA) -> None:
    with pytest.raises(ValueError, match="no kind of key is named 'dsa'"):
        ca.client("billing", key="dsa")


def test_rsa_pss_signs_with_pss() -> None:
    issued = DevelopmentCA.create(key="rsa-pss").client("billing")
    assert isinstance(issued.certificate.parsed.signature_algorithm_parameters, padding.PSS)


@pytest.mark.parametrize(
    ("ca_key", "oid"), [("ec", "1.2.840.10045.4.1"), ("rsa", "1.2.840.113549.1.1.5")], ids=["ecdsa", "rsa"]
)
def test_sha1_signatures_are_genuine(ca_key: str, oid: str) -> None:
    root = DevelopmentCA.create(key=ca_key)
    certificate = root.client("billing", hash="sha1").certificate
    assert certificate.signature_algorithm_oid == oid
    assert verifies(root.certificate.public_key, certificate.parsed, certificate.tbs)


def test_sha1_with_a_key_that_knows_no_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="only RSA and EC"):
        DevelopmentCA.create(key="ed25519").client("billing", hash="sha1")


def test_an_unknown_hash_is_refused(ca: DevelopmentCA) -> None:
    with pytest.raises(ValueError, match="no hash is named 'md5'"):
        ca.client("billing", hash="md5")


def test_a_root_follows_the_profile(ca: DevelopmentCA) -> None:
    root = ca.certificate
    assert root.is_self_signed
    assert root.is_ca
    assert root.key_usage == frozenset({"key_cert_sign", "crl_sign"})
    assert root.subject_key_id == root.authority_key_id
    assert root.subject == "CN=Test Root"


def test_a_leaf_follows_the_profile(ca: DevelopmentCA) -> None:
    leaf = ca.client("billing").certificate
    assert leaf.version == 3
    assert not leaf.is_ca
    assert leaf.key_usage == frozenset({"digital_signature"})
    assert leaf.authority_key_id == ca.certificate.subject_key_id
    assert {e.oid for e in leaf.extensions if e.critical} == {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE}


def test_serial_numbers_are_positive_different_and_short(ca: DevelopmentCA) -> None:
    numbers = {ca.client("billing").certificate.serial_number for _ in range(20)}
    assert len(numbers) == 20
    assert all(0 < number < 2**159 for number in numbers)


def test_a_serial_number_may_be_given(ca: DevelopmentCA) -> None:
    assert ca.client("billing", serial_number=42).certificate.serial_number == 42


def test_alternative_names_of_all_kinds(ca: DevelopmentCA) -> None:
    names = ca.client(
        "billing",
        dns=["billing.internal"],
        ips=["10.0.0.1", "::1"],
        uris=["spiffe://example.org/billing"],
        emails=["billing@example.org"],
    ).certificate
    assert names.dns_names == ("billing.internal",)
    assert [str(address) for address in names.ip_addresses] == ["10.0.0.1", "::1"]
    assert names.spiffe_id == "spiffe://example.org/billing"
    assert names.emails == ("billing@example.org",)


def test_alternative_names_are_critical_where_the_subject_is_empty(ca: DevelopmentCA) -> None:
    """RFC 5280, section 4.2.1.6."""
    extension = ca.issue(None, dns=["a.internal"]).certificate.extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    assert extension is not None
    assert extension.critical


def test_localhost_has_its_addresses(ca: DevelopmentCA) -> None:
    assert [str(a) for a in ca.server("localhost").certificate.ip_addresses] == ["127.0.0.1", "::1"]


def test_a_server_may_have_other_names_than_its_own(ca: DevelopmentCA) -> None:
    assert ca.server("localhost", dns=["orders.internal"], ips=[]).certificate.dns_names == ("orders.internal",)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (("client",), {CLIENT_AUTH}),
        (("server",), {SERVER_AUTH}),
        (("client", "server"), {CLIENT_AUTH, SERVER_AUTH}),
        (("any",), {"2.5.29.37.0"}),
        (("1.2.3.4",), {"1.2.3.4"}),
        ((), None),
        (None, None),
    ],
)
def test_usages(ca: DevelopmentCA, usage: Any, expected: set[str] | None) -> None:
    assert ca.issue("billing", usage=usage).certificate.extended_key_usage == expected


def test_clients_and_servers_differ_in_usage(ca: DevelopmentCA) -> None:
    assert ca.client("billing").certificate.extended_key_usage == frozenset({CLIENT_AUTH})
    assert ca.server("orders").certificate.extended_key_usage == frozenset({SERVER_AUTH})


def test_an_expired_certificate_began_before_it_ended(ca: DevelopmentCA) -> None:
    certificate = ca.client("old", not_after=AT - timedelta(days=1)).certificate
    assert certificate.not_before < certificate.not_after < AT


def test_a_certificate_of_the_future_ends_after_it_begins(ca: DevelopmentCA) -> None:
    certificate = ca.client("early", not_before=AT + timedelta(days=365)).certificate
    assert AT < certificate.not_before < certificate.not_after


def test_times_are_counted_from_the_given_moment(ca: DevelopmentCA) -> None:
    certificate = ca.intermediate().client("billing").certificate
    assert certificate.not_before == AT - timedelta(hours=1)
    assert certificate.not_after == AT + timedelta(days=30)


def test_times_without_zone_are_refused(ca: DevelopmentCA) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        ca.client("billing", not_after=datetime(2027, 1, 1))


def test_an_intermediate_stands_between(ca: DevelopmentCA) -> None:
    issuing = ca.intermediate("Issuing", path_length=0)
    leaf = issuing.intermediate("Below").client("billing")
    assert [c.subject for c in leaf.chain] == ["CN=Below", "CN=Issuing"]
    assert issuing.root is ca
    assert issuing.certificate.basic_constraints is not None
    assert issuing.certificate.basic_constraints.path_length == 0
    assert issuing.trust_store().anchors == (ca.certificate,)


def test_extensions_are_added(ca: DevelopmentCA) -> None:
    constraints = x509.NameConstraints([x509.DNSName("internal")], None)
    extension = ca.intermediate(extensions=[(constraints, True)]).certificate.extension(ExtensionOID.NAME_CONSTRAINTS)
    assert extension is not None
    assert extension.critical
    assert extension.value == constraints


def test_extensions_replace_those_of_their_kind(ca: DevelopmentCA) -> None:
    wrong = x509.BasicConstraints(ca=True, path_length=3)
    certificate = ca.client("billing", extensions=[(wrong, False)]).certificate
    extension = certificate.extension(ExtensionOID.BASIC_CONSTRAINTS)
    assert extension is not None
    assert (extension.value, extension.critical) == (wrong, False)


def test_extensions_may_be_left_out(ca: DevelopmentCA) -> None:
    certificate = ca.client("billing", without=[ExtensionOID.KEY_USAGE]).certificate
    assert certificate.key_usage is None


def test_a_leaf_may_claim_to_be_a_ca(ca: DevelopmentCA) -> None:
    certificate = ca.client("billing", ca=True).certificate
    assert certificate.is_ca
    assert certificate.key_usage == frozenset({"digital_signature", "key_cert_sign"})


def test_a_subject_may_be_given(ca: DevelopmentCA) -> None:
    two = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("one", "two")])
    assert ca.client("billing", subject=two).certificate.common_names == ("one", "two")


def test_an_empty_subject_may_be_given(ca: DevelopmentCA) -> None:
    assert ca.client("billing", subject=x509.Name([]), dns=["a.internal"]).certificate.subject == ""


def test_self_signed_vouches_for_itself() -> None:
    issued = self_signed("device", usage=("client",), at=AT)
    assert issued.certificate.is_self_signed
    assert not issued.certificate.is_ca
    assert issued.chain == ()


def test_a_crl_names_what_is_revoked(ca: DevelopmentCA) -> None:
    issued, plain = ca.client("one"), ca.client("two").certificate
    date = AT - timedelta(days=3)
    crl = x509.load_der_x509_crl(ca.crl([issued, plain, (42, date, x509.ReasonFlags.key_compromise)], number=7))
    assert {entry.serial_number for entry in crl} == {issued.certificate.serial_number, plain.serial_number, 42}
    entry = crl.get_revoked_certificate_by_serial_number(42)
    assert entry is not None
    assert entry.revocation_date_utc == date
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7


@pytest.mark.parametrize("key", ["ec", "rsa-pss", "ed25519"])
def test_a_crl_is_signed_by_its_ca(key: str) -> None:
    ca = DevelopmentCA.create(key=key)
    public_key = ca.private_key.public_key()
    assert x509.load_der_x509_crl(ca.crl()).is_signature_valid(public_key)


def test_an_expired_crl(ca: DevelopmentCA) -> None:
    crl = x509.load_der_x509_crl(ca.crl(next_update=AT - timedelta(days=1)))
    assert crl.next_update_utc == AT - timedelta(days=1)
    assert crl.last_update_utc < crl.next_update_utc


def test_identity_is_key_and_chain(ca: DevelopmentCA) -> None:
    issuing = ca.intermediate()
    issued = issuing.client("billing")
    assert issued.identity.chain == (issued.certificate, issuing.certificate)


@pytest.mark.parametrize("encryption", ["aes", "3des"])
def test_a_pfx_opens_elsewhere(ca: DevelopmentCA, encryption: str) -> None:
    issued = ca.intermediate().client("billing")
    loaded = pkcs12.load_pkcs12(issued.pfx("geheim", encryption=encryption, friendly_name="Größe"), b"geheim")
    assert loaded.cert is not None
    assert loaded.cert.certificate == issued.certificate.parsed
    assert loaded.cert.friendly_name == "Größe".encode()
    assert len(loaded.additional_certs) == 1


def test_a_pfx_with_the_root_and_one_without_any_chain(ca: DevelopmentCA) -> None:
    issued = ca.intermediate().client("billing")
    with_root = pkcs12.load_pkcs12(issued.pfx("x", include_root=True), b"x").additional_certs
    assert ca.certificate.parsed in [item.certificate for item in with_root]
    assert pkcs12.load_pkcs12(issued.pfx("x", include_chain=False), b"x").additional_certs == []


def test_an_unknown_encryption_is_refused(ca: DevelopmentCA) -> None:
    with pytest.raises(ValueError, match="no encryption is named 'rc2'"):
        ca.client("billing").pfx("x", encryption="rc2")


def test_pem_parts_belong_together(ca: DevelopmentCA) -> None:
    issued = ca.intermediate().client("billing")
    assert Certificate.all_from_pem(issued.certificate_pem) == (issued.certificate, *issued.chain)
    key: Any = load_pem_private_key(issued.key_pem("geheim"), b"geheim")
    assert key.public_key() == issued.certificate.public_key
    assert b"BEGIN PRIVATE KEY" in issued.key_pem()


def test_written_files_are_private_whatever_the_umask(ca: DevelopmentCA, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files = ca.client("billing").write(tmp_path, "billing", password="geheim")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert Identity.from_pfx(files.pfx, "geheim").thumbprint
    assert Identity.from_pem(files.certificate, files.key, "geheim").thumbprint


def test_writing_again_replaces_and_leaves_nothing_behind(ca: DevelopmentCA, tmp_path: Path) -> None:
    ca.client("billing").write(tmp_path, "billing", password="geheim")
    second = ca.client("billing")
    files = second.write(tmp_path, "billing", password="geheim")
    assert Identity.from_pfx(files.pfx, "geheim").certificate == second.certificate
    assert len(list(tmp_path.iterdir())) == 3


def test_writing_into_a_missing_folder_fails(ca: DevelopmentCA, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ca.client("billing").write(tmp_path / "missing", "billing")


def test_writing_that_fails_leaves_nothing_behind(ca: DevelopmentCA, tmp_path: Path) -> None:
    (tmp_path / "billing.pfx").mkdir()
    with pytest.raises(IsADirectoryError):
        ca.client("billing").write(tmp_path, "billing")
    assert [path.name for path in tmp_path.iterdir()] == ["billing.pfx"]


def test_a_ca_is_kept_in_a_pfx(ca: DevelopmentCA) -> None:
    again = DevelopmentCA.from_pfx(ca.pfx("geheim"), "geheim", at=AT)
    assert again.certificate == ca.certificate
    assert len(verified_by_cryptography(again.client("billing", dns=["a.internal"]), ca)) == 2


def test_no_key_shows_in_repr(ca: DevelopmentCA) -> None:
    assert repr(ca) == f"<DevelopmentCA {ca.certificate.describe()}>"
    issued = ca.client("billing")
    assert repr(issued) == f"<Issued {issued.certificate.describe()}>"


# The command.


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MTLS_DEVCA_PASSWORD", "geheim")
    return "geheim"


def test_command_makes_a_ca_and_identities(tmp_path: Path, password: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pki"
    san = "orders.internal,127.0.0.1,spiffe://example.org/orders,orders@example.org"
    assert main([str(folder), "--service", f"orders={san}", "--client", "billing", "--server", "stock"]) == 0
    orders = Identity.from_pfx(folder / "orders.pfx", password).certificate
    assert orders.extended_key_usage == frozenset({CLIENT_AUTH, SERVER_AUTH})
    assert orders.dns_names == ("orders.internal",)
    assert str(orders.ip_addresses[0]) == "127.0.0.1"
    assert orders.spiffe_id == "spiffe://example.org/orders"
    assert orders.emails == ("orders@example.org",)
    assert Identity.from_pfx(folder / "billing.pfx", password).certificate.dns_names == ()
    assert Identity.from_pfx(folder / "stock.pfx", password).certificate.dns_names == ("stock",)
    root = Certificate.from_pem((folder / "ca.pem").read_bytes())
    orders.parsed.verify_directly_issued_by(root.parsed)
    assert f"pin sha256/{orders.spki_pin}" in capsys.readouterr().out


def test_command_uses_the_same_ca_again(tmp_path: Path, password: str) -> None:
    assert main([str(tmp_path), "--client", "one"]) == 0
    before = (tmp_path / "ca.pem").read_bytes()
    assert main([str(tmp_path), "--client", "two", "--days", "1"]) == 0
    two = Identity.from_pfx(tmp_path / "two.pfx", password).certificate
    two.parsed.verify_directly_issued_by(Certificate.from_pem(before).parsed)
    assert two.not_after - two.not_before < timedelta(days=2)


def test_command_keeps_keys_private(tmp_path: Path, password: str) -> None:
    main([str(tmp_path), "--client", "one"])
    assert stat.S_IMODE((tmp_path / "ca.pfx").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "one.pfx").stat().st_mode) == 0o600


def test_command_says_what_is_wrong(
    tmp_path: Path, password: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main([str(tmp_path)])
    monkeypatch.setenv("MTLS_DEVCA_PASSWORD", "other")
    assert main([str(tmp_path), "--client", "one"]) == 1
    assert "the password is wrong" in capsys.readouterr().err


def test_command_without_password_and_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MTLS_DEVCA_PASSWORD", raising=False)
    assert main([str(tmp_path)]) == 1
    assert "set MTLS_DEVCA_PASSWORD" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ca", "", "../evil", ".hidden", "=a.internal"])
def test_command_refuses_names_that_are_no_file_names(tmp_path: Path, password: str, name: str) -> None:
    assert main([str(tmp_path), "--client", name]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "ca.pfx"]


def test_a_wrong_password_to_a_ca_is_an_identity_error(ca: DevelopmentCA) -> None:
    with pytest.raises(IdentityError, match="password is wrong"):
        DevelopmentCA.from_pfx(ca.pfx("geheim"), "falsch")
