"""What RFC 5280 wants of the form of one certificate, whoever issued it. Not asked of anchors.

Where certificates in use differ from the letter without harm (basic constraints that are not critical, a missing key
identifier), nothing is said here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from cryptography.x509.oid import ExtensionOID

from ..certificate import Certificate
from ..errors import InvalidName, Problem, Reason
from ..names import normalize_dns, parse_spiffe_id
from .problems import printable, subject_of

#: RFC 5280, section 4.1.2.2.
MAX_SERIAL_NUMBER_BYTES = 20

_EMAIL = re.compile(r"[!-~]+@[!-?A-~]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


def check_profile(certificate: Certificate) -> Iterator[Problem]:
    """Every rule of form that a certificate breaks."""
    for rule in _RULES:
        for detail in rule(certificate):
            yield Problem(Reason.PROFILE_VIOLATION, f"{subject_of(certificate)} {detail}", 0, certificate)


def _version(certificate: Certificate) -> Iterator[str]:
    # Section 4.1.2.1. Without extensions nothing says whether it is a CA or what it may be used for.
    if certificate.version != 3:
        yield (
            f"is a certificate of version {certificate.version}; have it issued with extensions, as version 3"
            " (openssl x509 -req takes them with -extfile)"
        )


def _serial_number(certificate: Certificate) -> Iterator[str]:
    number = certificate.serial_number
    if number <= 0:
        yield f"has the serial number {number}; it must be positive"
    elif number.bit_length() > MAX_SERIAL_NUMBER_BYTES * 8 - 1:  # the first bit is the sign
        yield f"has a serial number of more than {MAX_SERIAL_NUMBER_BYTES} bytes"


def _names(certificate: Certificate) -> Iterator[str]:
    if not certificate.issuer_name.rdns:
        yield "names no issuer"
    sans = certificate.extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if certificate.subject_name.rdns:
        pass
    elif certificate.is_ca:
        yield "is a CA without a subject"
    elif sans is None or not sans.critical:
        yield "has no subject, and then needs subject alternative names, marked critical"
    if any("\0" in name for name in certificate.common_names):
        yield "has a NUL character in its common name"


def _alternative_names(certificate: Certificate) -> Iterator[str]:
    extension = certificate.extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if extension is None:
        return
    if not list(extension.value):
        yield "has subject alternative names of which there are none"
    names = certificate.subject_alternative_names
    yield from _malformed(names.dns, "a DNS name", _is_dns_name)
    yield from _malformed(names.emails, "an e-mail address", _EMAIL.fullmatch)
    yield from _malformed(names.uris, "an absolute URI", _URI.fullmatch)


def _malformed(names: tuple[str, ...], what: str, is_well_formed: Callable[[str], object]) -> Iterator[str]:
    # The first of a kind says it; there may be thousands.
    for name in names:
        if not is_well_formed(name):
            yield f"has the subject alternative name {printable(name)!r}, which is not {what}"
            return


def _is_dns_name(name: str) -> bool:
    try:
        normalize_dns(name.removeprefix("*."))
    except InvalidName:
        return False
    return True


def _spiffe_id(certificate: Certificate) -> Iterator[str]:
    """X509-SVID, sections 4.1, 4.3 and 5.2: what a workload shows is never what a trust domain signs with."""
    if certificate.spiffe_id is None or certificate.is_ca:
        return
    if not parse_spiffe_id(certificate.spiffe_id).path:
        yield f"has the SPIFFE ID of a trust domain, {certificate.spiffe_id}; that of a workload has a path"
    if "crl_sign" in (certificate.key_usage or ()):
        yield "has a SPIFFE ID and may sign CRLs, which a workload may not"


def _usages(certificate: Certificate) -> Iterator[str]:
    if certificate.is_ca:
        return
    # Section 4.2.1.9: without cA, the key must not be one that signs certificates.
    if "key_cert_sign" in (certificate.key_usage or ()):
        yield "is no CA, and yet its key usage is to sign certificates"
    if certificate.extension(ExtensionOID.NAME_CONSTRAINTS) is not None:
        yield "is no CA, and yet has name constraints"


def _policies(certificate: Certificate) -> Iterator[str]:
    extension = certificate.extension(ExtensionOID.CERTIFICATE_POLICIES)
    if extension is None:
        return
    policies = [information.policy_identifier for information in extension.value]
    if len(set(policies)) != len(policies):
        yield "names a certificate policy twice"


_RULES = (_version, _serial_number, _names, _alternative_names, _spiffe_id, _usages, _policies)
