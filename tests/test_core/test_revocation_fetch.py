"""Fetching from servers that do not mean well: each ends in time, with its own kind of failure."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

import pytest

from mtls_core.revocation.channel import Endpoint
from mtls_core.revocation.fetch import Fetcher, FetchErrorKind

from .fetching import failure, fetch
from .http_peers import Script, answering, dripping, peer, resetting, saying, silent, streaming, swallowing

GIGABYTE = 1024 * 1024 * 1024
#: Seconds; what a fetch that will fail is given, and by how much it may miss that.
LIMIT, GRACE = 0.3, 0.2
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


# What a good answer looks like.


def test_a_body_is_fetched() -> None:
    with peer(answering(b"signed bytes", "Content-Type: Application/PKIX-CRL; charset=x")) as server:
        fetched = fetch(server.url)
    assert (fetched.status, fetched.body, fetched.content_type) == (200, b"signed bytes", "application/pkix-crl")
    assert server.request_line() == "GET /ca.crl HTTP/1.1"


def test_the_request_asks_for_a_plain_answer_on_a_connection_of_its_own() -> None:
    with peer(answering()) as server:
        fetch(server.url, accept="application/pkix-crl")
    fields = server.fields()
    assert fields.pop("user-agent").startswith("flask-mtls/")
    assert fields == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/pkix-crl",
        "accept-encoding": "identity",
        "connection": "close",
    }


def test_a_question_is_posted() -> None:
    with peer(answering()) as server:
        fetch(server.url, body=b"\x30\x03", content_type="application/ocsp-request")
    assert server.request_line() == "POST /ca.crl HTTP/1.1"
    assert server.fields()["content-type"] == "application/ocsp-request"
    assert server.requests[0].endswith(b"\r\n\r\n\x30\x03")


GOOD_BODIES = {
    "chunked": CHUNKED + b"3\r\nsig\r\n3;x=y\r\nned\r\n0\r\n\r\n",
    "with trailers": CHUNKED + b"6\r\nsigned\r\n0\r\nX: y\r\n\r\n",
    "until the end": OK + b"\r\nsigned",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nsigned",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 6\r\n\r\nsigned",
    "more than announced": OK + b"Content-Length: 6\r\n\r\nsigned, and more",
    "the same length twice": OK + b"Content-Length: 6\r\nContent-Length: 6\r\n\r\nsigned",
    "identity": OK + b"Content-Encoding: identity\r\nContent-Length: 6\r\n\r\nsigned",
}


@pytest.mark.parametrize("data", GOOD_BODIES.values(), ids=GOOD_BODIES)
def test_a_body_is_read_however_it_is_framed(data: bytes) -> None:
    with peer(saying(data)) as server:
        assert fetch(server.url).body == b"signed"


def test_a_body_of_exactly_the_largest_size_is_fetched() -> None:
    with peer(answering(b"x" * 1000)) as server:
        assert len(fetch(server.url, max_size=1000).body) == 1000


def test_an_etag_is_sent_and_what_did_not_change_is_not_sent_again() -> None:
    with peer(saying(b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n')) as server:
        fetched = fetch(server.url, etag='"v1"')
    assert server.fields()["if-none-match"] == '"v1"'
    assert (fetched.not_modified, fetched.body, fetched.etag) == (True, b"", '"v1"')


def test_not_modified_without_an_etag_is_no_answer() -> None:
    with peer(saying(b"HTTP/1.1 304 Not Modified\r\n\r\n")) as server:
        assert failure(server.url).kind is FetchErrorKind.HTTP_STATUS


@pytest.mark.parametrize("etag", ['"v1"\r\nX-Evil: 1', "v1", '"' + "a" * 300 + '"', ""])
def test_what_no_server_gave_as_an_etag_is_not_sent(etag: str) -> None:
    with peer(answering()) as server:
        fetch(server.url, etag=etag)
    assert "if-none-match" not in server.fields()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), None),
        (("Cache-Control: public, max-age=600",), 600),
        (("Cache-Control: max-age=600", "Age: 200"), 400),
        (("Cache-Control: max-age=600", "Age: 900"), 0),
        (("Cache-Control: max-age=600", "Age: soon"), 600),
        (("Cache-Control: s-max-age=5",), None),
        (("Cache-Control: max-age=-5",), None),
        (("Cache-Control: max-age=600, no-store",), 0),
        (("Cache-Control: no-cache",), 0),
    ],
)
def test_how_long_an_answer_is_fresh(fields: tuple[str, ...], expected: float | None) -> None:
    with peer(answering(b"signed", *fields)) as server:
        assert fetch(server.url).max_age == expected


# What is no answer.

K = FetchErrorKind
NO_ANSWERS: dict[str, tuple[Script, FetchErrorKind]] = {
    "404": (answering(status="404 Not Found"), K.HTTP_STATUS),
    "500": (answering(status="500 Internal Server Error"), K.HTTP_STATUS),
    "204": (saying(b"HTTP/1.1 204 No Content\r\n\r\n"), K.HTTP_STATUS),
    "206": (answering(status="206 Partial Content"), K.HTTP_STATUS),
    "407": (answering(status="407 Proxy Authentication Required"), K.HTTP_STATUS),
    "redirect to a file": (answering(b"", "Location: file:///etc/passwd", status="302 Found"), K.REDIRECT),
    "redirect to metadata": (answering(b"", "Location: http://169.254.169.254/", status="301 Moved"), K.REDIRECT),
    "redirect elsewhere": (answering(b"", "Location: /other.crl", status="307 Temporary Redirect"), K.REDIRECT),
    "redirect nowhere": (answering(b"", status="308 Permanent Redirect"), K.REDIRECT),
    "closed at once": (saying(b""), K.CONNECTION),
    "reset at once": (resetting(b""), K.CONNECTION),
    "reset in the body": (resetting(OK + b"Content-Length: 100\r\n\r\nsig"), K.CONNECTION),
    "half a status line": (saying(b"HTTP/1."), K.NOT_HTTP),
    "garbage": (saying(b"\x30\x82\x01\x00" * 100), K.NOT_HTTP),
    "HTML": (saying(b"<html><body>It works!</body></html>"), K.NOT_HTTP),
    "another protocol": (saying(b"-ERR unknown command\r\n"), K.NOT_HTTP),
    "HTTP/2": (saying(b"HTTP/2 200\r\n\r\nsigned"), K.NOT_HTTP),
    "a status that is no number": (saying(b"HTTP/1.1 2OO OK\r\n\r\nsigned"), K.NOT_HTTP),
    "a shorter body than announced": (saying(OK + b"Content-Length: 100\r\n\r\nsigned"), K.CONNECTION),
    "a length that is no number": (saying(OK + b"Content-Length: six\r\n\r\nsigned"), K.NOT_HTTP),
    "a negative length": (saying(OK + b"Content-Length: -6\r\n\r\nsigned"), K.NOT_HTTP),
    "an endless length": (saying(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nsigned"), K.NOT_HTTP),
    "two lengths": (saying(OK + b"Content-Length: 6\r\nContent-Length: 3\r\n\r\nsigned"), K.NOT_HTTP),
    "gzip": (answering(b"\x1f\x8b", "Content-Encoding: gzip"), K.NOT_HTTP),
    "gzip in chunks": (saying(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), K.NOT_HTTP),
    "a chunk without size": (saying(CHUNKED + b"six\r\nsigned\r\n0\r\n\r\n"), K.CONNECTION),
    "a chunk of negative size": (saying(CHUNKED + b"-6\r\nsigned\r\n0\r\n\r\n"), K.NOT_HTTP),
    "a chunk that ends early": (saying(CHUNKED + b"ff\r\nsigned"), K.CONNECTION),
    "no last chunk": (saying(CHUNKED + b"6\r\nsigned\r\n"), K.CONNECTION),
    "a body too large by one byte": (answering(b"x" * 65537), K.TOO_LARGE),
    "in chunks, too large by one byte": (saying(CHUNKED + b"10001\r\n" + b"x" * 65537 + b"\r\n0\r\n\r\n"), K.TOO_LARGE),
    "64 MB announced": (saying(OK + b"Content-Length: 67108864\r\n\r\n"), K.TOO_LARGE),
    "a header field of 1 MB": (streaming(OK + b"X: ", b"x" * 4096, total=1024 * 1024), K.TOO_LARGE),
    "101 header fields": (saying(OK + b"X: y\r\n" * 101 + b"\r\nsigned"), K.NOT_HTTP),
    "100 for ever": (streaming(b"", b"HTTP/1.1 100 Continue\r\n\r\n", total=GIGABYTE), K.TOO_LARGE),
    "trailers for ever": (streaming(CHUNKED + b"0\r\n", b"X: y\r\n" * 100, total=GIGABYTE), K.TOO_LARGE),
    "1 GB until the end": (streaming(OK + b"\r\n", b"x" * 65536, total=GIGABYTE), K.TOO_LARGE),
    "1 GB in one chunk": (streaming(CHUNKED + b"40000000\r\n", b"x" * 65536, total=GIGABYTE), K.TOO_LARGE),
    "1 GB in small chunks": (streaming(CHUNKED, b"1\r\nx\r\n" * 1000, total=GIGABYTE), K.TOO_LARGE),
    "1 GB in a chunk of size -1": (streaming(CHUNKED + b"-1\r\n", b"x" * 65536, total=GIGABYTE), K.TOO_LARGE),
}


@pytest.mark.parametrize(("script", "kind"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_has_its_own_kind_of_failure(script: Script, kind: FetchErrorKind) -> None:
    """P1: down, reset, 5xx, garbage and huge answers end at once, and are told apart."""
    with peer(script) as server:
        began = time.monotonic()
        failed = failure(server.url)
        assert time.monotonic() - began < 2
    assert failed.kind is kind
    assert len(str(failed)) < 400


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("file:///etc/passwd", "file:// "),
        ("http://user:secret@169.254.169.254/latest/meta-data/", "http://169.254.169.254 "),
        ("https://cdn.example/ca.crl", "https://cdn.example "),
        ("/other.crl", "another path of the same host"),
    ],
)
def test_a_redirect_is_not_followed_and_the_sentence_says_where_to(location: str, shown: str) -> None:
    with peer(answering(b"", f"Location: {location}", status="302 Found")) as server:
        failed = failure(server.url)
    assert f"redirects to {shown}" in failed.detail
    assert "secret" not in failed.detail
    assert len(server.requests) == 1


def test_the_status_of_a_failure_can_be_read() -> None:
    """Whether GET was refused decides whether POST is tried."""
    with peer(answering(status="405 Method Not Allowed")) as server:
        assert failure(server.url).status == 405


def test_a_server_that_is_down_is_a_failed_connection() -> None:
    """P1."""
    with peer(silent) as server:
        url = server.url
    failed = failure(url)
    assert failed.kind is FetchErrorKind.CONNECTION
    assert "127.0.0.1" in failed.detail


# Time.

SLOW: dict[str, Script] = {
    "never answers": silent,
    "drips the status line": dripping(b"HTTP/1.1 200 ", b"O"),
    "drips header fields": dripping(OK, b"X: y\r\n"),
    "drips the body": dripping(OK + b"Content-Length: 60000\r\n\r\n", b"x"),
    "drips a body without end": dripping(OK + b"\r\n", b"x"),
    "drips chunks": dripping(CHUNKED, b"1\r\nx\r\n"),
    "drips a chunk's size": dripping(CHUNKED, b"0"),
    "drips trailers": dripping(CHUNKED + b"0\r\n", b"X: y\r\n"),
    "drips 100 Continue": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every=0.002),
    "stops in the body": dripping(OK + b"Content-Length: 60000\r\n\r\nsigned", b"x", every=10),
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW)
def test_a_slow_server_has_the_whole_time_and_no_more(script: Script) -> None:
    """P2: the deadline is for everything together, not for each read."""
    with peer(script) as server:
        began = time.monotonic()
        failed = failure(server.url, seconds=LIMIT)
        took = time.monotonic() - began
    assert failed.kind is FetchErrorKind.TIMEOUT
    assert LIMIT * 0.9 < took < LIMIT + GRACE


def test_a_server_that_is_slow_but_ends_in_time_is_waited_for() -> None:
    def in_two_parts(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(OK + b"Content-Length: 6\r\n\r\nsig")
        ended.wait(0.1)
        connection.sendall(b"ned")

    with peer(in_two_parts) as server:
        assert fetch(server.url).body == b"signed"


def test_a_server_that_swallows_connections_has_the_whole_time_and_no_more() -> None:
    """P2."""
    with swallowing() as port:
        began = time.monotonic()
        failed = failure(f"http://127.0.0.1:{port}/", seconds=LIMIT)
        took = time.monotonic() - began
    assert failed.kind is FetchErrorKind.TIMEOUT
    assert LIMIT * 0.9 < took < LIMIT + GRACE


def test_a_server_that_does_not_read_has_the_whole_time_and_no_more() -> None:
    """P2: sending can block as well."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        failed = failure(url, seconds=LIMIT, body=b"x" * 64 * 1024 * 1024)
        took = time.monotonic() - began
    assert failed.kind is FetchErrorKind.TIMEOUT
    assert took < LIMIT + GRACE


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    with peer(answering()) as server:
        assert failure(server.url, seconds=0).kind is FetchErrorKind.TIMEOUT
    assert server.requests == []


def test_a_look_up_that_hangs_has_the_whole_time_and_no_more() -> None:
    """P2: ``getaddrinfo`` has no timeout."""
    release = threading.Event()

    def hang(host: str, port: int) -> Sequence[Endpoint]:
        release.wait(10)
        return ()

    began = time.monotonic()
    failed = failure("http://ocsp.example/", Fetcher(look_up=hang), seconds=LIMIT)
    took = time.monotonic() - began
    release.set()
    assert failed.kind is FetchErrorKind.TIMEOUT
    assert "ocsp.example was not resolved" in failed.detail
    assert took < LIMIT + GRACE


def test_a_name_that_hangs_is_looked_up_once_however_many_ask() -> None:
    """P4: and a hundred of them take one thread."""
    release, asked = threading.Event(), []

    def hang(host: str, port: int) -> Sequence[Endpoint]:
        asked.append(host)
        release.wait(10)
        return ()

    fetcher = Fetcher(look_up=hang)
    for _ in range(5):
        assert failure("http://ocsp.example/", fetcher, seconds=0.02).kind is FetchErrorKind.TIMEOUT
    release.set()
    assert asked == ["ocsp.example"]
