"""Handshakes over loopback, for tests that look at TLS itself."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Handshake:
    """What the server's side of one connection saw."""

    error: Exception | None = None
    certificate: bytes | None = None
    received: bytes = b""
    result: object = None


@dataclass
class TLSServer:
    """A server that does one handshake a connection, answers ``ok`` and closes."""

    port: int
    handshakes: list[Handshake] = field(default_factory=list)
    done: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def wait(self) -> Handshake:
        """The handshake that ends next."""
        assert self.done.acquire(timeout=10)
        return self.handshakes[-1]


@contextlib.contextmanager
def tls_server(
    context: ssl.SSLContext, inspect: Callable[[ssl.SSLSocket], object] = lambda connection: None
) -> Iterator[TLSServer]:
    """Serve with ``context``; ``inspect`` sees each connection after its client spoke."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = TLSServer(listener.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            server.handshakes.append(_serve_one(raw, context, inspect))
            server.done.release()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        # Closing alone does not wake a thread that waits in accept().
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=10)


def _serve_one(raw: socket.socket, context: ssl.SSLContext, inspect: Callable[[ssl.SSLSocket], object]) -> Handshake:
    seen = Handshake()
    raw.settimeout(10)
    with raw:
        try:
            with context.wrap_socket(raw, server_side=True) as connection:
                connection.do_handshake()
                seen.certificate = connection.getpeercert(True)
                seen.received = connection.recv(1024)
                seen.result = inspect(connection)
                connection.sendall(b"ok")
        except OSError as error:
            seen.error = error
    return seen


def call(
    port: int, context: ssl.SSLContext, *, name: str = "localhost", session: ssl.SSLSession | None = None
) -> tuple[bytes, ssl.SSLSession | None]:
    """Connect, send ``hello``, and return what the server answered with the session that can be resumed."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=name, session=session) as connection,
    ):
        connection.sendall(b"hello")
        answer = connection.recv(1024)
        return answer, connection.session
