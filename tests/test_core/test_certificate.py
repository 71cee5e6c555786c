"""Every field of a certificate, read once; whatever is not a certificate is malformed."""

from __future__ import annotations

import base64
import copy
import hashlib
import ipaddress
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, self_signed
from mtls_core.errors import MalformedCertificate, Reason

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return DevelopmentCA.create("Test CA")


@pytest.fixture(scope="module")
def certificate(ca: DevelopmentCA) -> Certificate:
    return ca.client(
        "billing",
        dns=["billing.internal", "billing"],
        ips=["127.0.0.1", "::1"],
        uris=["spiffe://example.org/billing"],
        emails=["billing@example.org"],
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_after=datetime(2026, 2, 1, 12, 30, tzinfo=UTC),
    ).certificate


def test_names_are_sorted_by_kind(certificate: Certificate) -> None:
    assert certificate.common_names == ("billing",)
    assert "CN=billing" in certificate.subject
    assert "CN=Test CA" in certificate.issuer
    assert certificate.dns_names == ("billing.internal", "billing")
    assert certificate.ip_addresses == (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
    assert certificate.uris == ("spiffe://example.org/billing",)
    assert certificate.emails == ("billing@example.org",)
    assert certificate.spiffe_id == "spiffe://example.org/billing"


def test_validity_is_in_utc(certificate: Certificate) -> None:
    assert certificate.not_before == datetime(2026, 1, 1, tzinfo=UTC)
    assert certificate.not_after == datetime(2026, 2, 1, 12, 30, tzinfo=UTC)
    assert certificate.not_after.utcoffset() == timedelta(0)


def test_usages_and_constraints(certificate: Certificate, ca: DevelopmentCA) -> None:
    assert certificate.extended_key_usage == {CLIENT_AUTH}
    assert certificate.key_usage is not None
    assert "digital_signature" in certificate.key_usage
    assert not certificate.is_ca
    assert ca.certificate.is_ca
    assert {"key_cert_sign", "crl_sign"} <= (ca.certificate.key_usage or frozenset())
    assert certificate.authority_key_id == ca.certificate.subject_key_id


def test_without_the_extension_usage_is_none_not_empty(ca: DevelopmentCA) -> None:
    assert ca.issue("anything", usage=()).certificate.extended_key_usage is None


def test_hashes_are_those_of_the_bytes(certificate: Certificate) -> None:
    digest = hashlib.sha256(certificate.der)
    assert certificate.thumbprint == digest.hexdigest()
    assert certificate.x5t_s256 == base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
    spki = certificate.parsed.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert certificate.spki_der == spki
    assert certificate.spki_pin == base64.b64encode(hashlib.sha256(spki).digest()).decode()


def test_the_signed_part_is_the_one_that_cryptography_signs(certificate: Certificate) -> None:
    assert certificate.tbs == certificate.parsed.tbs_certificate_bytes
    assert certificate.signature == certificate.parsed.signature
    assert certificate.inner_algorithm_der == certificate.outer_algorithm_der


def test_pem_and_der_give_the_same_certificate(certificate: Certificate) -> None:
    again = Certificate.from_pem(certificate.pem)
    assert again == certificate
    assert hash(again) == hash(certificate)
    assert Certificate.from_pem(certificate.pem.encode()) == certificate
    assert Certificate.from_x509(certificate.parsed) == certificate


def test_a_certificate_pickles_as_its_bytes(certificate: Certificate) -> None:
    assert pickle.loads(pickle.dumps(certificate)) == certificate  # noqa: S301
    assert copy.deepcopy(certificate) == certificate


@pytest.mark.parametrize("key", ["p256", "p384", "ed25519", "ed448", "rsa"])
def test_self_signed_is_seen_for_every_kind_of_key(key: str) -> None:
    assert self_signed("me", key=key).certificate.is_self_signed


def test_self_signed_is_a_matter_of_signature_not_of_names(ca: DevelopmentCA) -> None:
    assert ca.certificate.is_self_signed
    impostor = DevelopmentCA.create("Test CA").issue("Test CA").certificate
    assert impostor.is_self_issued is (impostor.subject == impostor.issuer)
    assert not impostor.is_self_signed


def test_same_names_signed_by_another_key_are_self_issued_but_not_self_signed() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "same")])
    signer, subject = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    certificate = Certificate.from_x509(_builder(name, name, subject.public_key()).sign(signer, hashes.SHA256()))
    assert certificate.is_self_issued
    assert not certificate.is_self_signed


def test_all_common_names_are_kept() -> None:
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "billing"), x509.NameAttribute(NameOID.COMMON_NAME, "admin")]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = Certificate.from_x509(_builder(name, name, key.public_key()).sign(key, hashes.SHA256()))
    assert certificate.common_names == ("billing", "admin")


