"""Werkzeug's server over mutual TLS, or behind a proxy that ends it."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask
from werkzeug.exceptions import NotFound
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server, run_simple

from mtls_core.contexts import following_context

from ..config import Settings
from ..decisions import Decisions, decisions_of
from ..decorators import check_stacking
from ..proxies import STRICT_HEADERS
from .handshake import handshake
from .head import BadHead, Head, HeadLines
from .plain import announcement, serves_plain

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_log = logging.getLogger("flask_mtls")


class ServerOptions(NamedTuple):
    """What Werkzeug's own functions are given."""

    #: ``None`` for plain HTTP.
    ssl_context: ssl.SSLContext | None
    request_handler: type[WSGIRequestHandler]


class RunOptions(NamedTuple):
    """What is passed on to :func:`werkzeug.serving.run_simple`."""

    use_reloader: bool = False
    use_debugger: bool = False
    threaded: bool = True
    extra_files: Iterable[str] | None = None
    exclude_patterns: Iterable[str] | None = None


class MTLSRequestHandler(WSGIRequestHandler):
    """Does the handshake in the connection's own thread, where a client that stalls holds up nobody else."""

    handshake_timeout: float

    def handle(self) -> None:
        """Serve the connection, if its handshake succeeds."""
        if handshake(self.request, timeout=self.handshake_timeout):
            super().handle()


class StrictRequestHandler(WSGIRequestHandler):
    """Refuses a head that could be read in two ways.

    Python's own parser takes a bare CR, as well as a bare LF, for the end of a header. To a proxy that does not, what
    follows is a part of that header's value, and nothing to strip. (nginx 1.22, HAProxy 2.6, Apache 2.4, Caddy 2.11 and
    Envoy 1.40 refuse a bare CR or leave it out, and Apache a bare LF, which ends a header for the others too.)
    """

    settings: Settings

    def make_environ(self) -> WSGIEnvironment:
        """As Werkzeug's, with the word that headers are what they seem."""
        return {**super().make_environ(), STRICT_HEADERS: True}

    def parse_request(self) -> bool:
        """Read the head, and answer it with 400 if it is not as it must be."""
        stream = self.rfile
        self.rfile = HeadLines(stream, Head(self.settings, underscores=True))  # Werkzeug leaves out such names
        try:
            return super().parse_request()
        except BadHead as error:
            self.send_error(400, str(error))
            return False
        finally:
            self.rfile = stream


def server_options(app: Flask) -> ServerOptions:
    """How Werkzeug has to serve an app for its ``MTLS_*`` settings to hold.

    :raises ConfigurationError: If it cannot be served.
    """
    decisions = decisions_of(app)
    check_stacking(app)
    plain = serves_plain(decisions.settings)
    if plain:
        _log.info("%s: %s", app.name, announcement(decisions.settings))
    else:
        decisions.tls_context()  # what is wrong with it is said now, not to the first client
    decisions.watched.current().warm()
    return ServerOptions(None if plain else following_context(decisions.tls_context), _handler(decisions, plain=plain))


def _handler(decisions: Decisions, *, plain: bool) -> type[WSGIRequestHandler]:
    settings = decisions.settings
    strict = (StrictRequestHandler,) if settings.forwarded else ()
    bases = strict if plain else (MTLSRequestHandler, *strict)
    # A class of its own: Werkzeug notes the protocol version on it.
    return type("RequestHandler", bases, {"settings": settings, "handshake_timeout": settings.handshake_timeout})


def create_server(app: Flask, host: str = "127.0.0.1", port: int = 0, *, threaded: bool = True) -> BaseWSGIServer:
    """A server that is bound and not running yet: ``serve_forever()`` runs it, ``shutdown()`` ends that.

    :param port: ``0`` takes a free one; it stands in ``.port`` then.
    """
    options = server_options(app)
    return make_server(host, port, app, threaded=threaded, **options._asdict())


def run(app: Flask, host: str, port: int, options: RunOptions) -> None:
    """Serve an app until interrupted.

    :raises ConfigurationError: If it cannot be served.
    """
    run_simple(host, port, app, **server_options(app)._asdict(), **options._asdict())


def wait_for_change(host: str, port: int, options: RunOptions) -> None:
    """Keep the port of an app that does not load, refuse its connections, and restart when its code changes."""

    def no_context() -> ssl.SSLContext:
        raise ConnectionAbortedError("the app did not load")

    run_simple(host, port, NotFound(), ssl_context=following_context(no_context), **options._asdict())
