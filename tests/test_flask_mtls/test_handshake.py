"""Handshakes on the server's side: what is said of those that fail, and the socket that puts them off."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from flask_mtls.serving.handshake import DeferredSocket, DeferringContext, explain, handshake
from mtls_core.contexts import client_context, server_context
from mtls_core.devca import DevelopmentCA, Issued


def failed(reason: str, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    error = kind(1, "as OpenSSL puts it")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (failed("HTTP_REQUEST"), "the client spoke plain HTTP to the HTTPS port"),
        (failed("TLSV1_ALERT_UNKNOWN_CA"), "the client ended it with the alert 'unknown ca'"),
        (failed("SSLV3_ALERT_BAD_CERTIFICATE"), "the client ended it with the alert 'bad certificate'"),
        (failed("WRONG_VERSION_NUMBER"), "what the client sent is not TLS"),
        (failed("SOMETHING_NEW"), "OpenSSL says SOMETHING_NEW"),
        (ssl.SSLEOFError(8, "EOF"), "the client went away"),
        (ConnectionResetError(104, "reset"), "the client went away"),
        (TimeoutError(), "it took longer than MTLS_HANDSHAKE_TIMEOUT"),
        (OSError(113, "No route to host"), "[Errno 113] No route to host"),
    ],
)
def test_failures_in_words(error: OSError, words: str) -> None:
    assert explain(error) == words


class Pair:
    """Two ends of a connection: the server's in TLS, its handshake not done."""

    def __init__(self, context: Any) -> None:
        client, server = socket.socketpair()
        self.client = client
        self.server = context.wrap_socket(server, server_side=True)

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture(scope="module")
def context(ca: DevelopmentCA, orders: Issued) -> ssl.SSLContext:
    return server_context(orders.identity, trust=ca.trust_store(), defer_handshake=True)


def test_silent_client_runs_into_the_deadline(context: ssl.SSLContext) -> None:
    with Pair(context) as pair:
        assert not handshake(pair.server, timeout=0.05)


def test_client_that_went_away(context: ssl.SSLContext) -> None:
    with Pair(context) as pair:
        pair.client.close()
        assert not handshake(pair.server, timeout=5)


def test_timeout_of_the_connection_is_as_before(context: ssl.SSLContext) -> None:
    with Pair(context) as pair:
        pair.server.settimeout(3)
        pair.client.close()
        handshake(pair.server, timeout=5)
        with pytest.raises(OSError, match="Bad file descriptor"):
            pair.client.getpeername()


def test_deferred_socket_reads_nothing_after_a_failed_handshake(context: ssl.SSLContext) -> None:
    deferring = DeferringContext(lambda: context, timeout=5)
    with Pair(deferring) as pair:
        assert isinstance(pair.server, DeferredSocket)
        pair.client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        pair.client.shutdown(socket.SHUT_WR)
        pair.server.do_handshake()
        assert pair.server.recv(100) == b""
        assert pair.server.recv_into(bytearray(100)) == 0


def test_deferred_socket_does_its_handshake_when_it_is_read_from(
    ca: DevelopmentCA, context: ssl.SSLContext, billing: Issued
) -> None:
    import threading

    with Pair(DeferringContext(lambda: context, timeout=5)) as pair:
        calls = client_context(billing.identity, trust=ca.trust_store())

        def client() -> None:
            with calls.wrap_socket(pair.client, server_hostname="localhost") as connection:
                connection.sendall(b"hello")
                connection.recv(1)

        thread = threading.Thread(target=client)
        thread.start()
        assert pair.server.recv(100) == b"hello"
        assert pair.server.getpeercert(True) == billing.certificate.der
        pair.server.sendall(b"x")
        thread.join(timeout=10)


def test_each_connection_gets_the_context_of_its_moment(
    context: ssl.SSLContext, ca: DevelopmentCA, orders: Issued
) -> None:
    other = server_context(orders.identity, trust=ca.trust_store(), defer_handshake=True)
    contexts = iter([context, other])
    deferring = DeferringContext(lambda: next(contexts), timeout=5)
    with Pair(deferring) as first, Pair(deferring) as second:
        assert (first.server.context, second.server.context) == (context, other)
