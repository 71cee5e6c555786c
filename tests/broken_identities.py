"""Every way in which an identity fails to load that its documentation lists, made to happen."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)

from mtls_core import ber, der
from mtls_core.contexts import client_context
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.errors import IdentityError
from mtls_core.identity import Identity

from .test_core import pfx_files as craft

PASSWORD = craft.PASSWORD
_KEY_BAG = "1.2.840.113549.1.12.10.1.1"

#: Loads an identity, or tries to.
Attempt = Callable[[], object]


def failures(folder: Path) -> Iterator[IdentityError]:
    """What each attempt ends with.

    :param folder: For files; those that a test must not be able to read are left out.
    """
    ca = DevelopmentCA.create()
    billing, reports = ca.client("billing"), ca.client("reports")
    for attempt in (
        *_unreadable(folder),
        *_not_a_pfx(billing),
        *_not_pem(billing, reports),
        *_with_the_password(billing),
        *_damaged(billing),
        *_with_the_content(billing, reports),
        *_with_what_was_loaded(ca),
    ):
        try:
            attempt()
        except IdentityError as error:
            yield error
        else:
            raise AssertionError(f"an identity was loaded by line {attempt.__code__.co_firstlineno}")


def _unreadable(folder: Path) -> Iterator[Attempt]:
    yield lambda: Identity.from_pfx(folder / "nowhere.pfx")
    yield lambda: Identity.from_pfx(folder)
    yield lambda: Identity.from_pem("-----BEGIN CERTIFICATE-----\n")
    yield lambda: Identity.from_pfx(b"")
    yield lambda: Identity.from_pfx(b"x" * (1024 * 1024 + 1))


def _not_a_pfx(billing: Issued) -> Iterator[Attempt]:
    data = billing.pfx(PASSWORD)
    pkcs8 = (Encoding.DER, PrivateFormat.PKCS8)
    certificates = pkcs7.serialize_certificates([billing.certificate.parsed], Encoding.DER)
    key = billing.private_key.private_bytes(*pkcs8, NoEncryption())
    encrypted = billing.private_key.private_bytes(*pkcs8, BestAvailableEncryption(b"x"))
    yield lambda: Identity.from_pfx(billing.certificate_pem, PASSWORD)
    yield lambda: Identity.from_pfx(base64.encodebytes(data), PASSWORD)
    yield lambda: Identity.from_pfx(b"\xfe\xed\xfe\xed\x00\x00\x00\x02", PASSWORD)
    yield lambda: Identity.from_pfx(b"<!DOCTYPE html><title>Sign in</title>", PASSWORD)
    yield lambda: Identity.from_pfx(certificates, PASSWORD)
    yield lambda: Identity.from_pfx(billing.certificate.der, PASSWORD)
    yield lambda: Identity.from_pfx(key, PASSWORD)
    yield lambda: Identity.from_pfx(encrypted, PASSWORD)
    yield lambda: Identity.from_pfx(b"GIF89a", PASSWORD)
    yield lambda: Identity.from_pfx(data[:-50], PASSWORD)


def _not_pem(billing: Issued, reports: Issued) -> Iterator[Attempt]:
    certificate, key = billing.certificate_pem, billing.key_pem()
    openssh = billing.private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    camellia = b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: CAMELLIA-128-CBC,00\n\nAAAA\n"
    camellia += b"-----END EC PRIVATE KEY-----\n"
    garbled = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    yield lambda: Identity.from_pem(billing.pfx(PASSWORD))
    yield lambda: Identity.from_pem(b"billing, please")
    yield lambda: Identity.from_pem(certificate, openssh)
    yield lambda: Identity.from_pem(certificate, key[:-30])
    yield lambda: Identity.from_pem(certificate[:-30])
    yield lambda: Identity.from_pem(certificate, billing.key_pem(PASSWORD))
    yield lambda: Identity.from_pem(certificate, billing.key_pem(PASSWORD), "falsch")
    yield lambda: Identity.from_pem(certificate, camellia, PASSWORD)
    yield lambda: Identity.from_pem(certificate, garbled)
    yield lambda: Identity.from_pem(certificate)
    yield lambda: Identity.from_pem(key)
    yield lambda: Identity.from_pem(certificate, reports.key_pem())


def _with_the_password(billing: Issued) -> Iterator[Attempt]:
    data, content = billing.pfx(PASSWORD), craft.authenticated_safe(billing.pfx(PASSWORD))
    yield lambda: Identity.from_pfx(data)
    yield lambda: Identity.from_pfx(data, "falsch")
    yield lambda: Identity.from_pfx(data, "")
    yield lambda: Identity.from_pfx(craft.pfx(content), "falsch")
    yield lambda: Identity.from_pfx(data, "grün".encode("latin-1"))
    yield lambda: Identity.from_pfx(data, "ge\0heim")


def _damaged(billing: Issued) -> Iterator[Attempt]:
    data = bytearray(billing.pfx(PASSWORD))
    data[bytes(data).index(bytes.fromhex("2a864886f70d010706")) + 200] ^= 1  # within the encrypted certificates
    content = craft.authenticated_safe(billing.pfx("other"))
    endless = craft.classic_mac("1.3.14.3.2.26", bytes(20), b"saltsalt", 2**31 - 1)
    yield lambda: Identity.from_pfx(bytes(data), PASSWORD)
    yield lambda: Identity.from_pfx(ber.encode(der.SEQUENCE, craft.integer(3), craft.octets(b"x")), PASSWORD)
    yield lambda: Identity.from_pfx(craft.with_mac(content, craft.pbmac1(content)), PASSWORD)
    yield lambda: Identity.from_pfx(craft.with_mac(content, endless), PASSWORD)


def _with_the_content(billing: Issued, reports: Issued) -> Iterator[Attempt]:
    several = craft.merged(billing.pfx(PASSWORD), reports.pfx(PASSWORD))
    no_key = pkcs12.serialize_key_and_certificates(None, None, billing.certificate.parsed, None, NoEncryption())
    yield lambda: Identity.from_pfx(no_key)
    yield lambda: Identity.from_pfx(several, PASSWORD)
    yield lambda: Identity.from_pfx(several, PASSWORD, select="stock")
    yield lambda: Identity.from_pfx(
        craft.with_hidden_key(billing.private_key, billing.certificate, reports.certificate), PASSWORD
    )
    yield lambda: Identity.from_pfx(_encrypted_with("1.2.3.4"), PASSWORD)
    yield lambda: Identity.from_pfx(_with_x25519(billing), PASSWORD)


def _with_what_was_loaded(ca: DevelopmentCA) -> Iterator[Attempt]:
    now, day = datetime.now(UTC), timedelta(days=1)
    yield lambda: ca.client("billing").identity.check_validity(now + 400 * day)
    yield lambda: ca.client("billing").identity.check_validity(now - 400 * day)
    yield lambda: client_context(ca.client("billing", key="rsa1024").identity)


def _encrypted_with(oid: str) -> bytes:
    protection = craft.algorithm(oid, craft.octets(b"saltsalt"))
    content = ber.encode(der.SEQUENCE, craft.oid("1.2.840.113549.1.7.1"), protection, ber.encode(0x80, b"x" * 16))
    encrypted = ber.encode(der.SEQUENCE, craft.integer(0), content)
    part = ber.encode(der.SEQUENCE, craft.oid("1.2.840.113549.1.7.6"), craft.explicit(encrypted))
    return craft.pfx(ber.encode(der.SEQUENCE, part))


def _with_x25519(billing: Issued) -> bytes:
    pkcs8 = x25519.X25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    bags = ber.encode(der.SEQUENCE, craft.bag(_KEY_BAG, pkcs8), craft.certificate_bag(billing.certificate))
    content = ber.encode(der.SEQUENCE, craft.data_part(bags))
    return craft.with_mac(content, craft.pbmac1(content))
