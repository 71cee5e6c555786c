"""Who may answer by OCSP, and whose answers do not count (RFC 6960, section 4.2.2.2)."""

from __future__ import annotations

import dataclasses
import functools
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from mtls_core import ber, der
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.devca.ocsp import ocsp_response, ocsp_signer
from mtls_core.path.work import MAX_CERTIFICATES_SENT
from mtls_core.revocation.ocsp import delegated_responder
from mtls_core.revocation.ocsp_signer import MAX_CERTIFICATES
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Status

from .crafting import AT, certificate_for, extended, key_usage, resign, rsa_key, set_fields
from .ocsp_questions import DAY, HOUR, POLICY, answer, answer_to, delegate, is_good, pki, response, unknown

OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
ANY_USAGE = "2.5.29.37.0"


def trusting(*responders: Issued) -> RevocationPolicy:
    return RevocationPolicy(trusted_responders=tuple(responder.certificate for responder in responders))


# The issuer.


@pytest.mark.parametrize("responder_id", ["name", "key"])
def test_the_issuer(responder_id: str) -> None:
    assert is_good(answer(responder_id=responder_id))


@pytest.mark.parametrize("key", ["rsa", "p384", "p521", "ed25519", "ed448"])
@pytest.mark.parametrize("signature", ["sha256", "sha384", "sha512"])
def test_each_algorithm(key: str, signature: str) -> None:
    ca, leaf = _ca_with(key)
    data = ocsp_response(ca, leaf, this_update=AT, signature=signature)
    assert is_good(answer_to(data, path=(leaf, ca.certificate)))


@pytest.mark.parametrize(("key", "name"), [("rsa", "SHA-1 with RSA"), ("ec", "ECDSA with SHA-1")])
def test_sha1(key: str, name: str) -> None:
    ca, leaf = _ca_with(key)
    data = ocsp_response(ca, leaf, this_update=AT, signature="sha1")
    assert f"signs with {name}, which is not allowed" in unknown(answer_to(data, path=(leaf, ca.certificate)))


def test_rsa_pss() -> None:
    """cryptography does not read its parameters in OCSP responses; the sentence says what to do."""
    ca, leaf = _ca_with("rsa")
    data = ocsp_response(ca, leaf, this_update=AT, signature="pss")
    assert "signs with RSASSA-PSS, which is not verified" in unknown(answer_to(data, path=(leaf, ca.certificate)))


def test_a_key_that_is_for_pss_alone() -> None:
    ca, leaf = _ca_with("rsa")
    spki = bytes(ca.certificate.spki_der)
    marked = spki.replace(bytes.fromhex("06092a864886f70d010101"), bytes.fromhex("06092a864886f70d01010a"))
    issuer = dataclasses.replace(ca.certificate, spki_der=marked)
    data = ocsp_response(ca, leaf, this_update=AT)
    assert is_good(answer_to(data, path=(leaf, ca.certificate)))
    assert "does not verify" in unknown(answer_to(data, path=(leaf, issuer)))


