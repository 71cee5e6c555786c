"""HTTP servers on loopback that behave as badly as a test wants them to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

#: What a server does with a connection once it has read the request; the event ends when the test does.
Script = Callable[[socket.socket, threading.Event], None]


@dataclass
class Peer:
    """A server that runs."""

    port: int
    #: Every request, head and body.
    requests: list[bytes] = field(default_factory=list)
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """A URL that leads to it."""
        return f"http://{self.host}:{self.port}/ca.crl"

    def fields(self, number: int = -1) -> dict[str, str]:
        """The header fields of a request, names in lower case."""
        lines = self.requests[number].partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    def request_line(self, number: int = -1) -> str:
        """The first line of a request."""
        return self.requests[number].partition(b"\r\n")[0].decode("latin-1")


@contextlib.contextmanager
def peer(script: Script) -> Iterator[Peer]:
    """Serve every connection, in a thread of its own, by a script."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Peer(listener.getsockname()[1])
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            server.requests.append(_read_request(connection))
            script(connection, ended)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    threads = [threading.Thread(target=accept, daemon=True)]
    threads[0].start()
    try:
        yield server
    finally:
        ended.set()
        # Closing alone does not wake a thread that waits in accept().
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(timeout=10)


@contextlib.contextmanager
def swallowing() -> Iterator[int]:
    """A port on which a connection is neither accepted nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):  # more than the queue holds
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def saying(data: bytes) -> Script:
    """Answer with these bytes, and close."""
    return lambda connection, ended: connection.sendall(data)


def answering(body: bytes = b"signed", *fields: str, status: str = "200 OK") -> Script:
    """Answer as a server should."""
    head = "\r\n".join((f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""))
    return saying(head.encode("latin-1") + body)


def dripping(quick: bytes, slow: bytes, *, every: float = 0.02) -> Script:
    """Send some bytes at once, and then others one by one, for ever."""

    def script(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(quick)
        while True:
            for byte in slow:
                connection.sendall(bytes([byte]))
                if ended.wait(every):
                    return

    return script


def silent(connection: socket.socket, ended: threading.Event) -> None:
    """Never answer."""
    ended.wait(10)


def streaming(head: bytes, piece: bytes, *, total: int) -> Script:
    """Send a head, and then the piece again and again."""

    def script(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(head)
        for _ in range(total // len(piece)):
            connection.sendall(piece)

    return script


def resetting(data: bytes) -> Script:
    """Send some bytes, and break the connection."""

    def script(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


def _read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(4096)
        if not received:
            return request
        request += received
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(4096)
    return head + b"\r\n\r\n" + body
