"""One line for every decision, on the logger ``flask_mtls``.

What a client may choose (names in certificates, paths) is written as a JSON string: no line break and no
terminal sequence of its making gets into the log.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from flask import request

from mtls_core.errors import CertificateRejected
from mtls_core.revocation.status import Answer, Status

from .peer import PeerCertificate

log = logging.getLogger("flask_mtls")

_LONGEST = 500


def accepted(peer: PeerCertificate) -> None:
    """Write that a certificate was accepted, at level DEBUG: this is every request.

    At level WARNING if nothing is known about its revocation, which ``MTLS_REVOCATION_UNREACHABLE = "accept"`` permits.
    """
    answers = peer.verdict.revocation
    level = logging.WARNING if any(each.status is Status.UNKNOWN for each in answers) else logging.DEBUG
    if log.isEnabledFor(level):
        log.log(
            level,
            "accepted %s source=%s subject=%s sha256=%s revocation=%s",
            _about_request(),
            peer.source,
            quoted(peer.subject),
            peer.thumbprint,
            quoted(_revocation(answers)),
        )


def rejected(rejection: CertificateRejected, thumbprint: str | None) -> None:
    """Write that a certificate, or the lack of one, was refused, at level WARNING.

    :param rejection: Why.
    :param thumbprint: SHA-256 of the leaf that was presented.
    """
    subject = rejection.certificate.subject if rejection.certificate else ""
    log.warning(
        "rejected %s reason=%s depth=%d subject=%s sha256=%s detail=%s",
        _about_request(),
        rejection.reason.value,
        rejection.depth,
        quoted(subject),
        thumbprint or "-",
        quoted(rejection.detail),
    )


def _revocation(answers: Sequence[Answer]) -> str:
    """Each answer with its source and its age."""
    return "; ".join(f"{answer.status.value} by {answer.source}{_as_of(answer)}" for answer in answers) or "not asked"


def _as_of(answer: Answer) -> str:
    return f" as of {answer.this_update:%Y-%m-%dT%H:%M:%SZ}" if answer.this_update else ""


def quoted(text: str) -> str:
    """Foreign text as ASCII in double quotes, everything else escaped, cut at 500 characters."""
    return json.dumps(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _about_request() -> str:
    return f"method={quoted(request.method)} path={quoted(request.path)} remote={quoted(request.remote_addr or '-')}"
