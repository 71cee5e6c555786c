"""A CA, an identity that calls, and peers that are gone when the test is."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from mtls_core.contexts import server_context
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.identity import Identity

from .peers import Listener, Proxy, Server

AnyListener = TypeVar("AnyListener", bound=Listener)


class Start(Protocol):
    """Starts a peer that ends with the test."""

    def __call__(self, listener: AnyListener) -> AnyListener: ...


@pytest.fixture(scope="session")
def ca() -> DevelopmentCA:
    """Issues servers and clients."""
    return DevelopmentCA.create("Test Root")


@pytest.fixture(scope="session")
def foreign_ca() -> DevelopmentCA:
    """A CA that nobody here trusts."""
    return DevelopmentCA.create("Foreign Root")


@pytest.fixture(scope="session")
def orders(ca: DevelopmentCA) -> Issued:
    """The server, localhost by name and by address, below an intermediate."""
    return ca.intermediate("Test Issuer").server("localhost")


@pytest.fixture(scope="session")
def foreign_orders(foreign_ca: DevelopmentCA) -> Issued:
    """The same name from a CA that nobody trusts."""
    return foreign_ca.server("localhost")


@pytest.fixture(scope="session")
def billing(ca: DevelopmentCA) -> Identity:
    """The identity that calls."""
    return ca.client("billing").identity


@pytest.fixture(scope="session")
def reports(ca: DevelopmentCA) -> Identity:
    """Another identity."""
    return ca.client("reports").identity


@pytest.fixture(scope="session")
def mutual(orders: Issued, ca: DevelopmentCA) -> ssl.SSLContext:
    """A server that takes nobody without a certificate."""
    return server_context(orders.identity, trust=ca.trust_store(), client_certs="required")


@pytest.fixture(scope="session")
def asking(orders: Issued, ca: DevelopmentCA) -> ssl.SSLContext:
    """A server that asks for a certificate, and takes none for an answer."""
    return server_context(orders.identity, trust=ca.trust_store(), client_certs="optional")


@pytest.fixture(scope="session")
def mutual_over_tls12(orders: Issued, ca: DevelopmentCA, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """The same, of a server that has not heard of TLS 1.3."""
    return tls12_context(orders, ca, tmp_path_factory.mktemp("tls12"))


def tls12_context(server: Issued, client_ca: DevelopmentCA, folder: Path) -> ssl.SSLContext:
    """A context of a server that demands a certificate over TLS 1.2, made by hand."""
    files = server.write(folder, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(cadata=client_ca.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def start() -> Iterator[Start]:
    """Closes what is given to it when the test ends."""
    with contextlib.ExitStack() as stack:

        def started(listener: AnyListener) -> AnyListener:
            stack.callback(listener.close)
            return listener

        yield started


@pytest.fixture
def server(mutual: ssl.SSLContext, start: Start) -> Server:
    """A server that demands a certificate of the CA."""
    return start(Server(mutual))


@pytest.fixture
def orders_over_tls12(mutual_over_tls12: ssl.SSLContext, start: Start) -> Server:
    """The same over TLS 1.2."""
    return start(Server(mutual_over_tls12))


@pytest.fixture
def proxy(start: Start) -> Proxy:
    """A proxy without TLS."""
    return start(Proxy())


@pytest.fixture
def tls_proxy(ca: DevelopmentCA, start: Start) -> Proxy:
    """A proxy with TLS, which would take a client's certificate if it got one."""
    context = server_context(ca.server("localhost").identity, trust=ca.trust_store(), client_certs="optional")
    return start(Proxy(context))
