"""Does this key verify this signature? For every algorithm of RFC 4055, 5480 and 8410.

Whether an algorithm is *allowed* is decided in :mod:`mtls_core.path.algorithms`; here even SHA-1 verifies,
because the old roots of the public web are signed with it and a root's own signature carries no trust.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

_MAX_RSA_BITS = 16384
_MAX_EXPONENT_BITS = 64


def verifies(public_key: Any, signed: x509.Certificate | x509.CertificateRevocationList, tbs: bytes) -> bool:
    """Whether ``public_key`` verifies the signature of a certificate or a revocation list.

    :param public_key: A public key of cryptography, or ``None`` for one of an unknown kind.
    :param signed: Gives the signature and its algorithm.
    :param tbs: The bytes that are signed.
    """
    if isinstance(public_key, rsa.RSAPublicKey) and _is_oversized(public_key):
        return False
    try:
        scheme = signed.signature_algorithm_parameters
        digest = signed.signature_hash_algorithm
        match public_key, scheme, digest:
            case rsa.RSAPublicKey(), padding.PKCS1v15() | padding.PSS(), x509_hash if x509_hash is not None:
                public_key.verify(signed.signature, tbs, scheme, x509_hash)
            case ec.EllipticCurvePublicKey(), ec.ECDSA(), _:
                public_key.verify(signed.signature, tbs, scheme)
            case ec.EllipticCurvePublicKey(), None, hashes.SHA1() as sha1 if _is_ecdsa_with_sha1(signed):
                # The one ECDSA scheme for which cryptography has no parameters.
                public_key.verify(signed.signature, tbs, ec.ECDSA(sha1))
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey(), None, None:
                public_key.verify(signed.signature, tbs)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        # The types other than InvalidSignature come from parameters that make no sense for the key.
        return False
    return True


def _is_oversized(key: rsa.RSAPublicKey) -> bool:
    """Whether a signature would take long to check: anybody can send such a key, and nobody uses one."""
    return key.key_size > _MAX_RSA_BITS or key.public_numbers().e.bit_length() > _MAX_EXPONENT_BITS


def _is_ecdsa_with_sha1(signed: x509.Certificate | x509.CertificateRevocationList) -> bool:
    return signed.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA1
