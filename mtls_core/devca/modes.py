"""Every way in which a responder behaves: as it should, or with one fault."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from ..revocation.ocsp_request import NONCE_SIZE
from .authority import DevelopmentCA
from .issued import Issued
from .keys import make_key
from .ocsp import (
    INTERNAL_ERROR,
    MALFORMED_REQUEST,
    SIG_REQUIRED,
    TRY_LATER,
    UNAUTHORIZED,
    ResponseOptions,
    ocsp_signer,
)


class Mode(StrEnum):
    """What a :class:`~mtls_core.devca.responder.Responder` does to the next requests."""

    GOOD = "good"

    # Of OCSP responses: all is well with the transport, and the signed content is not what was asked for.
    UNKNOWN = "unknown"
    WRONG_SERIAL = "wrong_serial"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_SIGNATURE = "wrong_signature"
    STALE = "stale"
    FUTURE = "future"
    #: Of 400 days ago, without ``nextUpdate``.
    OLD = "old"
    NONCE_REPLACED = "nonce_replaced"
    NONCE_MISSING = "nonce_missing"
    #: By somebody the CA delegated it to; this one counts.
    DELEGATED = "delegated"
    #: The same, without id-pkix-ocsp-nocheck: it must be asked about, too.
    DELEGATED_TO_BE_CHECKED = "delegated_to_be_checked"
    DELEGATED_WITHOUT_USAGE = "delegated_without_usage"
    DELEGATED_EXPIRED = "delegated_expired"
    DELEGATED_BY_ANOTHER_CA = "delegated_by_another_ca"
    MALFORMED_REQUEST = "malformed_request"
    INTERNAL_ERROR = "internal_error"
    TRY_LATER = "try_later"
    SIG_REQUIRED = "sig_required"
    UNAUTHORIZED = "unauthorized"

    # Of everything that is served.
    #: Waits before it answers; see ``delay``.
    SLOW = "slow"
    #: Never answers.
    SILENT = "silent"
    #: Sends the body a byte at a time; see ``interval``.
    TRICKLE = "trickle"
    #: Sends header fields a byte at a time, without end.
    DRIP_HEADERS = "drip_headers"
    RESET = "reset"
    #: 500.
    SERVER_ERROR = "server_error"
    #: 404.
    NOT_FOUND = "not_found"
    #: To ``redirect_to``.
    REDIRECT = "redirect"
    GARBAGE = "garbage"
    HTML = "html"
    EMPTY = "empty"
    #: Half of the body, with a Content-Length to match.
    TRUNCATED = "truncated"
    #: Half of the body, with the Content-Length of the whole.
    CUT_OFF = "cut_off"
    #: A gigabyte, made as it is sent.
    HUGE = "huge"
    TRAILING_BYTES = "trailing_bytes"
    WRONG_CONTENT_TYPE = "wrong_content_type"


#: Modes in which nothing is signed, with the status that is answered.
ERRORS = {
    Mode.MALFORMED_REQUEST: MALFORMED_REQUEST,
    Mode.INTERNAL_ERROR: INTERNAL_ERROR,
    Mode.TRY_LATER: TRY_LATER,
    Mode.SIG_REQUIRED: SIG_REQUIRED,
    Mode.UNAUTHORIZED: UNAUTHORIZED,
}

_DAY = timedelta(days=1)


def faulty(mode: Mode, options: ResponseOptions, serial_number: int, *, now: datetime) -> ResponseOptions:
    """The options of a truthful response, after what a mode does to them."""
    return {**options, **(_fault_of_content(mode, serial_number) or _fault_of_time(mode, now))}


def signer_for(mode: Mode, ca: DevelopmentCA, *, now: datetime, url: str) -> Issued | DevelopmentCA:
    """Who signs in a mode.

    :param url: Where a delegated responder can be asked about itself.
    """
    match mode:
        case Mode.DELEGATED:
            return ocsp_signer(ca)
        case Mode.DELEGATED_TO_BE_CHECKED:
            return ocsp_signer(ca, nocheck=False, ocsp_urls=(url,))
        case Mode.DELEGATED_WITHOUT_USAGE:
            return ocsp_signer(ca, usage=("client",))
        case Mode.DELEGATED_EXPIRED:
            return ocsp_signer(ca, not_before=now - 2 * _DAY, not_after=now - _DAY)
        case Mode.DELEGATED_BY_ANOTHER_CA:
            return ocsp_signer(DevelopmentCA.create(ca.certificate.common_names[0]))
    return ca


def _fault_of_content(mode: Mode, serial_number: int) -> ResponseOptions:
    match mode:
        case Mode.UNKNOWN:
            return {"status": "unknown"}
        case Mode.WRONG_SERIAL:
            return {"serial_number": serial_number + 1}
        case Mode.WRONG_ISSUER:
            other = DevelopmentCA.create("Another CA").certificate
            return {"issuer_name_of": other, "issuer_key_of": other}
        case Mode.WRONG_SIGNATURE:
            return {"signing_key": make_key("ec")}
        case Mode.NONCE_REPLACED:
            return {"nonce": b"in reply to somebody else's query"[:NONCE_SIZE]}
        case Mode.NONCE_MISSING:
            return {"nonce": None}
    return {}


def _fault_of_time(mode: Mode, now: datetime) -> ResponseOptions:
    match mode:
        case Mode.STALE:
            return {"this_update": now - 2 * _DAY, "next_update": now - _DAY}
        case Mode.FUTURE:
            return {"this_update": now + _DAY, "next_update": now + 2 * _DAY, "produced_at": now}
        case Mode.OLD:
            return {"this_update": now - 400 * _DAY, "next_update": None}
    return {}
