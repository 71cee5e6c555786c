"""Werkzeug over mutual TLS: real handshakes with a server in this process."""

from __future__ import annotations

import gc
import logging
import os
import socket
import ssl
import struct
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_mtls import MTLS, ConfigurationError, cert_required
from mtls_core.contexts import client_context
from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.trust import TrustStore

from .conftest import Clock, MakeApp
from .serving import Caller, fetch, running


@pytest.fixture(scope="module")
def trust(ca: DevelopmentCA) -> TrustStore:
    return ca.trust_store()


@pytest.fixture
def serving_app(make_app: MakeApp, orders: Issued) -> Any:
    def make(mtls: MTLS | None = None, **settings: Any) -> Flask:
        return make_app(mtls, **{"MTLS_IDENTITY": orders.identity} | settings)

    return make


def test_caller_is_known(serving_app: MakeApp, billing: Issued, trust: TrustStore) -> None:
    with running(serving_app()) as port:
        assert fetch(port, billing, trust).document == {"caller": ["billing"]}


def test_intermediate_that_was_sent_counts(serving_app: MakeApp, stock: Issued, trust: TrustStore) -> None:
    with running(serving_app()) as port:
        assert fetch(port, stock, trust).document == {"caller": ["stock"]}


def test_no_certificate(serving_app: MakeApp, trust: TrustStore) -> None:
    with running(serving_app()) as port:
        assert fetch(port, None, trust).outcome == "certificate_required"
        assert fetch(port, None, trust, "/public").document == {"caller": None}


def test_expired_certificate_gets_an_answer(serving_app: MakeApp, expired: Issued, trust: TrustStore) -> None:
    """Where a certificate is optional, its dates are the application's business."""
    with running(serving_app()) as port:
        assert fetch(port, expired, trust).outcome == "expired"


@pytest.mark.parametrize(
    ("settings", "outcome"), [({"MTLS_CHECK_VALIDITY": False}, 200), ({"MTLS_CLOCK_SKEW": 60}, "expired")]
)
def test_expired_certificate_where_the_tls_layer_cannot_judge(
    serving_app: MakeApp, expired: Issued, trust: TrustStore, settings: dict[str, Any], outcome: object
) -> None:
    """OpenSSL knows of no clock skew."""
    with running(serving_app(MTLS_CLIENT_CERTS="required", **settings)) as port:
        assert fetch(port, expired, trust).outcome == outcome


def test_expired_certificate_where_one_is_required(serving_app: MakeApp, expired: Issued, trust: TrustStore) -> None:
    with (
        running(serving_app(MTLS_CLIENT_CERTS="required")) as port,
        pytest.raises(ssl.SSLError, match=r"(?i)certificate.expired"),
    ):
        fetch(port, expired, trust)


def test_required_ends_the_handshake_of_who_has_none(
    serving_app: MakeApp, trust: TrustStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="flask_mtls")
    with running(serving_app(MTLS_CLIENT_CERTS="required")) as port, pytest.raises(ssl.SSLError):
        fetch(port, None, trust)
    assert any('sent no certificate, and MTLS_CLIENT_CERTS is "required"' in each for each in caplog.messages)


def test_off_asks_for_none(serving_app: MakeApp, billing: Issued, trust: TrustStore) -> None:
    with running(serving_app(MTLS_CLIENT_CERTS="off")) as port:
        assert fetch(port, billing, trust).outcome == "certificate_required"


def test_refused_in_the_handshake_tells_both_sides_why(
    serving_app: MakeApp, foreign_ca: DevelopmentCA, trust: TrustStore, caplog: pytest.LogCaptureFixture
) -> None:
    with running(serving_app()) as port, pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        fetch(port, foreign_ca.client("intruder"), trust)
    (line,) = caplog.messages
    assert "client certificate refused: unable to get local issuer certificate" in line
    assert "CN=intruder" in line


