"""The certificate of the TLS connection that carries the request.

Servers put the socket itself into the environ. No request can forge that: keys that headers become begin with
``HTTP_``, and their values are text.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from mtls_core.certificate import Certificate
from mtls_core.contexts import sent_chain

from . import Presented

#: Where servers of ours put it.
SOCKET = "flask_mtls.socket"

#: gunicorn's workers; its gevent_pywsgi worker; Werkzeug.
_SOCKETS = (SOCKET, "gunicorn.socket", "gunicorn.sock", "werkzeug.socket")


def find(environ: Mapping[str, Any]) -> Presented | None:
    """What the client of this connection presented.

    :param environ: A WSGI environ.
    :raises MalformedCertificate: If a server exports text that is none.
    """
    connection = connection_of(environ)
    if connection is None:
        return _from_cheroot(environ)
    try:
        leaf = connection.getpeercert(True)
    except ValueError:
        return None  # there is no handshake to speak of: a certificate asked for later was refused
    return Presented(leaf, "tls", functools.partial(_intermediates, connection)) if leaf else None


def connection_of(environ: Mapping[str, Any]) -> Any:
    """The TLS connection that carries the request; ``None`` over plain HTTP, or if the server does not tell."""
    return _first_that_has("getpeercert", environ)


def socket_of(environ: Mapping[str, Any]) -> Any:
    """The connection that carries the request, with TLS or without; ``None`` if the server does not tell."""
    return _first_that_has("getpeername", environ)


def _first_that_has(method: str, environ: Mapping[str, Any]) -> Any:
    for key in _SOCKETS:
        connection = environ.get(key)
        if hasattr(connection, method):
            return connection
    return None


def _intermediates(connection: Any) -> tuple[bytes, ...]:
    return sent_chain(connection)[1:]


def _from_cheroot(environ: Mapping[str, Any]) -> Presented | None:
    """cheroot keeps the socket to itself and exports the leaf.

    granian and others copy the process's environment into the environ, so that a bare ``SSL_CLIENT_CERT`` may come
    from anywhere; all four signs must be there.
    """
    exported = environ.get("SSL_CLIENT_CERT")
    if not (
        isinstance(exported, str)
        and environ.get("wsgi.url_scheme") == "https"
        and environ.get("SSL_CLIENT_VERIFY") == "SUCCESS"
        and str(environ.get("SERVER_SOFTWARE", "")).startswith("Cheroot")
    ):
        return None
    return Presented(Certificate.from_pem(exported).der, "tls")
