"""Private keys and certificates in PEM files (RFC 7468), and in OpenSSL's older form with ``Proc-Type`` lines."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .. import der
from ..certificate import Certificate
from ..errors import IdentityError, IdentityProblem, MalformedCertificate
from .pairing import NamedCertificate
from .panic import without_panic
from .pbe import MAX_ROUNDS, Protection, read_protection
from .pfx_structure import MAX_KEYS
from .recognise import check_looks_like_pem

_BEGIN_KEY = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----")
_BEGIN_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_END_CERTIFICATE = re.compile(rb"-----END (?:X509 |TRUSTED )?CERTIFICATE-----")
_CIPHER = re.compile(rb"^DEK-Info: *([^,\s]+)", re.MULTILINE)
_OPENSSH = b"OPENSSH PRIVATE KEY"
_PKCS8_ENCRYPTED = b"ENCRYPTED PRIVATE KEY"
#: Of the ciphers of OpenSSL's older form, those that cryptography opens.
_USUAL_CIPHERS = frozenset({b"AES-128-CBC", b"AES-192-CBC", b"AES-256-CBC", b"DES-EDE3-CBC"})
#: What cryptography opens of PKCS#8 only if OpenSSL's legacy provider is there; if not, it calls the password wrong.
_SOMETIMES_OPENED = frozenset({"RC2-40", "MD5 with DES"})


@dataclass(frozen=True, slots=True)
class _KeyBlock:
    """One private key as it stands in a file."""

    label: bytes
    #: With its BEGIN and END lines.
    text: bytes

    @property
    def is_encrypted(self) -> bool:
        return self.label == _PKCS8_ENCRYPTED or b"Proc-Type: 4,ENCRYPTED" in self.text


def load_pem_certificates(data: bytes, *, source: str) -> list[NamedCertificate]:
    """All certificates of a PEM file, in order.

    :raises IdentityError: ``wrong_format``, ``truncated``, or ``damaged`` if one of them cannot be read.
    """
    check_looks_like_pem(data, source=source)
    if len(_BEGIN_CERTIFICATE.findall(data)) > len(_END_CERTIFICATE.findall(data)):
        raise _cut_off("CERTIFICATE", source)
    try:
        return [NamedCertificate(certificate) for certificate in Certificate.all_from_pem(data)]
    except MalformedCertificate as error:
        raise IdentityError(IdentityProblem.DAMAGED, f"is damaged: {error.detail}", source=source) from error


def load_pem_keys(data: bytes, password: Callable[[], bytes | None], *, source: str) -> list[PrivateKeyTypes]:
    """All private keys of a PEM file.

    :param password: Called if one of them is encrypted; nothing else ever asks for a password.
    :raises IdentityError: With the problem that fits; nothing else leaves, whatever the bytes are.
    """
    check_looks_like_pem(data, source=source)
    blocks = _key_blocks(data, source)
    secret = password() if any(block.is_encrypted for block in blocks) else None
    return [_load_key(block, secret, source) for block in blocks]


def _key_blocks(data: bytes, source: str) -> list[_KeyBlock]:
    blocks = []
    for begin in _BEGIN_KEY.finditer(data):
        label = begin.group(1)
        end_line = b"-----END " + label + b"-----"
        end = data.find(end_line, begin.end())
        if end < 0:
            raise _cut_off(label.decode("ascii"), source)
        blocks.append(_KeyBlock(label, data[begin.start() : end + len(end_line)] + b"\n"))
    if len(blocks) > MAX_KEYS:
        detail = f"holds {len(blocks)} private keys, {MAX_KEYS} are allowed; put one identity into a file of its own"
        raise IdentityError(IdentityProblem.SEVERAL_IDENTITIES, detail, source=source)
    return blocks


def _cut_off(label: str, source: str) -> IdentityError:
    detail = f"is cut off: the -----END {label}----- line is missing; copy it again"
    return IdentityError(IdentityProblem.TRUNCATED, detail, source=source)


def _load_key(block: _KeyBlock, password: bytes | None, source: str) -> PrivateKeyTypes:
    if block.label == _OPENSSH:
        detail = f"holds a key in OpenSSH's own form; convert it: ssh-keygen -p -m PKCS8 -f {_file(source)}"
        raise IdentityError(IdentityProblem.WRONG_FORMAT, detail, source=source)
    if block.is_encrypted and not password:
        # cryptography takes an empty password for none.
        detail = "holds an encrypted private key, and no password was given"
        raise IdentityError(IdentityProblem.PASSWORD_REQUIRED, detail, source=source)
    unusual = _unusual_algorithms(block, source)
    try:
        return without_panic(load_pem_private_key, block.text, password if block.is_encrypted else None)
    except UnsupportedAlgorithm as error:
        detail = f"holds a private key of a kind that is not offered here ({error}); use RSA, EC (P-256) or Ed25519"
        raise IdentityError(IdentityProblem.ALGORITHM_UNAVAILABLE, detail, source=source) from error
    except Exception as error:
        raise _diagnosis(block, unusual, source) from error


def _diagnosis(block: _KeyBlock, unusual: tuple[str, ...], source: str) -> IdentityError:
    if not block.is_encrypted:
        detail = "is damaged: its private key, which is not encrypted, cannot be read; copy it again"
        return IdentityError(IdentityProblem.DAMAGED, detail, source=source)
    rewrite = f"write it anew: openssl pkcs8 -topk8 -provider legacy -provider default -in {_file(source)} -out new.key"
    names = ", ".join(unusual)
    if set(unusual) - _SOMETIMES_OPENED:
        detail = f"the private key is encrypted with {names}, which is not offered here; {rewrite}"
        return IdentityError(IdentityProblem.ALGORITHM_UNAVAILABLE, detail, source=source)
    detail = "the password does not open the private key (or the key is damaged)"
    if unusual:
        detail += f"; or {names}, with which it is encrypted, is not offered here: {rewrite}"
    return IdentityError(IdentityProblem.WRONG_PASSWORD, detail, source=source)


def _unusual_algorithms(block: _KeyBlock, source: str) -> tuple[str, ...]:
    """Algorithms of the encryption that are not offered everywhere.

    :raises IdentityError: ``damaged`` if it cannot be seen how the key is encrypted, or opening it takes too much work.
    """
    if block.label != _PKCS8_ENCRYPTED:
        cipher = _CIPHER.search(block.text)
        return (cipher.group(1).decode("ascii", "replace"),) if cipher and cipher.group(1) not in _USUAL_CIPHERS else ()
    protection = _pkcs8_protection(block, source)
    if protection.rounds > MAX_ROUNDS:
        detail = f"asks for {protection.rounds} rounds of key derivation, {MAX_ROUNDS} are allowed"
        raise IdentityError(IdentityProblem.DAMAGED, detail, source=source)
    return protection.unusual


def _pkcs8_protection(block: _KeyBlock, source: str) -> Protection:
    body = b"".join(block.text.splitlines()[1:-1])
    try:
        algorithm, _ciphertext = der.read_all(base64.b64decode(body, validate=True)).children()
        return read_protection(algorithm)
    except (binascii.Error, der.DerError, ValueError) as error:
        detail = f"is damaged: its private key is not encrypted PKCS#8 ({error}); copy it again"
        raise IdentityError(IdentityProblem.DAMAGED, detail, source=source) from error


def _file(source: str) -> str:
    return "old.pem" if source.startswith("<") else shlex.quote(source)
