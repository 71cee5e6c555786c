"""HTTP as bytes: clients refuse to send, or rewrite, most of what matters here."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .origins import LOOPBACK

_TIMEOUT = 15.0
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """What an application said."""

    status: int
    document: dict[str, Any]


def ask(port: int, path: str, headers: Iterable[tuple[str, str]], *, source: str = LOOPBACK) -> Answer:
    """Send one request.

    :param headers: Sent as they are, in this order.
    :param source: The address whence the connection comes.
    :raises OSError: If there is no connection.
    :raises ValueError: If what comes is no answer.
    """
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    request = "\r\n".join([*lines, "Connection: close", "", ""])
    with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT, source_address=(source, 0)) as connection:
        connection.sendall(request.encode("ascii"))
        return _answer(_read_to_end(connection))


def _read_to_end(connection: socket.socket) -> bytes:
    received = bytearray()
    while piece := connection.recv(65536):
        received += piece
    return bytes(received)


def _answer(received: bytes) -> Answer:
    head, separator, body = received.partition(_END_OF_HEAD)
    version, _, rest = head.partition(b" ")
    if not separator or not version.startswith(b"HTTP/1."):
        raise ValueError(f"this is no HTTP response: {received[:60]!r}")
    is_json = b"json" in head.lower()
    return Answer(int(rest[:3]), json.loads(body) if is_json else {})