def test_a_common_name_is_never_read_from_the_text_of_the_subject() -> None:
    """CVE-2026-22747 (Spring): CN taken from the DN string."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x,CN=admin+CN=root")])
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = Certificate.from_x509(_builder(name, name, key.public_key()).sign(key, hashes.SHA256()))
    assert certificate.common_names == ("x,CN=admin+CN=root",)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["https://example.org/billing"],
        ["spiffe://example.org/billing", "spiffe://example.org/orders"],
        ["spiffe://example.org/billing", "https://example.org/"],
        ["spiffe://example.org/billing/"],
    ],
)
def test_a_spiffe_id_is_exactly_one_valid_uri(ca: DevelopmentCA, uris: list[str]) -> None:
    """X509-SVID, section 2: more than one URI SAN, and there is no SPIFFE ID."""
    assert ca.client("billing", uris=uris).certificate.spiffe_id is None


def test_a_user_principal_name_is_read(ca: DevelopmentCA) -> None:
    upn = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x03a@b")
    other = x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")
    extension = x509.SubjectAlternativeName([upn, other])
    sans = ca.issue("user", extensions=[(extension, False)]).certificate.subject_alternative_names
    assert sans.upns == ("a@b",)
    assert sans.other == (("1.2.3", b"\x05\x00"),)


def test_extensions_are_found_by_oid(certificate: Certificate) -> None:
    usage = certificate.extension(ExtensionOID.EXTENDED_KEY_USAGE)
    assert usage is not None
    assert list(usage.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.extension(ExtensionOID.NAME_CONSTRAINTS) is None


def test_a_log_line_cannot_be_forged_by_a_subject() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x\nERROR all is lost\x1b[2J")])
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = Certificate.from_x509(_builder(name, name, key.public_key()).sign(key, hashes.SHA256()))
    assert certificate.common_names == ("x\nERROR all is lost\x1b[2J",)
    assert certificate.describe().isprintable()
    assert repr(certificate).isprintable()


def test_describe_says_who_which_and_until_when(certificate: Certificate) -> None:
    assert "CN=billing" in certificate.describe()
    assert f"{certificate.serial_number:x}" in certificate.describe()
    assert "2026-02-01T12:30:00Z" in certificate.describe()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x30", b"not a certificate", b"\x30\x00", b"\x30\x03\x30\x01\x00", bytes(100), b"\x30\x80" + bytes(64)],
)
def test_what_is_not_der_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedCertificate) as caught:
        Certificate.from_der(data)
    assert caught.value.reason is Reason.MALFORMED


def test_a_certificate_with_a_byte_behind_it_is_malformed(certificate: Certificate) -> None:
    with pytest.raises(MalformedCertificate):
        Certificate.from_der(certificate.der + b"\x00")


def test_a_huge_certificate_is_not_looked_at() -> None:
    with pytest.raises(MalformedCertificate, match="read at most"):
        Certificate.from_der(b"\x30\x83\x02\x00\x00" + bytes(0x20000))


def test_text_is_not_der() -> None:
    with pytest.raises(MalformedCertificate, match="bytes of DER, not str"):
        Certificate.from_der("text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no"),
        ("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "damaged"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no"),
    ],
)
def test_what_is_not_pem_is_malformed(text: str, sentence: str) -> None:
    with pytest.raises(MalformedCertificate, match=sentence):
        Certificate.from_pem(text)


def test_two_certificates_are_not_one(certificate: Certificate, ca: DevelopmentCA) -> None:
    both = "some text\n" + certificate.pem + "more text\n" + ca.certificate.pem
    assert Certificate.all_from_pem(both) == (certificate, ca.certificate)
    with pytest.raises(MalformedCertificate, match="2 certificates where one was expected"):
        Certificate.from_pem(both)


def test_a_serial_number_that_is_not_positive_can_be_read() -> None:
    """Some public roots have serial 0; whether it is admitted is the verifier's business."""
    certificate = self_signed("me").certificate
    serial = certificate.serial_number.to_bytes((certificate.serial_number.bit_length() + 8) // 8)
    negative = certificate.der.replace(serial, b"\x80" + serial[1:], 1)
    assert Certificate.from_der(negative).serial_number < 0


def test_an_unknown_kind_of_key_can_be_read(certificate: Certificate) -> None:
    """CVE-2024-24783 (Go): panic on an unknown key algorithm."""
    ec_public_key, unknown = bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0263")
    odd = Certificate.from_der(certificate.der.replace(ec_public_key, unknown, 1))
    assert odd.public_key is None
    assert odd.key_type.startswith("unknown 1.2.840.10045.2.99")


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
    )
