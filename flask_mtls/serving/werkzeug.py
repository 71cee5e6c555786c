"""Werkzeug's server over mutual TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import NamedTuple

from flask import Flask
from werkzeug.exceptions import NotFound
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server, run_simple

from mtls_core.contexts import following_context

from ..decisions import decisions_of
from ..decorators import check_stacking
from .handshake import handshake


class ServerOptions(NamedTuple):
    """What Werkzeug's own functions are given."""

    ssl_context: ssl.SSLContext
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


def server_options(app: Flask) -> ServerOptions:
    """How Werkzeug has to serve an app for its ``MTLS_*`` settings to hold.

    :raises ConfigurationError: If it cannot be served.
    """
    decisions = decisions_of(app)
    check_stacking(app)
    decisions.tls_context()  # what is wrong with it is said now, not to the first client
    decisions.watched.current().warm()
    # A class of its own: Werkzeug notes the protocol version on it.
    handler = type("RequestHandler", (MTLSRequestHandler,), {"handshake_timeout": decisions.settings.handshake_timeout})
    return ServerOptions(following_context(decisions.tls_context), handler)


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