def test_an_unknown_algorithm() -> None:
    data = response().replace(bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d04030a"))
    assert "signs with algorithm 1.2.840.10045.4.3.10, which is not allowed" in unknown(answer_to(data))


def test_an_algorithm_that_is_not_of_the_key() -> None:
    """RSA's name on a signature by an EC key."""
    ecdsa, rsa = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300b06092a864886f70d01010b")
    assert "does not verify" in unknown(answer_to(_with_algorithm(response(), ecdsa, rsa)))


def test_a_tampered_response() -> None:
    good = response(status="unknown")
    assert unknown(answer_to(good))
    at = good.index(b"\x82\x00\x18")
    assert "does not verify" in unknown(answer_to(good[:at] + b"\x80" + good[at + 1 :]))


def test_signed_with_another_key() -> None:
    assert "does not verify with the key of CN=Issuing CA" in unknown(answer(signing_key=pki().root.private_key))


# Others who are no responders of this CA.


def test_another_ca() -> None:
    other = DevelopmentCA.create("Issuing CA", at=AT)
    assert "is neither CN=Issuing CA" in unknown(answer(signer=other))
    # It has the name, and not the key.
    assert "does not verify" in unknown(answer(signer=other, responder_id="name"))


def test_the_ca_above() -> None:
    assert "is neither CN=Issuing CA" in unknown(answer(signer=pki().root))


def test_a_ca_that_sends_its_certificate_along() -> None:
    root = pki().root
    assert "was issued by CN=Root, not by CN=Issuing CA" in unknown(
        answer(signer=root, certificates=[root.certificate])
    )


def test_a_client_of_the_same_ca() -> None:
    """CVE-2022-1343."""
    said = unknown(answer(signer=pki().ca.client("stock")))
    assert "CN=stock was not issued for signing OCSP responses" in said


def test_the_certificate_itself() -> None:
    """It cannot be a responder that says that it is not revoked."""
    self_speaking = ocsp_signer(pki().ca)
    leaf = self_speaking.certificate
    data = ocsp_response(pki().ca, leaf, this_update=AT, signer=self_speaking)
    path = (leaf, *pki().path[1:])
    assert "would be speaking for itself" in unknown(answer_to(data, path=path))
    assert is_good(answer_to(ocsp_response(pki().ca, leaf, this_update=AT, signer=delegate()), path=path))


def test_the_key_of_the_certificate_itself() -> None:
    """Issued once more, for signing OCSP responses."""
    leaf = pki().ca.client("billing")
    again = ocsp_signer(pki().ca, key=leaf.private_key)
    data = ocsp_response(pki().ca, leaf.certificate, this_update=AT, signer=again)
    assert "would be speaking for itself" in unknown(answer_to(data, path=(leaf.certificate, *pki().path[1:])))


def test_nobody() -> None:
    """The responder's certificate is not sent along."""
    assert "nor sent a certificate" in unknown(answer(signer=delegate(), certificates=[]))


# Delegated responders.


@pytest.mark.parametrize("responder_id", ["name", "key"])
def test_a_delegate(responder_id: str) -> None:
    said = answer(signer=delegate(), responder_id=responder_id)
    assert is_good(said)
    assert "says CN=OCSP responder" in said.detail


def test_a_delegate_of_the_root_about_an_intermediate() -> None:
    signer = ocsp_signer(pki().root)
    data = ocsp_response(pki().root, pki().ca.certificate, this_update=AT, signer=signer)
    assert is_good(answer_to(data, depth=1))


@pytest.mark.parametrize("usage", [(ANY_USAGE,), (), ("client", "server")], ids=["any", "none", "others"])
def test_a_delegate_must_be_named_as_one(usage: tuple[str, ...]) -> None:
    """Neither anyExtendedKeyUsage nor having no extended key usage is enough."""
    assert "was not issued for signing OCSP responses" in unknown(answer(signer=ocsp_signer(pki().ca, usage=usage)))
    assert is_good(answer(signer=ocsp_signer(pki().ca, usage=(*usage, OCSP_SIGNING))))


def test_a_delegate_of_another_ca() -> None:
    stranger = DevelopmentCA.create("Another CA", at=AT)
    assert "was issued by CN=Another CA, not by CN=Issuing CA" in unknown(answer(signer=ocsp_signer(stranger)))


def test_a_delegate_of_another_ca_of_the_same_name() -> None:
    stranger = DevelopmentCA.create("Issuing CA", at=AT)
    assert "does not verify with the key of CN=Issuing CA" in unknown(answer(signer=ocsp_signer(stranger)))


def test_a_delegate_of_the_ca_above() -> None:
    assert "was issued by CN=Root" in unknown(answer(signer=ocsp_signer(pki().root)))


def test_a_delegate_of_a_ca_below() -> None:
    """It must be issued by the CA itself, and not by one that the CA issued."""
    below = pki().ca.intermediate("CA below")
    signer = ocsp_signer(below)
    sent = [signer.certificate, below.certificate]
    assert "was issued by CN=CA below" in unknown(answer(signer=signer, certificates=sent))


def test_a_delegate_that_is_a_ca() -> None:
    below = pki().ca.intermediate("CA below", extensions=[extended(OCSP_SIGNING)])
    assert "is a CA" in unknown(answer(signer=below, certificates=[below.certificate]))


def test_an_expired_delegate() -> None:
    signer = ocsp_signer(pki().ca, not_after=AT - HOUR)
    assert "expired on 2026-06-01T11:00:00Z" in unknown(answer(signer=signer))
    assert is_good(answer(signer=ocsp_signer(pki().ca, not_after=AT + HOUR)))


def test_a_delegate_may_be_expired_by_the_skew() -> None:
    """P13."""
    signer, lenient = ocsp_signer(pki().ca, not_after=AT - HOUR), RevocationPolicy(clock_skew=2 * HOUR)
    said = answer(signer=signer, policy=lenient)
    assert is_good(said)
    assert said.valid_until == AT + HOUR


def test_a_delegate_that_is_not_valid_yet() -> None:
    signer = ocsp_signer(pki().ca, not_before=AT + HOUR)
    assert "is not valid before 2026-06-01T13:00:00Z" in unknown(answer(signer=signer))


@pytest.mark.parametrize("key", ["rsa1024", "p224", "p192"])
def test_a_delegate_with_a_weak_key(key: str) -> None:
    said = unknown(answer(signer=ocsp_signer(pki().ca, key=key)))
    assert "may not answer: the key of CN=OCSP responder" in said


@pytest.mark.parametrize("bits", [8193, 16384])
def test_a_delegate_with_a_key_that_is_too_long(bits: int) -> None:
    """P18: it is not tried, whatever it would say."""
    certificate = certificate_for(rsa_key(bits), pki().ca, "OCSP responder")
    signer = Issued(certificate, (), delegate().private_key)
    assert f"has {bits} bits; RSA keys of at most 8192 are verified" in unknown(answer(signer=signer))


def test_a_delegate_whose_certificate_is_signed_with_sha1() -> None:
    said = unknown(answer(signer=ocsp_signer(pki().ca, hash="sha1")))
    assert "CN=OCSP responder is signed with ECDSA with SHA-1" in said


def test_a_delegate_whose_certificate_was_changed() -> None:
    signer = delegate()
    certificate = resign(signer.certificate, pki().root, set_fields())
    assert "does not verify with the key of CN=Issuing CA" in unknown(
        answer(signer=Issued(certificate, (), signer.private_key))
    )


@pytest.mark.parametrize(
    ("usages", "counts"),
    [(("digital_signature",), True), (("content_commitment",), True), (("key_agreement",), False)],
)
def test_a_delegate_must_be_allowed_to_sign(usages: tuple[str, ...], counts: bool) -> None:
    said = answer(signer=ocsp_signer(pki().ca, extensions=[key_usage(*usages)]))
    if counts:
        assert is_good(said)
    else:
        assert "signing OCSP responses needs" in unknown(said)


def test_a_delegate_with_an_unknown_critical_extension() -> None:
    value = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    assert "1.3.6.1.4.1.99999.1" in unknown(answer(signer=ocsp_signer(pki().ca, extensions=[(value, True)])))
    assert is_good(answer(signer=ocsp_signer(pki().ca, extensions=[(value, False)])))


@pytest.mark.parametrize(("name", "counts"), [("ocsp.example.org", True), ("ocsp.evil.example", False)])
def test_name_constraints_hold_for_delegates(name: str, counts: bool) -> None:
    permitted = x509.NameConstraints([x509.DNSName("example.org")], None)
    ca = pki().root.intermediate("Issuing CA", extensions=[(permitted, True)])
    leaf = ca.client("billing", dns=["billing.example.org"]).certificate
    data = ocsp_response(ca, leaf, this_update=AT, signer=ocsp_signer(ca, dns=[name]))
    said = answer_to(data, path=(leaf, ca.certificate, pki().root.certificate))
    if counts:
        assert is_good(said)
    else:
        assert "ocsp.evil.example" in unknown(said)


def test_a_delegate_with_names_without_end() -> None:
    """What its issuer's name constraints would cost is bounded."""
    permitted = x509.NameConstraints([x509.DNSName(f"{number}.example") for number in range(200)], None)
    ca = pki().root.intermediate("Issuing CA", extensions=[(permitted, True)])
    leaf = ca.client("billing").certificate
    signer = ocsp_signer(ca, dns=[f"{number}.example" for number in range(200)])
    data = ocsp_response(ca, leaf, this_update=AT, signer=signer)
    said = answer_to(data, path=(leaf, ca.certificate, pki().root.certificate))
    assert "CN=OCSP responder is not looked at further" in unknown(said)


def test_a_ca_that_issues_for_clients_may_delegate() -> None:
    """Its extended key usage does not count for OCSP, as in OpenSSL and Mozilla; delegates do not name its own."""
    ca = pki().root.intermediate("Issuing CA", extensions=[extended("1.3.6.1.5.5.7.3.2")])
    leaf = ca.client("billing").certificate
    data = ocsp_response(ca, leaf, this_update=AT, signer=ocsp_signer(ca))
    assert is_good(answer_to(data, path=(leaf, ca.certificate, pki().root.certificate)))


def test_an_issuer_whose_own_dates_are_judged_elsewhere() -> None:
    """A policy for certificates may be lenient about dates; then its path is good, and so are its delegates."""
    root = DevelopmentCA.create("Root", at=AT, not_before=AT - 9 * DAY, not_after=AT - HOUR)
    leaf = root.client("billing").certificate
    data = ocsp_response(root, leaf, this_update=AT, signer=ocsp_signer(root))
    assert is_good(answer_to(data, path=(leaf, root.certificate)))


def test_the_delegate_among_others() -> None:
    signer = delegate()
    others = [pki().leaf, pki().root.certificate]
    assert is_good(answer(signer=signer, certificates=[*others, signer.certificate]))


def test_a_renewed_delegate_beside_its_old_certificate() -> None:
    signer = delegate()
    expired = ocsp_signer(pki().ca, key=signer.private_key, not_after=AT - HOUR)
    assert is_good(answer(signer=signer, certificates=[expired.certificate, signer.certificate]))
    assert "expired" in unknown(answer(signer=signer, certificates=[expired.certificate]))


def test_a_decoy_of_the_same_name() -> None:
    signer = delegate()
    decoy = DevelopmentCA.create("Another CA", at=AT).client("OCSP responder").certificate
    assert is_good(answer(signer=signer, certificates=[decoy, signer.certificate], responder_id="name"))


def test_a_certificate_that_cannot_be_read_beside_the_delegate() -> None:
    signer = delegate()
    leaf = pki().leaf.der
    unreadable = dataclasses.replace(pki().leaf, der=leaf.replace(b"billing", b"bill\xff\xff\xff"))
    assert is_good(answer(signer=signer, certificates=[unreadable, signer.certificate]))


def test_only_the_first_certificates_are_looked_at() -> None:
    assert MAX_CERTIFICATES == MAX_CERTIFICATES_SENT
    signer = delegate()
    others = [pki().leaf] * (MAX_CERTIFICATES - 1)
    assert is_good(answer(signer=signer, certificates=[*others, signer.certificate]))
    assert "nor sent a certificate" in unknown(
        answer(signer=signer, certificates=[*others, pki().leaf, signer.certificate])
    )


# Configured responders.


def test_a_trusted_responder() -> None:
    stranger = DevelopmentCA.create("Another CA", at=AT).client("central responder")
    assert "if it is to be believed, add its certificate" in unknown(answer(signer=stranger, certificates=[]))
    said = answer(signer=stranger, certificates=[], policy=trusting(stranger))
    assert is_good(said)
    assert "says CN=central responder" in said.detail


@pytest.mark.parametrize("responder_id", ["name", "key"])
def test_a_trusted_responder_that_is_self_signed(responder_id: str) -> None:
    responder = self_signed("central responder", at=AT)
    assert is_good(answer(signer=responder, policy=trusting(responder), responder_id=responder_id))


def test_an_expired_trusted_responder() -> None:
    responder = self_signed("central responder", at=AT, not_after=AT - HOUR)
    assert "CN=central responder expired on" in unknown(answer(signer=responder, policy=trusting(responder)))


def test_a_trusted_responder_with_a_weak_key() -> None:
    responder = self_signed("central responder", at=AT, key="rsa1024")
    assert "has 1024 bits" in unknown(answer(signer=responder, policy=trusting(responder)))


def test_a_trusted_responder_that_did_not_sign() -> None:
    responder = self_signed("central responder", at=AT)
    impostor = self_signed("central responder", at=AT)
    said = answer(signer=impostor, policy=trusting(responder), responder_id="name", certificates=[])
    assert "does not verify with the key of CN=central responder" in unknown(said)


def test_an_answer_of_a_trusted_responder_counts_no_longer_than_its_certificate() -> None:
    responder = self_signed("central responder", at=AT, not_after=AT + 10 * HOUR)
    said = answer(signer=responder, policy=trusting(responder), next_update=AT + DAY)
    assert said.valid_until == AT + 10 * HOUR + timedelta(seconds=1)


def test_who_is_trusted_may_speak_of_itself() -> None:
    """The operator said so."""
    responder = pki().ca.client("billing")
    data = ocsp_response(pki().ca, responder.certificate, this_update=AT, signer=responder)
    path = (responder.certificate, *pki().path[1:])
    assert is_good(answer_to(data, path=path, policy=trusting(responder)))


# Whether the responder was revoked itself.


def _to_be_asked(data: bytes, policy: RevocationPolicy = POLICY) -> Certificate | None:
    return delegated_responder(data, pki().path, 0, at=AT, policy=policy)


def test_a_delegate_is_to_be_asked_about() -> None:
    signer = ocsp_signer(pki().ca, nocheck=False)
    assert _to_be_asked(response(signer=signer)) == signer.certificate


def test_a_delegate_with_nocheck_is_not() -> None:
    assert delegate().certificate.extension(ExtensionOID.OCSP_NO_CHECK) is not None
    assert _to_be_asked(response(signer=delegate())) is None


def test_nobody_is_to_be_asked_about_where_the_issuer_signed() -> None:
    assert _to_be_asked(response()) is None


def test_a_trusted_responder_is_not_asked_about() -> None:
    signer = ocsp_signer(pki().ca, nocheck=False)
    assert _to_be_asked(response(signer=signer), trusting(signer)) is None


@pytest.mark.parametrize("options", [{"usage": ("client",)}, {"not_after": AT - HOUR}])
def test_who_may_not_answer_is_not_asked_about(options: dict[str, Any]) -> None:
    signer = ocsp_signer(pki().ca, nocheck=False, **options)
    assert _to_be_asked(response(signer=signer)) is None


def test_garbage_is_signed_by_nobody() -> None:
    assert _to_be_asked(b"garbage") is None


def test_a_revoked_delegate_can_be_found_out() -> None:
    """What a checker does: ask about the delegate as about a leaf; the issuer answers."""
    signer = ocsp_signer(pki().ca, nocheck=False)
    asked = _to_be_asked(response(signer=signer))
    assert asked is not None
    about = ocsp_response(pki().ca, asked, this_update=AT, status="revoked")
    assert answer_to(about, path=(asked, *pki().path[1:])).status is Status.REVOKED


@functools.cache
def _ca_with(key: str) -> tuple[DevelopmentCA, Certificate]:
    ca = DevelopmentCA.create(key=key, at=AT)
    return ca, ca.client("billing").certificate


def _with_algorithm(data: bytes, old: bytes, new: bytes) -> bytes:
    """A response whose AlgorithmIdentifier, which no signature covers, is another."""
    status, explicit = der.read_all(data).children()
    (response_bytes,) = explicit.children()
    kind, octets = response_bytes.children()
    tbs, algorithm, *rest = der.read_all(octets.value).children()
    assert algorithm.raw == old
    basic = ber.encode(der.SEQUENCE, tbs.raw, new, *(part.raw for part in rest))
    inner = ber.encode(der.SEQUENCE, kind.raw, ber.encode(der.OCTET_STRING, basic))
    return ber.encode(der.SEQUENCE, status.raw, ber.encode(0xA0, inner))
