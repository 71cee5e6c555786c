"""The revocation lists a development CA makes: complete ones, deltas, indirect ones, lists of one scope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ..certificate import Certificate
from .issued import Issued
from .keys import hash_for, padding_for
from .profile import Extension, Signer, adjusted

#: What a list may name: a certificate in any form.
Revoked = Certificate | Issued | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """An entry with everything that an entry may hold (RFC 5280, section 5.3)."""

    which: Revoked
    #: Aware; that of the list if left out.
    date: datetime | None = None
    #: ``x509.ReasonFlags.remove_from_crl`` stands in deltas alone.
    reason: x509.ReasonFlags | None = None
    #: Who issued the certificate, in an indirect list; holds for the entries that follow, too.
    issuer: x509.Name | None = None
    extensions: tuple[Extension, ...] = ()


RevokedEntry = Revoked | Revocation | tuple[Revoked, datetime, x509.ReasonFlags | None]


class CrlOptions(TypedDict, total=False):
    """What :meth:`DevelopmentCA.crl` takes besides; everything may be left out."""

    #: The number of the complete list that this one, a delta, brings up to date (RFC 5280, section 5.2.4).
    base: int
    #: Which certificates and reasons it covers (RFC 5280, section 5.2.5), as :func:`scope` makes it.
    scope: x509.IssuingDistributionPoint
    #: URLs where deltas to it are.
    freshest: Iterable[str]
    #: ``"sha256"``, ``"sha384"``, ``"sha512"``.
    hash: str
    #: Added, or put in the place of the usual ones of the same kind.
    extensions: Iterable[Extension]
    #: Extensions to leave out.
    without: Iterable[x509.ObjectIdentifier]


def scope(
    *urls: str,
    name: x509.Name | None = None,
    relative: x509.RelativeDistinguishedName | None = None,
    only: str | None = None,
    reasons: Iterable[x509.ReasonFlags] = (),
    indirect: bool = False,
) -> x509.IssuingDistributionPoint:
    """What a list covers.

    :param urls: Names of its distribution point.
    :param name: One more, a directory name.
    :param relative: Instead of both, what to append to the name of the list's issuer.
    :param only: ``"user"``, ``"ca"`` or ``"attribute"`` certificates.
    :param reasons: The reasons that it covers; all, if left out.
    :param indirect: Whether it has certificates of other issuers.
    """
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(url) for url in urls]
    if name is not None:
        names.append(x509.DirectoryName(name))
    return x509.IssuingDistributionPoint(
        full_name=names or None,
        relative_name=relative,
        only_contains_user_certs=only == "user",
        only_contains_ca_certs=only == "ca",
        only_some_reasons=frozenset(reasons) or None,
        indirect_crl=indirect,
        only_contains_attribute_certs=only == "attribute",
    )


def build_crl(
    signer: Signer,
    revoked: Iterable[RevokedEntry],
    *,
    number: int,
    validity: tuple[datetime, datetime],
    options: CrlOptions,
) -> bytes:
    """Sign one list, and return its DER."""
    builder = (
        # The whole list at once: adding one by one takes quadratic time.
        x509.CertificateRevocationListBuilder(revoked_certificates=[_entry(entry, validity[0]) for entry in revoked])
        .issuer_name(signer.name)
        .last_update(validity[0])
        .next_update(validity[1])
    )
    usual = _extensions(signer, number, options)
    for value, critical in adjusted(usual, options.get("extensions", ()), options.get("without", ())):
        builder = builder.add_extension(value, critical)
    digest = hash_for(signer.key, options.get("hash", "sha256"))
    signed = builder.sign(signer.key, digest, rsa_padding=padding_for(digest, pss=signer.pss))
    return signed.public_bytes(Encoding.DER)


def _extensions(signer: Signer, number: int, options: CrlOptions) -> list[Extension]:
    extensions: list[Extension] = [
        (x509.CRLNumber(number), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False),
    ]
    if "base" in options:
        extensions.append((x509.DeltaCRLIndicator(options["base"]), True))
    if "scope" in options:
        extensions.append((options["scope"], True))
    if "freshest" in options:
        extensions.append((x509.FreshestCRL([_point(url) for url in options["freshest"]]), False))
    return extensions


def _point(url: str) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)


def _entry(entry: RevokedEntry, at: datetime) -> x509.RevokedCertificate:
    revocation = _revocation(entry)
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(serial_number_of(revocation.which))
        .revocation_date(revocation.date or at)
    )
    if revocation.reason is not None:
        builder = builder.add_extension(x509.CRLReason(revocation.reason), critical=False)
    if revocation.issuer is not None:
        builder = builder.add_extension(x509.CertificateIssuer([x509.DirectoryName(revocation.issuer)]), critical=True)
    for value, critical in revocation.extensions:
        builder = builder.add_extension(value, critical)
    return builder.build()


def _revocation(entry: RevokedEntry) -> Revocation:
    if isinstance(entry, Revocation):
        return entry
    which, date, reason = entry if isinstance(entry, tuple) else (entry, None, None)
    return Revocation(which=which, date=date, reason=reason)


def serial_number_of(which: Revoked) -> int:
    """The serial number, whatever form the certificate has."""
    if isinstance(which, int):
        return which
    return which.serial_number if isinstance(which, Certificate) else which.certificate.serial_number
