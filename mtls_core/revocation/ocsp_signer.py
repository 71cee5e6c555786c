"""Who signed an OCSP response, and may they? (RFC 6960, sections 3.2 and 4.2.2.2.)

The CA that issued the certificate may; whoever that CA itself issued a certificate to for signing OCSP responses may;
and whom the operator configured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from ..certificate import Certificate
from ..errors import MalformedCertificate
from ..path.algorithms import RSASSA_PSS, algorithm_name, check_key, is_allowed_signature, signs_with_pss_alone
from ..path.distinguished_names import canonical
from ..path.problems import subject_of
from ..path.rules import Purpose, Rules
from ..path.validate import validate
from ..path.validity import check_validity
from ..path.work import Work, WorkLimitExceeded
from .ocsp_request import key_bits
from .ocsp_response import BasicResponse, UnusableResponse
from .policy import RevocationPolicy

#: Of the certificates in a response, how many are looked at.
MAX_CERTIFICATES = 10

_OCSP_SIGNING = Purpose(
    "signing OCSP responses",
    ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string,
    frozenset({"digital_signature", "content_commitment"}),
)
_RSA_SIGNATURES = "1.2.840.113549.1.1."
_ECDSA_SIGNATURES = "1.2.840.10045.4.3."


class Authority(Enum):
    """Why somebody may answer."""

    ISSUER = "issuer"
    CONFIGURED = "configured"
    DELEGATED = "delegated"


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature a response carries."""

    certificate: Certificate
    authority: Authority

    @property
    def must_be_checked(self) -> bool:
        """Whether it could be revoked itself: a CA that delegates may say that it need not be asked (RFC 6960, section
        4.2.2.2.1).
        """
        no_check = self.certificate.extension(ExtensionOID.OCSP_NO_CHECK)
        return self.authority is Authority.DELEGATED and no_check is None


def find_signer(
    response: BasicResponse, path: Sequence[Certificate], depth: int, *, at: datetime, policy: RevocationPolicy
) -> Signer:
    """Who signed, after it was verified that they did and that they may.

    :param path: Leaf first; found good already, up to its anchor.
    :param depth: Which certificate of it is asked about.
    :param at: UTC, whole seconds.
    :raises UnusableResponse: If nobody who may answer signed it.
    """
    _check_algorithm(response)
    objections: list[str] = []
    candidates = list(_candidates(response, path[depth + 1], policy))
    for signer in candidates:
        # The key first: a long one costs its verifier time.
        objection = _objection_to_key(signer)
        if objection is None and not _verifies(signer.certificate, response):
            continue
        objection = objection or _objection(signer, path, depth, Rules(_OCSP_SIGNING, at, policy.clock_skew))
        if objection is None:
            return signer
        objections.append(objection)
    if objections:
        raise UnusableResponse(f"may not answer: {objections[0]}")
    raise UnusableResponse(_why_nobody(path[depth + 1], candidates))


def _check_algorithm(response: BasicResponse) -> None:
    oid = response.algorithm_oid
    if oid == RSASSA_PSS:
        # Which hash and mask it was made with stands in parameters that cryptography does not read in OCSP responses.
        raise UnusableResponse(
            "signs with RSASSA-PSS, which is not verified in OCSP responses;"
            " have it sign with PKCS#1 v1.5 or another key, or use CRLs"
        )
    if not is_allowed_signature(response.algorithm_der):
        raise UnusableResponse(
            f"signs with {algorithm_name(oid)}, which is not allowed; have it sign with SHA-256, SHA-384 or SHA-512"
        )


