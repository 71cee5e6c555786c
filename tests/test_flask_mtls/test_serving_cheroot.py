"""cheroot: over mutual TLS, and behind a proxy, where as it comes it takes one header for another."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cheroot.wsgi
import pytest
from flask import Flask

from flask_mtls import ConfigurationError
from flask_mtls.serving.cheroot import create_server
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.trust import TrustStore

from .conftest import MakeApp
from .heads import CASES, assert_not_evil, callers, document, exchange, request, rfc9440, smuggled
from .serving import Caller, fetch


@pytest.fixture(scope="module")
def trust(ca: DevelopmentCA) -> TrustStore:
    return ca.trust_store()


@pytest.fixture(scope="module")
def evil(ca: DevelopmentCA) -> Issued:
    return ca.client("evil")


@pytest.fixture
def behind_proxy(make_app: MakeApp) -> Any:
    def make(**settings: Any) -> Flask:
        return make_app(**{"MTLS_FORWARDED": "rfc9440", "MTLS_TRUSTED_PROXIES": ["127.0.0.1"]} | settings)

    return make


@contextlib.contextmanager
def running(server: cheroot.wsgi.Server) -> Iterator[Any]:
    """Serve until the block ends; gives the address."""
    server.expiration_interval = 0.05
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server.bind_addr
    finally:
        server.stop()
        thread.join(timeout=15)


def test_caller_is_known_over_tls(make_app: MakeApp, orders: Issued, billing: Issued, trust: TrustStore) -> None:
    with running(create_server(make_app(MTLS_IDENTITY=orders.identity))) as (_, port):
        assert fetch(port, billing, trust).document == {"caller": ["billing"]}
        assert fetch(port, None, trust).outcome == "certificate_required"


def test_intermediate_that_was_sent_counts(make_app: MakeApp, orders: Issued, stock: Issued, trust: TrustStore) -> None:
    with running(create_server(make_app(MTLS_IDENTITY=orders.identity))) as (_, port):
        assert fetch(port, stock, trust).document == {"caller": ["stock"]}


def test_connection_is_kept(make_app: MakeApp, orders: Issued, billing: Issued, trust: TrustStore) -> None:
    with (
        running(create_server(make_app(MTLS_IDENTITY=orders.identity))) as (_, port),
        Caller(port, billing, trust) as caller,
    ):
        assert caller.get().outcome == 200
        connection = caller.connection.sock
        assert caller.get(method="POST", body=b"x" * 100_000).outcome == 200
        assert caller.connection.sock is connection


def test_certificate_that_is_asked_for_later(
    make_app: MakeApp, orders: Issued, stock: Issued, trust: TrustStore
) -> None:
    app = make_app(MTLS_IDENTITY=orders.identity, MTLS_CLIENT_CERTS="on_demand")
    with running(create_server(app)) as (_, port):
        assert fetch(port, stock, trust, "/public").document == {"caller": None}
        assert fetch(port, stock, trust).document == {"caller": ["stock"]}


def test_refused_in_the_handshake_tells_both_sides_why(
    make_app: MakeApp,
    orders: Issued,
    foreign_ca: DevelopmentCA,
    trust: TrustStore,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with (
        running(create_server(make_app(MTLS_IDENTITY=orders.identity))) as (_, port),
        pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"),
    ):
        fetch(port, foreign_ca.client("intruder"), trust)
    assert "client certificate refused" in caplog.text
    assert "Traceback" not in capfd.readouterr().err


def test_clients_that_stall_hold_up_nobody(
    make_app: MakeApp, orders: Issued, billing: Issued, trust: TrustStore
) -> None:
    """More of them than threads, silent; and as many as threads but one in the middle of their handshake."""
    server = create_server(make_app(MTLS_IDENTITY=orders.identity), threads=4)
    with running(server) as (_, port), contextlib.ExitStack() as opened:
        for number in range(43):
            stalled = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            if number < 3:
                stalled.sendall(b"\x16\x03\x01")
        assert fetch(port, billing, trust).outcome == 200


def test_stalled_handshake_ends_at_the_deadline(
    make_app: MakeApp, orders: Issued, billing: Issued, trust: TrustStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="flask_mtls")
    server = create_server(make_app(MTLS_IDENTITY=orders.identity, MTLS_HANDSHAKE_TIMEOUT=0.3), threads=1)
    with running(server) as (_, port), socket.create_connection(("127.0.0.1", port)) as stalled:
        stalled.sendall(b"\x16\x03\x01")
        assert fetch(port, billing, trust).outcome == 200
    assert "longer than MTLS_HANDSHAKE_TIMEOUT" in caplog.text


def test_removed_ca_is_out_for_new_connections(
    make_app: MakeApp, orders: Issued, ca: DevelopmentCA, foreign_ca: DevelopmentCA, trust: TrustStore, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem + foreign_ca.pem)
    app = make_app(MTLS_IDENTITY=orders.identity, MTLS_CLIENT_CA=file)
    guest = foreign_ca.client("guest")
    with running(create_server(app)) as (_, port):
        assert fetch(port, guest, trust).outcome == 200
        file.write_text(ca.pem)
        app.extensions["mtls"].watched.reload()
        with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
            fetch(port, guest, trust)


def test_what_cannot_be_served_is_said_at_once(make_app: MakeApp) -> None:
    with pytest.raises(ConfigurationError, match="MTLS_IDENTITY is not set"):
        create_server(make_app())


def test_proxy_is_believed_over_plain_http(
    behind_proxy: Any, billing: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="flask_mtls")
    with running(create_server(behind_proxy())) as address:
        assert callers(exchange(address, request(b"Client-Cert: " + rfc9440(billing)))) == ["billing"]
        assert document(exchange(address, request()))["reason"] == "certificate_required"
    assert "this port speaks plain HTTP" in caplog.text


def test_proxy_is_believed_over_tls(behind_proxy: Any, ca: DevelopmentCA, orders: Issued, billing: Issued) -> None:
    with running(create_server(behind_proxy(MTLS_IDENTITY=orders.identity))) as address:
        sent = request(b"Client-Cert: " + rfc9440(billing))
        assert callers(exchange(address, sent, tls=ssl.create_default_context(cadata=ca.pem))) == ["billing"]


def test_proxy_on_a_unix_socket(behind_proxy: Any, billing: Issued, tmp_path: Path) -> None:
    path = str(tmp_path / "cheroot.sock")
    sent = request(b"Client-Cert: " + rfc9440(billing))
    with running(create_server(behind_proxy(MTLS_TRUSTED_PROXIES=["unix"]), f"unix://{path}")):
        assert callers(exchange(path, sent)) == ["billing"]
    with running(create_server(behind_proxy(), f"unix://{path}")):
        assert document(exchange(path, sent))["reason"] == "untrusted_proxy"


@pytest.mark.parametrize("case", CASES)
def test_nobody_becomes_somebody_else(behind_proxy: Any, billing: Issued, evil: Issued, case: str) -> None:
    good = rfc9440(billing)
    sent = CASES[case](good, rfc9440(evil))
    with running(create_server(behind_proxy())) as address:
        answer = exchange(address, sent)
    assert_not_evil(answer, sent, good)
    assert answer.startswith(b"HTTP/1.1 403" if case == "trailer" else b"HTTP/1.1 400")


@pytest.mark.parametrize("case", ["underscore", "space-before-colon"])
def test_cheroot_as_it_comes_is_not_believed(behind_proxy: Any, billing: Issued, evil: Issued, case: str) -> None:
    good, app = rfc9440(billing), behind_proxy()
    with running(cheroot.wsgi.Server(("127.0.0.1", 0), app)) as address:
        for sent in (CASES[case](good, rfc9440(evil)), request(b"Client-Cert: " + good)):
            assert document(exchange(address, sent))["reason"] == "untrusted_proxy"


def test_body_in_chunks_that_is_left_is_no_request(behind_proxy: Any, evil: Issued) -> None:
    """The line with a chunk's length can look like the first of a request, with what follows as its head."""
    chunk = b"Host: a\r\nClient-Cert: " + rfc9440(evil) + b"\r\n\r\n"
    body = b"%x;x /protected HTTP/1.1\r\n%s\r\n0\r\n\r\n" % (len(chunk), chunk)
    sent = b"POST /protected HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with running(create_server(behind_proxy())) as address:
        answer = exchange(address, sent)
    assert answer.count(b"HTTP/1.1") == 1
    assert b"\r\nConnection: close\r\n" in answer
    assert document(answer)["reason"] == "certificate_required"


