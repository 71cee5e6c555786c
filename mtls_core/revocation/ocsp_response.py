"""OCSP responses, read once and completely (RFC 6960, section 4.2).

cryptography parses them, strictly, and lazily: what is wrong inside shows when a property is read. All of them are read
here. It does not show three things that are taken from the raw bytes: the signature's AlgorithmIdentifier with its
parameters, the extensions of each of several single responses, and the signed bytes as they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp

from .. import der
from ..errors import MTLSError
from ..path.problems import printable
from .ocsp_request import CertID

#: Longer answers are not parsed.
MAX_RESPONSE_SIZE = 64 * 1024

_SINGLE_EXTENSIONS = 0xA1
_FALSE = b"\x00"
_UNSUCCESSFUL = {
    ocsp.OCSPResponseStatus.MALFORMED_REQUEST: "could not read the request (malformedRequest); some responders know"
    " neither SHA-256 nor nonces: ask with SHA-1, and without a nonce",
    ocsp.OCSPResponseStatus.INTERNAL_ERROR: "has an internal error (internalError); its operator must mend that",
    ocsp.OCSPResponseStatus.TRY_LATER: "is busy (tryLater); it will be asked again",
    ocsp.OCSPResponseStatus.SIG_REQUIRED: "answers signed requests alone (sigRequired), which are not sent; use another"
    " responder, or CRLs",
    ocsp.OCSPResponseStatus.UNAUTHORIZED: "does not answer for this certificate (unauthorized); it may be the responder"
    " of another CA, or no longer know certificates that expired",
}


class UnusableResponse(MTLSError):
    """Raised if a response says nothing that counts. Its text is a sentence without the subject, which is the
    responder.
    """


@dataclass(frozen=True, slots=True)
class SingleResponse:
    """What a response says about one certificate."""

    #: SHA-1 or one of the SHA-2 family, as :mod:`hashlib` names it; ``None`` for another.
    hash: str | None
    cert_id: CertID
    status: ocsp.OCSPCertStatus
    this_update: datetime
    next_update: datetime | None
    revoked_at: datetime | None
    revocation_reason: x509.ReasonFlags | None
    #: Whether it has an extension that must be understood.
    has_critical_extension: bool


@dataclass(frozen=True, slots=True)
class BasicResponse:
    """A response that says something, about which nothing is verified."""

    #: One of the two is set.
    responder_name: x509.Name | None
    responder_key_hash: bytes | None
    produced_at: datetime
    nonce: bytes | None
    #: OIDs of critical extensions other than the nonce.
    critical_extensions: tuple[str, ...]
    singles: tuple[SingleResponse, ...]
    #: DER of the certificates that came with it.
    certificates: tuple[bytes, ...]
    #: What is signed.
    tbs: bytes
    signature: bytes
    #: AlgorithmIdentifier as it stands, and its OID.
    algorithm_der: bytes
    algorithm_oid: str
    #: Hash of the signature; ``None`` if it has none, or is of a kind that is not known.
    digest: Any


def read_response(data: bytes) -> BasicResponse:
    """Read the body of an answer.

    :raises UnusableResponse: If it is not an OCSP response, or one that says that there is none.
    """
    if len(data) > MAX_RESPONSE_SIZE:
        raise UnusableResponse(f"sent {len(data)} bytes; {MAX_RESPONSE_SIZE} are read at most")
    if not data:
        raise UnusableResponse("sent an empty answer")
    try:
        parsed = ocsp.load_der_ocsp_response(data)
        if parsed.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL:
            return _basic_response(parsed, data)
    except Exception as error:
        # Whatever comes out of the parser, the cause is one: bytes that somebody else chose.
        raise UnusableResponse(_not_ocsp(data, error)) from error
    raise UnusableResponse(_UNSUCCESSFUL[parsed.response_status])


def _not_ocsp(data: bytes, error: Exception) -> str:
    if data.lstrip()[:1] == b"<":
        return "sent HTML instead of an OCSP response; a proxy or a login page may stand in the way"
    first_line = (str(error).splitlines() or [""])[0]
    return f"sent what is not an OCSP response ({type(error).__name__}: {printable(first_line)})"


def _basic_response(parsed: ocsp.OCSPResponse, data: bytes) -> BasicResponse:
    tbs, algorithm, _signature, *certificates = _basic_fields(data)
    extensions = tuple(parsed.extensions)
    nonces = [e.value.nonce for e in extensions if isinstance(e.value, x509.OCSPNonce)]
    return BasicResponse(
        responder_name=parsed.responder_name,
        responder_key_hash=parsed.responder_key_hash,
        produced_at=parsed.produced_at_utc,
        nonce=nonces[0] if nonces else None,
        critical_extensions=tuple(
            e.oid.dotted_string for e in extensions if e.critical and not isinstance(e.value, x509.OCSPNonce)
        ),
        singles=tuple(_single_response(*pair) for pair in zip(parsed.responses, _single_elements(tbs), strict=True)),
        certificates=tuple(c.raw for part in certificates for c in _only(part).children()),
        tbs=tbs.raw,
        signature=parsed.signature,
        algorithm_der=algorithm.raw,
        algorithm_oid=parsed.signature_algorithm_oid.dotted_string,
        digest=_digest(parsed),
    )


def _basic_fields(data: bytes) -> Iterator[der.Element]:
    """The fields of BasicOCSPResponse: what is signed, the algorithm, the signature, the certificates if any."""
    _status, response_bytes = der.read_all(data).children()
    _kind, octets = _only(response_bytes).children()
    return der.read_all(octets.value).children()


def _only(element: der.Element) -> der.Element:
    (child,) = element.children()
    return child


def _single_elements(tbs: der.Element) -> Iterator[der.Element]:
    # Before the single responses stand a version, a name or key hash, and a date, none of which is a SEQUENCE.
    return next(field for field in tbs.children() if field.tag == der.SEQUENCE).children()


def _single_response(parsed: ocsp.OCSPSingleResponse, element: der.Element) -> SingleResponse:
    return SingleResponse(
        hash=_hash_name(parsed),
        cert_id=CertID(parsed.issuer_name_hash, parsed.issuer_key_hash, parsed.serial_number),
        status=parsed.certificate_status,
        this_update=parsed.this_update_utc,
        next_update=parsed.next_update_utc,
        revoked_at=parsed.revocation_time_utc,
        revocation_reason=_reason(parsed),
        has_critical_extension=any(_critical_extensions(element)),
    )


def _critical_extensions(single: der.Element) -> Iterator[bool]:
    # The status may have the same tag.
    _cert_id, _status, _this_update, *optional = single.children()
    for field in optional:
        if field.tag == _SINGLE_EXTENSIONS:
            for extension in _only(field).children():
                _oid, second, *_value = extension.children()
                yield second.tag == der.BOOLEAN and second.value != _FALSE


def _reason(parsed: ocsp.OCSPSingleResponse) -> x509.ReasonFlags | None:
    try:
        return parsed.revocation_reason
    except ValueError:
        # A code that RFC 5280 does not have. The certificate is revoked all the same.
        return None


def _hash_name(parsed: ocsp.OCSPSingleResponse) -> str | None:
    try:
        return parsed.hash_algorithm.name
    except UnsupportedAlgorithm:
        return None


def _digest(parsed: ocsp.OCSPResponse) -> Any:
    try:
        return parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
