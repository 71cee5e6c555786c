"""A server that is not who it should be: refused, once, with what a person needs to mend it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from urllib3 import Retry

from mtls_core.contexts import server_context
from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.identity import Identity
from requests_mtls import MTLSRequestError, MTLSSession, ServerVerificationError

from .conftest import Start
from .peers import Listener, Server

Serve = Callable[[Issued], Server]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def serve(start: Start, ca: DevelopmentCA) -> Serve:
    """A server with the given certificate."""
    return lambda issued: start(Server(server_context(issued.identity, trust=ca.trust_store())))


@pytest.fixture
def refused(billing: Identity, ca: DevelopmentCA) -> Callable[[Server], ServerVerificationError]:
    """The error that a request ends with, however often it may be tried."""

    def refused_by(server: Server) -> ServerVerificationError:
        with (
            MTLSSession(billing, hosts=["127.0.0.1"], ca=ca.trust_store(), max_retries=Retry(3)) as session,
            pytest.raises(ServerVerificationError) as caught,
        ):
            session.get(server.url())
        return caught.value

    return refused_by


def good(ca: DevelopmentCA, **options: Any) -> Issued:
    return ca.server("orders.internal", **{"ips": ["127.0.0.1"], **options})


def test_a_good_server_is_accepted(serve: Serve, billing: Identity, ca: DevelopmentCA) -> None:
    """The twin of all that follow."""
    with MTLSSession(billing, hosts=["127.0.0.1"], ca=ca.trust_store()) as session:
        assert session.get(serve(good(ca)).url()).ok


def test_the_wrong_name(serve: Serve, ca: DevelopmentCA, refused: Any) -> None:
    """The names it does have are listed."""
    error = refused(serve(good(ca, ips=["127.0.0.2"])))

    assert "valid for orders.internal, 127.0.0.2" in str(error)
    assert error.host == "127.0.0.1"


def test_a_common_name_is_not_a_name(serve: Serve, ca: DevelopmentCA, refused: Any) -> None:
    """RFC 9525, section 2."""
    error = refused(serve(ca.server("127.0.0.1", dns=[], ips=[])))

    assert "no name at all" in str(error)


def test_a_foreign_ca(serve: Serve, foreign_ca: DevelopmentCA, refused: Any) -> None:
    """The CA that would have to be trusted is named."""
    server = good(foreign_ca)
    error = refused(serve(server))

    assert "CN=Foreign Root" in str(error)
    assert "name that CA with ca" in str(error)
    assert error.certificate == server.certificate


def test_a_missing_intermediate(serve: Serve, ca: DevelopmentCA, refused: Any) -> None:
    whole = good(ca.intermediate("Left Out"))
    error = refused(serve(Issued(whole.certificate, (), whole.private_key)))

    assert "CN=Left Out" in str(error)
    assert "intermediates" in str(error)


def test_a_self_signed_server(serve: Serve, refused: Any) -> None:
    """Its thumbprint is shown, to compare and then trust exactly this certificate."""
    server = self_signed("orders.internal", ips=["127.0.0.1"], usage=("server",))
    error = refused(serve(server))

    assert server.certificate.thumbprint in str(error)


def test_an_expired_server(serve: Serve, ca: DevelopmentCA, refused: Any) -> None:
    error = refused(serve(good(ca, not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=1))))

    assert "2020-01-02" in str(error)
    assert error.problem == "certificate has expired"


def test_a_server_that_is_not_valid_yet(serve: Serve, ca: DevelopmentCA, refused: Any) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    error = refused(serve(good(ca, not_before=later)))

    assert "not yet valid" in error.problem
    assert "set the clock" in str(error)


def test_an_expired_intermediate_is_the_one_that_is_named(serve: Serve, ca: DevelopmentCA, refused: Any) -> None:
    """The server's own certificate is good."""
    stale = ca.intermediate("Stale", not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=1))
    error = refused(serve(good(stale)))

    assert "CN=Stale is valid from" in str(error)


def test_a_client_posing_as_a_server(serve: Serve, ca: DevelopmentCA, refused: Any) -> None:
    error = refused(serve(good(ca, usage=("client",))))

    assert "serverAuth" in str(error)


def test_it_is_not_tried_again(serve: Serve, foreign_ca: DevelopmentCA, refused: Any) -> None:
    """Trying again cannot help."""
    server = serve(good(foreign_ca))
    refused(server)

    assert server.connections == 1


def test_nothing_of_the_request_is_sent(serve: Serve, foreign_ca: DevelopmentCA, refused: Any) -> None:
    server = serve(good(foreign_ca))
    refused(server)
    server.settle()

    assert (server.received, server.certificates) == (0, [])


def test_the_request_is_on_the_error(serve: Serve, foreign_ca: DevelopmentCA, refused: Any) -> None:
    server = serve(good(foreign_ca))

    assert refused(server).request.url == server.url()


def test_other_failures_of_tls_are_those_of_requests(start: Start, billing: Identity, ca: DevelopmentCA) -> None:
    class NoTLS(Listener):
        def serve(self, connection: socket.socket) -> None:
            connection.sendall(b"SMTP, not TLS\r\n")
            connection.recv(1)

    server = start(NoTLS())
    with (
        MTLSSession(billing, hosts=["127.0.0.1"], ca=ca.trust_store()) as session,
        pytest.raises(requests.exceptions.SSLError) as caught,
    ):
        session.get(server.url())

    assert not isinstance(caught.value, MTLSRequestError)
