"""Values in Redis, large ones in pieces.

Redis does one thing after another, and one large value keeps everybody waiting who uses it. In pieces, each command is
short enough for a short timeout.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

#: Bytes; also the most that is read with one command.
PIECE = 256 * 1024

#: What the first byte says: the value follows; or the number of its pieces, and what their names have of their own.
_WHOLE, _PIECES = b"=", b"#"


def write(client: Any, name: str, value: bytes, *, milliseconds: int, deadline: float) -> None:
    """Put a value under a name. Nobody ever reads half of it: pieces have new names each time, and are there first.

    :param client: A :class:`redis.Redis`.
    :param deadline: Monotonic seconds; if it passes between two pieces, the value is not put there.
    """
    head = _WHOLE + value
    if len(head) > PIECE:
        label = secrets.token_hex(8)
        pieces = [value[start : start + PIECE] for start in range(0, len(value), PIECE)]
        for number, piece in enumerate(pieces):
            if time.monotonic() > deadline:
                return
            client.set(_piece_name(name, label, number), piece, px=milliseconds)
        head = _PIECES + f"{len(pieces)}:{label}".encode()
    client.set(name, head, px=milliseconds)


def read(client: Any, name: str, *, max_size: int, deadline: float) -> bytes | None:
    """The value under a name, if all of it is there and it is not too large.

    :param client: A :class:`redis.Redis`.
    :param deadline: Monotonic seconds; if it passes between two pieces, nothing is found.
    """
    head = _bounded(client, name)
    kind, rest = head[:1], head[1:]
    if kind == _PIECES:
        rest = _read_pieces(client, name, rest, max_size, deadline)
    elif kind != _WHOLE:
        return None
    return rest if 0 < len(rest) <= max_size else None


def _read_pieces(client: Any, name: str, head: bytes, max_size: int, deadline: float) -> bytes:
    """The value, or nothing if a piece is missing."""
    count, _, label = head.partition(b":")
    value = bytearray()
    if not (count.isdigit() and len(count) < 6 and len(label) == 16 and label.isalnum()):
        return b""
    for number in range(int(count)):
        piece = _bounded(client, _piece_name(name, label.decode("ascii"), number))
        value += piece
        if not piece or len(value) > max_size or time.monotonic() > deadline:
            return b""
    return bytes(value)


def _bounded(client: Any, name: str) -> bytes:
    # GET would read whatever somebody put there, up to 512 MB.
    found: bytes = client.getrange(name, 0, PIECE - 1)
    return found


def _piece_name(name: str, label: str, number: int) -> str:
    return f"{name}#{label}:{number}"
