"""What a file is, if it is not what it was taken for."""

from __future__ import annotations

import base64
import binascii
import shlex

from .. import der
from ..certificate import Certificate
from ..errors import IdentityError, IdentityProblem, MalformedCertificate

_JAVA_KEYSTORES = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")  # 1.2.840.113549.1.7.2


def check_looks_like_pfx(data: bytes, *, source: str) -> None:
    """Refuse what is certainly not a PFX.

    :raises IdentityError: ``wrong_format``, with what it is and what to do, or ``truncated``.
    """
    described = _foreign(data, source)
    if described is None and b"-----BEGIN" in data:
        described = "is PEM text, not a PFX; load it with Identity.from_pem"
    if described is None and data[:1] != b"\x30":
        described = "is not a PFX (PKCS#12), nor anything else that is known here"
        if _is_base64_of_der(data):
            described = (
                f"is base64 text, not a PFX; decode it first: base64 --decode {_file(source, 'old.txt')} > new.pfx"
            )
    if described is None:
        check_complete(data, source=source)
        described = _foreign_der(data, source)
    if described is not None:
        raise IdentityError(IdentityProblem.WRONG_FORMAT, described, source=source)


def check_looks_like_pem(data: bytes, *, source: str) -> None:
    """Refuse what is certainly not PEM.

    :raises IdentityError: ``wrong_format``, with what it is and what to do.
    """
    if b"-----BEGIN" in data:
        return
    described = _foreign(data, source)
    if described is None and data[:1] == b"\x30":
        described = _foreign_der(data, source) or "is binary, not PEM; if it is a PFX, load it with Identity.from_pfx"
    raise IdentityError(
        IdentityProblem.WRONG_FORMAT,
        described or "is not PEM: it has no line that starts with -----BEGIN",
        source=source,
    )


def check_complete(data: bytes, *, source: str) -> None:
    """Refuse a file that is shorter than its first bytes say.

    :raises IdentityError: ``truncated``.
    """
    announced = _announced_size(data)
    if len(data) < announced:
        detail = f"is cut off: {len(data)} of {announced} bytes are there; copy or download it again"
        raise IdentityError(IdentityProblem.TRUNCATED, detail, source=source)


def _announced_size(data: bytes) -> int:
    """How long the first element of DER says it is; 0 if it does not say."""
    if len(data) < 2:
        return 2
    if data[1] < 0x80:
        return 2 + data[1]
    count = data[1] & 0x7F
    return 2 + count + int.from_bytes(data[2 : 2 + count]) if count <= 4 else 0


def _foreign(data: bytes, source: str) -> str | None:
    start = data[:512].lstrip().lower()
    if data.startswith(_JAVA_KEYSTORES):
        return (
            "is a Java keystore (JKS), not PKCS#12; convert it: keytool -importkeystore"
            f" -srckeystore {_file(source, 'old.jks')} -destkeystore new.pfx -deststoretype PKCS12"
        )
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a web page (HTML), probably of a login or an error instead of the download; get the file again"
    return None


def _foreign_der(data: bytes, source: str) -> str | None:
    """What DER is that starts like a PFX and is none."""
    try:
        outer = der.read(data)
        children = list(outer.children())
    except der.DerError:
        return None
    if not children:
        return None
    first, *others = children
    if first.tag == der.OBJECT_IDENTIFIER and first.value == _SIGNED_DATA:
        return "is PKCS#7 (p7b): certificates without a private key; export the identity with its key, as PFX"
    if first.tag == der.INTEGER and first.value != b"\x03":
        return (
            "is a bare private key (DER); convert it: openssl pkey -inform DER -aes256 -out new.key"
            f" -in {_file(source, 'old.der')}"
        )
    if first.tag == der.SEQUENCE and others and others[0].tag == der.OCTET_STRING:
        return (
            "is a bare encrypted private key (PKCS#8, DER); convert it: openssl pkcs8 -inform DER"
            f" -in {_file(source, 'old.der')} | openssl pkcs8 -topk8"
        )
    return "is a certificate (DER), without a private key" if _is_certificate(outer.raw) else None


def _is_certificate(data: bytes) -> bool:
    try:
        Certificate.from_der(data)
    except MalformedCertificate:
        return False
    return True


def _is_base64_of_der(data: bytes) -> bool:
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)[:1] == b"\x30"
    except binascii.Error:
        return False


def _file(source: str, fallback: str) -> str:
    return fallback if source.startswith("<") else shlex.quote(source)
