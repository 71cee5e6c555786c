"""One X.509 certificate, read once and completely.

cryptography reads lazily: a certificate that loads may still raise at ``.extensions`` or ``.subject``, with
whatever exception fits. All of that is provoked here, in :meth:`Certificate.from_der`, and leaves as
:class:`~mtls_core.errors.MalformedCertificate`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
import warnings
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID, NameOID

from . import der as asn1
from .errors import InvalidName, MalformedCertificate
from .names import parse_spiffe_id
from .san import SubjectAlternativeNames
from .signatures import verifies

#: Longest certificate that is looked at, in bytes of DER.
MAX_CERTIFICATE_SIZE = 64 * 1024

_BEGIN = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_END = re.compile(rb"-----END (?:X509 |TRUSTED )?CERTIFICATE-----")
_PEM = re.compile(_BEGIN.pattern + rb"(.*?)" + _END.pattern, re.DOTALL)
_WARNINGS = threading.Lock()
_TRUSTED = b"-----BEGIN TRUSTED CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    """Whether the subject may issue certificates, and how many CAs may follow it (RFC 5280, section 4.2.1.9)."""

    ca: bool
    path_length: int | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Certificate:
    """A frozen view of one certificate. Two are equal if their DER is.

    .. note::
        Reading a certificate says nothing about whether to believe it; that is :class:`~mtls_core.verifier.Verifier`'s.
    """

    #: The certificate itself.
    der: bytes
    #: The same as an object of cryptography, for what this view does not show.
    parsed: x509.Certificate
    #: 1, 2 or 3.
    version: int
    serial_number: int
    #: RFC 4514 text, for people; compare :attr:`subject_alternative_names` or :attr:`common_names` instead.
    subject: str
    issuer: str
    subject_name: x509.Name
    issuer_name: x509.Name
    subject_der: bytes
    issuer_der: bytes
    #: Every common name of the subject, in order.
    common_names: tuple[str, ...]
    subject_alternative_names: SubjectAlternativeNames
    #: Set if there is exactly one URI SAN and it is a SPIFFE ID (X509-SVID, section 2).
    spiffe_id: str | None
    #: UTC; the certificate is valid from this second on ...
    not_before: datetime
    #: ... up to and including this one.
    not_after: datetime
    #: Dotted OIDs, or ``None`` if the extension is absent (then every usage is permitted).
    extended_key_usage: frozenset[str] | None
    #: Such as ``digital_signature``, ``key_cert_sign``; ``None`` if the extension is absent.
    key_usage: frozenset[str] | None
    basic_constraints: BasicConstraints | None
    subject_key_id: bytes | None
    authority_key_id: bytes | None
    extensions: tuple[x509.Extension[Any], ...]
    #: ``None`` if the kind of key is not known here.
    public_key: Any
    #: Such as ``EC secp256r1``, ``RSA 2048``, ``Ed25519``.
    key_type: str
    #: SubjectPublicKeyInfo as it stands in the certificate.
    spki_der: bytes
    #: What is signed (TBSCertificate).
    tbs: bytes
    signature: bytes
    signature_algorithm_oid: str
    #: AlgorithmIdentifier within what is signed; RFC 5280, section 4.1.1.2 wants it equal to the outer one.
    inner_algorithm_der: bytes
    outer_algorithm_der: bytes
    #: SHA-256 of the certificate, 64 lower-case hex digits.
    thumbprint: str
    #: SHA-256 of the SubjectPublicKeyInfo, base64 (RFC 7469, section 2.4).
    spki_pin: str
    #: Whether it verifies with its own key, its names being equal. A matter of signature, not of names alone.
    is_self_signed: bool = field(kw_only=True)

    @classmethod
    def from_der(cls, data: bytes) -> Certificate:
        """Read a certificate.

        :param data: DER, nothing before or behind it.
        :raises MalformedCertificate: If any part of it is not what RFC 5280 describes.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise MalformedCertificate(f"a certificate is bytes of DER, not {type(data).__name__}")
        data = bytes(data)
        if len(data) > MAX_CERTIFICATE_SIZE:
            raise MalformedCertificate(
                f"the certificate has {len(data)} bytes; {MAX_CERTIFICATE_SIZE} are read at most"
            )
        try:
            if _has_positive_serial(data):
                return _parse(cls, data)
            # cryptography warns of such serial numbers. Some public roots have serial 0, and everywhere
            # else the verifier refuses them with a reason, so the warning would add nothing. Filters of
            # warnings belong to the process, hence the lock, and the look first.
            with _WARNINGS, warnings.catch_warnings():
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                return _parse(cls, data)
        except Exception as error:
            # Hostile bytes decide which of a dozen types comes out of the parser; all of them mean the same.
            raise MalformedCertificate(f"the certificate cannot be read: {_describe_error(error)}") from error

    @classmethod
    def from_pem(cls, data: str | bytes) -> Certificate:
        """Read the one certificate in a PEM text.

        :raises MalformedCertificate: If there is none, more than one, or it cannot be read.
        """
        certificates = cls.all_from_pem(data)
        if len(certificates) != 1:
            raise MalformedCertificate(
                f"the text holds {len(certificates)} certificates where one was expected"
                if certificates
                else "the text holds no -----BEGIN CERTIFICATE----- block"
            )
        return certificates[0]

    @classmethod
    def all_from_pem(cls, data: str | bytes) -> tuple[Certificate, ...]:
        """Read all certificates of a PEM text, in order; other text and other blocks are passed over.

        :raises MalformedCertificate: If a block that says it is a certificate cannot be read, or does not end.
        """
        text = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        if len(_BEGIN.findall(text)) != len(_END.findall(text)):
            raise MalformedCertificate("a -----BEGIN CERTIFICATE----- block is damaged: it has no end, or no beginning")
        return tuple(cls.from_der(_from_pem_block(block)) for block in _PEM.finditer(text))

    @classmethod
    def from_x509(cls, certificate: x509.Certificate) -> Certificate:
        """The view of an object of cryptography.

        :raises MalformedCertificate: As :meth:`from_der`.
        """
        return cls.from_der(certificate.public_bytes(serialization.Encoding.DER))

    @property
    def pem(self) -> str:
        """The certificate as PEM text, with a final newline."""
        return self.parsed.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def x5t_s256(self) -> str:
        """The thumbprint as certificate-bound tokens carry it (RFC 8705, section 3.1): base64url without padding."""
        return base64.urlsafe_b64encode(bytes.fromhex(self.thumbprint)).rstrip(b"=").decode("ascii")

    @property
    def dns_names(self) -> tuple[str, ...]:
        """DNS names among the SANs."""
        return self.subject_alternative_names.dns

    @property
    def uris(self) -> tuple[str, ...]:
        """URIs among the SANs."""
        return self.subject_alternative_names.uris

    @property
    def emails(self) -> tuple[str, ...]:
        """E-mail addresses among the SANs."""
        return self.subject_alternative_names.emails

    @property
    def ip_addresses(self) -> tuple[Any, ...]:
        """IP addresses among the SANs, as objects of :mod:`ipaddress`."""
        return self.subject_alternative_names.ip_addresses

    @property
    def is_ca(self) -> bool:
        """Whether basic constraints say that the subject may issue certificates."""
        return bool(self.basic_constraints and self.basic_constraints.ca)

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer have the same name, whoever signed."""
        return bool(self.subject_name == self.issuer_name)

    def extension(self, oid: x509.ObjectIdentifier) -> x509.Extension[Any] | None:
        """The extension of that OID, parsed, or ``None``."""
        return next((extension for extension in self.extensions if extension.oid == oid), None)

    def describe(self) -> str:
        """One line for messages: who, which, until when."""
        subject = printable(self.subject) or "(no subject)"
        return f"{subject} (serial {self.serial_number:x}, until {self.not_after:%Y-%m-%dT%H:%M:%SZ})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"<Certificate {self.describe()} sha256 {self.thumbprint[:16]}>"

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return Certificate.from_der, (self.der,)


def printable(text: str) -> str:
    """Text from a certificate as it may stand in a log line: control characters and line breaks are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _parse(cls: type[Certificate], data: bytes) -> Certificate:
    tbs, outer, inner, spki = _raw_parts(data)
    parsed = x509.load_der_x509_certificate(data)
    subject, issuer = parsed.subject, parsed.issuer
    extensions = tuple(parsed.extensions)
    by_oid = {extension.oid: extension.value for extension in extensions}
    sans = SubjectAlternativeNames.from_extension(by_oid.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME))
    constraints = by_oid.get(ExtensionOID.BASIC_CONSTRAINTS)
    usages = by_oid.get(ExtensionOID.EXTENDED_KEY_USAGE)
    key_id = by_oid.get(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    issuer_key_id = by_oid.get(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    public_key, key_type = _public_key(parsed)
    return cls(
        der=data,
        parsed=parsed,
        version=parsed.version.value + 1,
        serial_number=parsed.serial_number,
        subject=subject.rfc4514_string(),
        issuer=issuer.rfc4514_string(),
        subject_name=subject,
        issuer_name=issuer,
        subject_der=subject.public_bytes(),
        issuer_der=issuer.public_bytes(),
        common_names=tuple(str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)),
        subject_alternative_names=sans,
        spiffe_id=_spiffe_id(sans),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        extended_key_usage=None if usages is None else frozenset(oid.dotted_string for oid in usages),
        key_usage=_key_usage(by_oid.get(ExtensionOID.KEY_USAGE)),
        basic_constraints=constraints and BasicConstraints(constraints.ca, constraints.path_length),
        subject_key_id=key_id and key_id.digest,
        authority_key_id=issuer_key_id and issuer_key_id.key_identifier,
        extensions=extensions,
        public_key=public_key,
        key_type=key_type,
        spki_der=spki,
        tbs=tbs,
        signature=parsed.signature,
        signature_algorithm_oid=parsed.signature_algorithm_oid.dotted_string,
        inner_algorithm_der=inner,
        outer_algorithm_der=outer,
        thumbprint=hashlib.sha256(data).hexdigest(),
        spki_pin=base64.b64encode(hashlib.sha256(spki).digest()).decode("ascii"),
        is_self_signed=subject == issuer and verifies(public_key, parsed, tbs),
    )


def _has_positive_serial(data: bytes) -> bool:
    tbs, *_ = asn1.read_all(data).children()
    return int.from_bytes(_tbs_fields(tbs)[0].value, signed=True) > 0


def _raw_parts(data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """TBSCertificate, both AlgorithmIdentifiers, SubjectPublicKeyInfo, as they stand (RFC 5280, section 4.1)."""
    tbs, outer, _signature = asn1.read_all(data).children()
    _serial, inner, _issuer, _validity, _subject, spki = _tbs_fields(tbs)
    return tbs.raw, outer.raw, inner.raw, spki.raw


def _tbs_fields(tbs: asn1.Element) -> list[asn1.Element]:
    """The six fields that every version has, from the serial number to the public key."""
    fields = list(tbs.children())
    if fields[0].tag == 0xA0:  # [0] EXPLICIT Version, absent in version 1
        del fields[0]
    return fields[:6]


def _public_key(certificate: x509.Certificate) -> tuple[Any, str]:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        # A key of an unknown kind, or on an unknown curve: readable, and refused by the verifier with a reason.
        return None, f"unknown {certificate.public_key_algorithm_oid.dotted_string}"
    match key:
        case rsa.RSAPublicKey():
            return key, f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey():
            return key, f"EC {key.curve.name}"
        case ed25519.Ed25519PublicKey():
            return key, "Ed25519"
        case ed448.Ed448PublicKey():
            return key, "Ed448"
        case dsa.DSAPublicKey():
            return key, f"DSA {key.key_size}"
    return key, type(key).__name__.removesuffix("PublicKey")


def _spiffe_id(sans: SubjectAlternativeNames) -> str | None:
    if len(sans.uris) != 1:
        return None
    try:
        return str(parse_spiffe_id(sans.uris[0]))
    except InvalidName:
        return None


def _key_usage(usage: x509.KeyUsage | None) -> frozenset[str] | None:
    if usage is None:
        return None
    names = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
    ]
    if usage.key_agreement:  # cryptography raises on the other two without it
        names += ["encipher_only", "decipher_only"]
    return frozenset(name for name in names if getattr(usage, name))


def _from_pem_block(block: re.Match[bytes]) -> bytes:
    try:
        data = base64.b64decode(b"".join(block.group(1).split()), validate=True)
        if block.group(0).startswith(_TRUSTED):
            # OpenSSL's own form: the certificate with trust settings behind it, which only OpenSSL reads.
            return asn1.read(data).raw
    except (binascii.Error, asn1.DerError) as error:
        raise MalformedCertificate(f"a -----BEGIN CERTIFICATE----- block is damaged: {error}") from error
    return data


def _describe_error(error: Exception) -> str:
    # The text of a library's error may quote the certificate; the first line, cut short, is enough for a log.
    first_line = (str(error).splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
