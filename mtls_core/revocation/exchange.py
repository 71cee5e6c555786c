"""One HTTP request and its answer, by :mod:`http.client`, over a channel that is open already."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .. import __version__
from .addresses import Target
from .channel import Channel
from .fetch_error import FetchError, FetchErrorKind, shown

#: The most that may come in before the body.
HEAD_SIZE = 64 * 1024

_PIECE = 64 * 1024
#: RFC 9110, section 8.8.3; those in use are far shorter.
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)
_NO_STORE = re.compile(r"(?:^|[\s,])no-(?:store|cache)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer."""

    #: 200; or 304, where an ``etag`` was sent and still holds.
    status: int
    #: Empty for 304.
    body: bytes = field(repr=False)
    #: Lower case, without parameters.
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    #: For how many more seconds the server says the answer is fresh (RFC 9111, section 4.2). Not signed by anybody.
    max_age: float | None = None

    @property
    def not_modified(self) -> bool:
        """Whether what the ``etag`` stands for is still what the server has."""
        return self.status == http.client.NOT_MODIFIED


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent."""

    #: ``None``: a GET.
    body: bytes | None
    #: Header fields besides those that every request has.
    fields: Mapping[str, str]
    #: How many bytes the answer's body may have.
    max_size: int

    @property
    def method(self) -> str:
        """The request's method."""
        return "GET" if self.body is None else "POST"


class Exchange:
    """One question and its answer.

    :param target: Whom the question is for.
    :param channel: Where it is sent: to the target, or to a proxy.
    """

    def __init__(self, target: Target, question: Question, channel: Channel) -> None:
        self._target = target
        self._question = question
        self._channel = channel

    def run(self, *, absolute: bool) -> Fetched:
        """Ask, and read the answer.

        :param absolute: Whether the request line holds the whole URL, which a proxy needs (RFC 9112, section 3.2.2).
        :raises FetchError: If it is not an answer that can be used.
        :raises OSError: What the channel raises. Also :exc:`TooMuchData`, :exc:`http.client.HTTPException` and
            :exc:`ValueError`, if it is no answer at all.
        """
        connection = _Connection(self._target, self._channel)
        self._send(connection, absolute=absolute)
        response = connection.getresponse()
        self._check_status(response)
        self._check_framing(response)
        # Chunks have a frame each; twice the size is room enough for honest ones.
        self._channel.allow(2 * self._question.max_size + HEAD_SIZE)
        return _fetched(response, self._body(response))

    def _send(self, connection: http.client.HTTPConnection, *, absolute: bool) -> None:
        target, question = self._target, self._question
        path = f"http://{target.authority}{target.path}" if absolute else target.path
        connection.putrequest(question.method, path, skip_host=True, skip_accept_encoding=True)
        fields = {
            "Host": target.authority,
            "User-Agent": f"flask-mtls/{__version__}",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **question.fields,
        }
        if question.body is not None:
            fields["Content-Length"] = str(len(question.body))
        for name, value in fields.items():
            connection.putheader(name, value)
        connection.endheaders(question.body)

    def _check_status(self, response: http.client.HTTPResponse) -> None:
        status, kind = response.status, FetchErrorKind.HTTP_STATUS
        expected = {http.client.OK}
        if "If-None-Match" in self._question.fields:
            expected.add(http.client.NOT_MODIFIED)
        if status in expected:
            return
        detail = f"{self._question.method} was answered with status {status}"
        if 300 <= status < 400 and status != http.client.NOT_MODIFIED:
            kind = FetchErrorKind.REDIRECT
            where = _where(response.getheader("Location", ""))
            detail = f"it redirects to {where} (status {status}); redirects are not followed"
        raise self._failure(kind, detail, status=status)

    def _check_framing(self, response: http.client.HTTPResponse) -> None:
        coding = response.getheader("Content-Encoding", "identity").strip().lower()
        transfer = response.getheader("Transfer-Encoding", "chunked").strip().lower()
        if coding != "identity" or transfer != "chunked":
            raise self._not_http("the body is encoded in a way that was not asked for")
        lengths = {length.strip() for length in response.headers.get_all("Content-Length", ())}
        if len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,18}", length) for length in lengths):
            raise self._not_http("the header does not say how long the body is")
        if response.length is not None and response.length > self._question.max_size:
            raise self._too_large(f"{response.length} bytes are announced")

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        expected = response.length
        body = bytearray()
        while piece := response.read(_PIECE):
            body += piece
            if len(body) > self._question.max_size:
                raise self._too_large("the body goes on")
        if expected is not None and len(body) < expected:
            raise http.client.IncompleteRead(b"", expected - len(body))
        return bytes(body)

    def _not_http(self, detail: str) -> FetchError:
        return self._failure(FetchErrorKind.NOT_HTTP, detail)

    def _too_large(self, detail: str) -> FetchError:
        return self._failure(FetchErrorKind.TOO_LARGE, f"{detail}; {self._question.max_size} bytes are the most")

    def _failure(self, kind: FetchErrorKind, detail: str, *, status: int | None = None) -> FetchError:
        return FetchError(kind, detail, self._target.url, status)


class _Connection(http.client.HTTPConnection):
    """Speaks HTTP over a channel that is open already."""

    def __init__(self, target: Target, channel: Channel) -> None:
        super().__init__(target.host, target.port)
        self.sock = channel


def is_etag(text: str) -> bool:
    """Whether a server can have given this; what is read back from a cache may be anything."""
    return _ETAG.fullmatch(text) is not None


def _fetched(response: http.client.HTTPResponse, body: bytes) -> Fetched:
    content_type = response.getheader("Content-Type")
    etag = response.getheader("ETag")
    return Fetched(
        status=response.status,
        body=body,
        content_type=content_type.partition(";")[0].strip().lower() if content_type else None,
        etag=etag if etag and is_etag(etag) else None,
        last_modified=response.getheader("Last-Modified"),
        max_age=_max_age(response),
    )


def _max_age(response: http.client.HTTPResponse) -> float | None:
    control = response.getheader("Cache-Control", "")
    if _NO_STORE.search(control):
        return 0.0
    found = _MAX_AGE.search(control)
    if found is None:
        return None
    age = response.getheader("Age", "0").strip()
    spent = int(age) if re.fullmatch("[0-9]{1,9}", age) else 0
    return float(max(0, int(found[1]) - spent))


def _where(location: str) -> str:
    """Scheme and host of a redirect's target: the rest may hold anything."""
    found = re.match(r"\s*([A-Za-z][A-Za-z0-9+.\-]*):(?://(?:[^/?#]*@)?([^/?#\s]*))?", location)
    if found is None:
        return "another path of the same host"
    return shown(f"{found[1].lower()}://{found[2] or ''}")
