"""The fields of a request's head, read so that no name or value can pass for another's.

A header that says who the client is must reach the application as the proxy wrote it. Where a server and the proxy
in front of it differ over what a field is, a client can write one that only the server sees. So whatever RFC 9112
leaves to tolerance is refused here.
"""

from __future__ import annotations

import io
import re

from ..config import Settings
from ..sources.formats import LARGEST

#: RFC 9110, section 5.1.
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: RFC 9110, section 5.5: all but visible characters, obs-text, space and tab.
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

#: Bytes of a header's name, colon and line break.
_NAME = 256
#: As gunicorn's.
_MOST_FIELDS = 100

_HOST, _LENGTH, _CODING = b"host", b"content-length", b"transfer-encoding"


class BadHead(ValueError):
    """Raised if a request's head is not to be trusted. The message is for whoever sent it, and repeats none of it."""


class Head:
    """What has been read of one request's head.

    :param settings: Of the app that is served; what it believes must not be repeated.
    :param underscores: Whether a name may have one. Only for a server that leaves such fields out.
    """

    def __init__(self, settings: Settings, *, underscores: bool) -> None:
        believed = settings.forwarded.singletons if settings.forwarded else ()
        self._once = {_HOST, _LENGTH, _CODING, *(name.lower().encode() for name in believed)}
        self._largest = largest_field(settings)
        self._underscores = underscores
        self._values: dict[bytes, bytes] = {}
        self._fields = 0

    def field(self, line: bytes) -> tuple[bytes, bytes]:
        """Read one line.

        :returns: Name and value.
        :raises BadHead: If it is no field, or one too many.
        """
        self._fields += 1
        if self._fields > _MOST_FIELDS:
            raise BadHead("too many headers")
        if len(line) > self._largest:
            raise BadHead("a header is too long")
        name, value = _split(line)
        if b"_" in name and not self._underscores:
            raise BadHead("a header's name has an underscore, which an application cannot tell from a dash")
        key = name.lower()
        if key in self._once:
            if key in self._values:
                raise BadHead("a header that may come once came twice")
            self._values[key] = value
        return name, value

    def end(self) -> None:
        """Look at it as a whole, once it was read.

        :raises BadHead: If it does not say, in one way, where the request ends (RFC 9112, section 6).
        """
        length, coding = self._values.get(_LENGTH), self._values.get(_CODING)
        if length is not None and coding is not None:
            raise BadHead("Content-Length and Transfer-Encoding came together")
        if length is not None and not length.isdigit():
            raise BadHead("Content-Length is no number")
        if coding is not None and coding.lower() != b"chunked":
            raise BadHead("the only Transfer-Encoding here is chunked")


class HeadLines(io.BufferedIOBase):
    """The lines of a request's head as they come, each looked at."""

    def __init__(self, stream: io.BufferedIOBase, head: Head) -> None:
        self._stream = stream
        self._head = head

    def readline(self, size: int | None = -1, /) -> bytes:
        """As :meth:`io.IOBase.readline`.

        :raises BadHead: If the line is not what it must be.
        """
        line = self._stream.readline(size)
        if line == b"\r\n":
            self._head.end()
        else:
            self._head.field(line)
        return line


def largest_field(settings: Settings) -> int:
    """Bytes that a field may have, with its name and line break."""
    return (settings.largest_header or LARGEST) + _NAME


def _split(line: bytes) -> tuple[bytes, bytes]:
    if not line.endswith(b"\r\n"):
        raise BadHead("a header does not end with CRLF")
    if line[:1] in (b" ", b"\t"):
        raise BadHead("a header is folded over several lines")
    name, colon, value = line[:-2].partition(b":")
    if not colon or not _TOKEN.fullmatch(name):
        raise BadHead("a header has no name, or one with characters that do not belong there")
    if _FORBIDDEN.search(value):
        raise BadHead("a header's value has a control character")
    return name, value.strip(b" \t")
