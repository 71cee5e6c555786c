"""Handshakes with one deadline for all of it, explained when they fail, and out of the way of the accept loop."""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from mtls_core.contexts import verified_chain
from mtls_core.errors import MalformedCertificate

from ..audit import quoted

_log = logging.getLogger("flask_mtls")

#: How long, and for how many bytes, a refused client is listened to. Closing at once would reset the
#: connection, and the client would never read the alert that tells it why.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 64 * 1024

_REASONS = {
    "HTTP_REQUEST": "the client spoke plain HTTP to the HTTPS port",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": 'the client sent no certificate, and MTLS_CLIENT_CERTS is "required"',
    "NO_SHARED_CIPHER": "client and server have no cipher in common",
    "UNSUPPORTED_PROTOCOL": "the client offers only TLS versions that are not accepted here",
    "EXTENSION_NOT_RECEIVED": "the client did not offer to be asked later (post_handshake_auth)",
    "WRONG_SSL_VERSION": "the client does not speak TLS 1.3, and can be asked in the handshake alone",
    "WRONG_VERSION_NUMBER": "what the client sent is not TLS",
}


def handshake(connection: ssl.SSLSocket, *, timeout: float) -> bool:
    """Do the handshake of an accepted connection; log it if it fails, and end the connection in order.

    :param timeout: Seconds for the whole of it.
    :returns: Whether it succeeded.
    """
    peer = _peer_name(connection)
    try:
        _shake(connection, deadline=time.monotonic() + timeout)
    except OSError as error:
        refused = isinstance(error, ssl.SSLCertVerificationError)
        level = logging.WARNING if refused else logging.INFO
        _log.log(
            level,
            "TLS handshake with %s failed: %s%s",
            peer,
            explain(error),
            _about_client(connection) if refused else "",
        )
        _end(connection, linger=isinstance(error, ssl.SSLError))
        return False
    return True


def explain(error: OSError) -> str:
    """Why a handshake failed, in words."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"client certificate refused: {error.verify_message}"
        case ssl.SSLEOFError() | ConnectionError():
            return "the client went away"
        case TimeoutError():
            return "it took longer than MTLS_HANDSHAKE_TIMEOUT"
        case ssl.SSLError():
            reason = error.reason or "unknown"
            _version, alert, told = reason.partition("_ALERT_")
            if alert:
                return f"the client ended it with the alert {told.lower().replace('_', ' ')!r}"
            return _REASONS.get(reason, f"OpenSSL says {reason}")
    return str(error)


class DeferredSocket:
    """An accepted TLS connection whose handshake is done when it is first read from.

    To a server that knows nothing of deadlines, a handshake that failed looks like a client that sent nothing
    and went away, which is ignored everywhere. All but reading is the connection's own.
    """

    def __init__(self, connection: Any, *, timeout: float, usable: bool | None = None) -> None:
        self._connection = connection
        self._timeout = timeout
        #: Unknown until the handshake is done.
        self._usable = usable

    def do_handshake(self) -> None:
        """The first one under the deadline, without raising if it fails; later ones (TLS 1.3 has them) as they are."""
        if self._usable:
            self._connection.do_handshake()
        else:
            self._is_usable()

    def recv(self, *args: Any) -> Any:
        """As :meth:`ssl.SSLSocket.recv`; nothing after a failed handshake."""
        return self._connection.recv(*args) if self._is_usable() else b""

    def recv_into(self, *args: Any) -> Any:
        """As :meth:`ssl.SSLSocket.recv_into`; nothing after a failed handshake."""
        return self._connection.recv_into(*args) if self._is_usable() else 0

    def _is_usable(self) -> bool:
        if self._usable is None:
            self._usable = False  # also if the worker is stopped in the middle of it
            self._usable = handshake(self._connection, timeout=self._timeout)
        return self._usable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> DeferredSocket:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()


class DeferringContext:
    """What a server takes for a context: it wraps connections, each in the newest generation's.

    :param current: The context for a connection that is accepted now.
    :param timeout: Seconds for a handshake.
    :param at_once: Whether the handshake is done while wrapping. For servers that wrap in the connection's
        own thread or greenlet.
    """

    def __init__(self, current: Callable[[], ssl.SSLContext], *, timeout: float, at_once: bool = False) -> None:
        self._current = current
        self._timeout = timeout
        self._at_once = at_once

    def wrap_socket(self, sock: socket.socket, server_side: bool = True, **options: Any) -> DeferredSocket:
        """As :meth:`ssl.SSLContext.wrap_socket`."""
        options["do_handshake_on_connect"] = False
        try:
            wrapped = self._current().wrap_socket(sock, server_side=server_side, **options)
        except OSError as error:  # the client was gone before we looked
            _log.info("TLS handshake did not begin: %s", explain(error))
            return DeferredSocket(socket.socket(), timeout=0, usable=False)
        deferred = DeferredSocket(wrapped, timeout=self._timeout)
        if self._at_once:
            deferred.do_handshake()
        return deferred


def _shake(connection: ssl.SSLSocket, *, deadline: float) -> None:
    # gevent's own timeout begins anew with every record, which a client that drips bytes can use; so the
    # waiting is done here. Both modules are looked up when needed, since gevent replaces what is in them.
    before = connection.gettimeout()
    connection.settimeout(0)
    try:
        while True:
            try:
                connection.do_handshake()
                return
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                event = selectors.EVENT_READ if isinstance(want, ssl.SSLWantReadError) else selectors.EVENT_WRITE
                if not wait_for(connection, event, deadline=deadline):
                    raise TimeoutError from None
    finally:
        connection.settimeout(before)


def wait_for(connection: ssl.SSLSocket, event: int, *, deadline: float) -> bool:
    """Wait until something can be read or written.

    :param event: ``selectors.EVENT_READ`` or ``selectors.EVENT_WRITE``.
    :param deadline: Of the monotonic clock.
    :returns: Whether it came to that in time.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(connection, event)
        return bool(selector.select(max(0.0, deadline - time.monotonic())))


def _end(connection: ssl.SSLSocket, *, linger: bool) -> None:
    """Say no more, and leave closing to the server.

    :param linger: Listen for a moment, because an alert was sent.
    """
    deadline = time.monotonic() + (_LINGER_SECONDS if linger else 0)
    heard = 0
    try:
        connection.shutdown(socket.SHUT_WR)  # from here on the socket is a plain one
        while heard < _LINGER_BYTES and (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            data = connection.recv(4096)
            heard += len(data)
            if not data:
                break
    except OSError:
        return  # the client is gone, or silent: no one is left to read the alert


def _peer_name(connection: ssl.SSLSocket) -> str:
    try:
        address = connection.getpeername()
    except OSError:
        return "a client that is gone"
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)


def _about_client(connection: ssl.SSLSocket) -> str:
    """The leaf that OpenSSL refused; nothing in it is to be believed."""
    try:
        chain = verified_chain(connection)
    except MalformedCertificate:
        return ""
    return f" ({quoted(chain[0].describe())})" if chain else ""
