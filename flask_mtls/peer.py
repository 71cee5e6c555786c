"""The certificate of this request: where it is looked for, and what a view sees of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mtls_core.certificate import Certificate
from mtls_core.verifier import VerifiedCertificate

from .sources import Presented, tls

#: Where code of this process may put a :class:`~flask_mtls.sources.Presented`: the test client does, and
#: middleware for a server that is not known here can. A request cannot; what it brings is text.
PRESENTED = "flask_mtls.presented"

if TYPE_CHECKING:
    # Every field of a certificate is one of its peer's; __getattr__ below hands them on without a copy of
    # thirty fields.
    _View = Certificate
else:
    _View = object


class PeerCertificate(_View):
    """A caller's certificate, validated. It has every attribute of
    :class:`~mtls_core.certificate.Certificate`, and:
    """

    __slots__ = ("certificate", "chain", "principal", "source", "verdict")

    #: The certificate itself.
    certificate: Certificate
    #: The path that was verified, the certificate first, the trust anchor last.
    chain: tuple[Certificate, ...]
    #: What the principal loader made of it; ``None`` without a loader.
    principal: Any
    #: The way it came, such as ``"tls"``.
    source: str
    #: All that the verifier says.
    verdict: VerifiedCertificate

    def __init__(self, verdict: VerifiedCertificate, *, source: str, principal: Any = None) -> None:
        self.verdict = verdict
        self.certificate = verdict.certificate
        self.chain = verdict.chain
        self.source = source
        self.principal = principal

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in PeerCertificate.__slots__:  # not set yet, in a copy that is being made
                raise AttributeError(name)
            return getattr(self.certificate, name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PeerCertificate) and self.certificate == other.certificate

    def __hash__(self) -> int:
        return hash(self.certificate)

    def __repr__(self) -> str:
        return f"<PeerCertificate {self.certificate.describe()} by {self.source}>"


def find_presented(environ: Mapping[str, Any]) -> Presented | None:
    """The certificate that came with a request, not yet looked at.

    :param environ: A WSGI environ.
    :raises MalformedCertificate: If what came is none.
    """
    given = environ.get(PRESENTED)
    if isinstance(given, Presented):
        return given
    return tls.find(environ)
