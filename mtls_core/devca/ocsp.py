"""The OCSP responses a development CA makes: good ones, and every kind that must not count.

cryptography's own builder makes none with several single responses, critical extensions, or signatures that do not fit,
so the bytes are put together here (RFC 6960, section 4.2.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict, Unpack

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from .. import ber, der
from ..certificate import Certificate
from ..revocation.ocsp_request import key_bits
from .authority import DevelopmentCA
from .crl import Revoked, serial_number_of
from .issued import Issued
from .keys import PrivateKey
from .profile import Extension

#: OCSPResponseStatus, all but successful.
MALFORMED_REQUEST, INTERNAL_ERROR, TRY_LATER, SIG_REQUIRED, UNAUTHORIZED = 1, 2, 3, 5, 6

_LIFETIME = timedelta(hours=1)
_GENERALIZED_TIME = 0x18
_ENUMERATED = 0x0A
_NULL = b"\x05\x00"
_BASIC = bytes.fromhex("06092b0601050507300101")
#: AlgorithmIdentifiers of hashes, by their names in :mod:`hashlib`.
_HASHES = {
    "md5": bytes.fromhex("300c06082a864886f70d02050500"),
    "sha1": bytes.fromhex("300906052b0e03021a0500"),
    "sha256": bytes.fromhex("300d06096086480165030402010500"),
    "sha384": bytes.fromhex("300d06096086480165030402020500"),
    "sha512": bytes.fromhex("300d06096086480165030402030500"),
}
_DIGESTS: dict[str, Any] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_RSA_ALGORITHMS = {"sha1": "05", "sha256": "0b", "sha384": "0c", "sha512": "0d"}
_ECDSA_ALGORITHMS = {
    "sha1": "2a8648ce3d0401",
    "sha256": "2a8648ce3d040302",
    "sha384": "2a8648ce3d040303",
    "sha512": "2a8648ce3d040304",
}
#: RSASSA-PSS with SHA-256, as RFC 4055, section 3.1 encodes it.
_PSS = bytes.fromhex(
    "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
    "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
)

#: CRLReason, by its numbers (RFC 5280, section 5.3.1).
_REASONS = {
    x509.ReasonFlags.unspecified: 0,
    x509.ReasonFlags.key_compromise: 1,
    x509.ReasonFlags.ca_compromise: 2,
    x509.ReasonFlags.affiliation_changed: 3,
    x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5,
    x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.remove_from_crl: 8,
    x509.ReasonFlags.privilege_withdrawn: 9,
    x509.ReasonFlags.aa_compromise: 10,
}


class SingleOptions(TypedDict, total=False):
    """What a response says about one certificate; everything may be left out."""

    status: Literal["good", "revoked", "unknown"]
    revoked_at: datetime
    #: As RFC 5280, section 5.3.1 has them, or a number of one's own.
    reason: x509.ReasonFlags | int | None
    #: Aware; now if left out.
    this_update: datetime
    #: Aware; an hour later if left out, none if ``None``.
    next_update: datetime | None
    #: Of the CertID: a name in :mod:`hashlib`, and parts to be those of something else.
    hash: str
    serial_number: int
    issuer_name_of: Certificate
    issuer_key_of: Certificate
    single_extensions: Iterable[Extension]


class ResponseOptions(SingleOptions, total=False):
    """What :func:`ocsp_response` takes; everything may be left out."""

    #: Who answers, the CA if left out.
    signer: Issued | DevelopmentCA
    #: Whose key it really is.
    signing_key: PrivateKey
    #: ``"sha1"`` to ``"sha512"``, or ``"pss"``.
    signature: str
    #: What comes along; the signer's own certificate if that is not the CA.
    certificates: Iterable[Certificate]
    responder_id: Literal["name", "key"]
    #: Aware; that of ``this_update`` if left out.
    produced_at: datetime
    nonce: bytes | None
    #: Of the response.
    extensions: Iterable[Extension]
    #: More single responses, before the one about the certificate.
    others: Iterable[bytes]
    #: Say nothing about the certificate itself.
    leave_out: bool


def ocsp_response(ca: DevelopmentCA, which: Revoked, **options: Unpack[ResponseOptions]) -> bytes:
    """A response about one certificate of a CA, as DER.

    :param which: The certificate, or its serial number.
    :param options: See :class:`ResponseOptions` and :class:`SingleOptions`.
    """
    signer = options.get("signer", ca)
    own = (signer.certificate,) if isinstance(signer, Issued) else ()
    algorithm, sign = _scheme(options.get("signing_key", signer.private_key), options.get("signature", "sha256"))
    data = _response_data(ca, which, signer.certificate, options)
    certificates = [c.der for c in options.get("certificates", own)]
    basic = ber.encode(
        der.SEQUENCE,
        data,
        algorithm,
        ber.encode(der.BIT_STRING, b"\x00", sign(data)),
        ber.encode(0xA0, ber.encode(der.SEQUENCE, *certificates)) if certificates else b"",
    )
    return _response(0, ber.encode(der.SEQUENCE, _BASIC, ber.encode(der.OCTET_STRING, basic)))


def ocsp_error(status: int) -> bytes:
    """A response that says why there is none."""
    return _response(status)


def single_response(ca: DevelopmentCA, which: Revoked, **options: Unpack[SingleOptions]) -> bytes:
    """What a response says about one certificate, for :attr:`ResponseOptions.others`."""
    this_update = options.get("this_update") or datetime.now(UTC)
    next_update = options.get("next_update", this_update + _LIFETIME)
    extensions = tuple(options.get("single_extensions", ()))
    return ber.encode(
        der.SEQUENCE,
        _cert_id(ca.certificate, serial_number_of(which), options),
        _status(options, this_update),
        _time(this_update),
        ber.encode(0xA0, _time(next_update)) if next_update is not None else b"",
        ber.encode(0xA1, _extensions(extensions)) if extensions else b"",
    )


def ocsp_signer(ca: DevelopmentCA, name: str = "OCSP responder", *, nocheck: bool = True, **options: Any) -> Issued:
    """A certificate with which a CA delegates its responses to somebody (RFC 6960, section 4.2.2.2).

    :param nocheck: Say that it need not be checked for revocation itself.
    :param options: As :meth:`DevelopmentCA.issue` takes them.
    """
    marks: list[Extension] = [(x509.OCSPNoCheck(), False)] if nocheck else []
    options["extensions"] = (*marks, *options.get("extensions", ()))
    options.setdefault("usage", (ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string,))
    return ca.issue(name, **options)


def _response(status: int, *response_bytes: bytes) -> bytes:
    explicit = [ber.encode(0xA0, part) for part in response_bytes]
    return ber.encode(der.SEQUENCE, ber.encode(_ENUMERATED, bytes((status,))), *explicit)


def _response_data(ca: DevelopmentCA, which: Revoked, responder: Certificate, options: ResponseOptions) -> bytes:
    single = b"" if options.get("leave_out") else single_response(ca, which, **options)  # type: ignore[misc]
    extensions = list(options.get("extensions", ()))
    nonce = options.get("nonce")
    if nonce is not None:
        extensions.append((x509.OCSPNonce(nonce), False))
    return ber.encode(
        der.SEQUENCE,
        _responder_id(responder, options.get("responder_id", "key")),
        _time(options.get("produced_at") or options.get("this_update") or datetime.now(UTC)),
        ber.encode(der.SEQUENCE, *options.get("others", ()), single),
        ber.encode(0xA1, _extensions(extensions)) if extensions else b"",
    )


def _cert_id(issuer: Certificate, serial_number: int, options: SingleOptions) -> bytes:
    name = options.get("hash", "sha1")
    hashed = (options.get("issuer_name_of", issuer).subject_der, key_bits(options.get("issuer_key_of", issuer)))
    return ber.encode(
        der.SEQUENCE,
        _HASHES[name],
        *(ber.encode(der.OCTET_STRING, hashlib.new(name, data, usedforsecurity=False).digest()) for data in hashed),
        _integer(options.get("serial_number", serial_number)),
    )


def _responder_id(responder: Certificate, kind: str) -> bytes:
    if kind == "name":
        return ber.encode(0xA1, responder.subject_der)
    key_hash = hashlib.sha1(key_bits(responder), usedforsecurity=False).digest()
    return ber.encode(0xA2, ber.encode(der.OCTET_STRING, key_hash))


def _status(options: SingleOptions, this_update: datetime) -> bytes:
    match options.get("status", "good"):
        case "good":
            return b"\x80\x00"
        case "unknown":
            return b"\x82\x00"
    reason = options.get("reason")
    number = _REASONS[reason] if isinstance(reason, x509.ReasonFlags) else reason
    said = b"" if number is None else ber.encode(0xA0, ber.encode(_ENUMERATED, bytes((number,))))
    return ber.encode(0xA1, _time(options.get("revoked_at", this_update)), said)


def _extensions(extensions: Iterable[Extension]) -> bytes:
    return ber.encode(der.SEQUENCE, *(_extension(value, critical) for value, critical in extensions))


def _extension(value: x509.ExtensionType, critical: bool) -> bytes:
    mark = b"\x01\x01\xff" if critical else b""
    return ber.encode(der.SEQUENCE, _oid(value.oid), mark, ber.encode(der.OCTET_STRING, value.public_bytes()))


def _oid(oid: x509.ObjectIdentifier) -> bytes:
    first, second, *others = (int(arc) for arc in oid.dotted_string.split("."))
    return ber.encode(der.OBJECT_IDENTIFIER, *(_base128(arc) for arc in (first * 40 + second, *others)))


def _base128(number: int) -> bytes:
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(number & 0x7F | 0x80)
    return bytes(reversed(octets))


def _integer(number: int) -> bytes:
    return ber.encode(der.INTEGER, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def _time(moment: datetime) -> bytes:
    return ber.encode(_GENERALIZED_TIME, f"{moment.astimezone(UTC):%Y%m%d%H%M%SZ}".encode("ascii"))


def _scheme(key: PrivateKey, name: str) -> tuple[bytes, Callable[[bytes], bytes]]:
    """AlgorithmIdentifier, and the function that signs."""
    match key:
        case rsa.RSAPrivateKey() if name == "pss":
            scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            return _PSS, lambda data: key.sign(data, scheme, hashes.SHA256())
        case rsa.RSAPrivateKey():
            algorithm = bytes.fromhex(f"06092a864886f70d0101{_RSA_ALGORITHMS[name]}")
            return (
                ber.encode(der.SEQUENCE, algorithm, _NULL),
                lambda data: key.sign(data, padding.PKCS1v15(), _DIGESTS[name]()),
            )
        case ec.EllipticCurvePrivateKey():
            algorithm = ber.encode(der.OBJECT_IDENTIFIER, bytes.fromhex(_ECDSA_ALGORITHMS[name]))
            return ber.encode(der.SEQUENCE, algorithm), lambda data: key.sign(data, ec.ECDSA(_DIGESTS[name]()))
    oid = x509.ObjectIdentifier("1.3.101.112" if "25519" in type(key).__name__ else "1.3.101.113")
    return ber.encode(der.SEQUENCE, _oid(oid)), key.sign