def _candidates(response: BasicResponse, issuer: Certificate, policy: RevocationPolicy) -> Iterator[Signer]:
    """Those whom the response names as who signed it."""
    if _is_named(issuer, response):
        yield Signer(issuer, Authority.ISSUER)
    for configured in policy.trusted_responders:
        if _is_named(configured, response):
            yield Signer(configured, Authority.CONFIGURED)
    for data in response.certificates[:MAX_CERTIFICATES]:
        try:
            sent = Certificate.from_der(data)
        except MalformedCertificate:
            continue  # Nobody's; the signer's, if there is one, may stand beside it.
        if _is_named(sent, response):
            yield Signer(sent, Authority.DELEGATED)


def _is_named(certificate: Certificate, response: BasicResponse) -> bool:
    if response.responder_name is not None:
        return canonical(response.responder_name) == canonical(certificate.subject_name)
    return response.responder_key_hash == hashlib.sha1(key_bits(certificate), usedforsecurity=False).digest()


def _verifies(certificate: Certificate, response: BasicResponse) -> bool:
    if signs_with_pss_alone(certificate):
        return False
    oid, signature, tbs = response.algorithm_oid, response.signature, response.tbs
    try:
        match certificate.public_key:
            case rsa.RSAPublicKey() as key if oid.startswith(_RSA_SIGNATURES):
                key.verify(signature, tbs, padding.PKCS1v15(), response.digest)
            case ec.EllipticCurvePublicKey() as key if oid.startswith(_ECDSA_SIGNATURES):
                key.verify(signature, tbs, ec.ECDSA(response.digest))
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() as key if response.digest is None:
                key.verify(signature, tbs)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        # The types other than InvalidSignature come from an algorithm that makes no sense for the key.
        return False
    return True


def _objection_to_key(signer: Signer) -> str | None:
    """What is wrong with the key; that of an issuer was judged with the path."""
    problem = None if signer.authority is Authority.ISSUER else check_key(signer.certificate)
    return None if problem is None else problem.detail


def _objection(signer: Signer, path: Sequence[Certificate], depth: int, rules: Rules) -> str | None:
    """Why somebody whose signature it is may not answer, as a sentence."""
    match signer.authority:
        case Authority.ISSUER:
            return None
        case Authority.CONFIGURED:
            # Whatever else is in it, the operator chose it.
            problems = tuple(check_validity((signer.certificate,), rules))
        case Authority.DELEGATED:
            return _objection_to_delegation(signer.certificate, path, depth, rules)
    return problems[0].detail if problems else None


def _objection_to_delegation(
    responder: Certificate, path: Sequence[Certificate], depth: int, rules: Rules
) -> str | None:
    if responder.spki_der == path[depth].spki_der:
        return f"{subject_of(responder)} would be speaking for itself"
    # What is wrong further up is for the judgement of the path itself, which may be more lenient about dates. An
    # extended key usage of the issuer's does not count here: OpenSSL and Mozilla do not look at it for OCSP either.
    unrestricted = replace(rules, check_usage=False)
    try:
        problems = validate((responder, *path[depth + 1 :]), unrestricted, Work())
    except WorkLimitExceeded as error:
        return f"{subject_of(responder)} is not looked at further: {error}"
    own = [problem.detail for problem in problems if problem.depth == 0]
    if own:
        return own[0]
    if _OCSP_SIGNING.extended_key_usage not in (responder.extended_key_usage or ()):
        # Section 4.2.2.2: it must be named; anyExtendedKeyUsage does not.
        return (
            f"{subject_of(responder)} was not issued for signing OCSP responses; that"
            f" ({_OCSP_SIGNING.extended_key_usage}) must be among its extended key usages,"
            " or it must be one of the trusted responders here"
        )
    return None


def _why_nobody(issuer: Certificate, candidates: Sequence[Signer]) -> str:
    if candidates:
        return (
            f"sent a signature that does not verify with the key of {subject_of(candidates[0].certificate)},"
            " which it names as its signer"
        )
    return (
        f"is neither {subject_of(issuer)}, nor sent a certificate with which that CA would have delegated it,"
        " nor is it one of the trusted responders here; if it is to be believed, add its certificate to those"
    )
