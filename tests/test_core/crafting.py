"""Certificates that a CA library refuses to make, and short ways to ask what a verifier says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from mtls_core import ber, der
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.errors import CertificateRejected, Problem, Reason
from mtls_core.path.build import PathBuilder
from mtls_core.path.rules import CLIENT_AUTHENTICATION, Rules
from mtls_core.path.search import find_path
from mtls_core.path.work import Work
from mtls_core.trust import TrustStore
from mtls_core.verifier import ClientPolicy, VerifiedCertificate, Verifier

#: The moment at which these tests take place.
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
RULES = Rules(CLIENT_AUTHENTICATION, at=AT)

#: AlgorithmIdentifiers.
ECDSA_SHA224 = bytes.fromhex("300a06082a8648ce3d040301")
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
ECDSA_SHA256_NULL = bytes.fromhex("300c06082a8648ce3d0403020500")

PRINTABLE_STRING = 0x13
UTF8_STRING = 0x0C
#: Tags of general names (RFC 5280, section 4.2.1.6).
EMAIL, DNS, URI, IP_ADDRESS = 0x81, 0x82, 0x86, 0x87
_COMMON_NAME = bytes.fromhex("0603550403")


@dataclass
class Tbs:
    """The fields of a TBSCertificate as raw DER, to be changed at will."""

    version: bytes
    serial: bytes
    algorithm: bytes
    issuer: bytes
    validity: bytes
    subject: bytes
    spki: bytes
    extensions: bytes


def make_root(name: str = "Root", **options: Any) -> DevelopmentCA:
    """A root for which it is :data:`AT`."""
    return DevelopmentCA.create(name, at=AT, **options)


def resign(
    certificate: Certificate,
    issuer: DevelopmentCA,
    change: Callable[[Tbs], object],
    *,
    outer: bytes | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> Certificate:
    """A certificate with other bytes in it, signed again by its issuer.

    :param outer: The AlgorithmIdentifier outside of what is signed, if it is to differ.
    :param digest: With which an EC key signs, whatever the certificate says. An RSA key signs with PSS.
    """
    tbs = Tbs(*(field.raw for field in der.read(certificate.tbs).children()))
    change(tbs)
    signed = ber.encode(der.SEQUENCE, *vars(tbs).values())
    return sign(signed, issuer, outer or tbs.algorithm, digest=digest)


def sign(
    tbs: bytes, issuer: DevelopmentCA, algorithm: bytes, *, digest: hashes.HashAlgorithm | None = None
) -> Certificate:
    """Put an issuer's signature to any bytes."""
    bits = ber.encode(der.BIT_STRING, b"\0", _sign(issuer.private_key, tbs, digest or hashes.SHA256()))
    return Certificate.from_der(ber.encode(der.SEQUENCE, tbs, algorithm, bits))


def _sign(key: Any, data: bytes, digest: hashes.HashAlgorithm) -> bytes:
    signature: bytes
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(data, padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH), digest)
    else:
        signature = key.sign(data, ec.ECDSA(digest))
    return signature


def set_fields(**fields: bytes) -> Callable[[Tbs], None]:
    """For :func:`resign`: put these raw fields in."""
    return lambda tbs: vars(tbs).update(fields)


def raw_name(value: str, tag: int = UTF8_STRING) -> bytes:
    """The DER of a name that is one common name, in a string type of choice."""
    attribute = ber.encode(der.SEQUENCE, _COMMON_NAME, ber.encode(tag, value.encode("utf-8")))
    return ber.encode(der.SEQUENCE, ber.encode(der.SET, attribute))


def raw_names(*names: tuple[int, bytes], critical: bool = False) -> tuple[x509.UnrecognizedExtension, bool]:
    """Subject alternative names that no builder takes: pairs of tag (:data:`EMAIL`, ...) and value."""
    value = ber.encode(der.SEQUENCE, *(ber.encode(tag, name) for tag, name in names))
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, value), critical


def rsa_key(bits: int, exponent: int = 65537) -> Any:
    """An RSA public key of any size, at once. Nobody has its private key; a certificate about it needs none."""
    return rsa.RSAPublicNumbers(exponent, (1 << (bits - 1)) | 1).public_key()


def certificate_for(public_key: Any, issuer: DevelopmentCA, name: str = "leaf", *, ca: bool = False) -> Certificate:
    """A certificate about a public key of which nobody need have the private key."""
    builder = x509.CertificateBuilder(
        issuer_name=issuer.certificate.subject_name,
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        public_key=public_key,
        serial_number=x509.random_serial_number(),
        not_valid_before=AT - timedelta(hours=1),
        not_valid_after=AT + timedelta(days=30),
    ).add_extension(x509.BasicConstraints(ca, None), critical=True)
    return Certificate.from_x509(builder.sign(issuer.private_key, hashes.SHA256()))


def key_usage(*names: str) -> tuple[x509.KeyUsage, bool]:
    """A critical key usage extension with these and no others."""
    known = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    known += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: name in names for name in known}), True


def extended(*oids: str) -> tuple[x509.ExtendedKeyUsage, bool]:
    """An extended key usage extension."""
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in oids]), False


def verifier(
    *anchors: DevelopmentCA | Certificate, intermediates: Iterable[Certificate] = (), **policy: Any
) -> Verifier:
    """A verifier that trusts some CAs."""
    certificates = [a.certificate if isinstance(a, DevelopmentCA) else a for a in anchors]
    return Verifier(ClientPolicy(trust=TrustStore(tuple(certificates), tuple(intermediates)), **policy))


def verify(judge: Verifier, issued: Issued | Certificate, *sent: Certificate, at: datetime = AT) -> VerifiedCertificate:
    """Verify with what was issued along."""
    if isinstance(issued, Issued):
        return judge.verify(issued.certificate, (*issued.chain, *sent), at=at)
    return judge.verify(issued, sent, at=at)


def refusal(
    judge: Verifier, issued: Issued | Certificate, *sent: Certificate, at: datetime = AT
) -> CertificateRejected:
    """The error with which a certificate is refused; the test fails if it is not."""
    with pytest.raises(CertificateRejected) as caught:
        verify(judge, issued, *sent, at=at)
    return caught.value


def problems_of(
    anchor: DevelopmentCA, leaf: Certificate, *sent: Certificate, rules: Rules = RULES
) -> tuple[Problem, ...]:
    """What the engine alone says, without OpenSSL; nothing if it accepts."""
    try:
        find_path(PathBuilder([anchor.certificate]), leaf, sent, rules, Work())
    except CertificateRejected as error:
        return error.problems
    return ()


def reasons_of(
    anchor: DevelopmentCA, leaf: Certificate, *sent: Certificate, rules: Rules = RULES
) -> list[tuple[Reason, int]]:
    """Reason and depth of each problem."""
    return [(problem.reason, problem.depth) for problem in problems_of(anchor, leaf, *sent, rules=rules)]
