"""The identity goes to the hosts it is meant for, and to no other."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

from mtls_core.contexts import server_context
from mtls_core.devca import DevelopmentCA
from mtls_core.identity import Identity
from requests_mtls import HostNotAllowed, InsecureRequest, MTLSAdapter, MTLSSession

from .conftest import Start
from .peers import Proxy, Seen, Server, redirect, response

ORDERS = "orders.internal"


@pytest.fixture
def elsewhere(ca: DevelopmentCA, start: Start) -> Server:
    """Another host, which would take a certificate if it got one."""
    issued = ca.server("elsewhere.internal", ips=["127.0.0.2"])
    context = server_context(issued.identity, trust=ca.trust_store(), client_certs="optional")
    return start(Server(context, host="127.0.0.2"))


@pytest.fixture
def system_ca(ca: DevelopmentCA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordinary requests trust the CA of the test as well."""
    (tmp_path / "system.pem").write_text(ca.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "system.pem"))


@pytest.fixture
def adapter(billing: Identity, ca: DevelopmentCA) -> MTLSAdapter:
    return MTLSAdapter(billing, hosts=["127.0.0.1"], ca=ca.trust_store())


@pytest.fixture
def mounted(adapter: MTLSAdapter) -> Iterator[requests.Session]:
    """A session with the adapter under a prefix that fits more than it should."""
    with requests.Session() as session:
        session.mount("https://127.0.0.", adapter)
        yield session


@pytest.fixture
def other_name(ca: DevelopmentCA, start: Start) -> Server:
    """A server under the name that :func:`named` leads to."""
    issued = ca.server(ORDERS)
    return start(Server(server_context(issued.identity, trust=ca.trust_store(), client_certs="optional")))


@pytest.fixture
def named(other_name: Server, start: Start) -> Proxy:
    """Makes names lead to loopback."""
    return start(Proxy(routes={ORDERS: other_name.port, "orders.internal.": other_name.port}))


def test_the_right_host_is_shown_the_identity(mounted: requests.Session, server: Server, billing: Identity) -> None:
    assert mounted.get(server.url()).ok
    assert server.certificates == [billing.certificate]


def test_a_host_that_the_prefix_fits_by_accident_is_refused(mounted: requests.Session, elsewhere: Server) -> None:
    """P26: ``mount("https://h")`` also serves ``https://h.evil.example/``."""
    with pytest.raises(HostNotAllowed, match="mount prefix") as caught:
        mounted.get(elsewhere.url())

    assert elsewhere.connections == 0
    assert (caught.value.host, caught.value.port) == ("127.0.0.2", elsewhere.port)
    assert caught.value.request is not None


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1@evil.example/", "https://127.0.0.1.evil.example/", "https://127.0.0.1:443@evil.example/"]
)
def test_a_url_that_only_begins_like_the_host_is_refused(adapter: MTLSAdapter, url: str) -> None:
    """P26: refused before a name is resolved; ``.example`` would not resolve."""
    with requests.Session() as session:
        session.mount("https://127.0.0.1", adapter)
        with pytest.raises(HostNotAllowed, match=r"evil\.example"):
            session.get(url)


def test_a_redirect_to_another_host_is_refused(
    mounted: requests.Session, mutual: ssl.SSLContext, start: Start, elsewhere: Server
) -> None:
    """P26: the prefix fits, the host does not."""
    server = start(Server(mutual, redirect(elsewhere.url())))
    with pytest.raises(HostNotAllowed):
        mounted.get(server.url())

    assert (len(server.requests), elsewhere.connections) == (1, 0)


@pytest.mark.usefixtures("system_ca")
def test_a_redirect_that_leaves_the_prefix_is_followed_without_identity(
    adapter: MTLSAdapter, mutual: ssl.SSLContext, start: Start, elsewhere: Server
) -> None:
    """P26: requests' own adapter takes over, and has none."""
    server = start(Server(mutual, redirect(elsewhere.url())))
    with requests.Session() as session:
        session.mount("https://127.0.0.1:", adapter)
        assert session.get(server.url()).ok

    assert elsewhere.certificates == [None]


def test_a_redirect_to_the_same_host_keeps_the_identity(
    mounted: requests.Session, mutual: ssl.SSLContext, start: Start, server: Server, billing: Identity
) -> None:
    """The twin: another port of a host that is listed without one."""
    entrance = start(Server(mutual, redirect(server.url())))

    assert mounted.get(entrance.url()).ok
    assert server.certificates == [billing.certificate]


def test_a_redirect_to_plain_http_is_refused(
    billing: Identity, ca: DevelopmentCA, mutual: ssl.SSLContext, start: Start
) -> None:
    plain = start(Server(None))
    server = start(Server(mutual, redirect(plain.url(scheme="http"))))
    with MTLSSession(billing, hosts=["127.0.0.1"], ca=ca.trust_store()) as session, pytest.raises(InsecureRequest):
        session.get(server.url())

    assert plain.connections == 0


def test_plain_http_is_refused(adapter: MTLSAdapter, start: Start) -> None:
    """An identity cannot be shown, and nobody would notice."""
    plain = start(Server(None))
    with requests.Session() as session:
        session.mount("http://", adapter)
        with pytest.raises(InsecureRequest, match="https"):
            session.get(plain.url(scheme="http"))

    assert plain.connections == 0


def test_no_pool_exists_for_another_host(adapter: MTLSAdapter) -> None:
    """Whoever goes round ``send()`` meets the same list."""
    with pytest.raises(HostNotAllowed):
        adapter.poolmanager.connection_from_url("https://evil.example/")


