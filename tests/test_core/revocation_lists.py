"""Revocation lists that no CA library makes, and short ways to ask what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mtls_core import ber, der
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued, Revocation
from mtls_core.revocation.crl import CertificateList, judge
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Answer

from .crafting import AT, ECDSA_SHA224, ECDSA_SHA256

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
POLICY = RevocationPolicy()
KEY_COMPROMISE = x509.ReasonFlags.key_compromise
HOLD = x509.ReasonFlags.certificate_hold
REMOVE = x509.ReasonFlags.remove_from_crl
#: An extension that nobody knows.
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")


def read(data: bytes, source: str = "test.crl") -> CertificateList:
    """A list as the engine sees it."""
    return CertificateList.from_der(data, source=source)


def path_of(issued: Issued) -> tuple[Certificate, ...]:
    """Leaf first, anchor last."""
    assert issued.root is not None
    return (issued.certificate, *issued.chain, issued.root)


def ask(
    issued: Issued | tuple[Certificate, ...],
    *lists: bytes | CertificateList,
    depth: int = 0,
    at: datetime = AT,
    policy: RevocationPolicy = POLICY,
    **options: Any,
) -> Answer:
    """What lists say about a certificate."""
    path = issued if isinstance(issued, tuple) else path_of(issued)
    views = [crl if isinstance(crl, CertificateList) else read(crl, f"{n}.crl") for n, crl in enumerate(lists)]
    return judge(path, depth, views, at=at, policy=policy, **options)


def hold(issued: Issued, reason: x509.ReasonFlags = HOLD) -> Revocation:
    """An entry with a reason."""
    return Revocation(which=issued, reason=reason)


def points(*given: x509.DistributionPoint) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    """For ``extensions=``: the distribution points of a certificate."""
    return ((x509.CRLDistributionPoints(given), False),)


def point(
    *urls: str,
    name: x509.Name | None = None,
    relative: x509.RelativeDistinguishedName | None = None,
    issuer: x509.Name | None = None,
    reasons: Iterable[x509.ReasonFlags] = (),
) -> x509.DistributionPoint:
    """One distribution point."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(url) for url in urls]
    if name is not None:
        names.append(x509.DirectoryName(name))
    issuers = None if issuer is None else [x509.DirectoryName(issuer)]
    return x509.DistributionPoint(names or None, relative, frozenset(reasons) or None, issuers)


def resign(
    crl: bytes,
    issuer: DevelopmentCA,
    change: Callable[[list[bytes]], object],
    *,
    outer: bytes = ECDSA_SHA256,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """A list with other bytes in it, signed again by its issuer, who has an EC key.

    :param change: Gets the fields of the TBSCertList, to be changed in place.
    :param outer: The AlgorithmIdentifier outside of what is signed.
    :param digest: With which the key signs, whatever the list says.
    """
    tbs = next(der.read_all(crl).children())
    fields = [field.raw for field in tbs.children()]
    change(fields)
    return sign(ber.encode(der.SEQUENCE, *fields), issuer, outer, digest=digest)


def sign(tbs: bytes, issuer: DevelopmentCA, algorithm: bytes, *, digest: hashes.HashAlgorithm | None = None) -> bytes:
    """Put an issuer's signature to any bytes."""
    assert isinstance(issuer.private_key, ec.EllipticCurvePrivateKey)
    signature = issuer.private_key.sign(tbs, ec.ECDSA(digest or hashes.SHA256()))
    return ber.encode(der.SEQUENCE, tbs, algorithm, ber.encode(der.BIT_STRING, b"\0", signature))


def signed_with_sha224(crl: bytes, issuer: DevelopmentCA) -> bytes:
    """The list with a good signature by an algorithm that is not allowed."""

    def change(fields: list[bytes]) -> None:
        fields[1] = ECDSA_SHA224

    return resign(crl, issuer, change, outer=ECDSA_SHA224, digest=hashes.SHA224())


def without_next_update(crl: bytes, issuer: DevelopmentCA) -> bytes:
    """The list without the date on which the next one is due."""
    return resign(crl, issuer, lambda fields: fields.pop(4))


def entry(serial: bytes, date: bytes = b"260501000000Z", extensions: bytes = b"") -> bytes:
    """The DER of one entry."""
    tag = 0x17 if len(date) == 13 else 0x18
    return ber.encode(der.SEQUENCE, ber.encode(der.INTEGER, serial), ber.encode(tag, date), extensions)


def with_entries(crl: bytes, issuer: DevelopmentCA, *entries: bytes) -> bytes:
    """The list with raw entries in the place of its own, of which it must have some."""

    def change(fields: list[bytes]) -> None:
        fields[5] = ber.encode(der.SEQUENCE, *entries)

    return resign(crl, issuer, change)


def extension(oid: bytes, value: bytes, *, critical: bool) -> bytes:
    """The DER of one extension."""
    flag = b"\x01\x01\xff" if critical else b""
    return ber.encode(der.SEQUENCE, ber.encode(der.OBJECT_IDENTIFIER, oid), flag, ber.encode(der.OCTET_STRING, value))
