"""The certificates a development CA makes: the profile of RFC 5280, with every part open to being made wrong."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from ..certificate import Certificate
from .keys import PrivateKey, sign_certificate

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
#: An extension's value, and whether it is critical.
Extension = tuple[x509.ExtensionType, bool]

_USAGES = {
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}


class IssueOptions(TypedDict, total=False):
    """What :meth:`DevelopmentCA.issue` takes; everything may be left out."""

    #: Subject alternative names, by kind.
    dns: Iterable[str]
    ips: Iterable[str | IPAddress]
    uris: Iterable[str]
    emails: Iterable[str]
    #: ``"client"``, ``"server"``, ``"any"``, dotted OIDs; ``None`` or nothing: no extended key usage.
    usage: Iterable[str] | None
    #: The kind of key, as :func:`~mtls_core.devca.keys.make_key` has them, or a private key.
    key: str | PrivateKey
    #: Aware; one hour before and 30 days after the CA's ``at`` if left out.
    not_before: datetime | None
    not_after: datetime | None
    #: Say in basic constraints that the subject is a CA.
    ca: bool
    #: ``"sha256"``, ``"sha384"``, ``"sha512"``, ``"sha1"``.
    hash: str
    serial_number: int | None
    #: Where its status can be asked, and where lists are that would name it.
    ocsp_urls: Iterable[str]
    crl_urls: Iterable[str]
    #: Instead of the subject that consists of the common name.
    subject: x509.Name | None
    #: Added, or put in the place of the usual ones of the same kind.
    extensions: Iterable[Extension]
    #: Extensions to leave out.
    without: Iterable[x509.ObjectIdentifier]


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs a certificate."""

    name: x509.Name
    key: PrivateKey
    pss: bool = False


def build_certificate(
    signer: Signer,
    subject: x509.Name,
    public_key: Any,
    *,
    validity: tuple[datetime, datetime],
    extensions: Iterable[Extension],
    hash_name: str,
    serial_number: int | None = None,
) -> Certificate:
    """Sign one certificate."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.name)
        .public_key(public_key)
        # 159 random bits: positive, and 20 octets at most (RFC 5280, section 4.1.2.2).
        .serial_number(serial_number or x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return Certificate.from_x509(sign_certificate(builder, signer.key, hash_name=hash_name, pss=signer.pss))


def simple_name(value: str | None) -> x509.Name:
    """The subject that consists of one common name, or of nothing."""
    return x509.Name([] if value is None else [x509.NameAttribute(NameOID.COMMON_NAME, value)])


def ca_extensions(public_key: Any, issuer_key: Any, *, path_length: int | None) -> list[Extension]:
    """What the certificate of a CA carries."""
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (_key_usage("key_cert_sign", "crl_sign"), True),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False),
    ]


def leaf_extensions(
    public_key: Any, issuer_key: Any, options: IssueOptions, *, subject_is_empty: bool
) -> list[Extension]:
    """What a server's or client's certificate carries."""
    extensions: list[Extension] = [
        (x509.BasicConstraints(ca=options.get("ca", False), path_length=None), True),
        (_leaf_key_usage(public_key, ca=options.get("ca", False)), True),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False),
    ]
    usages = [_usage(name) for name in options.get("usage", ("client", "server")) or ()]
    if usages:
        extensions.append((x509.ExtendedKeyUsage(usages), False))
    names = _alternative_names(options)
    if names:
        # Critical if nothing else names the subject (RFC 5280, section 4.2.1.6).
        extensions.append((x509.SubjectAlternativeName(names), subject_is_empty))
    return extensions + revocation_extensions(
        ocsp_urls=options.get("ocsp_urls", ()), crl_urls=options.get("crl_urls", ())
    )


def revocation_extensions(*, ocsp_urls: Iterable[str] = (), crl_urls: Iterable[str] = ()) -> list[Extension]:
    """Where a certificate's revocation can be found out.

    :param crl_urls: Each becomes a distribution point of its own.
    """
    accesses = [
        x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
        for url in ocsp_urls
    ]
    points = [
        x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, crl_issuer=None) for url in crl_urls
    ]
    extensions: list[Extension] = []
    if accesses:
        extensions.append((x509.AuthorityInformationAccess(accesses), False))
    if points:
        extensions.append((x509.CRLDistributionPoints(points), False))
    return extensions


def adjusted(
    extensions: Iterable[Extension], replacements: Iterable[Extension], without: Iterable[x509.ObjectIdentifier]
) -> list[Extension]:
    """Extensions after the caller's wishes: a replacement takes the place of one of its kind, or is added."""
    by_oid = {extension[0].oid: extension for extension in extensions}
    by_oid.update((extension[0].oid, extension) for extension in replacements)
    unwanted = set(without)
    return [extension for oid, extension in by_oid.items() if oid not in unwanted]


def _alternative_names(options: IssueOptions) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(name) for name in options.get("dns", ())),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in options.get("ips", ())),
        *(x509.UniformResourceIdentifier(uri) for uri in options.get("uris", ())),
        *(x509.RFC822Name(address) for address in options.get("emails", ())),
    ]


def _usage(name: str) -> x509.ObjectIdentifier:
    return _USAGES.get(name) or x509.ObjectIdentifier(name)


def _leaf_key_usage(public_key: Any, *, ca: bool) -> x509.KeyUsage:
    usages = ["digital_signature"]
    if isinstance(public_key, rsa.RSAPublicKey):
        usages.append("key_encipherment")  # for the key exchange of TLS 1.2 without forward secrecy
    if ca:
        usages.append("key_cert_sign")
    return _key_usage(*usages)


def _key_usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature="digital_signature" in names,
        content_commitment=False,
        key_encipherment="key_encipherment" in names,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign="key_cert_sign" in names,
        crl_sign="crl_sign" in names,
        encipher_only=False,
        decipher_only=False,
    )
