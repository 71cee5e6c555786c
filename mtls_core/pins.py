"""Pins: the SHA-256 of a certificate, or of its public key.

A public-key pin (RFC 7469, section 2.4) survives the renewal of a certificate with the same key; a certificate pin, the
thumbprint, does not.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from .certificate import Certificate
from .errors import PinError

PinKind = Literal["certificate", "public_key"]

_QUOTED = re.compile(r'pin-sha256\s*=\s*"([^"]*)"')
_OPENSSL_PREFIX = re.compile(r"(?:sha-?256\s+)?fingerprint\s*=\s*", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Pin:
    """One pin.

    >>> Pin.parse("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").kind
    'public_key'
    """

    kind: PinKind
    #: 32 bytes.
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Pin:
        """Read a pin as it is commonly written.

        ``sha256/BASE64``, ``sha256//BASE64`` (curl) and ``pin-sha256="BASE64"`` (RFC 7469) pin a public key;
        64 hex digits, with or without colons, are a certificate's SHA-256 thumbprint.

        :raises PinError: If it is none of these. A SHA-1 thumbprint is refused with the way to get the SHA-256.
        """
        if not isinstance(text, str):
            raise PinError(f"a pin is text, not {type(text).__name__}")
        text = text.strip()
        quoted = _QUOTED.fullmatch(text)
        if quoted:
            return cls("public_key", _decode_base64(quoted[1], text))
        prefix, encoded = text[:7], text[7:]
        if prefix.lower() == "sha256/":
            # curl writes two slashes. Told apart by length, because base64 may itself begin with one.
            second_slash = len(encoded) == 45 and encoded.startswith("/")
            return cls("public_key", _decode_base64(encoded[second_slash:], text))
        return cls("certificate", _decode_hex(text))

    @classmethod
    def for_certificate(cls, certificate: Certificate) -> Pin:
        """The pin of exactly this certificate."""
        return cls("certificate", bytes.fromhex(certificate.thumbprint))

    @classmethod
    def for_public_key(cls, certificate: Certificate) -> Pin:
        """The pin of this certificate's public key."""
        return cls("public_key", base64.b64decode(certificate.spki_pin))

    def matches(self, certificate: Certificate) -> bool:
        """Whether the certificate is, or has the key that is, pinned."""
        other = Pin.for_certificate if self.kind == "certificate" else Pin.for_public_key
        return self.digest == other(certificate).digest

    def __str__(self) -> str:
        if self.kind == "certificate":
            return self.digest.hex()
        return "sha256/" + base64.b64encode(self.digest).decode("ascii")


class PinSet:
    """Some pins, of which one must match.

    :param pins: Pins, or texts that :meth:`Pin.parse` reads. At least one: an empty set would either admit
        everybody or nobody, and a configuration that arrives empty is a mistake.
    :raises PinError: If there is none, or one cannot be read.
    """

    __slots__ = ("_pins",)

    def __init__(self, *pins: Pin | str) -> None:
        parsed = (pin if isinstance(pin, Pin) else Pin.parse(pin) for pin in pins)
        self._pins: frozenset[Pin] = frozenset(parsed)
        if not self._pins:
            raise PinError("a set of pins needs at least one pin; leave the option out to pin nothing")

    def match(self, certificates: Iterable[Certificate]) -> Pin | None:
        """The pin that matches one of the certificates, or ``None``."""
        for certificate in certificates:
            for candidate in (Pin.for_public_key(certificate), Pin.for_certificate(certificate)):
                if candidate in self._pins:
                    return candidate
        return None

    def matches(self, certificate: Certificate) -> bool:
        """Whether a pin matches this certificate."""
        return self.match((certificate,)) is not None

    def __iter__(self) -> Iterator[Pin]:
        return iter(sorted(self._pins, key=str))

    def __len__(self) -> int:
        return len(self._pins)

    def __contains__(self, pin: object) -> bool:
        return pin in self._pins

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PinSet) and self._pins == other._pins

    def __hash__(self) -> int:
        return hash(self._pins)

    def __repr__(self) -> str:
        return f"PinSet({', '.join(repr(str(pin)) for pin in self)})"


def _decode_base64(encoded: str, text: str) -> bytes:
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32:
        raise PinError(
            f"{text!r} is not a pin: 44 characters of base64 (the SHA-256 of a public key) must follow the slash"
        )
    return digest


def _decode_hex(text: str) -> bytes:
    digits = _OPENSSL_PREFIX.sub("", text).replace(":", "").replace(" ", "")
    if _HEX.fullmatch(digits) and len(digits) == 64:
        return bytes.fromhex(digits)
    if _HEX.fullmatch(digits) and len(digits) == 40:
        raise PinError(
            f"{text!r} is a SHA-1 thumbprint (what .NET and Windows print as Thumbprint); SHA-1 can be forged."
            " Get the SHA-256: openssl x509 -noout -fingerprint -sha256 -in cert.pem"
            " (.NET: certificate.GetCertHashString(HashAlgorithmName.SHA256))"
        )
    raise PinError(
        f"{text!r} is not a pin: write sha256/BASE64 for a public key,"
        " or the 64 hex digits of a certificate's SHA-256 thumbprint"
    )
