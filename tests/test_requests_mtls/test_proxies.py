"""Proxies, as users of requests know them; they see neither the identity nor the request."""

from __future__ import annotations

import ssl
import threading
from typing import Any

import pytest
import requests
import urllib3
from urllib3 import Retry

from mtls_core.contexts import server_context
from mtls_core.devca import DevelopmentCA
from mtls_core.identity import Identity
from requests_mtls import InsecureRequest, MTLSAdapter, MTLSSession, ServerVerificationError

from .conftest import Start
from .peers import Proxy, Server


def session_for(identity: Identity, ca: DevelopmentCA, **options: Any) -> MTLSSession:
    return MTLSSession(identity, hosts=["127.0.0.1"], ca=ca.trust_store(), **options)


def test_a_proxy_tunnels(billing: Identity, ca: DevelopmentCA, server: Server, proxy: Proxy) -> None:
    with session_for(billing, ca) as session:
        assert session.get(server.url(), proxies={"https": proxy.url(scheme="http")}).ok

    assert server.certificates == [billing.certificate]
    assert len(proxy.asked) == 1


def test_a_tls_proxy_tunnels_and_never_sees_the_identity(
    billing: Identity, ca: DevelopmentCA, server: Server, tls_proxy: Proxy
) -> None:
    """TLS in TLS: the proxy asks for a certificate, and gets none."""
    with session_for(billing, ca, proxy_ca=ca.trust_store()) as session:
        assert session.get(server.url(), proxies={"https": tls_proxy.url()}).ok

    assert server.certificates == [billing.certificate]
    assert tls_proxy.certificates == [None]


def test_a_tls_proxy_is_verified_by_its_own_ca(
    billing: Identity, ca: DevelopmentCA, server: Server, tls_proxy: Proxy
) -> None:
    """``ca`` is for servers; the proxy's, which is not named here, is one of the system's."""
    with session_for(billing, ca) as session, pytest.raises(ServerVerificationError, match="proxy_ca") as caught:
        session.get(server.url(), proxies={"https": tls_proxy.url()})

    assert "the proxy's certificate CN=localhost" in str(caught.value)
    assert (tls_proxy.asked, server.connections) == ([], 0)


def test_the_proxys_ca_is_no_ca_for_servers(
    billing: Identity, ca: DevelopmentCA, foreign_ca: DevelopmentCA, start: Start, tls_proxy: Proxy
) -> None:
    foreign = foreign_ca.server("localhost")
    server = start(Server(server_context(foreign.identity, trust=ca.trust_store())))
    trusts_both = [ca.pem.encode(), foreign_ca.pem.encode()]
    session = session_for(billing, ca, proxy_ca=b"".join(trusts_both))
    with session, pytest.raises(ServerVerificationError) as caught:
        session.get(server.url(), proxies={"https": tls_proxy.url()})

    assert caught.value.certificate == foreign.certificate


def test_a_tls_proxy_under_another_name_is_refused(
    billing: Identity, ca: DevelopmentCA, server: Server, start: Start
) -> None:
    """CVE-2021-28363: the name of an HTTPS proxy counts. It is not tried again."""
    other = ca.server("proxy.internal")
    misnamed = start(Proxy(server_context(other.identity, trust=ca.trust_store())))
    with (
        session_for(billing, ca, proxy_ca=ca.trust_store(), max_retries=Retry(3)) as session,
        pytest.raises(ServerVerificationError, match=r"proxy\.internal"),
    ):
        session.get(server.url(), proxies={"https": misnamed.url()})

    assert misnamed.connections == 1


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS5"])
def test_socks_is_refused(billing: Identity, ca: DevelopmentCA, server: Server, scheme: str) -> None:
    with session_for(billing, ca) as session, pytest.raises(InsecureRequest, match="not supported"):
        session.get(server.url(), proxies={"https": f"{scheme}://127.0.0.1:1080"})

    assert server.connections == 0


def test_the_environment_names_proxies(
    billing: Identity, ca: DevelopmentCA, server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(scheme="http"))
    with session_for(billing, ca) as session:
        assert session.get(server.url()).ok

    assert len(proxy.asked) == 1


def test_the_environment_names_exceptions(
    billing: Identity, ca: DevelopmentCA, server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(scheme="http"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with session_for(billing, ca) as session:
        assert session.get(server.url()).ok

    assert proxy.connections == 0


def test_a_proxys_credentials_go_to_the_proxy_alone(
    billing: Identity, ca: DevelopmentCA, server: Server, proxy: Proxy
) -> None:
    with session_for(billing, ca) as session:
        session.get(server.url(), proxies={"https": f"http://user:secret@127.0.0.1:{proxy.port}"})

    assert b"Proxy-Authorization: Basic" in proxy.heads[0]
    assert b"Authorization" not in server.requests[0].head


def test_a_proxy_that_cannot_be_reached_is_an_error_of_requests(
    billing: Identity, ca: DevelopmentCA, server: Server
) -> None:
    with session_for(billing, ca) as session, pytest.raises(requests.exceptions.ProxyError):
        session.get(server.url(), proxies={"https": "http://127.0.0.1:1"})


def test_a_tunnel_is_kept_open(billing: Identity, ca: DevelopmentCA, server: Server, tls_proxy: Proxy) -> None:
    with session_for(billing, ca, proxy_ca=ca.trust_store()) as session:
        for _ in range(3):
            assert session.get(server.url(), proxies={"https": tls_proxy.url()}).ok

    assert (len(tls_proxy.asked), server.connections) == (1, 1)


def test_a_proxy_that_would_read_along_is_refused(
    billing: Identity, ca: DevelopmentCA, server: Server, tls_proxy: Proxy
) -> None:
    """urllib3 can hand a request to an HTTPS proxy instead of tunnelling through it."""

    class Forwarding(MTLSAdapter):
        def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> urllib3.ProxyManager:
            return super().proxy_manager_for(proxy, use_forwarding_for_https=True)

    adapter = Forwarding(billing, hosts=["127.0.0.1"], ca=ca.trust_store(), proxy_ca=ca.trust_store())
    with pytest.raises(InsecureRequest, match="only tunnels"):
        adapter.send(requests.Request("GET", server.url()).prepare(), proxies={"https": tls_proxy.url()})

    assert tls_proxy.connections == 0


def test_threads_share_one_manager_whose_pools_check(
    billing: Identity, ca: DevelopmentCA, start: Start, mutual: ssl.SSLContext
) -> None:
    """None of them may get hold of a manager before it is bound."""
    adapter = MTLSAdapter(billing, hosts=["127.0.0.1"], ca=ca.trust_store())
    gate, managers = threading.Barrier(8), []

    def ask() -> None:
        gate.wait()
        managers.append(adapter.proxy_manager_for("http://127.0.0.1:1"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(manager) for manager in managers}) == 1
    assert list(managers[0].pool_classes_by_scheme) == ["https"]
