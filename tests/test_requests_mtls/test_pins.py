"""Pins: checked against the verified chain, before the first byte of a request, on every way to the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from urllib3 import Retry

from mtls_core.contexts import server_context
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.identity import Identity
from requests_mtls import MTLSSession, Pin, PinMismatch, ServerVerificationError

from .conftest import Start
from .peers import Proxy, Server, redirect

Ways = Callable[[str], dict[str, str]]

WRONG = Pin("public_key", bytes(32))
SECRET = b"the body of a request that is not to be seen"


@pytest.fixture
def ways(proxy: Proxy, tls_proxy: Proxy) -> Ways:
    """The proxies of a way to the server."""
    proxies = {
        "direct": {},
        "CONNECT": {"https": proxy.url(scheme="http")},
        "TLS in TLS": {"https": tls_proxy.url()},
    }
    return proxies.__getitem__


@pytest.fixture
def open_session(billing: Identity, ca: DevelopmentCA) -> Callable[..., Any]:
    @contextmanager
    def opened(*pins: Pin | str, **options: Any) -> Iterator[MTLSSession]:
        trust = ca.trust_store()
        with MTLSSession(billing, hosts=["127.0.0.1"], ca=trust, proxy_ca=trust, pins=pins, **options) as session:
            yield session

    return opened


PINS = [f"{kind} of the {name}" for name in ("leaf", "intermediate", "root") for kind in ("key", "certificate")]


def pins_of(server: Issued, ca: DevelopmentCA) -> dict[str, Pin]:
    chain = {"leaf": server.certificate, "intermediate": server.chain[0], "root": ca.certificate}
    return {
        f"{kind} of the {name}": pin(certificate)
        for name, certificate in chain.items()
        for kind, pin in (("key", Pin.for_public_key), ("certificate", Pin.for_certificate))
    }


ALL_WAYS = pytest.mark.parametrize("way", ["direct", "CONNECT", "TLS in TLS"])


@ALL_WAYS
@pytest.mark.parametrize("max_retries", [0, Retry(3)], ids=["no retries", "three retries"])
def test_a_wrong_pin_lets_no_byte_out(
    server: Server, ways: Ways, open_session: Any, way: str, max_retries: int | Retry
) -> None:
    """One connection, however many retries there may be, and not one byte of the request."""
    with open_session(WRONG, max_retries=max_retries) as session, pytest.raises(PinMismatch):
        session.post(server.url("/secret"), data=SECRET, proxies=ways(way))
    server.settle()

    assert (server.connections, server.received, server.requests) == (1, 0, [])


@ALL_WAYS
@pytest.mark.parametrize("which", PINS)
def test_a_pin_of_the_chain_lets_the_request_pass(
    server: Server, ways: Ways, open_session: Any, orders: Issued, ca: DevelopmentCA, way: str, which: str
) -> None:
    """The twin: of the server, of its intermediate, or of the root, which it does not even send."""
    with open_session(pins_of(orders, ca)[which]) as session:
        assert session.post(server.url(), data=SECRET, proxies=ways(way)).ok

    assert [seen.body for seen in server.requests] == [SECRET]


def test_one_pin_of_several_is_enough(server: Server, open_session: Any, orders: Issued) -> None:
    """A backup pin is the key that will come next."""
    with open_session(WRONG, str(Pin.for_public_key(orders.certificate))) as session:
        assert session.get(server.url()).ok


def test_the_message_lists_what_the_server_has(
    server: Server, open_session: Any, orders: Issued, ca: DevelopmentCA
) -> None:
    """An operator can decide by it, and pin one of them."""
    with open_session(WRONG) as session, pytest.raises(PinMismatch) as caught:
        session.get(server.url())

    chain = (orders.certificate, *orders.chain, ca.certificate)
    assert caught.value.chain == chain
    for certificate in chain:
        assert str(Pin.for_public_key(certificate)) in str(caught.value)
        assert certificate.subject in str(caught.value)
    assert str(WRONG) in str(caught.value)


def test_a_certificate_that_is_sent_but_not_verified_does_not_count(
    start: Start, open_session: Any, ca: DevelopmentCA, foreign_ca: DevelopmentCA
) -> None:
    """Whoever can be verified cannot borrow the pinned certificate of another by sending it along."""
    impostor = ca.server("localhost")
    stack = Issued(impostor.certificate, (foreign_ca.certificate,), impostor.private_key)
    server = start(Server(server_context(stack.identity, trust=ca.trust_store())))

    with open_session(Pin.for_public_key(foreign_ca.certificate)) as session, pytest.raises(PinMismatch):
        session.get(server.url())


def test_a_pin_replaces_no_verification(start: Start, open_session: Any, ca: DevelopmentCA) -> None:
    """A pinned key under the wrong name is still the wrong server."""
    other = ca.server("other.internal")
    server = start(Server(server_context(other.identity, trust=ca.trust_store())))

    with open_session(Pin.for_public_key(other.certificate)) as session, pytest.raises(ServerVerificationError):
        session.get(server.url())


def test_a_mismatch_leaves_no_connection_behind(server: Server, open_session: Any) -> None:
    """CVE-2024-0853: a second try must not pass on what the first one left."""
    with open_session(WRONG) as session:
        for _ in range(2):
            with pytest.raises(PinMismatch):
                session.get(server.url())

    assert (server.connections, server.requests) == (2, [])


def test_after_a_redirect_the_pin_is_checked_again(
    start: Start, server: Server, open_session: Any, ca: DevelopmentCA
) -> None:
    """CVE-2025-13034: no way round the check."""
    first = ca.server("localhost")
    entrance = start(Server(server_context(first.identity, trust=ca.trust_store()), redirect(server.url())))

    with open_session(Pin.for_certificate(first.certificate)) as session, pytest.raises(PinMismatch):
        session.get(entrance.url())

    assert (len(entrance.requests), server.received) == (1, 0)


def test_a_mismatch_is_an_ssl_error_of_requests(server: Server, open_session: Any) -> None:
    with open_session(WRONG) as session, pytest.raises(requests.exceptions.SSLError) as caught:
        session.get(server.url())

    assert caught.value.request is not None
