"""Whom the adapter trusts does not depend on requests, sessions or the environment."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest
import requests
import trustme

from mtls_core.contexts import server_context
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.identity import Identity
from requests_mtls import ConfigurationError, InsecureRequest, MTLSAdapter, ServerVerificationError

from .conftest import Start
from .peers import Server

TRIES = 300


@pytest.fixture
def adapter(billing: Identity, ca: DevelopmentCA) -> MTLSAdapter:
    return MTLSAdapter(billing, hosts=["127.0.0.1"], ca=ca.trust_store())


@pytest.fixture
def session(adapter: MTLSAdapter) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.mount("https://", adapter)
        yield session


@pytest.fixture
def foreign_server(start: Start, foreign_orders: Issued, ca: DevelopmentCA) -> Server:
    """The right name and address, from the wrong CA."""
    return start(Server(server_context(foreign_orders.identity, trust=ca.trust_store())))


def context_of(adapter: MTLSAdapter, url: str) -> ssl.SSLContext:
    request = requests.Request("GET", url).prepare()
    context: ssl.SSLContext = adapter.build_connection_pool_key_attributes(request, True)[1]["ssl_context"]
    return context


@pytest.mark.parametrize(
    "options",
    [{"verify": False}, {"verify": certifi.where()}, {"cert": "client.pem"}, {"cert": ("client.pem", "client.key")}],
)
def test_a_request_on_other_terms_is_refused(session: requests.Session, server: Server, options: Any) -> None:
    """P25: nothing is connected."""
    with pytest.raises(InsecureRequest, match=f"{next(iter(options))}="):
        session.get(server.url(), **options)

    assert server.connections == 0


@pytest.mark.parametrize("options", [{"verify": None}, {"verify": ""}, {"verify": 0}, {"cert": ""}])
def test_a_slip_in_a_direct_call_is_refused(adapter: MTLSAdapter, server: Server, options: Any) -> None:
    """P25, CVE-2021-22939: requests itself takes ``verify=None`` for ``verify=False``."""
    with pytest.raises(InsecureRequest):
        adapter.send(requests.Request("GET", server.url()).prepare(), **options)

    assert server.connections == 0


def test_a_direct_call_is_served(adapter: MTLSAdapter, server: Server) -> None:
    """The twin."""
    assert adapter.send(requests.Request("GET", server.url()).prepare()).ok
    adapter.close()


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_of_the_environment_does_not_count(
    session: requests.Session, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P25: requests passes it as ``verify=path``, even before ``session.verify``."""
    monkeypatch.setenv(name, certifi.where())

    assert session.get(server.url()).ok


def test_a_bundle_of_the_environment_lets_no_other_server_in(
    session: requests.Session,
    foreign_server: Server,
    foreign_ca: DevelopmentCA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P25: the twin."""
    (tmp_path / "foreign.pem").write_text(foreign_ca.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "foreign.pem"))

    with pytest.raises(ServerVerificationError):
        session.get(foreign_server.url())


def test_another_path_is_refused_although_the_environment_names_one(
    session: requests.Session, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P25."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")

    with pytest.raises(InsecureRequest, match="ca="):
        session.get(server.url(), verify=certifi.where())


def test_the_context_never_changes(
    session: requests.Session,
    adapter: MTLSAdapter,
    server: Server,
    billing: Identity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P25: one CA and one identity, whatever was asked for before."""
    context = context_of(adapter, server.url())
    before = context.cert_store_stats(), context.verify_mode, context.check_hostname
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())

    for options in ({}, {"verify": True}, {"verify": False}, {"verify": __file__}, {"cert": __file__}, {}):
        with contextlib.suppress(InsecureRequest):
            session.get(server.url(), **options)
        adapter.close()  # so that each has a handshake of its own

    assert (context.cert_store_stats(), context.verify_mode, context.check_hostname) == before
    assert before[0]["x509_ca"] == 1
    assert context_of(adapter, server.url()) is context
    server.settle()
    assert server.certificates == [billing.certificate] * 3


def test_the_context_refuses_what_urllib3_might_do_to_it(adapter: MTLSAdapter, server: Server) -> None:
    """P25: the last line of defence."""
    context = context_of(adapter, server.url())

    with pytest.raises(ConfigurationError, match="sealed"):
        context.check_hostname = False
    with pytest.raises(ConfigurationError, match="sealed"):
        context.load_verify_locations(certifi.where())


def test_what_is_smuggled_into_the_pools_does_not_count(adapter: MTLSAdapter, foreign_server: Server) -> None:
    """P25: options of a pool that switch checks off, as other adapters set them."""
    adapter.poolmanager.connection_pool_kw.update(
        assert_hostname=False, assert_fingerprint="00" * 32, cert_reqs="CERT_NONE", server_hostname="orders.internal"
    )

    with pytest.raises(ServerVerificationError):
        adapter.send(requests.Request("GET", foreign_server.url()).prepare())


def test_what_is_smuggled_into_the_pools_does_no_harm(adapter: MTLSAdapter, server: Server) -> None:
    """The twin: the certificate is checked for the host of the URL, not for the one of the pool's option."""
    adapter.poolmanager.connection_pool_kw.update(server_hostname="orders.internal", ca_certs=certifi.where())

    assert adapter.send(requests.Request("GET", server.url()).prepare()).ok
    adapter.close()


def test_requests_without_verification_open_no_door_for_others(
    session: requests.Session, foreign_server: Server
) -> None:
    """P25: beside threads with ``verify=False``, other adapters let a server of a foreign CA pass now and then."""
    outcomes: Counter[str] = Counter()
    over = threading.Event()

    def call(**options: Any) -> None:
        try:
            session.get(foreign_server.url(), **options)
            outcomes["accepted"] += 1
        except (InsecureRequest, ServerVerificationError) as error:
            outcomes[type(error).__name__] += 1

    def disturb() -> None:
        while not over.wait(0.001):
            call(verify=False)

    threads = [threading.Thread(target=disturb) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(TRIES):
        call()
    over.set()
    for thread in threads:
        thread.join()

    assert outcomes["accepted"] == 0
    assert outcomes["ServerVerificationError"] == TRIES
    assert outcomes["InsecureRequest"] > 0
    assert foreign_server.requests == []


def test_somebody_elses_ca_is_not_ours(session: requests.Session, start: Start) -> None:
    somebody = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    somebody.issue_cert("127.0.0.1").configure_cert(context)

    with pytest.raises(ServerVerificationError):
        session.get(start(Server(context)).url())
