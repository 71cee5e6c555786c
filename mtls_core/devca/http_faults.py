"""What a server can do wrong with an HTTP response that is as it should be."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler

from .modes import Mode

_PIECE = b"\x00" * 65536
_GIGABYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent when nothing goes wrong."""

    body: bytes = b""
    content_type: str = "text/plain"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Settings:
    """How faults show. May be changed while a responder runs."""

    mode: Mode = Mode.GOOD
    #: Seconds that ``slow`` waits.
    delay: float = 15.0
    #: Seconds between two bytes of ``trickle`` and ``drip_headers``.
    interval: float = 0.2
    redirect_to: str = "http://169.254.169.254/"
    #: Ends every wait.
    stopped: threading.Event = field(default_factory=threading.Event)


def send(handler: BaseHTTPRequestHandler, reply: Reply, settings: Settings) -> None:
    """Send a reply with the fault of the day, if it is one of the transport."""
    change = _CHANGES.get(settings.mode)
    if change is not None:
        _send_whole(handler, change(reply, settings))
    else:
        _CONDUCTS.get(settings.mode, _send_as_it_should_be)(handler, reply, settings)


def _send_whole(handler: BaseHTTPRequestHandler, reply: Reply, *, length: int | None = None) -> None:
    _send_head(handler, reply, len(reply.body) if length is None else length)
    handler.wfile.write(reply.body)


def _send_head(handler: BaseHTTPRequestHandler, reply: Reply, length: int | None) -> None:
    handler.send_response(reply.status)
    handler.send_header("Content-Type", reply.content_type)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def _send_as_it_should_be(handler: BaseHTTPRequestHandler, reply: Reply, settings: Settings) -> None:
    _send_whole(handler, reply)


def _slow(handler: BaseHTTPRequestHandler, reply: Reply, settings: Settings) -> None:
    if not settings.stopped.wait(settings.delay):
        _send_whole(handler, reply)


def _silent(handler: BaseHTTPRequestHandler, reply: Reply, settings: Settings) -> None:
    settings.stopped.wait()


def _trickle(handler: BaseHTTPRequestHandler, reply: Reply, settings: Settings) -> None:
    _send_head(handler, reply, len(reply.body))
    for byte in reply.body:
        if settings.stopped.wait(settings.interval):
            return
        handler.wfile.write(bytes((byte,)))


def _drip_headers(handler: BaseHTTPRequestHandler, reply: Reply, settings: Settings) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
    for byte in itertools.cycle(b"X-Filler: drip\r\n"):
        if settings.stopped.wait(settings.interval):
            return
        handler.wfile.write(bytes((byte,)))


def _reset(handler: BaseHTTPRequestHandler, reply: Reply, settings: Settings) -> None:
    # To linger for no time at all makes closing send a reset. It is closed once nothing else holds it open.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.rfile.close()
    handler.connection.close()


def _huge(handler: BaseHTTPRequestHandler, reply: Reply, settings: Settings) -> None:
    _send_head(handler, reply, None)
    for _ in range(_GIGABYTE // len(_PIECE)):
        if settings.stopped.is_set():
            return
        handler.wfile.write(_PIECE)


def _cut_off(handler: BaseHTTPRequestHandler, reply: Reply, settings: Settings) -> None:
    _send_whole(handler, replace(reply, body=_half(reply)), length=len(reply.body))


def _half(reply: Reply) -> bytes:
    return reply.body[: len(reply.body) // 2]


_CONDUCTS: dict[Mode, Callable[[BaseHTTPRequestHandler, Reply, Settings], None]] = {
    Mode.SLOW: _slow,
    Mode.SILENT: _silent,
    Mode.TRICKLE: _trickle,
    Mode.DRIP_HEADERS: _drip_headers,
    Mode.RESET: _reset,
    Mode.HUGE: _huge,
    Mode.CUT_OFF: _cut_off,
}
_CHANGES: dict[Mode, Callable[[Reply, Settings], Reply]] = {
    Mode.SERVER_ERROR: lambda reply, settings: Reply(b"internal error\n", status=500),
    Mode.NOT_FOUND: lambda reply, settings: Reply(b"not found\n", status=404),
    Mode.REDIRECT: lambda reply, settings: Reply(status=302, headers={"Location": settings.redirect_to}),
    Mode.GARBAGE: lambda reply, settings: replace(reply, body=b"\x30\x82\x7f\x00garbage"),
    Mode.HTML: lambda reply, settings: Reply(b"<!doctype html><title>Log in</title>\n", "text/html"),
    Mode.EMPTY: lambda reply, settings: replace(reply, body=b""),
    Mode.TRUNCATED: lambda reply, settings: replace(reply, body=_half(reply)),
    Mode.TRAILING_BYTES: lambda reply, settings: replace(reply, body=reply.body + b"\x00\x00"),
    Mode.WRONG_CONTENT_TYPE: lambda reply, settings: replace(reply, content_type="text/plain"),
}
