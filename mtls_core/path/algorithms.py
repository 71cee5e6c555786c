"""Which keys and signature algorithms are allowed in everything but a trust anchor.

RSA with 2048 to 8192 bits, P-256, P-384, P-521, Ed25519, Ed448; SHA-256, SHA-384, SHA-512. SHA-224 is left out although
RFC 5758 has it: no public or private CA in use needs it, the CA/Browser Forum forbids it, and TLS 1.3 has no name for
it.
"""

from __future__ import annotations

from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from .. import der as asn1
from ..certificate import Certificate
from ..errors import Problem, Reason
from .problems import subject_of

MIN_RSA_BITS = 2048
#: Larger keys cost their verifier time and nobody else anything (CVE-2023-29409).
MAX_RSA_BITS = 8192
#: The cost of verifying grows with the exponent's length, which whoever made the key chose.
MAX_RSA_EXPONENT_BITS = 64

RSASSA_PSS = "1.2.840.113549.1.1.10"

# Object identifiers as they stand in a SubjectPublicKeyInfo (RFC 5480, section 2.1.1.1; RFC 8017, appendix C).
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_RSASSA_PSS_DER = bytes.fromhex("06092a864886f70d01010a")
_CURVES = frozenset(
    bytes.fromhex(oid)
    for oid in (
        "06082a8648ce3d030107",  # P-256
        "06052b81040022",  # P-384
        "06052b81040023",  # P-521
    )
)
_WEAK_CURVES = {
    bytes.fromhex("06082a8648ce3d030101"): "P-192",
    bytes.fromhex("06052b81040021"): "P-224",
}

#: AlgorithmIdentifiers with their parameters, byte for byte: RFC 4055, section 5 (the NULL present or absent), RFC
#: 5758, RFC 8410.
_ALLOWED_SIGNATURES = frozenset(
    bytes.fromhex(algorithm)
    for algorithm in (
        "300d06092a864886f70d01010b0500",  # sha256WithRSAEncryption
        "300d06092a864886f70d01010c0500",  # sha384WithRSAEncryption
        "300d06092a864886f70d01010d0500",  # sha512WithRSAEncryption
        "300b06092a864886f70d01010b",
        "300b06092a864886f70d01010c",
        "300b06092a864886f70d01010d",
        "300a06082a8648ce3d040302",  # ecdsa-with-SHA256
        "300a06082a8648ce3d040303",  # ecdsa-with-SHA384
        "300a06082a8648ce3d040304",  # ecdsa-with-SHA512
        "300506032b6570",  # Ed25519
        "300506032b6571",  # Ed448
    )
)
_NAMES_FOR_MESSAGES = {
    "1.2.840.113549.1.1.4": "MD5 with RSA",
    "1.2.840.113549.1.1.5": "SHA-1 with RSA",
    "1.2.840.113549.1.1.14": "SHA-224 with RSA",
    "1.2.840.10040.4.3": "DSA with SHA-1",
    "2.16.840.1.101.3.4.3.2": "DSA with SHA-256",
    "1.2.840.10045.4.1": "ECDSA with SHA-1",
    "1.2.840.10045.4.3.1": "ECDSA with SHA-224",
    RSASSA_PSS: "RSASSA-PSS with these parameters",
}


class Signed(Protocol):
    """What carries a signature and says how it was made: a certificate, a revocation list."""

    @property
    def signature_algorithm_oid(self) -> str:
        """Dotted."""

    @property
    def outer_algorithm_der(self) -> bytes:
        """The AlgorithmIdentifier beside the signature."""

    @property
    def parsed(self) -> Any:
        """The same as an object of cryptography."""


def check_key(certificate: Certificate) -> Problem | None:
    """What is wrong with the public key of a certificate, if anything."""
    found = _key_problem(certificate)
    if found is None:
        return None
    reason, detail = found
    return Problem(reason, f"the key of {subject_of(certificate)} {detail}", 0, certificate)


def check_signature_algorithm(certificate: Certificate) -> Problem | None:
    """What is wrong with the algorithm that a certificate is signed with, if anything."""
    if is_signed_as_allowed(certificate):
        return None
    name = algorithm_name(certificate.signature_algorithm_oid)
    return Problem(
        Reason.FORBIDDEN_ALGORITHM,
        f"{subject_of(certificate)} is signed with {name}, which is not allowed;"
        " have it issued again with SHA-256, SHA-384 or SHA-512, or by an Ed25519 or Ed448 key",
        0,
        certificate,
    )


def check_signature_fields(certificate: Certificate) -> Problem | None:
    """The algorithm stands twice, once signed and once not, and must be the same (RFC 5280, section 4.1.1.2)."""
    if certificate.inner_algorithm_der == certificate.outer_algorithm_der:
        return None
    return Problem(
        Reason.PROFILE_VIOLATION,
        f"{subject_of(certificate)} names one signature algorithm inside and another outside of what is signed",
        0,
        certificate,
    )


def is_signed_as_allowed(signed: Signed) -> bool:
    """Whether the algorithm of a signature, with its parameters, is one that is allowed."""
    if signed.signature_algorithm_oid == RSASSA_PSS:
        return _is_allowed_pss(signed)
    return is_allowed_signature(signed.outer_algorithm_der)