def test_plain_http_is_named_in_the_log(serving_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="flask_mtls")
    with running(serving_app()) as port, socket.create_connection(("localhost", port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in plain.recv(1024)
        plain.close()
    assert any("spoke plain HTTP" in message for message in caplog.messages)


def test_client_that_does_not_trust_us_is_named_in_the_log(
    serving_app: MakeApp, billing: Issued, foreign_ca: DevelopmentCA, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="flask_mtls")
    with running(serving_app()) as port, pytest.raises(ssl.SSLCertVerificationError):
        fetch(port, billing, foreign_ca.trust_store())
    assert any("with the alert 'unknown ca'" in message for message in caplog.messages)


def test_client_that_stalls_holds_up_nobody(serving_app: MakeApp, billing: Issued, trust: TrustStore) -> None:
    with running(serving_app()) as port:
        stalled = [socket.create_connection(("localhost", port)) for _ in range(20)]
        for each in stalled[:10]:
            each.sendall(b"\x16\x03\x01")
        assert fetch(port, billing, trust).outcome == 200
        for each in stalled:
            each.close()


def test_handshake_that_drips_ends_at_the_deadline(serving_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    """One deadline for all of it: the bytes that come now and then do not extend it."""
    caplog.set_level(logging.INFO, logger="flask_mtls")
    hello = b"\x16\x03\x01\x02\x00" + bytes(512)
    with (
        running(serving_app(MTLS_HANDSHAKE_TIMEOUT=0.5)) as port,
        socket.create_connection(("localhost", port), timeout=0.1) as slow,
    ):
        for byte in hello:
            try:
                slow.sendall(bytes([byte]))
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the server listened to the end")
    assert any("longer than MTLS_HANDSHAKE_TIMEOUT" in message for message in caplog.messages)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(serving_app: MakeApp, ca: DevelopmentCA, trust: TrustStore, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cadata=ca.pem)
    context.minimum_version = context.maximum_version = version
    with (
        running(serving_app(MTLS_MINIMUM_VERSION="TLSv1.3")) as port,
        Caller(port, None, trust, context=context) as caller,
    ):
        if version is ssl.TLSVersion.TLSv1_3:
            assert caller.get("/public").status == 200
        else:
            with pytest.raises(ssl.SSLError):
                caller.get("/public")


def test_self_signed_certificate_that_is_named(serving_app: MakeApp, trust: TrustStore) -> None:
    """A03, over a real handshake: OpenSSL passes it because it has it."""
    device, other = (self_signed("device", usage=("client",)) for _ in range(2))
    app = serving_app(
        MTLS_CERTIFICATE_TYPES=["self_signed"], MTLS_CLIENT_CA=None, MTLS_ALLOWED=[device.certificate.pem]
    )
    with running(app) as port:
        assert fetch(port, device, trust).outcome == 200
        with pytest.raises(ssl.SSLError):
            fetch(port, other, trust)


def test_self_signed_certificate_of_which_only_the_pin_is_known_cannot_be_served(serving_app: MakeApp) -> None:
    app = serving_app(MTLS_CERTIFICATE_TYPES=["self_signed"], MTLS_CLIENT_CA=None, MTLS_ALLOWED="ab" * 32)
    with pytest.raises(ConfigurationError, match="put its file into MTLS_ALLOWED instead of its pin"), running(app):
        pass


def test_one_self_signed_certificate_of_which_only_the_pin_is_known_is_warned_of(
    serving_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    device = self_signed("device", usage=("client",))
    allowed = [device.certificate, "ab" * 32]
    app = serving_app(MTLS_CERTIFICATE_TYPES=["self_signed"], MTLS_CLIENT_CA=None, MTLS_ALLOWED=allowed)
    with running(app):
        assert f"of {'ab' * 32} only the pin is known" in caplog.text


def test_view_that_stands_open_by_mistake_is_not_served(serving_app: MakeApp) -> None:
    app = serving_app()
    cert_required(app.get("/open", endpoint="open")(lambda: "secret"))
    with pytest.raises(ConfigurationError, match="without its @cert_required"), running(app):
        pass


def test_removed_ca_is_out_for_new_connections(
    serving_app: MakeApp, ca: DevelopmentCA, foreign_ca: DevelopmentCA, trust: TrustStore, tmp_path: Path
) -> None:
    """P9: the TLS layer follows the same files. (Werkzeug keeps no connection open; gunicorn's tests do.)"""
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem + foreign_ca.pem)
    mtls = MTLS()
    app = serving_app(mtls, MTLS_CLIENT_CA=file)
    guest = foreign_ca.client("guest")
    with running(app) as port:
        assert fetch(port, guest, trust).outcome == 200
        file.write_text(ca.pem)
        mtls.reload(app)
        with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
            fetch(port, guest, trust)


def test_resumed_session_is_no_way_round_a_removed_ca(
    serving_app: MakeApp, ca: DevelopmentCA, foreign_ca: DevelopmentCA, trust: TrustStore, tmp_path: Path
) -> None:
    """P9, CVE-2025-68121: a session from before the change does not bring its certificate along."""
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem + foreign_ca.pem)
    mtls = MTLS()
    app = serving_app(mtls, MTLS_CLIENT_CA=file)
    context = client_context(foreign_ca.client("guest").identity, trust=trust)

    def attempt(port: int, session: ssl.SSLSession | None) -> tuple[bytes, bool | None, ssl.SSLSession | None]:
        with (
            socket.create_connection(("localhost", port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(b"GET /protected HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(12), connection.session_reused, connection.session

    with running(app) as port:
        status, _, session = attempt(port, None)
        assert status.endswith(b"200")
        assert attempt(port, session)[:2] == (status, True)
        file.write_text(ca.pem)
        mtls.reload(app)
        with pytest.raises(ssl.SSLError):
            attempt(port, session)


def test_broken_replacement_keeps_serving(
    serving_app: MakeApp, ca: DevelopmentCA, orders: Issued, billing: Issued, trust: TrustStore, tmp_path: Path
) -> None:
    """P9: half of a pair changes nothing, and the whole pair does."""
    files = orders.write(tmp_path, "orders")
    mtls = MTLS()
    app = serving_app(mtls, MTLS_IDENTITY=files.certificate, MTLS_IDENTITY_KEY=files.key)
    renewed = ca.server("localhost")
    with running(app) as port:
        files.certificate.write_bytes(renewed.certificate_pem)
        with pytest.raises(ConfigurationError, match="MTLS_IDENTITY"):
            mtls.reload(app)
        assert served_certificate(port) == orders.certificate.der
        files.key.write_bytes(renewed.key_pem())
        mtls.reload(app)
        assert served_certificate(port) == renewed.certificate.der
        assert fetch(port, billing, trust).outcome == 200


def served_certificate(port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("localhost", port), timeout=10) as raw, context.wrap_socket(raw) as connection:
        return connection.getpeercert(True) or b""


def test_identity_that_expires_in_service_does_not_keep_a_removed_ca(
    serving_app: MakeApp,
    ca: DevelopmentCA,
    foreign_ca: DevelopmentCA,
    clock: Clock,
    tmp_path: Path,
) -> None:
    """P9: what is loaded anew is whole or not at all, and still nobody stays trusted because of it."""
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem + foreign_ca.pem)
    mtls = MTLS(clock=clock)
    short = ca.server("localhost", not_after=clock.now + timedelta(minutes=1))
    app = serving_app(mtls, MTLS_CLIENT_CA=file, MTLS_IDENTITY=short.identity)
    with running(app):
        clock.move(minutes=5)
        file.write_text(ca.pem)
        mtls.reload(app)
        assert app.extensions["mtls"].watched.current().material.trust.anchors == (ca.certificate,)


def test_two_apps_two_ports(
    serving_app: MakeApp, billing: Issued, foreign_ca: DevelopmentCA, trust: TrustStore
) -> None:
    """CVE-2025-23419: a session of one app never authenticates in the other."""
    mtls = MTLS()
    guest = foreign_ca.client("guest")
    with running(serving_app(mtls)) as ours, running(serving_app(mtls, MTLS_CLIENT_CA=foreign_ca.pem)) as theirs:
        assert fetch(ours, billing, trust).outcome == 200
        assert fetch(theirs, guest, trust).outcome == 200
        with pytest.raises(ssl.SSLError):
            fetch(theirs, billing, trust)
        with pytest.raises(ssl.SSLError):
            fetch(ours, guest, trust)


def test_a_thousand_bad_handshakes(
    serving_app: MakeApp,
    foreign_ca: DevelopmentCA,
    billing: Issued,
    trust: TrustStore,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """P15: garbage, silence, reset, aborted and refused handshakes leave nothing behind, and the service alive."""
    refused = client_context(foreign_ca.client("intruder").identity, trust=trust)
    garbage = [b"", b"\x16", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x80" * 100]

    def bad(number: int) -> None:
        try:
            with socket.create_connection(("localhost", port), timeout=10) as raw:
                if number % 10 == 0:
                    with refused.wrap_socket(raw, server_hostname="localhost") as connection:
                        connection.recv(1)
                elif number % 7 == 0:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing is a reset
                    raw.sendall(b"\x16")
                else:
                    raw.sendall(garbage[number % len(garbage)])
                    raw.shutdown(socket.SHUT_WR)
                    while raw.recv(1024):  # to the end, so that connections do not pile up
                        pass
        except OSError:
            return

    with running(serving_app()) as port:
        for number in range(100):
            bad(number)
        settle(port, billing, trust)
        descriptors, memory = len(os.listdir("/proc/self/fd")), resident()
        for number in range(1000):
            bad(number)
        settle(port, billing, trust)
        assert len(os.listdir("/proc/self/fd")) <= descriptors
        assert resident() - memory < 5 * 1024 * 1024
    assert "Traceback" not in capfd.readouterr().err


def settle(port: int, caller: Issued, trust: TrustStore) -> None:
    """A request that succeeds, and no thread left of those before."""
    assert fetch(port, caller, trust).outcome == 200
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(timeout=15)
    gc.collect()


def resident() -> int:
    """Bytes of memory that this process has in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_on_demand_asks_when_a_protected_view_is_reached(
    serving_app: MakeApp, stock: Issued, trust: TrustStore, method: str
) -> None:
    """K05, K08: not before, and with the body read."""
    body = b"x" * 100_000 if method == "POST" else None
    with running(serving_app(MTLS_CLIENT_CERTS="on_demand")) as port:
        assert fetch(port, stock, trust, "/public").document == {"caller": None}
        assert fetch(port, stock, trust, method=method, body=body).document == {"caller": ["stock"]}


def test_on_demand_client_that_declines(serving_app: MakeApp, trust: TrustStore) -> None:
    """K06."""
    with running(serving_app(MTLS_CLIENT_CERTS="on_demand")) as port:
        assert fetch(port, None, trust).outcome == "certificate_required"


def test_on_demand_client_that_cannot_be_asked(
    serving_app: MakeApp, ca: DevelopmentCA, trust: TrustStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="flask_mtls")
    context = ssl.create_default_context(cadata=ca.pem)
    with (
        running(serving_app(MTLS_CLIENT_CERTS="on_demand")) as port,
        Caller(port, None, trust, context=context) as caller,
    ):
        assert caller.get().outcome == "certificate_required"
    assert "did not offer to be asked later" in caplog.text


def test_on_demand_body_that_is_too_long_to_keep(serving_app: MakeApp, stock: Issued, trust: TrustStore) -> None:
    """K07: the question would be answered in the middle of it."""
    body = b"x" * (1024 * 1024 + 1)
    with running(serving_app(MTLS_CLIENT_CERTS="on_demand")) as port:
        assert fetch(port, stock, trust, method="POST", body=body).outcome == "certificate_required"


def test_on_demand_certificate_of_somebody_else(
    serving_app: MakeApp, foreign_ca: DevelopmentCA, trust: TrustStore, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(serving_app(MTLS_CLIENT_CERTS="on_demand")) as port, pytest.raises(OSError):  # noqa: PT011 - an alert, or a reset
        fetch(port, foreign_ca.client("intruder"), trust)
    assert "Traceback" not in capfd.readouterr().err
