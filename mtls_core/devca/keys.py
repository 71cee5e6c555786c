"""Keys of every kind that a certificate may hold, good and weak, and signatures by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from .. import ber, der

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_EXPONENT = 65537
#: Of each name, how to make such a key.
_MAKERS: dict[str, Callable[[], PrivateKey]] = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p192": lambda: ec.generate_private_key(ec.SECP192R1()),
    "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa": lambda: rsa.generate_private_key(_EXPONENT, 2048),
    "rsa-pss": lambda: rsa.generate_private_key(_EXPONENT, 2048),
    "rsa1024": lambda: rsa.generate_private_key(_EXPONENT, 1024),  # noqa: S505 - weak on purpose
    "rsa2048": lambda: rsa.generate_private_key(_EXPONENT, 2048),
    "rsa3072": lambda: rsa.generate_private_key(_EXPONENT, 3072),
    "rsa4096": lambda: rsa.generate_private_key(_EXPONENT, 4096),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
}
_HASHES: dict[str, Callable[[], Any]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_NULL = b"\x05\x00"


def make_key(kind: str | PrivateKey) -> PrivateKey:
    """A new key.

    :param kind: ``"ec"`` (P-256), ``"p192"`` to ``"p521"``, ``"rsa"`` (2048), ``"rsa1024"`` to ``"rsa4096"``,
        ``"rsa-pss"`` (RSA 2048, whose owner signs with PSS), ``"ed25519"``, ``"ed448"``; or a private key,
        which is returned as it is.
    :raises ValueError: If there is no kind of that name.
    """
    if not isinstance(kind, str):
        return kind
    if kind not in _MAKERS:
        raise ValueError(f"no kind of key is named {kind!r}; there are {', '.join(sorted(_MAKERS))}")
    return _MAKERS[kind]()


def sign_certificate(
    builder: x509.CertificateBuilder, key: PrivateKey, *, hash_name: str, pss: bool
) -> x509.Certificate:
    """Sign with the issuer's key; ``hash_name`` does not matter to Ed25519 and Ed448."""
    if hash_name == "sha1":
        return _sign_with_sha1(builder, key)
    digest = hash_for(key, hash_name)
    return builder.sign(key, digest, rsa_padding=padding_for(digest, pss=pss))


def hash_for(key: PrivateKey, name: str) -> Any:
    """The hash that ``key`` signs with.

    :raises ValueError: If there is no hash of that name.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return None
    if name not in _HASHES:
        raise ValueError(f"no hash is named {name!r}; there are sha1, {', '.join(sorted(_HASHES))}")
    return _HASHES[name]()


def padding_for(digest: Any, *, pss: bool) -> padding.PSS | None:
    """PSS with the salt as long as the hash, or the usual padding."""
    return padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH) if pss else None


def _sign_with_sha1(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    """cryptography issues none with SHA-1 any more, so the algorithm is exchanged and the rest signed again."""
    algorithm, signature_over = _sha1_scheme(key)
    tbs, _algorithm, _signature = der.read_all(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)).children()
    version, serial, _inner, *others = (child.raw for child in tbs.children())
    signed = ber.encode(der.SEQUENCE, version, serial, algorithm, *others)
    signature = ber.encode(der.BIT_STRING, b"\x00", signature_over(signed))
    return x509.load_der_x509_certificate(ber.encode(der.SEQUENCE, signed, algorithm, signature))


def _sha1_scheme(key: PrivateKey) -> tuple[bytes, Callable[[bytes], bytes]]:
    """AlgorithmIdentifier (RFC 3279, section 2.2) and the function that signs."""
    sha1 = hashes.SHA1()  # noqa: S303 - forbidden, which is the point
    if isinstance(key, rsa.RSAPrivateKey):
        oid = bytes.fromhex("2a864886f70d010105")  # sha1WithRSAEncryption
        algorithm = ber.encode(der.SEQUENCE, ber.encode(der.OBJECT_IDENTIFIER, oid), _NULL)
        return algorithm, lambda data: key.sign(data, padding.PKCS1v15(), sha1)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        oid = bytes.fromhex("2a8648ce3d0401")  # ecdsa-with-SHA1
        algorithm = ber.encode(der.SEQUENCE, ber.encode(der.OBJECT_IDENTIFIER, oid))
        return algorithm, lambda data: key.sign(data, ec.ECDSA(sha1))
    raise ValueError("only RSA and EC keys sign with SHA-1")
