"""What users of requests are used to."""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from urllib3 import Retry

from mtls_core.devca import DevelopmentCA
from mtls_core.identity import Identity
from requests_mtls import MTLSSession

from .conftest import Start
from .peers import Listener, Proxy, Seen, Server, response

MEGABYTE = bytes(1_000_000)


@pytest.fixture
def session(billing: Identity, ca: DevelopmentCA) -> Iterator[MTLSSession]:
    with session_for(billing, ca) as session:
        yield session


def session_for(identity: Identity, ca: DevelopmentCA, **options: Any) -> MTLSSession:
    return MTLSSession(identity, hosts=["127.0.0.1"], ca=ca.trust_store(), **options)


def resetting(times: int) -> Any:
    """A server that resets so many connections before it serves."""

    class Resetting(Server):
        def serve(self, connection: socket.socket) -> None:
            if self.connections > times:
                super().serve(connection)
                return
            # Not before the client is in its handshake: the ssl module leaks a socket that is reset as it is wrapped.
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return Resetting


def test_a_connection_is_kept(session: MTLSSession, server: Server) -> None:
    for _ in range(3):
        assert session.get(server.url()).ok

    assert (server.connections, len(server.requests)) == (1, 3)


def test_a_response_can_be_streamed(session: MTLSSession, mutual: Any, start: Start) -> None:
    server = start(Server(mutual, lambda seen: response(MEGABYTE)))
    with session.get(server.url(), stream=True) as answer:
        assert sum(len(chunk) for chunk in answer.iter_content(65536)) == len(MEGABYTE)

    assert session.get(server.url()).ok
    assert server.connections == 1


@pytest.mark.parametrize("body", [b"bytes", "text", MEGABYTE, io.BytesIO(b"a file"), iter([b"in ", b"pieces"])])
def test_a_body_arrives(session: MTLSSession, server: Server, body: Any) -> None:
    expected = {"str": b"text", "BytesIO": b"a file", "list_iterator": b"in pieces"}.get(type(body).__name__, body)

    assert session.post(server.url(), data=body).ok
    assert server.requests[0].body == expected


def test_json_and_parameters(session: MTLSSession, server: Server) -> None:
    session.put(server.url("/orders"), json={"id": 7}, params={"dry": "1"})

    assert server.requests[0].line == "PUT /orders?dry=1 HTTP/1.1"
    assert server.requests[0].body == b'{"id": 7}'


def test_cookies_are_kept(session: MTLSSession, mutual: Any, start: Start) -> None:
    server = start(Server(mutual, lambda seen: response(b"", "200 OK", "Set-Cookie: a=b")))
    session.get(server.url())
    session.get(server.url())

    assert b"Cookie: a=b" in server.requests[1].head


def test_an_answer_before_the_end_of_the_body_is_read(session: MTLSSession, mutual: Any, start: Start) -> None:
    """A server may refuse a large upload after its head, and close."""

    class Hasty(Server):
        def _read_body(self, stream: Any, head: bytes) -> bytes:
            return b""

        def _serve_http(self, connection: socket.socket, certificate: Any) -> None:
            with connection.makefile("rb") as stream:
                self._read_head(stream)
            connection.sendall(response(b"too large", "413 Content Too Large"))

    server = start(Hasty(mutual))

    assert session.post(server.url(), data=MEGABYTE * 8).status_code == 413


def test_statuses_can_be_retried(billing: Identity, ca: DevelopmentCA, mutual: Any, start: Start) -> None:
    def busy_at_first(seen: Seen) -> bytes:
        return response(b"", "200 OK" if len(server.requests) > 2 else "503 Service Unavailable")

    server = start(Server(mutual, busy_at_first))
    with session_for(billing, ca, max_retries=Retry(3, status_forcelist=[503])) as session:
        assert session.get(server.url()).ok

    assert len(server.requests) == 3


def test_a_reset_is_retried_if_retries_are_asked_for(
    billing: Identity, ca: DevelopmentCA, mutual: Any, start: Start
) -> None:
    server = start(resetting(2)(mutual))
    with session_for(billing, ca, max_retries=2) as session:
        assert session.get(server.url()).ok

    assert server.connections == 3


def test_a_reset_is_not_retried_otherwise(session: MTLSSession, mutual: Any, start: Start) -> None:
    server = start(resetting(2)(mutual))
    with pytest.raises(requests.exceptions.ConnectionError):
        session.get(server.url())

    assert server.connections == 1


def test_a_server_that_is_gone_is_an_error_of_requests(session: MTLSSession, server: Server) -> None:
    server.close()
    with pytest.raises(requests.exceptions.ConnectionError, match="refused"):
        session.get(server.url())


@pytest.fixture
def silent(start: Start) -> Listener:
    """Accepts, and never says a word."""

    class Silent(Listener):
        def serve(self, connection: socket.socket) -> None:
            while connection.recv(4096):
                pass

    return start(Silent())


@pytest.mark.parametrize("timeout", [0.2, (0.2, None)])
def test_a_timeout_holds_for_the_handshake(session: MTLSSession, silent: Listener, timeout: Any) -> None:
    with pytest.raises(requests.exceptions.Timeout):
        session.get(silent.url(), timeout=timeout)


@pytest.mark.parametrize("way", ["CONNECT", "TLS in TLS"])
def test_a_timeout_holds_for_the_handshake_through_a_proxy(
    billing: Identity, ca: DevelopmentCA, silent: Listener, proxy: Proxy, tls_proxy: Proxy, way: str
) -> None:
    proxies = {"https": proxy.url(scheme="http") if way == "CONNECT" else tls_proxy.url()}
    with session_for(billing, ca, proxy_ca=ca.trust_store()) as session, pytest.raises(requests.exceptions.Timeout):
        session.get(silent.url(), timeout=0.3, proxies=proxies)


def test_a_timeout_holds_for_the_handshake_with_a_proxy(
    billing: Identity, ca: DevelopmentCA, silent: Listener, server: Server
) -> None:
    with session_for(billing, ca) as session, pytest.raises(requests.exceptions.RequestException) as caught:
        session.get(server.url(), timeout=0.2, proxies={"https": silent.url()})

    assert "timed out" in str(caught.value)


def test_a_timeout_holds_for_the_answer(session: MTLSSession, mutual: Any, start: Start) -> None:
    class Slow(Server):
        def _serve_http(self, connection: socket.socket, certificate: Any) -> None:
            while connection.recv(4096):
                pass

    with pytest.raises(requests.exceptions.ReadTimeout):
        session.get(start(Slow(mutual)).url(), timeout=0.2)


def test_threads_share_a_session(billing: Identity, ca: DevelopmentCA, server: Server) -> None:
    with session_for(billing, ca, pool_maxsize=16) as session, ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: session.get(server.url()).status_code, range(160)))

    assert answers == [200] * 160
    assert set(server.certificates) == {billing.certificate}


def test_a_pool_can_be_bounded(billing: Identity, ca: DevelopmentCA, server: Server) -> None:
    options = {"pool_maxsize": 2, "pool_block": True}
    with session_for(billing, ca, **options) as session, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: session.get(server.url()), range(40)))

    assert server.connections <= 2
