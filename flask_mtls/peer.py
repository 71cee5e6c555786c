"""The certificate of this request: where it is looked for, and what a view sees of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtls_core.certificate import Certificate
from mtls_core.errors import CertificateRejected, Problem, Reason
from mtls_core.verifier import VerifiedCertificate

from .config import Settings
from .proxies import Hop, forgeable_by, hop_of
from .sources import Presented, parsed, tls
from .sources.forwarded import Headers

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
    """The certificate of the connection itself, or the one that code of this process has put in its place.

    :param environ: A WSGI environ.
    :raises MalformedCertificate: If what came is none.
    """
    given = environ.get(PRESENTED)
    return given if isinstance(given, Presented) else tls.find(environ)


#: Verifies a proxy's own certificate; raises :class:`~mtls_core.errors.CertificateRejected`.
VerifyProxy = Callable[[Presented], VerifiedCertificate]


@dataclass(frozen=True, slots=True)
class Account:
    """What a request carried, what was believed of it, and why."""

    hop: Hop
    #: Whether that may speak for clients. Always false where no header is configured.
    is_proxy: bool
    #: The headers of the configured format that came, with their lengths in bytes.
    carried: Mapping[str, int]
    #: What is taken for the client's certificate. Whether it is good is another question.
    presented: Presented | None
    #: Why the request is refused without a look at its certificate.
    rejection: CertificateRejected | None
    #: A sentence for people.
    why: str


class Peers:
    """Finds the certificate of each request of one app, where the settings say that it is.

    :param settings: The app's.
    """

    def __init__(self, settings: Settings) -> None:
        self._trusted = settings.trusted_proxies
        self._direct = settings.forwarded_direct
        form = settings.forwarded
        self._headers = Headers(form, hops=settings.forwarded_hops) if form else None

    def find(self, environ: Mapping[str, Any], verify_proxy: VerifyProxy) -> Presented | None:
        """The certificate that came with a request, not yet looked at.

        :param environ: A WSGI environ.
        :param verify_proxy: Says whether a proxy's own certificate is good.
        :raises CertificateRejected: If what came is none, or came from who may not send it.
        """
        if self._headers is None or isinstance(environ.get(PRESENTED), Presented):
            return find_presented(environ)
        distrust = self._distrust(environ, verify_proxy)
        if distrust is None:
            return self._headers.read(environ)
        self._refuse_headers(environ, distrust)
        return self._own(environ, distrust) if self._direct else None

    def refuse_forged(self, environ: Mapping[str, Any], verify_proxy: VerifyProxy) -> None:
        """Look whether somebody speaks for a client who may not.

        :raises CertificateRejected: If somebody does.
        """
        if self._headers is None or not self._headers.carried(environ):
            return
        distrust = self._distrust(environ, verify_proxy)
        if distrust is not None:
            self._refuse_headers(environ, distrust)

    def by_own_tls(self, environ: Mapping[str, Any], verify_proxy: VerifyProxy) -> bool:
        """Whether the request's own TLS connection is where the client's certificate is."""
        if self._headers is None:
            return True
        return self._direct and self._distrust(environ, verify_proxy) is not None

    def account(self, environ: Mapping[str, Any], verify_proxy: VerifyProxy) -> Account:
        """Tell what a request carried, what is believed of it, and why.

        :param environ: A WSGI environ.
        :param verify_proxy: Says whether a proxy's own certificate is good.
        """
        presented, rejection = None, None
        try:
            presented = self.find(environ, verify_proxy)
        except CertificateRejected as error:
            rejection = error
        is_proxy = self._headers is not None and self._distrust(environ, verify_proxy) is None
        if rejection is not None:
            why = rejection.detail
        elif presented is None:
            why = self.why_nothing(environ, verify_proxy)
        else:
            by = "a trusted proxy" if is_proxy and presented.source != "test" else "the client's own connection"
            why = f"{by} brought it, as {presented.source}"
        carried = self._headers.carried(environ) if self._headers else {}
        return Account(hop_of(environ), is_proxy, carried, presented, rejection, why)

    def why_nothing(self, environ: Mapping[str, Any], verify_proxy: VerifyProxy) -> str:
        """Why a request has no certificate, as a sentence for logs."""
        if self._headers is not None:
            distrust = self._distrust(environ, verify_proxy)
            if distrust is None:
                return self._headers.why_nothing(environ)
            if not self._direct:
                return f"the request did not come by a trusted proxy: {distrust}{self._own_does_not_count(environ)}"
        if environ.get("wsgi.url_scheme") == "https":
            return "the client presented no certificate"
        return (
            "the request came without TLS, and so without a certificate; serve the app with 'flask mtls run',"
            " or with gunicorn -c python:flask_mtls.gunicorn_conf"
        )

    def _own_does_not_count(self, environ: Mapping[str, Any]) -> str:
        try:
            shown = tls.find(environ) is not None
        except CertificateRejected:
            shown = True
        count = ", and the certificate of its own connection does not count without MTLS_FORWARDED_DIRECT"
        return count if shown else ""

    def _own(self, environ: Mapping[str, Any], distrust: str) -> Presented | None:
        """The certificate of the connection itself, unless a proxy shows it: whoever calls through that is not it."""
        own = tls.find(environ)
        if own is not None and self._trusted.has_certificate(parsed(own.leaf)):
            detail = f"the connection shows the certificate of a proxy, which is no client's, and {distrust}"
            raise CertificateRejected(Problem(Reason.UNTRUSTED_PROXY, detail, certificate=parsed(own.leaf)))
        return own

    def _refuse_headers(self, environ: Mapping[str, Any], distrust: str) -> None:
        carried = self._headers.carried(environ) if self._headers else {}
        if carried:
            names = " and ".join(carried)
            detail = f"{names} came from {hop_of(environ)}, which may not speak for a client: {distrust}"
            raise CertificateRejected(Problem(Reason.UNTRUSTED_PROXY, detail))

    def _distrust(self, environ: Mapping[str, Any], verify_proxy: VerifyProxy) -> str | None:
        """Why whoever sent the request may not speak for a client; ``None`` if it may."""
        trusted = self._trusted
        server = forgeable_by(environ)
        if server is not None:
            return (
                f"with {server} as it comes, 'X_Client_Cert' passes for 'X-Client-Cert'; serve the app with gunicorn,"
                " or with flask_mtls.serving.cheroot.create_server"
            )
        hop = hop_of(environ)
        if trusted.by_place and not trusted.has_place(hop):
            return f"{hop} is not in MTLS_TRUSTED_PROXIES ({trusted})"
        if not trusted.by_certificate:
            return None if trusted.by_place else "MTLS_TRUSTED_PROXIES names nobody"
        return self._distrust_certificate(environ, hop, verify_proxy)

    def _distrust_certificate(self, environ: Mapping[str, Any], hop: Hop, verify_proxy: VerifyProxy) -> str | None:
        try:
            own = tls.find(environ)
            if own is None:
                return f"{hop} showed no certificate of its own, and MTLS_TRUSTED_PROXIES ({self._trusted}) wants one"
            certificate = parsed(own.leaf)
            if not self._trusted.has_certificate(certificate):
                return f"the certificate of {hop} itself, {certificate.describe()}, is none of MTLS_TRUSTED_PROXIES"
            verify_proxy(own)
        except CertificateRejected as error:
            return f"the certificate of {hop} itself is not accepted: {error}"
        return None
