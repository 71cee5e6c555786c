"""Proxies known by the certificate they show, and callers who come past them: real handshakes with Werkzeug."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_mtls import MTLS
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.trust import TrustStore

from .conftest import Clock, MakeApp
from .serving import Answer, Caller, running
from .test_forwarded import item

EDGE = "spiffe://example.org/edge"


@pytest.fixture(scope="module")
def proxy_ca() -> DevelopmentCA:
    """Issues the certificates of proxies, and no client's."""
    return DevelopmentCA.create("Proxy CA")


@pytest.fixture(scope="module")
def edge(proxy_ca: DevelopmentCA) -> Issued:
    return proxy_ca.client("edge", uris=[EDGE])


@pytest.fixture(scope="module")
def other(proxy_ca: DevelopmentCA) -> Issued:
    """Of the same issuer, and no proxy."""
    return proxy_ca.client("other", uris=["spiffe://example.org/other"])


@pytest.fixture(scope="module")
def trust(ca: DevelopmentCA) -> TrustStore:
    return ca.trust_store()


@pytest.fixture
def behind(make_app: MakeApp, orders: Issued, proxy_ca: DevelopmentCA) -> Any:
    """An app that serves TLS to proxies that show a certificate."""

    def make(*trusted: str, mtls: MTLS | None = None, **settings: Any) -> Flask:
        defaults = {
            "MTLS_IDENTITY": orders.identity,
            "MTLS_FORWARDED": "rfc9440",
            "MTLS_TRUSTED_PROXIES": list(trusted),
            "MTLS_PROXY_CA": proxy_ca.pem,
        }
        return make_app(mtls, **defaults | settings)

    return make


def ask(app: Flask, shown: Issued | None, client: Issued | None, trust: TrustStore, path: str = "/protected") -> Answer:
    """A request over a connection with one certificate, and with another in the header."""
    with running(app) as port, Caller(port, shown, trust) as caller:
        headers = {"Client-Cert": item(client)} if client else {}
        return caller.get(path, headers=headers)


PINS: dict[str, Callable[[Issued], str]] = {
    "public key": lambda issued: f"sha256/{issued.certificate.spki_pin}",
    "thumbprint": lambda issued: issued.certificate.thumbprint,
    "SPIFFE ID": lambda issued: issued.certificate.uris[0],
}


@pytest.mark.parametrize("pin", PINS.values(), ids=PINS)
def test_a_proxy_that_is_pinned_speaks_for_clients(
    pin: Callable[[Issued], str], behind: Any, edge: Issued, billing: Issued, trust: TrustStore
) -> None:
    assert ask(behind(pin(edge)), edge, billing, trust).document == {"caller": ["billing"]}


@pytest.mark.parametrize("pin", PINS.values(), ids=PINS)
def test_another_of_its_issuer_does_not(
    pin: Callable[[Issued], str], behind: Any, edge: Issued, other: Issued, billing: Issued, trust: TrustStore
) -> None:
    for path in ("/protected", "/public"):
        assert ask(behind(pin(edge)), other, billing, trust, path).outcome == "untrusted_proxy"


def test_nor_does_who_shows_none(behind: Any, billing: Issued, trust: TrustStore) -> None:
    assert ask(behind(EDGE), None, billing, trust).outcome == "untrusted_proxy"


def test_the_proxys_certificate_is_never_the_clients(
    behind: Any, edge: Issued, trust: TrustStore, ca: DevelopmentCA
) -> None:
    app = behind(EDGE)
    assert ask(app, edge, None, trust).outcome == "certificate_required"
    assert ask(app, edge, None, trust, "/public").document == {"caller": None}
    # Not even where its issuer is the clients' as well.
    own = ca.client("edge", uris=[EDGE])
    app = behind(EDGE, MTLS_PROXY_CA=None)
    assert ask(app, own, None, trust).outcome == "certificate_required"


def test_the_proxys_issuer_is_not_the_clients(behind: Any, edge: Issued, other: Issued, trust: TrustStore) -> None:
    assert ask(behind(EDGE), edge, other, trust).outcome == "issuer_not_found"


def test_without_an_issuer_of_its_own_the_clients_counts(
    behind: Any, ca: DevelopmentCA, billing: Issued, trust: TrustStore
) -> None:
    own = ca.client("edge", uris=[EDGE])
    assert ask(behind(EDGE, MTLS_PROXY_CA=None), own, billing, trust).status == 200


def test_a_proxy_needs_the_place_and_the_certificate_where_both_are_named(
    behind: Any, edge: Issued, other: Issued, billing: Issued, trust: TrustStore
) -> None:
    here, elsewhere = behind("127.0.0.1", EDGE), behind("10.0.0.0/8", EDGE)
    assert ask(here, edge, billing, trust).status == 200
    assert ask(here, other, billing, trust).outcome == "untrusted_proxy"
    assert ask(elsewhere, edge, billing, trust).outcome == "untrusted_proxy"


