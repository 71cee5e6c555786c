"""What an adapter and a session can be built from."""

from __future__ import annotations

import contextlib
import select
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from mtls_core.certificate import Certificate
from mtls_core.contexts import server_context
from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.identity import Identity
from requests_mtls import (
    ConfigurationError,
    IdentityExpired,
    MTLSAdapter,
    MTLSSession,
    Pin,
    PinError,
    PinSet,
    ServerVerificationError,
    TrustStore,
)

from .conftest import Start
from .peers import PATIENCE, Server, response


def get(server: Server, identity: Identity, **options: Any) -> requests.Response:
    with MTLSSession(identity, hosts=[server.host], **options) as session:
        return session.get(server.url())


@pytest.mark.parametrize("value", ["", b"", [], (), False, True, 1, b"no certificate", ["/nowhere/ca.pem"]])
def test_a_ca_that_says_nothing_is_refused(billing: Identity, value: Any) -> None:
    """P24, CVE-2021-22939: what is empty by mistake must not mean "trust anybody" nor "trust the public CAs"."""
    with pytest.raises(ConfigurationError):
        MTLSAdapter(billing, hosts=["orders.internal"], ca=value)


def test_a_trust_store_without_certificates_is_refused(billing: Identity) -> None:
    """P24."""
    with pytest.raises(ConfigurationError, match="no certificate"):
        MTLSAdapter(billing, hosts=["orders.internal"], ca=TrustStore(()))


@pytest.mark.parametrize("proxy_ca", ["", b"", []])
def test_a_proxy_ca_that_says_nothing_is_refused(billing: Identity, proxy_ca: Any) -> None:
    """P24."""
    with pytest.raises(ConfigurationError, match="proxy_ca"):
        MTLSAdapter(billing, hosts=["orders.internal"], proxy_ca=proxy_ca)


@pytest.mark.parametrize("pins", [[], (), "", ["not a pin"]])
def test_pins_that_pin_nothing_are_refused(billing: Identity, pins: Any) -> None:
    """P24, CVE-2021-22939."""
    with pytest.raises(PinError):
        MTLSAdapter(billing, hosts=["orders.internal"], pins=pins)


@pytest.mark.parametrize("hosts", [[], ""])
def test_hosts_cannot_be_empty(billing: Identity, hosts: Any) -> None:
    """P24."""
    with pytest.raises(ConfigurationError, match="host"):
        MTLSAdapter(billing, hosts=hosts)


@pytest.mark.parametrize("identity", [None, "billing.pfx", b"", ("cert.pem", "key.pem")])
def test_an_identity_is_loaded_first(identity: Any) -> None:
    with pytest.raises(ConfigurationError, match="from_pfx"):
        MTLSAdapter(identity, hosts=["orders.internal"])


def test_an_unknown_way_with_other_hosts_is_refused(billing: Identity) -> None:
    """P24."""
    with pytest.raises(ConfigurationError, match="other_hosts"):
        MTLSSession(billing, hosts=["orders.internal"], other_hosts="ignore")  # type: ignore[arg-type]