@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_body_is_read_whichever_way_it_comes(behind_proxy: Any, evil: Issued, framing: bytes) -> None:
    before = b"" if b"%d" in framing else b"5\r\nhello\r\n0\r\n\r\n"
    sent = smuggled(framing, rfc9440(evil), before=before).replace(b"POST /public", b"POST /protected", 1)
    with running(create_server(behind_proxy())) as address:
        assert callers(exchange(address, sent)) == []


def test_header_that_is_long_enough_for_any_certificate(behind_proxy: Any, ca: DevelopmentCA) -> None:
    """And one that is longer than that."""
    big = ca.client("big", dns=[f"host-{number}.internal" for number in range(450)])
    value = rfc9440(big)
    assert 10_000 < len(value) < 16 * 1024
    with running(create_server(behind_proxy())) as address:
        assert callers(exchange(address, request(b"Client-Cert: " + value))) == ["big"]
        assert exchange(address, request(b"X-Note: " + b"a" * 17 * 1024)).startswith(b"HTTP/1.1 400")


def test_head_that_never_ends(behind_proxy: Any) -> None:
    with running(create_server(behind_proxy())) as address:
        many = request(*(b"X-%d: a" % number for number in range(200)))
        assert exchange(address, many).startswith(b"HTTP/1.1 400")
        assert exchange(address, b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 414")


def test_headers_that_may_come_twice_are_joined(behind_proxy: Any) -> None:
    app = behind_proxy()

    @app.get("/headers")
    def headers() -> dict[str, Any]:
        from flask import request

        return {"accept": request.headers["Accept"], "cookies": request.cookies}

    sent = request(b"Accept: a", b"accept: b", b"Cookie: c=1", b"Cookie: d=2").replace(b"/protected", b"/headers")
    with running(create_server(app)) as address:
        assert document(exchange(address, sent)) == {"accept": "a, b", "cookies": {"c": "1", "d": "2"}}
