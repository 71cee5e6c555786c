"""cheroot over mutual TLS, or behind a proxy that ends it::

    from flask_mtls.serving.cheroot import create_server

    create_server(app, "127.0.0.1", 8443).safe_start()

As it comes, cheroot takes ``X_Client_Cert`` and ``X-Client-Cert :`` for ``X-Client-Cert``, and the last of several for
the only one; an app with ``MTLS_FORWARDED`` therefore refuses these headers from any cheroot but this. And it waits
for handshakes where it accepts connections, so that one client can hold up all others.
"""

from __future__ import annotations

import logging
from typing import Any

from cheroot.makefile import MakeFile
from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest
from cheroot.ssl import Adapter
from cheroot.wsgi import Gateway_10, Server
from flask import Flask

from ..config import Settings
from ..decisions import Decisions, decisions_of
from ..decorators import check_stacking
from ..proxies import SOCKET, STRICT_HEADERS
from .handshake import DeferringContext
from .head import Head
from .plain import announcement, serves_plain

_log = logging.getLogger("flask_mtls")

#: Bytes of a request's head: gunicorn's default for a hundred headers is three times as much, and no client needs it.
_HEAD_SIZE = 256 * 1024
_BACKLOG = 128
_UNIX = "unix://"


class MTLSServer(Server):
    """cheroot's server, with headers read strictly and handshakes kept out of the way."""

    def __init__(self, bind_addr: tuple[str, int] | str, app: Flask, *, threads: int, timeout: int) -> None:
        super().__init__(bind_addr, app, numthreads=threads, timeout=timeout, request_queue_size=_BACKLOG)
        self.settings: Settings = decisions_of(app).settings
        self.max_request_header_size = _HEAD_SIZE
        self.ConnectionClass = _Connection
        self.gateway = _Gateway

    def process_conn(self, conn: Any) -> None:
        """Give a connection to a thread, once its client has said something."""
        if conn.last_used is None:
            self.put_conn(conn)  # from where it comes again
        else:
            super().process_conn(conn)


class _HeaderReader(HeaderReader):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, rfile: Any, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        fields: dict[bytes, bytes] = {} if hdict is None else hdict
        head = Head(self._settings, underscores=False)
        while (line := rfile.readline()) != b"\r\n":
            name, value = head.field(line)
            key = name.title()  # as cheroot looks for them
            between = b"; " if key == b"Cookie" else b", "
            fields[key] = fields[key] + between + value if key in fields else value
        head.end()
        return fields


class _Request(HTTPRequest):
    def __init__(self, server: MTLSServer, conn: Any, **options: Any) -> None:
        super().__init__(server, conn, **options)
        self.header_reader = _HeaderReader(server.settings)

    def read_request_headers(self) -> bool:
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        if b"Transfer-Encoding" not in self.inheaders:
            return True
        if not self.chunked_read:
            self.simple_response("400 Bad Request", "Transfer-Encoding came with HTTP/1.0")
            return False
        # What an application leaves of a chunked body would be taken for the next request.
        self.close_connection = True
        return True


class _Connection(HTTPConnection):
    RequestHandlerClass = _Request


class _Gateway(Gateway_10):
    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # the stub's returns nothing
        return {**super().get_environ(), STRICT_HEADERS: True, SOCKET: self.req.conn.socket}  # type: ignore[no-untyped-call]


class _Adapter(Adapter):
    """TLS with the newest context, and the handshake in the thread that serves the connection."""

    def __init__(self, decisions: Decisions) -> None:
        super().__init__(None, None)
        self.context = DeferringContext(decisions.tls_context, timeout=decisions.settings.handshake_timeout)

    def bind(self, sock: Any) -> Any:
        return sock

    def wrap(self, sock: Any) -> tuple[Any, dict[str, Any]]:
        return self.context.wrap_socket(sock, server_side=True), self.get_environ()

    def get_environ(self) -> dict[str, Any]:
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, sock: Any, mode: str = "r", bufsize: int = -1) -> Any:
        return MakeFile(sock, mode, bufsize)


def create_server(
    app: Flask, host: str = "127.0.0.1", port: int = 0, *, threads: int = 10, timeout: int = 10
) -> MTLSServer:
    """A server that is not bound yet: ``safe_start()`` binds it and serves until interrupted.

    Its other settings are attributes, as those of :class:`cheroot.wsgi.Server`.

    :param host: Or ``unix://`` and the path of a socket.
    :param port: ``0`` takes a free one, known after ``prepare()``; it stands in ``.bind_addr`` then.
    :param threads: How many requests are handled at once.
    :param timeout: Seconds for which a client may be silent.
    :raises ConfigurationError: If the app cannot be served.
    """
    decisions = decisions_of(app)
    check_stacking(app)
    address = host.removeprefix(_UNIX) if host.startswith(_UNIX) else (host, port)
    server = MTLSServer(address, app, threads=threads, timeout=timeout)
    if serves_plain(decisions.settings):
        _log.info("%s: %s", app.name, announcement(decisions.settings))
    else:
        decisions.tls_context()  # what is wrong with it is said now, not to the first client
        server.ssl_adapter = _Adapter(decisions)
    decisions.watched.current().warm()
    return server
