"""Servers and proxies on loopback that count what reaches them."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mtls_core.certificate import Certificate

#: Long enough for a busy machine; a test that waits for it fails.
PATIENCE = 20.0

_CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """A request as a server saw it."""

    line: str
    head: bytes
    body: bytes
    certificate: Certificate | None


Responder = Callable[[Seen], bytes]


def response(body: bytes = b"ok", status: str = "200 OK", *headers: str) -> bytes:
    """An answer of HTTP/1.1."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("ascii") + body


def redirect(url: str) -> Responder:
    """Answers that send elsewhere."""
    return lambda seen: response(b"", "302 Found", f"Location: {url}")


def say_ok(seen: Seen) -> bytes:
    """The answer of a server that has nothing to say."""
    return response()


class Listener:
    """Accepts connections and serves each in a thread of its own."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, 0), family=family)
        self.host: str = host
        self.port: int = self._socket.getsockname()[1]
        #: TCP connections.
        self.connections = 0
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def url(self, path: str = "/", *, host: str | None = None, scheme: str = "https") -> str:
        """The address of something here."""
        name = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{scheme}://{name}:{self.port}{path}"

    def settle(self) -> None:
        """Wait until every connection that was accepted is done with."""
        for thread in list(self._threads):
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a connection is still open"

    def close(self) -> None:
        """Accept no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._acceptor.join(PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ssl.SSLError):
            connection.settimeout(PATIENCE)
            # What was answered is to be on its way when a connection is closed with something unread.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        """What is done with a connection."""
        raise NotImplementedError


class Server(Listener):
    """An HTTP/1.1 server, over TLS if it has a context."""

    def __init__(self, context: ssl.SSLContext | None, respond: Responder = say_ok, *, host: str = "127.0.0.1") -> None:
        self.context = context
        self.respond = respond
        #: Requests, in the order in which they were complete.
        self.requests: list[Seen] = []
        #: Clients' certificates, one per handshake that succeeded.
        self.certificates: list[Certificate | None] = []
        #: Bytes of application data that arrived, of complete requests and of others.
        self.received = 0
        super().__init__(host)

    def serve(self, connection: socket.socket) -> None:
        if self.context is None:
            self._serve_http(connection, None)
            return
        with self.context.wrap_socket(connection, server_side=True) as tls:
            der = tls.getpeercert(True)
            certificate = Certificate.from_der(der) if der else None
            self.certificates.append(certificate)
            self._serve_http(tls, certificate)

    def _serve_http(self, connection: socket.socket, certificate: Certificate | None) -> None:
        with connection.makefile("rb") as stream:
            while (head := self._read_head(stream)) is not None:
                body = self._read_body(stream, head)
                seen = Seen(head.split(b"\r\n", 1)[0].decode("latin-1"), head, body, certificate)
                self.requests.append(seen)
                connection.sendall(self.respond(seen))

    def _read_head(self, stream: BinaryIO) -> bytes | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return None
            self.received += len(line)
            head += line
        return head

    def _read_body(self, stream: BinaryIO, head: bytes) -> bytes:
        length = _CONTENT_LENGTH.search(head)
        body = b"".join(_chunks(stream)) if _CHUNKED.search(head) else stream.read(int(length[1]) if length else 0)
        self.received += len(body)
        return body


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


class Proxy(Listener):
    """A proxy that only tunnels, over TLS if it has a context.

    :param routes: Where tunnels lead, if not where they were asked to: host to port on loopback.
    """

    def __init__(self, context: ssl.SSLContext | None = None, *, routes: dict[str, int] | None = None) -> None:
        self.context = context
        self.routes = routes or {}
        #: What was asked for: the first lines of requests.
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        #: Certificates that clients showed the proxy.
        self.certificates: list[bytes | None] = []
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        if self.context is None:
            self._tunnel(connection)
            return
        with self.context.wrap_socket(connection, server_side=True) as tls:
            self.certificates.append(tls.getpeercert(True))
            self._tunnel(tls)

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            if not byte:
                return
            head += byte
        line = head.split(b"\r\n", 1)[0].decode("latin-1")
        self.asked.append(line)
        self.heads.append(head)
        host, _, port = line.split(" ")[1].rpartition(":")
        address = ("127.0.0.1", self.routes[host]) if host in self.routes else (host.strip("[]"), int(port))
        with socket.create_connection(address, PATIENCE) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _relay(client, server)


def _relay(client: socket.socket, server: socket.socket) -> None:
    """Hand on what comes from either side until the server has ended; in one thread, as TLS sockets need it."""
    sinks = {client: server, server: client}
    while server in sinks:
        for source in _readable(list(sinks)):
            if not _hand_on(source, sinks[source]):
                del sinks[source]
                if source is client:
                    with contextlib.suppress(OSError):
                        server.shutdown(socket.SHUT_WR)


def _readable(sources: list[socket.socket]) -> list[socket.socket]:
    pending: list[socket.socket] = [
        source for source in sources if isinstance(source, ssl.SSLSocket) and source.pending()
    ]
    return pending or select.select(sources, [], [], PATIENCE)[0]


def _hand_on(source: socket.socket, sink: socket.socket) -> bool:
    try:
        data = source.recv(65536)
        sink.sendall(data)
    except OSError:
        return False
    return bool(data)
