"""``MTLS``: what an application calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

import click
from flask import Flask, Response, current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.serving import is_running_from_reloader

from mtls_core.errors import ConfigurationError

from .audit import log
from .config import KEYS, loosened, read_settings
from .decisions import Decisions, Hooks, decisions_of, utc_now
from .decorators import check_stacking, is_exempt
from .peer import PeerCertificate
from .responses import CertificateRefused
from .serving.unchecked import warn_if_unchecked

Loader = TypeVar("Loader", bound=Callable[[PeerCertificate], Any])
Handler = TypeVar("Handler", bound=Callable[[CertificateRefused], Any])


class MTLS:
    """Client certificates for Flask apps.

    One object serves any number of apps; what belongs to an app is kept in that app.

    :param app: Calls :meth:`init_app`.
    :param clock: Tells the time for which certificates must be valid, as an aware datetime. For tests.
    """

    def __init__(self, app: Flask | None = None, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._hooks = Hooks()
        self._clock = clock
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the app's ``MTLS_*`` settings, load what they name, and decide its requests from now on.

        Call it before other extensions that handle requests: with ``MTLS_REQUIRE = "all"``, handlers that were
        registered earlier run before the certificate is looked at.

        :raises ConfigurationError: If a setting cannot be used, or the app has an MTLS already.
        """
        if "mtls" in app.extensions:
            raise ConfigurationError(f"the app {app.name!r} has an MTLS already; import and use that one")
        settings = read_settings(app.config)
        decisions = Decisions(settings, hooks=self._hooks, clock=self._clock)
        for text in loosened(settings):
            log.warning("%s: %s", app.name, text)
        for name, key in KEYS.items():
            app.config.setdefault(name, key.default)
        app.extensions["mtls"] = decisions
        app.before_request(_before_request)
        if settings.forwarded is not None:
            app.after_request(_after_request)

    def principal_loader(self, loader: Loader) -> Loader:
        """Decorator for the function that turns a validated certificate into the application's own object, such
        as a user.

        It is called with the :class:`PeerCertificate`, on every request that looks at its certificate. What it
        returns is ``current_cert.principal``; ``None`` or ``False`` refuses the certificate as
        ``not_authorized``.
        """
        self._hooks.principal_loader = loader
        return loader

    def on_rejected(self, handler: Handler) -> Handler:
        """Decorator for a function that sees every refused request.

        It is called with the :class:`CertificateRefused`. What it returns is sent in place of the usual 403,
        unless it is ``None``; the view is not run in any case.
        """
        self._hooks.on_rejected = handler
        return handler

    def reload(self, app: Flask) -> None:
        """Load the files of an app's settings anew, without waiting for ``MTLS_RELOAD_INTERVAL``. In this process.

        :raises ConfigurationError: If they cannot be used; those in force stay.
        """
        decisions_of(app).watched.reload()

    def run(
        self,
        app: Flask,
        host: str = "127.0.0.1",
        port: int = 5000,
        *,
        debug: bool | None = None,
        use_reloader: bool | None = None,
        use_debugger: bool | None = None,
        threaded: bool = True,
        extra_files: Iterable[str] | None = None,
        exclude_patterns: Iterable[str] | None = None,
    ) -> None:
        """Serve an app with Werkzeug over mutual TLS, for development, as :meth:`flask.Flask.run` does without.

        With ``MTLS_FORWARDED``, and without ``MTLS_IDENTITY``, it is plain HTTP, for the proxies that speak TLS.

        :param debug: Sets ``app.debug`` if given.
        :param use_reloader: Restart when code changes; as ``debug`` if left out.
        :param use_debugger: Show tracebacks in the browser; as ``debug`` if left out.
        :param threaded: Handle each connection in a thread of its own.
        :param extra_files: Further files for the reloader to watch.
        :param exclude_patterns: Files that the reloader leaves alone.
        :raises ConfigurationError: If the app has no MTLS, or cannot be served.
        """
        from .serving import werkzeug

        if _within_flask_command():
            return
        if debug is not None:
            app.debug = debug
        options = werkzeug.RunOptions(
            use_reloader=app.debug if use_reloader is None else use_reloader,
            use_debugger=app.debug if use_debugger is None else use_debugger,
            threaded=threaded,
            extra_files=extra_files,
            exclude_patterns=exclude_patterns,
        )
        werkzeug.run(app, host, port, options)


def _before_request() -> ResponseReturnValue | None:
    """Applies ``MTLS_REQUIRE``, and catches views that were decorated too late."""
    decisions = decisions_of(current_app)
    endpoint = request.endpoint
    if endpoint is not None and endpoint not in decisions.known_endpoints:
        check_stacking(current_app, endpoint)
        decisions.known_endpoints.add(endpoint)
    if decisions.settings.forwarded is not None:
        warn_if_unchecked(current_app._get_current_object(), request.environ)  # type: ignore[attr-defined]
        response = decisions.refuse_forged()
        if response is not None:
            return response
    # A URL that leads nowhere needs a certificate as well: who has none does not learn which URLs there are.
    if decisions.settings.require == "decorated" or is_exempt(current_app):
        return None
    return decisions.check()


def _after_request(response: Response) -> Response:
    """RFC 9440, section 2.4: no response has such a header, and none that depends on it is another client's."""
    decisions = decisions_of(current_app)
    form = decisions.settings.forwarded
    if form is not None:
        for name in form.headers:
            response.headers.remove(name)
        # A view's body that is still to be made may ask who calls; a file's does not.
        may_look = request.endpoint is not None and response.is_streamed and not response.direct_passthrough
        if may_look or decisions.looked():
            response.vary.add(form.header)
            _keep_from_shared_caches(response)
    return response


def _keep_from_shared_caches(response: Response) -> None:
    """A cache within the proxy sees requests without the header that the proxy adds, and cannot tell clients apart."""
    control = response.cache_control
    if not control.no_store and not control.private:
        control.private = True
        control.public = False
        control.s_maxage = None


def _within_flask_command() -> bool:
    """As :meth:`flask.Flask.run`: ``flask`` imports the module, and must not be stopped by a call at its end."""
    if os.environ.get("FLASK_RUN_FROM_CLI") != "true":
        return False
    if not is_running_from_reloader():
        click.secho(
            " * Ignoring a call to 'mtls.run()' that would block the current 'flask' command; use 'flask mtls run'.",
            fg="red",
        )
    return True