def test_the_ca_may_be_a_path(server: Server, billing: Identity, ca: DevelopmentCA, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(ca.pem)

    assert get(server, billing, ca=tmp_path / "ca.pem").ok
    assert get(server, billing, ca=str(tmp_path / "ca.pem")).ok


def test_the_ca_may_be_several_paths(
    server: Server, billing: Identity, ca: DevelopmentCA, foreign_ca: DevelopmentCA, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(ca.pem)
    (tmp_path / "foreign.pem").write_text(foreign_ca.pem)

    assert get(server, billing, ca=[tmp_path / "foreign.pem", tmp_path / "ca.pem"]).ok


def test_the_ca_may_be_pem_or_der(server: Server, billing: Identity, ca: DevelopmentCA) -> None:
    assert get(server, billing, ca=ca.pem.encode("ascii")).ok
    assert get(server, billing, ca=ca.certificate.der).ok


def test_der_that_is_damaged_is_refused(billing: Identity, ca: DevelopmentCA) -> None:
    with pytest.raises(ConfigurationError, match="DER"):
        MTLSAdapter(billing, hosts=["orders.internal"], ca=ca.certificate.der[:-1])


def test_the_ca_may_be_a_self_signed_server_itself(start: Start, billing: Identity, ca: DevelopmentCA) -> None:
    lone = self_signed("localhost", ips=["127.0.0.1"], usage=("server",))
    server = start(Server(server_context(lone.identity, trust=ca.trust_store())))

    assert get(server, billing, ca=lone.certificate.pem.encode("ascii")).ok


def test_without_a_ca_the_system_decides(server: Server, billing: Identity) -> None:
    """The CA of the test is not among the system's."""
    with pytest.raises(ServerVerificationError):
        get(server, billing)


def test_the_system_may_be_told(
    server: Server, billing: Identity, ca: DevelopmentCA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: ``SSL_CERT_FILE`` is where OpenSSL looks for the system's CAs."""
    (tmp_path / "system.pem").write_text(ca.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))

    assert get(server, billing).ok


def test_one_pin_needs_no_list(server: Server, billing: Identity, ca: DevelopmentCA) -> None:
    pin = Pin.for_public_key(ca.certificate)

    assert get(server, billing, ca=ca.trust_store(), pins=pin).ok
    assert get(server, billing, ca=ca.trust_store(), pins=str(pin)).ok
    assert get(server, billing, ca=ca.trust_store(), pins=PinSet(pin)).ok


def test_the_minimum_version_holds(orders_over_tls12: Server, billing: Identity, ca: DevelopmentCA) -> None:
    with pytest.raises(requests.exceptions.SSLError, match=r"(?i)version"):
        get(orders_over_tls12, billing, ca=ca.trust_store(), minimum_version="TLSv1.3")


def test_tls_1_2_is_enough_by_default(orders_over_tls12: Server, billing: Identity, ca: DevelopmentCA) -> None:
    assert get(orders_over_tls12, billing, ca=ca.trust_store()).ok


@pytest.mark.parametrize("days", [-1, 31])
def test_an_identity_out_of_date_is_not_shown(server: Server, billing: Identity, ca: DevelopmentCA, days: int) -> None:
    """P27: refused before anything is connected. Its certificate is valid for 30 days."""
    with pytest.raises(IdentityExpired, match="billing") as caught:
        get(server, billing, ca=ca.trust_store(), clock=lambda: datetime.now(UTC) + timedelta(days=days))

    assert server.connections == 0
    assert caught.value.certificate == billing.certificate
    assert caught.value.request is not None


def test_an_identity_that_will_expire_tomorrow_is_shown(server: Server, billing: Identity, ca: DevelopmentCA) -> None:
    """The twin."""
    assert get(server, billing, ca=ca.trust_store(), clock=lambda: billing.certificate.not_after - timedelta(days=1)).ok


def test_an_identity_that_expires_under_an_open_connection_is_not_used_again(
    server: Server, billing: Identity, ca: DevelopmentCA
) -> None:
    """P27."""
    now = [datetime.now(UTC)]
    with MTLSSession(billing, hosts=[server.host], ca=ca.trust_store(), clock=lambda: now[0]) as session:
        assert session.get(server.url()).ok
        now[0] += timedelta(days=365)
        with pytest.raises(IdentityExpired):
            session.get(server.url())

    assert len(server.requests) == 1


def test_intermediates_of_the_identity_are_sent(start: Start, orders: Issued, ca: DevelopmentCA) -> None:
    """.NET leaves them out (dotnet/runtime#47680)."""
    caller = ca.intermediate("Clients").client("deep")
    server = start(Server(server_context(orders.identity, trust=ca.trust_store(), client_certs="required")))

    assert get(server, caller.identity, ca=ca.trust_store()).ok
    assert server.certificates == [caller.certificate]


def test_the_context_writes_no_session_secrets(
    server: Server, billing: Identity, ca: DevelopmentCA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3's own context would, wherever the environment says."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))

    assert get(server, billing, ca=ca.trust_store()).ok
    assert not (tmp_path / "keys.log").exists()


def test_the_repr_says_who_and_whom(billing: Identity) -> None:
    shown = repr(MTLSAdapter(billing, hosts=["orders.internal", "*.stock.internal"]))

    assert "CN=billing" in shown
    assert "*.stock.internal, orders.internal" in shown


def test_adapter_and_session_say_who_calls(billing: Identity) -> None:
    assert MTLSAdapter(billing, hosts=["orders.internal"]).identity is billing
    assert MTLSSession(billing, hosts=["orders.internal"]).identity is billing


def test_a_server_that_asks_later_gets_the_certificate(
    start: Start, orders: Issued, billing: Identity, ca: DevelopmentCA
) -> None:
    """TLS 1.3 post-handshake authentication: without it on the context, the connection would be dropped."""

    class AsksLater(Server):
        def _serve_http(self, connection: Any, certificate: Certificate | None) -> None:
            self.respond = lambda seen: response(ask(connection) or b"nobody")
            super()._serve_http(connection, certificate)

    context = server_context(orders.identity, trust=ca.trust_store(), client_certs="on_demand")
    server = start(AsksLater(context))

    assert get(server, billing, ca=ca.trust_store()).content == billing.certificate.der
    assert server.certificates == [None]


def ask(connection: ssl.SSLSocket) -> bytes | None:
    """Demand a certificate on a connection, in the middle of a request."""
    connection.verify_client_post_handshake()
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.setblocking(False)
    while True:
        select.select([connection], [], [], PATIENCE)
        with contextlib.suppress(ssl.SSLWantReadError):
            connection.recv(1)
        with contextlib.suppress(ValueError):  # the handshake is not over
            certificate = connection.getpeercert(True)
            connection.settimeout(PATIENCE)
            return certificate
