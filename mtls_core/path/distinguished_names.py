"""Distinguished names, compared as RFC 5280, section 7.1 wants it."""

from __future__ import annotations

import unicodedata

from cryptography import x509

from ..certificate import Certificate

#: Equal for names that are equal to RFC 5280, hashable, and comparable by prefix.
CanonicalName = tuple[tuple[tuple[str, str | bytes], ...], ...]


def canonical(name: x509.Name) -> CanonicalName:
    """A name with what does not count removed: string types, case, runs of white space, the order within one RDN.

    Strings are prepared as for LDAP's caseIgnoreMatch (RFC 4518): compatibility characters replaced, case folded,
    spaces collapsed.
    """
    return tuple(_canonical_rdn(rdn) for rdn in name.rdns)


def _canonical_rdn(rdn: x509.RelativeDistinguishedName) -> tuple[tuple[str, str | bytes], ...]:
    attributes = [(attribute.oid.dotted_string, _canonical_value(attribute.value)) for attribute in rdn]
    if len(attributes) > 1:
        attributes.sort(key=repr)  # a SET has no order; repr, because a value may be bytes
    return tuple(attributes)


def _canonical_value(value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return value
    if not value.isascii():
        value = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
    return " ".join(value.casefold().split())


def canonical_subject(certificate: Certificate) -> CanonicalName:
    """The subject of a certificate."""
    return canonical(certificate.subject_name)


def canonical_issuer(certificate: Certificate) -> CanonicalName:
    """The issuer that a certificate names."""
    return canonical(certificate.issuer_name)


def is_self_issued(certificate: Certificate) -> bool:
    """Whether subject and issuer are the same name (RFC 5280, section 3.2); who signed is another question."""
    if certificate.subject_der == certificate.issuer_der:
        return True
    return canonical_subject(certificate) == canonical_issuer(certificate)
