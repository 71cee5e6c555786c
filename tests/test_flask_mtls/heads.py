"""Requests whose head a server could read as something else than the proxy before it, written byte by byte.

In each the client tries to be ``evil``, whose certificate is good, by a header that some proxy may pass on because it
does not take it for the header that it sets itself.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
from typing import Any

from mtls_core.devca import Issued

_START = b"GET /protected HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
_NEXT = b"GET /protected HTTP/1.1\r\nHost: localhost\r\nClient-Cert: %s\r\n\r\n"


def rfc9440(caller: Issued) -> bytes:
    """A caller's certificate, as a proxy writes it into ``Client-Cert``."""
    return b":" + base64.b64encode(caller.certificate.der) + b":"


def request(*lines: bytes) -> bytes:
    """A request for ``/protected`` with further lines in its head."""
    return _START + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def smuggled(framing: bytes, evil: bytes, *, version: bytes = b"1.1", before: bytes = b"0\r\n\r\n") -> bytes:
    """A request with another one behind it, which a proxy may take for the body of the first.

    :param framing: The lines that say how long the body is; ``%d`` becomes the length of all of it.
    :param before: The end of the body, if it is chunked.
    """
    rest = before + _NEXT % evil
    if b"%d" in framing:
        framing %= len(rest)
    keep = b"Connection: keep-alive\r\n"
    return b"POST /public HTTP/%s\r\nHost: localhost\r\n%s%s\r\n%s" % (version, keep, framing, rest)


#: What a client may send, by name, given a header's value for ``billing`` and one for ``evil``.
CASES = {
    "underscore": lambda good, evil: request(b"Client_Cert: " + evil),
    "underscore-last": lambda good, evil: request(b"Client-Cert: " + good, b"Client_Cert: " + evil),
    "underscore-first": lambda good, evil: request(b"Client_Cert: " + evil, b"Client-Cert: " + good),
    "twice": lambda good, evil: request(b"Client-Cert: " + good, b"Client-Cert: " + evil),
    "twice-in-other-case": lambda good, evil: request(b"client-cert: " + evil, b"CLIENT-CERT: " + good),
    "space-before-colon": lambda good, evil: request(b"Client-Cert : " + evil),
    "tab-before-colon": lambda good, evil: request(b"Client-Cert\t: " + evil),
    "other-space-before-colon": lambda good, evil: request(b"Client-Cert\x0b: " + evil),
    "nul-in-name": lambda good, evil: request(b"Client-Cert\0: " + evil),
    "bare-lf": lambda good, evil: request(b"X-Note: a\nClient-Cert: " + evil),
    "bare-cr": lambda good, evil: request(b"X-Note: a\rClient-Cert: " + evil),
    "other-line-breaks": lambda good, evil: request(
        *(b"X-Note-%d: a%cClient-Cert: %s" % (number, number, evil) for number in (0x0B, 0x0C, 0x1C, 0x1E, 0x85))
    ),
    "nul-in-value": lambda good, evil: request(b"Client-Cert: " + evil + b"\0"),
    "folded": lambda good, evil: request(b"X-Note: a", b" Client-Cert: " + evil),
    "folded-behind-the-good": lambda good, evil: request(b"Client-Cert: " + good, b"\t" + evil),
    "folded-at-first": lambda good, evil: _START.split(b"Host")[0] + b" Client-Cert: " + evil + b"\r\nHost: a\r\n\r\n",
    "empty-line-of-lf": lambda good, evil: request(b"X-Note: a\n\n" + _NEXT % evil),
    "trailer": lambda good, evil: (
        b"POST /protected HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: Client-Cert\r\n"
        b"Connection: close\r\n\r\n0\r\nClient-Cert: " + evil + b"\r\n\r\n"
    ),
    "length-and-chunks": lambda good, evil: smuggled(b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", evil),
    "chunks-and-length": lambda good, evil: smuggled(b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n", evil),
    "two-lengths": lambda good, evil: smuggled(b"Content-Length: %d\r\nContent-Length: 0\r\n", evil, before=b""),
    "signed-length": lambda good, evil: smuggled(b"Content-Length: -0\r\n", evil, before=b""),
    "chunks-by-another-name": lambda good, evil: smuggled(
        b"Content-Length: %d\r\nTransfer-Encoding: \x0bchunked\r\n", evil
    ),
    "chunks-twice": lambda good, evil: smuggled(b"Transfer-Encoding: chunked, chunked\r\n", evil, before=b""),
    "chunks-in-http-1.0": lambda good, evil: smuggled(
        b"Transfer-Encoding: chunked\r\n", evil, version=b"1.0", before=b""
    ),
}


def exchange(address: tuple[str, int] | str, data: bytes, *, tls: ssl.SSLContext | None = None) -> bytes:
    """Send bytes, and return all that comes until the server closes.

    :param address: Host and port, or the path of a unix socket.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    received = b""
    with contextlib.ExitStack() as opened:
        connection = opened.enter_context(socket.socket(family))
        connection.settimeout(15)
        connection.connect(address)
        if tls is not None:
            connection = opened.enter_context(tls.wrap_socket(connection, server_hostname="localhost"))
        # A server that refuses closes before it has read everything, which is a reset.
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            if tls is None:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
    return received


def callers(answer: bytes) -> list[str]:
    """Who the service says that its callers were."""
    return [name for found in re.findall(rb'"caller":\s*(\[[^]]*\])', answer) for name in json.loads(found)]


def assert_not_evil(answer: bytes, sent: bytes, good: bytes) -> None:
    """The requests were refused or nobody's; or the good one's, where there was one."""
    assert set(callers(answer)) <= ({"billing"} if good in sent else set())
    assert not answer or re.match(rb"HTTP/1\.[01] (200|400|403|405|501)", answer), answer[:100]


def document(answer: bytes) -> Any:
    """The JSON of an answer."""
    return json.loads(answer.partition(b"\r\n\r\n")[2])
