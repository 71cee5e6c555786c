"""Each request is decided: found, verified, mapped to a principal, held against a rule.

One :class:`Decisions` stands in ``app.extensions["mtls"]``. What a request came to stands in ``g._mtls`` and
nowhere else.
"""

from __future__ import annotations

import functools
import hashlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from blinker import NamedSignal
from flask import Flask, current_app, g, has_request_context, request
from flask.typing import ResponseReturnValue
from werkzeug.local import LocalProxy

from mtls_core.certificate import Certificate
from mtls_core.errors import CertificateRejected, ConfigurationError, Problem, Reason
from mtls_core.revocation.crl import CertificateList
from mtls_core.verifier import VerifiedCertificate
from mtls_core.watch import Watched

from . import audit
from .config import Settings
from .material import load_material
from .peer import Account, PeerCertificate, Peers
from .responses import CertificateRefused
from .revocation import make_checker
from .rules import Rule, answer_of
from .serving.context import build_context
from .signals import certificate_accepted, certificate_missing, certificate_rejected
from .sources import Presented
from .sources.on_demand import ask
from .sources.tls import connection_of
from .verdicts import Generation, KnownIssuers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

RuleLike = Callable[[PeerCertificate], Any]


def utc_now() -> datetime:
    """The clock on the wall."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Hooks:
    """What the application added to the decision. Shared by the apps of one :class:`~flask_mtls.MTLS`."""

    principal_loader: Callable[[PeerCertificate], Any] | None = None
    on_rejected: Callable[[CertificateRefused], ResponseReturnValue | None] | None = None


class Outcome(NamedTuple):
    """What a request's certificate came to: one of the two, or neither if none was presented."""

    peer: PeerCertificate | None = None
    rejection: CertificateRejected | None = None


_NOTHING = Outcome()

#: Issuers of callers that are remembered at least.
_ISSUERS = 1024


