"""PFX files of kinds that the development CA does not write, put together for tests."""

from __future__ import annotations

import hashlib
import hmac
import os
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mtls_core import ber, der
from mtls_core.certificate import Certificate
from mtls_core.devca import Issued
from mtls_core.devca.keys import PrivateKey

from ..programs import require_program

PASSWORD = "geheim"


def openssl_pfx(folder: Path, issued: Issued, *options: str, password: str = PASSWORD) -> bytes:
    """What ``openssl pkcs12 -export`` writes."""
    files = issued.write(folder, "openssl")
    inputs = ["-in", str(files.certificate), "-inkey", str(files.key)]
    outputs = ["-out", str(files.pfx), "-passout", f"pass:{password}"]
    command = [require_program("openssl"), "pkcs12", "-export", *inputs, *outputs, *options]
    subprocess.run(command, check=True, capture_output=True)
    return files.pfx.read_bytes()


def keytool_store(folder: Path, *aliases: str, kind: str = "PKCS12") -> bytes:
    """A keystore that Java wrote, with a key for each alias."""
    path = folder / "java.keystore"
    for alias in aliases:
        key = ["-alias", alias, "-dname", f"CN={alias}", "-keyalg", "EC", "-groupname", "secp256r1"]
        store = ["-keystore", str(path), "-storetype", kind, "-storepass", PASSWORD, "-keypass", PASSWORD]
        subprocess.run([require_program("keytool"), "-genkeypair", *key, *store], check=True, capture_output=True)
    return path.read_bytes()


def merged(*files: bytes) -> bytes:
    """One PFX with the content of several, without MAC."""
    parts = [part for file in files for part in der.read_all(authenticated_safe(file)).children()]
    return pfx(ber.encode(der.SEQUENCE, *(part.raw for part in parts)))


def with_hidden_key(key: PrivateKey, *certificates: Certificate) -> bytes:
    """A PFX that keeps its key within an encrypted part, where other programs put the certificates only."""
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    bags = [bag("1.2.840.113549.1.12.10.1.1", pkcs8), *(certificate_bag(certificate) for certificate in certificates)]
    return pfx(ber.encode(der.SEQUENCE, encrypted_part(ber.encode(der.SEQUENCE, *bags))))


def with_mac(content: bytes, mac_data: bytes) -> bytes:
    """A PFX with that AuthenticatedSafe and that MacData."""
    return pfx(content, mac_data)


def pbmac1(content: bytes, *, rounds: int = 1000, scheme_oid: str = "1.2.840.113549.2.9") -> bytes:
    """MacData as RFC 9579 has it."""
    salt = os.urandom(16)
    key = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, rounds, 32)
    hmac_sha256 = algorithm("1.2.840.113549.2.9", NULL)
    derivation = algorithm(
        "1.2.840.113549.1.5.12",
        ber.encode(der.SEQUENCE, octets(salt), integer(rounds), integer(32), hmac_sha256),
    )
    scheme = algorithm("1.2.840.113549.1.5.14", ber.encode(der.SEQUENCE, derivation, algorithm(scheme_oid, NULL)))
    info = ber.encode(der.SEQUENCE, scheme, octets(hmac.digest(key, content, "sha256")))
    return ber.encode(der.SEQUENCE, info, octets(b"NOT USED"))


def classic_mac(digest_oid: str, expected: bytes, salt: bytes, rounds: int) -> bytes:
    """MacData as RFC 7292 has it."""
    info = ber.encode(der.SEQUENCE, algorithm(digest_oid, NULL), octets(expected))
    return ber.encode(der.SEQUENCE, info, octets(salt), integer(rounds))


def indefinite(data: bytes) -> bytes:
    """The same in BER: constructed elements of indefinite length, octet strings of the outer level in two pieces."""
    element = der.read_all(data)
    if element.tag == der.OCTET_STRING:
        half = len(element.value) // 2
        return b"\x24\x80" + octets(element.value[:half]) + octets(element.value[half:]) + b"\x00\x00"
    if not element.tag & 0x20:
        return element.raw
    return bytes((element.tag, 0x80)) + b"".join(indefinite(c.raw) for c in element.children()) + b"\x00\x00"


def authenticated_safe(file: bytes) -> bytes:
    """The content that a MAC covers."""
    _version, safe, *_mac = der.read_all(file).children()
    _oid, wrapped = safe.children()
    return der.read_all(wrapped.value).value


def pfx(content: bytes, *mac_data: bytes) -> bytes:
    return ber.encode(der.SEQUENCE, integer(3), data_part(content), *mac_data)


def data_part(content: bytes) -> bytes:
    return ber.encode(der.SEQUENCE, oid("1.2.840.113549.1.7.1"), explicit(octets(content)))


def encrypted_part(safe_contents: bytes) -> bytes:
    salt, iv = os.urandom(16), os.urandom(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(
        algorithms.AES256(hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 1000)), modes.CBC(iv)
    ).encryptor()
    ciphertext = encryptor.update(padder.update(safe_contents) + padder.finalize()) + encryptor.finalize()
    info = ber.encode(der.SEQUENCE, oid("1.2.840.113549.1.7.1"), pbes2(salt, iv, 1000), ber.encode(0x80, ciphertext))
    encrypted = ber.encode(der.SEQUENCE, integer(0), info)
    return ber.encode(der.SEQUENCE, oid("1.2.840.113549.1.7.6"), explicit(encrypted))


def pbes2(salt: bytes, iv: bytes, rounds: int) -> bytes:
    hmac_sha256 = algorithm("1.2.840.113549.2.9", NULL)
    derivation = algorithm(
        "1.2.840.113549.1.5.12", ber.encode(der.SEQUENCE, octets(salt), integer(rounds), hmac_sha256)
    )
    scheme = algorithm("2.16.840.1.101.3.4.1.42", octets(iv))
    return algorithm("1.2.840.113549.1.5.13", ber.encode(der.SEQUENCE, derivation, scheme))


def certificate_bag(certificate: Certificate) -> bytes:
    value = ber.encode(der.SEQUENCE, oid("1.2.840.113549.1.9.22.1"), explicit(octets(certificate.der)))
    return bag("1.2.840.113549.1.12.10.1.3", value)


def bag(kind: str, value: bytes) -> bytes:
    return ber.encode(der.SEQUENCE, oid(kind), explicit(value))


def algorithm(kind: str, *parameters: bytes) -> bytes:
    return ber.encode(der.SEQUENCE, oid(kind), *parameters)


def explicit(value: bytes) -> bytes:
    return ber.encode(0xA0, value)


def octets(value: bytes) -> bytes:
    return ber.encode(der.OCTET_STRING, value)


def integer(value: int) -> bytes:
    return ber.encode(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def oid(text: str) -> bytes:
    first, second, *arcs = map(int, text.split("."))
    return ber.encode(der.OBJECT_IDENTIFIER, b"".join(_arc(arc) for arc in (first * 40 + second, *arcs)))


def _arc(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(0x80 | value & 0x7F)
    return bytes(reversed(digits))


NULL = b"\x05\x00"