def test_no_pool_exists_for_another_host_behind_a_proxy(adapter: MTLSAdapter) -> None:
    manager = adapter.proxy_manager_for("http://127.0.0.1:1")
    with pytest.raises(HostNotAllowed):
        manager.connection_from_url("https://evil.example/")


@pytest.mark.parametrize("name", [ORDERS, "ORDERS.internal", "orders.internal.", "user:secret@orders.internal"])
def test_a_session_routes_by_host(
    billing: Identity, ca: DevelopmentCA, other_name: Server, named: Proxy, name: str
) -> None:
    """P26: ``mount("https://h/")`` misses ``https://h:443/`` and ``https://u@h/``, and loses pins and identity."""
    with MTLSSession(billing, hosts=[ORDERS], ca=ca.trust_store()) as session:
        url = f"https://{name}:{other_name.port}/"
        assert session.get(url, proxies={"https": named.url(scheme="http")}).ok

    assert other_name.certificates == [billing.certificate]


def test_a_session_refuses_other_hosts(billing: Identity, ca: DevelopmentCA, elsewhere: Server) -> None:
    """P26: and says what to do about it."""
    with (
        MTLSSession(billing, hosts=["127.0.0.1"], ca=ca.trust_store()) as session,
        pytest.raises(HostNotAllowed, match='other_hosts="plain"'),
    ):
        session.get(elsewhere.url())

    assert elsewhere.connections == 0


def test_a_session_refuses_a_redirect_to_other_hosts(
    billing: Identity, ca: DevelopmentCA, mutual: ssl.SSLContext, start: Start, elsewhere: Server
) -> None:
    """P26."""
    server = start(Server(mutual, redirect(elsewhere.url())))
    with MTLSSession(billing, hosts=["127.0.0.1"], ca=ca.trust_store()) as session, pytest.raises(HostNotAllowed):
        session.get(server.url())

    assert elsewhere.connections == 0


@pytest.mark.usefixtures("system_ca")
def test_a_session_may_call_other_hosts_without_the_identity(
    billing: Identity, ca: DevelopmentCA, mutual: ssl.SSLContext, start: Start, elsewhere: Server
) -> None:
    """P26: such as a pre-signed address of an object store, to which the service redirects."""
    server = start(Server(mutual, redirect(elsewhere.url())))
    with MTLSSession(billing, hosts=["127.0.0.1"], ca=ca.trust_store(), other_hosts="plain") as session:
        assert session.get(server.url()).ok

    assert (server.certificates, elsewhere.certificates) == ([billing.certificate], [None])


def test_credentials_do_not_follow_to_other_hosts(
    billing: Identity, ca: DevelopmentCA, mutual: ssl.SSLContext, start: Start
) -> None:
    plain = start(Server(None, host="127.0.0.2"))
    server = start(Server(mutual, redirect(plain.url(scheme="http"))))
    with MTLSSession(billing, hosts=["127.0.0.1"], ca=ca.trust_store(), other_hosts="plain") as session:
        assert session.get(server.url(), auth=("user", "secret")).ok

    assert b"Authorization" in server.requests[0].head
    assert b"Authorization" not in plain.requests[0].head


def test_plain_http_to_the_identitys_host_is_refused_even_then(billing: Identity, start: Start) -> None:
    plain = start(Server(None))
    with MTLSSession(billing, hosts=["127.0.0.1"], other_hosts="plain") as session, pytest.raises(InsecureRequest):
        session.get(plain.url(scheme="http"))

    assert plain.connections == 0


def test_what_is_mounted_does_not_take_the_identitys_hosts(
    billing: Identity, ca: DevelopmentCA, server: Server
) -> None:
    """Mounting ``https://`` is how retries are set up; here it concerns other hosts."""
    with MTLSSession(billing, hosts=["127.0.0.1"], ca=ca.trust_store()) as session:
        session.mount("https://", HTTPAdapter(max_retries=1))
        assert session.get(server.url()).ok

    assert server.certificates == [billing.certificate]


def test_an_ipv6_host(billing: Identity, ca: DevelopmentCA, mutual: ssl.SSLContext, start: Start) -> None:
    server = start(Server(mutual, host="::1"))
    with MTLSSession(billing, hosts=["::1"], ca=ca.trust_store()) as session:
        assert session.get(server.url()).ok


def test_two_identities_for_one_host_share_no_connection(
    billing: Identity, reports: Identity, ca: DevelopmentCA, mutual: ssl.SSLContext, start: Start
) -> None:
    """P26, CVE-2016-5420: one session, one host, two identities by path."""

    def who(seen: Seen) -> bytes:
        return response(seen.certificate.common_names[0].encode() if seen.certificate else b"nobody")

    server = start(Server(mutual, who))
    with requests.Session() as session:
        for name, identity in (("billing", billing), ("reports", reports)):
            adapter = MTLSAdapter(identity, hosts=["127.0.0.1"], ca=ca.trust_store())
            session.mount(server.url(f"/{name}/"), adapter)
        answers = [session.get(server.url(path)).text for path in ("/billing/", "/reports/", "/billing/", "/reports/")]

    assert answers == ["billing", "reports", "billing", "reports"]
    assert server.connections == 2


def test_the_adapter_and_requests_agree_on_where_a_url_leads(adapter: MTLSAdapter) -> None:
    """The host that is checked is the host of the pool."""
    request = requests.Request("GET", "https://u:p@127.0.0.1:8443/x").prepare()
    host, _ = adapter.build_connection_pool_key_attributes(request, True)

    assert host == {"scheme": "https", "host": "127.0.0.1", "port": 8443}
