"""A server that refuses the identity: its alert, in words, every time."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3 import Retry

from mtls_core.contexts import server_context
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.identity import Identity
from requests_mtls import IdentityRejected, MTLSSession
from requests_mtls.failures import alert_in

from .conftest import Start, tls12_context
from .peers import Proxy, Server

MakeContext = Callable[[DevelopmentCA], ssl.SSLContext]

TRIES = 30
LARGE = 2_000_000


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def context_for(request: pytest.FixtureRequest, orders: Issued, tmp_path: Path) -> MakeContext:
    """Contexts of a server that demands a certificate of a CA."""
    if request.param == "TLSv1.2":
        return lambda ca: tls12_context(orders, ca, tmp_path)
    return lambda ca: server_context(orders.identity, trust=ca.trust_store(), client_certs="required")


def session_for(identity: Identity, ca: DevelopmentCA, **options: Any) -> MTLSSession:
    trust = ca.trust_store()
    return MTLSSession(identity, hosts=["127.0.0.1"], ca=trust, proxy_ca=trust, max_retries=Retry(3), **options)


def test_an_identity_of_the_right_ca_is_accepted(
    start: Start, context_for: MakeContext, billing: Identity, ca: DevelopmentCA
) -> None:
    """The twin of all that follow."""
    server = start(Server(context_for(ca)))
    with session_for(billing, ca) as session:
        assert session.get(server.url()).ok


@pytest.mark.parametrize("size", [0, LARGE], ids=["empty", "large"])
def test_an_unknown_ca_is_named_every_time(
    start: Start, context_for: MakeContext, billing: Identity, ca: DevelopmentCA, foreign_ca: DevelopmentCA, size: int
) -> None:
    """Under TLS 1.3 the alert may come before, while and after the request is written. It is not tried again."""
    server = start(Server(context_for(foreign_ca)))
    alerts = []
    for _ in range(TRIES):
        with session_for(billing, ca) as session, pytest.raises(IdentityRejected) as caught:
            session.post(server.url(), data=b"x" * size)
        alerts.append(caught.value.alert)

    assert alerts == ["unknown ca"] * TRIES
    assert server.connections == TRIES
    assert server.received == 0


@pytest.mark.parametrize("way", ["CONNECT", "TLS in TLS"])
def test_the_alert_comes_through_a_proxy(
    start: Start,
    context_for: MakeContext,
    billing: Identity,
    ca: DevelopmentCA,
    foreign_ca: DevelopmentCA,
    proxy: Proxy,
    tls_proxy: Proxy,
    way: str,
) -> None:
    server = start(Server(context_for(foreign_ca)))
    proxies = {"https": proxy.url(scheme="http") if way == "CONNECT" else tls_proxy.url()}
    for size in (0, LARGE):
        with session_for(billing, ca) as session, pytest.raises(IdentityRejected, match="unknown ca"):
            session.post(server.url(), data=b"x" * size, proxies=proxies)

    assert server.connections == 2


def test_the_message_says_which_certificate_and_whose(
    start: Start, context_for: MakeContext, billing: Identity, ca: DevelopmentCA, foreign_ca: DevelopmentCA
) -> None:
    server = start(Server(context_for(foreign_ca)))
    with session_for(billing, ca) as session, pytest.raises(IdentityRejected) as caught:
        session.get(server.url())

    assert "CN=billing" in str(caught.value)
    assert "issued by CN=Test Root" in str(caught.value)
    assert caught.value.certificate == billing.certificate
    assert caught.value.host == "127.0.0.1"
    assert caught.value.request is not None


def test_an_expired_identity_is_called_expired(start: Start, context_for: MakeContext, ca: DevelopmentCA) -> None:
    """The caller's clock is slow, or it would not even have tried."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    late = ca.client("late", not_before=yesterday - timedelta(days=1), not_after=yesterday)
    server = start(Server(context_for(ca)))

    slow = session_for(late.identity, ca, clock=lambda: yesterday)
    with slow, pytest.raises(IdentityRejected) as caught:
        slow.get(server.url())

    assert caught.value.alert == "certificate expired"
    assert "clocks" in str(caught.value)


def test_a_wrong_usage_is_an_unsupported_certificate(start: Start, context_for: MakeContext, ca: DevelopmentCA) -> None:
    server = start(Server(context_for(ca)))
    with session_for(ca.server("orders").identity, ca) as session, pytest.raises(IdentityRejected) as caught:
        session.get(server.url())

    assert caught.value.alert == "unsupported certificate"
    assert "clientAuth" in str(caught.value)


def test_a_missing_intermediate_of_ours_is_an_unknown_ca(
    start: Start, context_for: MakeContext, ca: DevelopmentCA
) -> None:
    whole = ca.intermediate("Clients").client("deep")
    alone = Issued(whole.certificate, (), whole.private_key)
    server = start(Server(context_for(ca)))
    with session_for(alone.identity, ca) as session, pytest.raises(IdentityRejected) as caught:
        session.get(server.url())

    assert caught.value.alert == "unknown ca"
    assert "intermediate is missing" in str(caught.value)


def test_an_alert_about_something_else_is_not_about_the_identity(
    orders_over_tls12: Server, billing: Identity, ca: DevelopmentCA
) -> None:
    with (
        session_for(billing, ca, minimum_version="TLSv1.3") as session,
        pytest.raises(requests.exceptions.SSLError, match="ALERT_PROTOCOL_VERSION") as caught,
    ):
        session.get(orders_over_tls12.url())

    assert not isinstance(caught.value, IdentityRejected)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TLSV1_ALERT_UNKNOWN_CA", "unknown ca"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "certificate expired"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate required"),
        ("CERTIFICATE_VERIFY_FAILED", None),
        (None, None),
    ],
)
def test_alerts_are_told_from_other_errors(reason: str | None, words: str | None) -> None:
    error = ssl.SSLError(1, "something")
    error.reason = reason  # type: ignore[assignment]

    assert alert_in(error) == words


def test_a_proxy_that_demands_a_certificate_gets_none(
    start: Start, mutual: ssl.SSLContext, server: Server, billing: Identity, ca: DevelopmentCA
) -> None:
    """And its refusal is not taken for the server's."""
    demanding = start(Proxy(mutual))
    with (
        session_for(billing, ca) as session,
        pytest.raises(requests.exceptions.ConnectionError) as caught,
    ):
        session.get(server.url(), proxies={"https": demanding.url()})

    assert not isinstance(caught.value, IdentityRejected)
    assert (server.connections, demanding.asked) == (0, [])