class Decisions:
    """Decides the requests of one app, and holds all that is the app's own.

    :param settings: The app's.
    :param hooks: The application's own part.
    :param clock: Tells the time for which certificates must be valid.
    :raises ConfigurationError: If something the settings name cannot be loaded.
    """

    def __init__(self, settings: Settings, *, hooks: Hooks, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.hooks = hooks
        #: Endpoints whose views were looked at.
        self.known_endpoints: set[str] = set()
        self._clock = clock
        self._peers = Peers(settings)
        # No verdicts, so no fewer where verdicts are not kept: a resumed session needs its path.
        self._issuers = KnownIssuers(max(settings.cache_size, _ISSUERS))
        self._revocation = make_checker(settings, lists=self._lists, signers=self._list_signers)
        self.watched = Watched(self._load, settings.paths, interval=settings.reload_interval, name="MTLS_* files")

    def outcome(self) -> Outcome:
        """What this request's certificate came to, decided once a request."""
        known = g.get("_mtls")
        # An app context that is pushed by hand is shared by the requests made within it, and so is its g.
        if known is not None and known[0] is _here(request):
            outcome: Outcome = known[1]
            return outcome
        return self._decide_and_keep()

    def check(self, rule: RuleLike | None = None) -> ResponseReturnValue | None:
        """Refuse the request unless it has a good certificate for which the rule holds.

        :param rule: Called with the :class:`~flask_mtls.PeerCertificate`.
        :returns: ``None`` to go on, or the response of ``on_rejected`` to send instead of the view's.
        :raises CertificateRefused: If the request is refused and ``on_rejected`` has nothing to say.
        """
        outcome = self.outcome()
        if outcome is _NOTHING and self._ask():
            outcome = self._decide_and_keep()
        if outcome.rejection is not None:
            return self._refuse(outcome.rejection)
        if outcome.peer is None:
            why = self._peers.why_nothing(request.environ, self._verify_proxy)
            missing = CertificateRejected(Problem(Reason.CERTIFICATE_REQUIRED, why))
            self._report(missing, None)
            return self._refuse(missing)
        if rule is None or _holds(rule, outcome.peer):
            return None
        rejection = _not_authorized(outcome.peer, f"{rule!r} does not hold for it")
        self._report(rejection, outcome.peer.thumbprint)
        return self._refuse(rejection)

    def refuse_forged(self) -> ResponseReturnValue | None:
        """Refuse the request if it brings the header of a proxy and comes from none, whatever it asks for.

        :returns: As :meth:`check`.
        :raises CertificateRefused: As :meth:`check`.
        """
        try:
            self._peers.refuse_forged(request.environ, self._verify_proxy)
        except CertificateRejected as rejection:
            g._mtls = (_here(request), Outcome(rejection=rejection))
            self._report(rejection, None)
            return self._refuse(rejection)
        return None

    def looked(self) -> bool:
        """Whether anything asked for this request's certificate."""
        known = g.get("_mtls")
        return known is not None and known[0] is _here(request)

    def account(self, environ: WSGIEnvironment) -> Account:
        """What a request carried, what is believed of it, and why."""
        return self._peers.account(environ, self._verify_proxy)

    def tls_context(self) -> ssl.SSLContext:
        """The context for a connection that is accepted now.

        :raises ConfigurationError: If there is nothing to serve with.
        """
        build = functools.partial(build_context, self.settings, at=self._clock())
        return self.watched.current().context(build)

    def _decide_and_keep(self) -> Outcome:
        this_request, kept = _here(request), _here(g)
        kept._mtls = (this_request, _NOTHING)  # for a principal loader that asks for current_cert
        outcome = self._decide(this_request.environ)
        kept._mtls = (this_request, outcome)
        return outcome

    def _ask(self) -> bool:
        if self.settings.client_certs != "on_demand":
            return False
        if not self._peers.by_own_tls(request.environ, self._verify_proxy):
            return False
        return ask(connection_of(request.environ), timeout=self.settings.handshake_timeout)

    def _decide(self, environ: WSGIEnvironment) -> Outcome:
        presented: Presented | None = None
        try:
            presented = self._peers.find(environ, self._verify_proxy)
            if presented is None:
                return _NOTHING
            verdict = self.watched.current().verify(presented, at=self._clock())
            peer = self._with_principal(PeerCertificate(verdict, source=presented.source))
        except CertificateRejected as rejection:
            self._report(rejection, hashlib.sha256(presented.leaf).hexdigest() if presented else None)
            return Outcome(rejection=rejection)
        audit.accepted(peer)
        _send(certificate_accepted, peer=peer)
        return Outcome(peer)

    def _verify_proxy(self, presented: Presented) -> VerifiedCertificate:
        return self.watched.current().verify_proxy(presented, at=self._clock())

    def _with_principal(self, peer: PeerCertificate) -> PeerCertificate:
        load = self.hooks.principal_loader
        if load is None:
            return peer
        principal = current_app.ensure_sync(load)(peer)
        # False as well: "return user and user.is_active" means no.
        if principal is None or principal is False:
            raise _not_authorized(peer, "the principal loader knows nobody with it")
        return PeerCertificate(peer.verdict, source=peer.source, principal=principal)

    def _refuse(self, rejection: CertificateRejected) -> ResponseReturnValue:
        refusal = CertificateRefused(rejection, expose_reason=self.settings.expose_reason)
        handler = self.hooks.on_rejected
        if handler is not None:
            response: ResponseReturnValue | None = current_app.ensure_sync(handler)(refusal)
            if response is not None:
                return response
        raise refusal

    def _report(self, rejection: CertificateRejected, thumbprint: str | None) -> None:
        audit.rejected(rejection, thumbprint)
        missing = rejection.reason is Reason.CERTIFICATE_REQUIRED
        signal = certificate_missing if missing else certificate_rejected
        _send(signal, rejection=rejection)

    def _load(self, previous: Generation | None) -> Generation:
        material = load_material(self.settings, previous.material if previous else None)
        generation = Generation(self.settings, material, self._issuers, self._revocation)
        if previous is not None and previous.serves:
            # All or nothing: if its context cannot be built, nothing changes. But an identity that has expired in
            # service must not keep the trust of that day in force.
            same = previous.material.serves_as == generation.material.serves_as
            generation.context(functools.partial(build_context, self.settings, at=None if same else self._clock()))
        return generation

    def _lists(self) -> Sequence[CertificateList]:
        return self.watched.current().material.crls

    def _list_signers(self) -> Sequence[Certificate]:
        material = self.watched.current().material
        return [each for trust in (material.trust, material.proxy_trust) if trust for each in trust.intermediates]


def decisions_of(app: Flask) -> Decisions:
    """What decides for an app.

    :raises ConfigurationError: If the extension was never told of it.
    """
    try:
        decisions: Decisions = app.extensions["mtls"]
    except KeyError:
        raise ConfigurationError(
            f"the app {app.name!r} has no MTLS; call mtls.init_app(app) where it is made"
        ) from None
    return decisions


def _current() -> PeerCertificate | None:
    if not has_request_context():
        raise RuntimeError("current_cert is the certificate of a request, and there is no request here")
    return decisions_of(current_app).outcome().peer


#: The caller's certificate, validated; falsy where there is none, or none that is good.
current_cert: PeerCertificate = LocalProxy(_current)  # type: ignore[assignment]


def _holds(rule: RuleLike, peer: PeerCertificate) -> bool:
    if isinstance(rule, Rule):
        return rule(peer)
    return answer_of(rule, current_app.ensure_sync(rule)(peer))


def _not_authorized(peer: PeerCertificate, why: str) -> CertificateRejected:
    detail = f"{peer.describe()} is valid, but {why}"
    return CertificateRejected(Problem(Reason.NOT_AUTHORIZED, detail, certificate=peer.certificate))


def _send(signal: NamedSignal, **values: Any) -> None:
    if signal.receivers:  # this is every request, and seldom anybody listens
        app = _here(current_app)
        signal.send(app, _async_wrapper=app.ensure_sync, **values)


def _here(proxy: Any) -> Any:
    """The object that a proxy stands for now, so that it is looked up once."""
    return proxy._get_current_object()
