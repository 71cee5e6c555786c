"""Which keys and signatures are allowed, in every place of a path but the anchor's."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mtls_core import ber, der
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA
from mtls_core.errors import MalformedCertificate, Reason
from mtls_core.path.algorithms import check_key, check_signature_algorithm, check_signature_fields

from .crafting import (
    AT,
    ECDSA_SHA224,
    ECDSA_SHA256_NULL,
    ECDSA_SHA384,
    certificate_for,
    make_root,
    reasons_of,
    refusal,
    resign,
    rsa_key,
    set_fields,
    verifier,
    verify,
)

EC_PUBLIC_KEY = "06072a8648ce3d0201"
RSASSA_PSS = bytes.fromhex("06092a864886f70d01010a")
MGF1 = bytes.fromhex("06092a864886f70d010108")
SHA256 = bytes.fromhex("300d06096086480165030402010500")
SHA384 = bytes.fromhex("300d06096086480165030402020500")


@pytest.fixture(scope="module")
def root() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def rsa_root() -> DevelopmentCA:
    return make_root("RSA root", key="rsa")


def _key_reason(certificate: Certificate) -> Reason | None:
    problem = check_key(certificate)
    return None if problem is None else problem.reason


def _with_spki(root: DevelopmentCA, algorithm: bytes, key: bytes) -> Certificate:
    spki = ber.encode(der.SEQUENCE, ber.encode(der.SEQUENCE, algorithm), ber.encode(der.BIT_STRING, b"\0", key))
    return resign(root.client("x").certificate, root, set_fields(spki=spki))


def _explicit_p256(root: DevelopmentCA) -> Certificate:
    """The curve P-256 with all its numbers, as SEC 1, section C.2 spells it."""
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = int("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b", 16)
    order = int("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
    generator = ec.derive_private_key(1, ec.SECP256R1()).public_key()

    def integer(value: int) -> bytes:
        return ber.encode(der.INTEGER, value.to_bytes(33).lstrip(b"\0").rjust(1 + value.bit_length() // 8, b"\0"))

    def octets(value: int) -> bytes:
        return ber.encode(der.OCTET_STRING, value.to_bytes(32))

    point = generator.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    field = ber.encode(der.SEQUENCE, bytes.fromhex("06072a8648ce3d0101"), integer(prime))
    curve = ber.encode(der.SEQUENCE, octets(prime - 3), octets(b))
    parameters = ber.encode(
        der.SEQUENCE, integer(1), field, curve, ber.encode(der.OCTET_STRING, point), integer(order), integer(1)
    )
    return _with_spki(root, bytes.fromhex(EC_PUBLIC_KEY) + parameters, point)


def _pss_parameters(digest: bytes) -> bytes:
    """RSASSA-PSS-params (RFC 4055, section 3.1) with a salt of 32 bytes."""
    mask = ber.encode(der.SEQUENCE, MGF1, digest)
    salt = ber.encode(0xA2, bytes.fromhex("020120"))
    return ber.encode(der.SEQUENCE, ber.encode(0xA0, digest), ber.encode(0xA1, mask), salt)


class TestKeys:
    @pytest.mark.parametrize("bits", [2048, 3072, 4096, 8192])
    def test_rsa(self, root: DevelopmentCA, bits: int) -> None:
        assert _key_reason(certificate_for(rsa_key(bits), root)) is None

    @pytest.mark.parametrize("bits", [1024, 2047])
    def test_short_rsa(self, root: DevelopmentCA, bits: int) -> None:
        assert _key_reason(certificate_for(rsa_key(bits), root)) is Reason.WEAK_KEY

    @pytest.mark.parametrize("bits", [8193, 16384])
    def test_long_rsa(self, root: DevelopmentCA, bits: int) -> None:
        """CVE-2023-29409."""
        assert _key_reason(certificate_for(rsa_key(bits), root)) is Reason.FORBIDDEN_ALGORITHM

    @pytest.mark.parametrize("exponent", [3, 17, 65537, 2**64 - 1])
    def test_rsa_exponents(self, root: DevelopmentCA, exponent: int) -> None:
        assert _key_reason(certificate_for(rsa_key(2048, exponent), root)) is None

    @pytest.mark.parametrize("exponent", [1, 2, 4, 65536, 2**64 + 1, 2**2000 + 1])
    def test_bad_rsa_exponents(self, root: DevelopmentCA, exponent: int) -> None:
        """Raw, because no builder takes them all. Some do not even load; none is allowed."""

        def integer(value: int) -> bytes:
            return ber.encode(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1))

        numbers = ber.encode(der.SEQUENCE, integer((1 << 2047) | 1), integer(exponent))
        certificate = _with_spki(root, bytes.fromhex("06092a864886f70d0101010500"), numbers)
        assert _key_reason(certificate) in {Reason.WEAK_KEY, Reason.FORBIDDEN_ALGORITHM}

    @pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: str(c.name))
    def test_curves(self, root: DevelopmentCA, curve: ec.EllipticCurve) -> None:
        assert _key_reason(certificate_for(ec.generate_private_key(curve).public_key(), root)) is None

    @pytest.mark.parametrize(
        ("oid", "length", "reason"),
        [
            ("06082a8648ce3d030101", 24, Reason.WEAK_KEY),  # P-192
            ("06052b81040021", 28, Reason.WEAK_KEY),  # P-224
            ("06052b8104000a", 32, Reason.FORBIDDEN_ALGORITHM),  # secp256k1
            ("06092b2403030208010107", 32, Reason.FORBIDDEN_ALGORITHM),  # brainpoolP256r1
            ("06052b81040001", 21, Reason.FORBIDDEN_ALGORITHM),  # sect163k1
        ],
    )
    def test_other_curves(self, root: DevelopmentCA, oid: str, length: int, reason: Reason) -> None:
        """Whether cryptography knows the curve or not, and whether the point is on it or not."""
        point = b"\x04" + b"\x01" * 2 * length
        assert _key_reason(_with_spki(root, bytes.fromhex(EC_PUBLIC_KEY + oid), point)) is reason

    def test_a_point_that_is_not_on_its_curve(self, root: DevelopmentCA) -> None:
        certificate = _with_spki(root, bytes.fromhex(EC_PUBLIC_KEY + "06082a8648ce3d030107"), b"\x04" + b"\x01" * 64)
        assert _key_reason(certificate) is Reason.FORBIDDEN_ALGORITHM

    def test_a_curve_that_is_spelled_out(self, root: DevelopmentCA) -> None:
        """CVE-2020-0601. cryptography reads this one as P-256, which it is."""
        problem = check_key(_explicit_p256(root))
        assert problem is not None
        assert problem.reason is Reason.FORBIDDEN_ALGORITHM
        assert "named curves alone" in problem.detail

    def test_edwards_curves(self, root: DevelopmentCA) -> None:
        for key in (ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()):
            assert _key_reason(certificate_for(key.public_key(), root)) is None

    def test_keys_that_cannot_sign(self, root: DevelopmentCA) -> None:
        for key in (x25519.X25519PrivateKey.generate(), x448.X448PrivateKey.generate()):
            assert _key_reason(certificate_for(key.public_key(), root)) is Reason.FORBIDDEN_ALGORITHM

    def test_dsa(self, root: DevelopmentCA) -> None:
        """CVE-2024-24783, CVE-2025-58188: a refusal, not a crash."""
        numbers = dsa.DSAParameterNumbers(p=(1 << 2047) | 1, q=(1 << 255) | 1, g=2)
        key = dsa.DSAPublicNumbers(y=4, parameter_numbers=numbers).public_key()
        assert refusal(verifier(root), certificate_for(key, root)).reason is Reason.FORBIDDEN_ALGORITHM

    @pytest.mark.parametrize(
        "oid",
        [
            "060960864801650304030f",  # ML-DSA-44
            "0609608648016503040312",  # ML-DSA-65
            "06092b06010401868d1f01",  # nobody's
        ],
    )
    def test_keys_of_an_unknown_kind(self, root: DevelopmentCA, oid: str) -> None:
        """CVE-2024-24783."""
        certificate = _with_spki(root, bytes.fromhex(oid), b"\x01" * 64)
        assert refusal(verifier(root), certificate).reason is Reason.FORBIDDEN_ALGORITHM

    def test_parameters_that_are_not_read(self, root: DevelopmentCA) -> None:
        """A tag of several bytes, which the strict reader refuses."""
        certificate = _with_spki(root, bytes.fromhex("06092b06010401868d1f011f810100"), b"\x04" * 65)
        assert refusal(verifier(root), certificate).reason is Reason.FORBIDDEN_ALGORITHM

    @pytest.mark.parametrize("key", ["rsa1024", "p192", "p224"])
    @pytest.mark.parametrize("depth", [0, 1])
    def test_weak_keys_in_every_place(self, root: DevelopmentCA, key: str, depth: int) -> None:
        ca = root.intermediate(key=key if depth else "ec")
        issued = ca.client("x", key="ec" if depth else key)
        error = refusal(verifier(root), issued)
        assert (error.reason, error.depth) == (Reason.WEAK_KEY, depth)

    @pytest.mark.parametrize("key", ["rsa1024", "p192"])
    def test_a_weak_anchor_is_the_operators_decision(self, key: str) -> None:
        anchor = make_root(key=key)
        assert reasons_of(anchor, anchor.client("x").certificate) == []

    def test_a_huge_key_is_not_computed_with(self, root: DevelopmentCA) -> None:
        """CVE-2023-29409, P18: an intermediate with a key of 16384 bits and the largest exponent."""
        huge = certificate_for(rsa_key(16384, 2**64 - 1), root, "Sub", ca=True)
        signer = make_root("Sub", key="rsa")
        judge, leaf = verifier(root), signer.client("x").certificate
        start = time.process_time()
        assert refusal(judge, leaf, huge).certificate in (leaf, huge)
        assert time.process_time() - start < 0.075


class TestSignatures:
    @pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
    def test_hashes(self, root: DevelopmentCA, rsa_root: DevelopmentCA, hash_name: str) -> None:
        for ca in (root, rsa_root):
            assert verify(verifier(ca), ca.client("x", hash=hash_name))

    @pytest.mark.parametrize("place", ["leaf", "intermediate"])
    def test_sha1(self, root: DevelopmentCA, rsa_root: DevelopmentCA, place: str) -> None:
        for ca in (root, rsa_root):
            middle = ca.intermediate(hash="sha1" if place == "intermediate" else "sha256")
            error = refusal(verifier(ca), middle.client("x", hash="sha1" if place == "leaf" else "sha256"))
            assert (error.reason, error.depth) == (Reason.FORBIDDEN_ALGORITHM, int(place == "intermediate"))
            assert "SHA-1" in error.detail

    def test_sha1_of_an_anchor_is_the_operators_decision(self) -> None:
        anchor = make_root(hash="sha1")
        assert verify(verifier(anchor), anchor.client("x"))

    def test_sha224(self, root: DevelopmentCA) -> None:
        leaf = resign(root.client("x").certificate, root, set_fields(algorithm=ECDSA_SHA224), digest=hashes.SHA224())
        assert reasons_of(root, leaf) == [(Reason.FORBIDDEN_ALGORITHM, 0)]

    def test_parameters_where_there_are_none(self, root: DevelopmentCA) -> None:
        """RFC 5758, section 3.2: ECDSA has no parameters, not even NULL."""
        with pytest.raises(MalformedCertificate):
            resign(root.client("x").certificate, root, set_fields(algorithm=ECDSA_SHA256_NULL))

    def test_rsa_with_and_without_its_null(self, root: DevelopmentCA) -> None:
        """RFC 4055, section 5: both must be accepted."""
        for algorithm in ("300d06092a864886f70d01010b0500", "300b06092a864886f70d01010b"):
            leaf = resign(root.client("x").certificate, root, set_fields(algorithm=bytes.fromhex(algorithm)))
            assert check_signature_algorithm(leaf) is None

    def test_an_algorithm_that_nobody_knows(self, root: DevelopmentCA) -> None:
        algorithm = ber.encode(der.SEQUENCE, bytes.fromhex("06092b06010401868d1f01"))
        leaf = resign(root.client("x").certificate, root, set_fields(algorithm=algorithm))
        assert reasons_of(root, leaf) == [(Reason.FORBIDDEN_ALGORITHM, 0)]

    def test_the_algorithm_of_another_kind_of_key(self, root: DevelopmentCA) -> None:
        """An RSA algorithm named in a certificate that an EC key signed."""
        algorithm = bytes.fromhex("300d06092a864886f70d01010b0500")
        leaf = resign(root.client("x").certificate, root, set_fields(algorithm=algorithm))
        assert reasons_of(root, leaf) == [(Reason.SIGNATURE_INVALID, 0)]

    def test_the_hash_that_was_not_used(self, root: DevelopmentCA) -> None:
        leaf = resign(root.client("x").certificate, root, set_fields(algorithm=ECDSA_SHA384))
        assert reasons_of(root, leaf) == [(Reason.SIGNATURE_INVALID, 0)]
        good = resign(root.client("x").certificate, root, set_fields(algorithm=ECDSA_SHA384), digest=hashes.SHA384())
        assert reasons_of(root, good) == []

    def test_fields_that_agree(self, root: DevelopmentCA) -> None:
        assert check_signature_fields(root.client("x").certificate) is None


class TestPss:
    def _leaf(self, root: DevelopmentCA, mask: hashes.HashAlgorithm, salt: int, digest: Any) -> Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=root.certificate.subject_name,
            subject_name=x509.Name([]),
            public_key=root.private_key.public_key(),
            serial_number=1,
            not_valid_before=AT,
            not_valid_after=AT,
        ).add_extension(x509.SubjectAlternativeName([x509.DNSName("x")]), critical=True)
        scheme = padding.PSS(padding.MGF1(mask), salt)
        return Certificate.from_x509(builder.sign(root.private_key, digest, rsa_padding=scheme))

    @pytest.mark.parametrize("salt", [0, 20, 32, 64])
    def test_any_salt(self, rsa_root: DevelopmentCA, salt: int) -> None:
        """``openssl -sigopt rsa_pss_saltlen:max`` makes long ones."""
        assert verify(verifier(rsa_root), self._leaf(rsa_root, hashes.SHA256(), salt, hashes.SHA256()))

    def test_two_hashes(self, rsa_root: DevelopmentCA) -> None:
        leaf = self._leaf(rsa_root, hashes.SHA384(), 32, hashes.SHA256())
        assert reasons_of(rsa_root, leaf) == [(Reason.FORBIDDEN_ALGORITHM, 0)]

    def test_a_weak_hash(self, rsa_root: DevelopmentCA) -> None:
        leaf = self._leaf(rsa_root, hashes.SHA224(), 28, hashes.SHA224())
        assert reasons_of(rsa_root, leaf) == [(Reason.FORBIDDEN_ALGORITHM, 0)]

    @pytest.mark.parametrize("parameters", [b"", b"\x30\x00"])
    def test_the_default_parameters_are_sha1(self, root: DevelopmentCA, parameters: bytes) -> None:
        """RFC 4055, section 3.1."""
        algorithm = ber.encode(der.SEQUENCE, RSASSA_PSS, parameters)
        leaf = resign(root.client("x").certificate, root, set_fields(algorithm=algorithm))
        assert reasons_of(root, leaf) == [(Reason.FORBIDDEN_ALGORITHM, 0)]

    @pytest.mark.parametrize("parameters", [b"\x05\x00", b"\x30\x03\x02\x01\x01"])
    def test_parameters_that_are_none(self, root: DevelopmentCA, parameters: bytes) -> None:
        algorithm = ber.encode(der.SEQUENCE, RSASSA_PSS, parameters)
        with pytest.raises(MalformedCertificate):
            resign(root.client("x").certificate, root, set_fields(algorithm=algorithm))


class TestPssKeys:
    """A key marked id-RSASSA-PSS is for PSS alone (RFC 4055, section 1.2); cryptography does not show the mark."""

    def _issuer(self, rsa_root: DevelopmentCA, *parameters: bytes) -> Certificate:
        """The root with its key marked."""
        numbers = rsa_root.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        spki = ber.encode(
            der.SEQUENCE,
            ber.encode(der.SEQUENCE, RSASSA_PSS, *parameters),
            ber.encode(der.BIT_STRING, b"\0", numbers),
        )
        algorithm = ber.encode(der.SEQUENCE, RSASSA_PSS, _pss_parameters(SHA256))
        return resign(rsa_root.certificate, rsa_root, set_fields(spki=spki, algorithm=algorithm))

    @pytest.fixture(scope="class")
    @classmethod
    def leaves(cls, rsa_root: DevelopmentCA) -> dict[bool, Certificate]:
        pss = DevelopmentCA(rsa_root.certificate, rsa_root.private_key, AT, pss=True)
        return {True: pss.client("x").certificate, False: rsa_root.client("x").certificate}

    @pytest.mark.parametrize("pss", [True, False])
    def test_without_parameters(self, rsa_root: DevelopmentCA, leaves: dict[bool, Certificate], pss: bool) -> None:
        judge = verifier(self._issuer(rsa_root))
        if pss:
            assert verify(judge, leaves[pss])
        else:
            assert refusal(judge, leaves[pss]).reason is Reason.SIGNATURE_INVALID

    @pytest.mark.parametrize(("digest", "good"), [(SHA256, True), (SHA384, False)])
    def test_with_parameters(
        self, rsa_root: DevelopmentCA, leaves: dict[bool, Certificate], digest: bytes, good: bool
    ) -> None:
        judge = verifier(self._issuer(rsa_root, _pss_parameters(digest)))
        if good:
            assert verify(judge, leaves[True])
        else:
            assert refusal(judge, leaves[True]).reason is Reason.SIGNATURE_INVALID
