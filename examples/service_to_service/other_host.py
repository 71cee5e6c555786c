"""Servers that only watch: what is shown to them, and which bytes arrive."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from mtls_core.contexts import server_context
from mtls_core.devca import DevelopmentCA


@dataclass
class Watcher:
    """What one watching server has seen."""

    port: int
    connections: int = 0
    handshakes: int = 0
    certificates: int = 0
    request_bytes: int = 0

    @property
    def seen(self) -> str:
        """The count in words."""
        return f"{self.connections} connections, {self.certificates} certificates, {self.request_bytes} bytes"


@contextlib.contextmanager
def watcher(ca: DevelopmentCA) -> Iterator[Watcher]:
    """A server on 127.0.0.1 that is a good ``localhost``, asks for certificates, and counts."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = Watcher(listener.getsockname()[1])
    context = server_context(ca.server("localhost", ips=[]).identity, trust=ca.trust_store())

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            seen.connections += 1
            with connection, contextlib.suppress(OSError):
                watch(connection, context, seen)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=10)


def watch(raw: socket.socket, context: ssl.SSLContext, seen: Watcher) -> None:
    """One connection, until the other side ends it."""
    raw.settimeout(10)
    with context.wrap_socket(raw, server_side=True) as connection:
        seen.handshakes += 1
        seen.certificates += bool(connection.getpeercert(True))
        seen.request_bytes += len(connection.recv(65536))