def test_a_proxys_certificate_expires_like_any(
    behind: Any, proxy_ca: DevelopmentCA, billing: Issued, trust: TrustStore, clock: Clock
) -> None:
    brief = proxy_ca.client("edge", uris=[EDGE], not_after=clock.now + timedelta(hours=1))
    app = behind(EDGE)
    with running(app) as port, Caller(port, brief, trust) as caller:
        headers = {"Client-Cert": item(billing)}
        assert caller.get(headers=headers).status == 200
        clock.move(hours=2)
        assert caller.get(headers=headers).outcome == "untrusted_proxy"


def test_a_proxys_certificate_is_revoked_like_any(
    behind: Any,
    proxy_ca: DevelopmentCA,
    billing: Issued,
    trust: TrustStore,
    tmp_path: Path,
    edge: Issued,
    other: Issued,
) -> None:
    crl = tmp_path / "proxies.crl"
    crl.write_bytes(proxy_ca.crl([edge]))
    app = behind(EDGE, "spiffe://example.org/other", MTLS_CRLS=str(crl))
    assert ask(app, edge, billing, trust).outcome == "untrusted_proxy"
    assert ask(app, other, billing, trust).status == 200


def test_the_pins_of_clients_are_not_those_of_proxies(
    behind: Any, edge: Issued, billing: Issued, stock: Issued, trust: TrustStore
) -> None:
    app = behind(EDGE, MTLS_ALLOWED=billing.certificate.thumbprint)
    assert ask(app, edge, billing, trust).status == 200


# Both at once


@pytest.fixture
def both(behind: Any) -> Flask:
    app: Flask = behind(EDGE, MTLS_FORWARDED_DIRECT=True)
    return app


def test_a_caller_past_the_proxy_counts_only_if_told_so(
    behind: Any, both: Flask, billing: Issued, trust: TrustStore
) -> None:
    assert ask(both, billing, None, trust).document == {"caller": ["billing"]}
    with_one_issuer = behind(EDGE, MTLS_PROXY_CA=None)
    assert ask(with_one_issuer, billing, None, trust).outcome == "certificate_required"


def test_the_refusal_says_what_to_set(
    behind: Any, billing: Issued, trust: TrustStore, caplog: pytest.LogCaptureFixture
) -> None:
    ask(behind(EDGE, MTLS_PROXY_CA=None), billing, None, trust)
    assert "does not count without MTLS_FORWARDED_DIRECT" in caplog.text


def test_with_both_the_header_of_the_proxy_speaks(
    both: Flask, edge: Issued, billing: Issued, trust: TrustStore
) -> None:
    assert ask(both, edge, billing, trust).document == {"caller": ["billing"]}
    assert ask(both, edge, None, trust).outcome == "certificate_required"


def test_with_both_a_caller_speaks_for_himself_alone(
    both: Flask, billing: Issued, stock: Issued, trust: TrustStore
) -> None:
    assert ask(both, stock, billing, trust).outcome == "untrusted_proxy"
    assert ask(both, stock, None, trust).document == {"caller": ["stock"]}


def test_with_both_the_proxys_own_certificate_is_no_clients(
    behind: Any, ca: DevelopmentCA, trust: TrustStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It has moved; and what it sends for a client without certificate has no header."""
    proxy = ca.client("edge", uris=[EDGE])
    app = behind("10.0.0.5", EDGE, MTLS_PROXY_CA=None, MTLS_FORWARDED_DIRECT=True)
    assert ask(app, proxy, None, trust).outcome == "untrusted_proxy"
    assert "shows the certificate of a proxy, which is no client's, and 127.0.0.1 is not in" in caplog.text


def test_with_both_a_certificate_of_the_proxies_issuer_is_no_clients(
    both: Flask, other: Issued, trust: TrustStore
) -> None:
    assert ask(both, other, None, trust).outcome == "issuer_not_found"


def test_with_both_it_is_said_at_start(behind: Any, caplog: pytest.LogCaptureFixture) -> None:
    behind(EDGE, MTLS_FORWARDED_DIRECT=True)
    assert "callers may come by a proxy or past it" in caplog.text


# The TLS layer


def test_a_proxy_known_by_its_address_is_asked_for_no_certificate(
    behind: Any, edge: Issued, billing: Issued, trust: TrustStore, ca: DevelopmentCA
) -> None:
    """Whatever certificate it might offer is nobody's business, even a foreign one."""
    foreign = DevelopmentCA.create("Foreign").client("edge")
    app = behind("127.0.0.1", MTLS_PROXY_CA=None)
    assert ask(app, foreign, billing, trust).document == {"caller": ["billing"]}


def test_on_demand_asks_who_comes_past_the_proxy(behind: Any, edge: Issued, billing: Issued, trust: TrustStore) -> None:
    app = behind("127.0.0.2", MTLS_PROXY_CA=None, MTLS_FORWARDED_DIRECT=True, MTLS_CLIENT_CERTS="on_demand")
    assert ask(app, billing, None, trust).document == {"caller": ["billing"]}


def test_on_demand_does_not_ask_a_proxy(behind: Any, billing: Issued, trust: TrustStore) -> None:
    """Which would answer for itself."""
    app = behind("127.0.0.1", MTLS_PROXY_CA=None, MTLS_FORWARDED_DIRECT=True, MTLS_CLIENT_CERTS="on_demand")
    assert ask(app, billing, None, trust).outcome == "certificate_required"
