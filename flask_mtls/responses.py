"""Refusals as HTTP errors."""

from __future__ import annotations

import json
from typing import Any

from werkzeug.exceptions import Forbidden

from mtls_core.certificate import Certificate
from mtls_core.errors import CertificateRejected, Reason


class CertificateRefused(Forbidden):
    """Raised if a request is refused because of its certificate, or for want of one: a 403 with a problem
    document (RFC 9457).

    An error handler for 403, or for this class, may answer differently.

    :param rejection: Why.
    :param expose_reason: Whether the caller is told :attr:`reason`.
    """

    # Flask's own handlers may print this; the detail is for logs.
    description = "This resource requires a client certificate that this service accepts."

    def __init__(self, rejection: CertificateRejected, *, expose_reason: bool = True) -> None:
        super().__init__()
        #: The full account.
        self.rejection = rejection
        self.expose_reason = expose_reason

    @property
    def reason(self) -> Reason:
        """Why, in a word that never changes."""
        return self.rejection.reason

    @property
    def detail(self) -> str:
        """A sentence for logs. It may quote what the client sent; do not put it into responses."""
        return self.rejection.detail

    @property
    def certificate(self) -> Certificate | None:
        """The certificate at fault, if there is one and it can be read."""
        return self.rejection.certificate

    def problem(self) -> dict[str, Any]:
        """The problem document."""
        document = {"type": "about:blank", "title": self.name, "status": self.code}
        return document | ({"reason": self.reason.value} if self.expose_reason else {})

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        """The problem document as JSON."""
        return json.dumps(self.problem())

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Its type, and that it must not be cached: another caller may be welcome."""
        return [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store")]