def is_allowed_signature(algorithm: bytes) -> bool:
    """Whether an AlgorithmIdentifier, byte for byte, is one that is allowed, RSASSA-PSS aside.

    For what is signed and is not a certificate.
    """
    return algorithm in _ALLOWED_SIGNATURES


def algorithm_name(oid: str) -> str:
    """The name of a signature algorithm for a sentence, or its OID."""
    return _NAMES_FOR_MESSAGES.get(oid, f"algorithm {oid}")


def signs_with_pss_alone(certificate: Certificate) -> bool:
    """Whether the key is marked id-RSASSA-PSS; such a key makes no other signatures (RFC 4055, section 1.2)."""
    try:
        return _key_algorithm(certificate)[0].raw == _RSASSA_PSS_DER
    except (asn1.DerError, IndexError, StopIteration):
        return True


def key_restricts(issuer: Certificate, signed: Signed) -> bool:
    """Whether the issuer's key says that it does not make signatures like this one.

    A key marked id-RSASSA-PSS signs with PSS alone and, where it has parameters, with their hash and mask alone (RFC
    4055, sections 1.2 and 3.3). cryptography reads such a key as any other RSA key.
    """
    try:
        kind, *parameters = _key_algorithm(issuer)
        if kind.raw != _RSASSA_PSS_DER:
            return False
        if signed.signature_algorithm_oid != RSASSA_PSS:
            return True
        signed_with = list(asn1.read(signed.outer_algorithm_der).children())
        return bool(parameters) and _hash_and_mask(parameters[0]) != _hash_and_mask(signed_with[1])
    except asn1.DerError:
        return True


def _hash_and_mask(parameters: asn1.Element) -> list[bytes]:
    return [field.raw for field in parameters.children() if field.tag in (0xA0, 0xA1)]


def _key_algorithm(certificate: Certificate) -> list[asn1.Element]:
    """The OID of the key's kind, and its parameters if there are any (RFC 5280, section 4.1.2.7)."""
    return list(next(asn1.read(certificate.spki_der).children()).children())


def _key_problem(certificate: Certificate) -> tuple[Reason, str] | None:
    match certificate.public_key:
        case rsa.RSAPublicKey() as key:
            return _rsa_problem(key)
        case ec.EllipticCurvePublicKey():
            return _curve_problem(certificate)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return None
        case None:
            # cryptography could not read it; the curve, if it is about a curve, says why.
            return _curve_problem(certificate) or (Reason.FORBIDDEN_ALGORITHM, "cannot be read, or is not on its curve")
    return Reason.FORBIDDEN_ALGORITHM, f"is of a kind that is not allowed here ({certificate.key_type})"


def _rsa_problem(key: rsa.RSAPublicKey) -> tuple[Reason, str] | None:
    if key.key_size < MIN_RSA_BITS:
        return Reason.WEAK_KEY, f"has {key.key_size} bits; RSA keys need at least {MIN_RSA_BITS}"
    if key.key_size > MAX_RSA_BITS:
        return Reason.FORBIDDEN_ALGORITHM, f"has {key.key_size} bits; RSA keys of at most {MAX_RSA_BITS} are verified"
    exponent = key.public_numbers().e
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > MAX_RSA_EXPONENT_BITS:
        return Reason.WEAK_KEY, (
            f"has a public exponent that is not an odd number from 3 up to {MAX_RSA_EXPONENT_BITS} bits"
        )
    return None


def _curve_problem(certificate: Certificate) -> tuple[Reason, str] | None:
    """Reads the curve from the raw bytes: a parsed key does not show whether it was named or spelled out."""
    try:
        kind, *parameters = _key_algorithm(certificate)
    except asn1.DerError as error:
        return Reason.FORBIDDEN_ALGORITHM, f"cannot be read ({error})"
    if kind.raw != _EC_PUBLIC_KEY:
        return Reason.FORBIDDEN_ALGORITHM, f"is of a kind that is not known here ({certificate.key_type})"
    if not parameters or parameters[0].tag != asn1.OBJECT_IDENTIFIER:
        # RFC 5480, section 2.1.1; whoever spells out a curve chooses its generator (CVE-2020-0601).
        return Reason.FORBIDDEN_ALGORITHM, "does not name its curve but spells it out; named curves alone are allowed"
    curve = parameters[0].raw
    if curve in _CURVES:
        return None
    if curve in _WEAK_CURVES:
        return Reason.WEAK_KEY, f"is on the curve {_WEAK_CURVES[curve]}; use P-256, P-384 or P-521"
    return (
        Reason.FORBIDDEN_ALGORITHM,
        f"is on a curve that is not allowed ({certificate.key_type}); use P-256, P-384 or P-521",
    )


def _is_allowed_pss(signed: Signed) -> bool:
    try:
        scheme: Any = signed.parsed.signature_algorithm_parameters
        digest = signed.parsed.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return False
    if not isinstance(scheme, padding.PSS) or not isinstance(digest, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        return False
    # RFC 8017, section 8.1 recommends, and RFC 8446, section 4.2.3 demands, one hash for the message and the mask.
    return bool(scheme.mgf == padding.MGF1(digest))
