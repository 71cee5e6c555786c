"""What is asked, and where: OCSP requests (RFC 6960, section 4.1) and the addresses of responders."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from .. import der
from ..certificate import Certificate

CertIDHash = Literal["sha1", "sha256"]

#: Media types of RFC 6960, appendix A.
REQUEST_TYPE = "application/ocsp-request"
RESPONSE_TYPE = "application/ocsp-response"
#: RFC 9654, section 2.1: clients send 32 bytes at least, and responders may ignore longer ones.
NONCE_SIZE = 32
MAX_NONCE_SIZE = 128
#: A request in a URL that is longer, with the address, is sent as POST (RFC 5019, section 5).
MAX_GET_URL = 255

_HASHES: dict[str, Any] = {"sha1": hashes.SHA1, "sha256": hashes.SHA256}


@dataclass(frozen=True, slots=True)
class CertID:
    """How OCSP names a certificate (RFC 6960, section 4.1.1)."""

    #: Hashes of the issuer's name as it stands in the certificate, and of the bits of the issuer's public key.
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int


def cert_id(certificate: Certificate, issuer: Certificate, hash: str) -> CertID:
    """The CertID of a certificate.

    :param hash: A name of :mod:`hashlib`.
    """
    name_hash = hashlib.new(hash, certificate.issuer_der, usedforsecurity=False).digest()
    key_hash = hashlib.new(hash, key_bits(issuer), usedforsecurity=False).digest()
    return CertID(name_hash, key_hash, certificate.serial_number)


def key_bits(certificate: Certificate) -> bytes:
    """The public key as OCSP hashes it: the value of the BIT STRING without the count of unused bits."""
    _algorithm, bits = der.read_all(certificate.spki_der).children()
    return bits.value[1:]


def build_request(
    certificate: Certificate, issuer: Certificate, *, nonce: bytes | None = None, hash: CertIDHash = "sha1"
) -> bytes:
    """A request for the status of one certificate, as DER.

    :param nonce: From a cryptographic random number generator, :data:`NONCE_SIZE` bytes; ``None`` for a request whose
        answer may come from a cache.
    :param hash: For the CertID. SHA-1 is what every responder knows; nothing hangs on its strength here, because
        whoever could make two certificates collide would have to be their CA.
    :raises ValueError: If the nonce is shorter or longer than RFC 9654, section 2.1 allows.
    """
    named = cert_id(certificate, issuer, hash)
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        named.issuer_name_hash, named.issuer_key_hash, named.serial_number, _HASHES[hash]()
    )
    if nonce is not None:
        if not NONCE_SIZE <= len(nonce) <= MAX_NONCE_SIZE:
            raise ValueError(f"a nonce has {NONCE_SIZE} to {MAX_NONCE_SIZE} bytes, not {len(nonce)}")
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def responder_urls(certificate: Certificate) -> tuple[str, ...]:
    """Where a certificate says that its status can be asked (RFC 5280, section 4.2.2.1), each address once.

    They are as the certificate has them; which of them may be asked is for who fetches.
    """
    extension = certificate.extension(ExtensionOID.AUTHORITY_INFORMATION_ACCESS)
    if extension is None:
        return ()
    locations = [
        access.access_location
        for access in extension.value
        if access.access_method == AuthorityInformationAccessOID.OCSP
    ]
    return tuple(dict.fromkeys(name.value for name in locations if isinstance(name, x509.UniformResourceIdentifier)))


def get_url(base: str, request: bytes) -> str | None:
    """The address with the request in it, for GET, which caches between here and the responder may answer.

    :param base: The responder's address.
    :return: ``None`` if POST must be used: the address would be too long, or has a query that nothing can be added to.
    """
    parts = urlsplit(base)
    if parts.query or parts.fragment:
        return None
    url = f"{base.rstrip('/')}/{quote(base64.b64encode(request), safe='')}"
    return url if len(url) <= MAX_GET_URL else None
