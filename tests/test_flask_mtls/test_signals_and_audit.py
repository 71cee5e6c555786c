"""What the application hears, and what stands in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from blinker import NamedSignal
from flask import Flask

from flask_mtls import (
    MTLS,
    cert_required,
    certificate_accepted,
    certificate_missing,
    certificate_rejected,
    common_name,
)
from flask_mtls.audit import quoted
from mtls_core.devca import DevelopmentCA, Issued

from .conftest import MakeApp

SIGNALS = {"accepted": certificate_accepted, "rejected": certificate_rejected, "missing": certificate_missing}

Heard = list[tuple[str, dict[str, Any]]]


@contextmanager
def listening(app: Flask) -> Iterator[Heard]:
    heard: Heard = []

    def listener(name: str) -> Any:
        return lambda sender, **values: heard.append((name, values))

    listeners: list[tuple[NamedSignal, Any]] = [(signal, listener(name)) for name, signal in SIGNALS.items()]
    for signal, receive in listeners:
        signal.connect(receive, app)
    yield heard
    for signal, receive in listeners:
        signal.disconnect(receive, app)


def test_acceptance_is_signalled_once_a_request(make_app: MakeApp, billing: Issued) -> None:
    app = make_app(MTLS_REQUIRE="all")
    with listening(app) as heard:
        app.test_client(cert=billing).get("/protected")
    assert [name for name, _ in heard] == ["accepted"]
    assert heard[0][1]["peer"].certificate == billing.certificate


def test_rejection_is_signalled_once_a_request(make_app: MakeApp, expired: Issued) -> None:
    app = make_app()
    with listening(app) as heard:
        app.test_client(cert=expired).get("/protected")
    assert [name for name, _ in heard] == ["rejected"]
    assert heard[0][1]["rejection"].reason == "expired"


def test_missing_certificate_is_signalled(make_app: MakeApp) -> None:
    """What ASP.NET has no event for."""
    app = make_app()
    with listening(app) as heard:
        app.test_client().get("/protected")
    assert [name for name, _ in heard] == ["missing"]
    assert heard[0][1]["rejection"].reason == "certificate_required"


def test_certificate_that_nobody_asks_for_is_not_signalled(make_app: MakeApp) -> None:
    app = make_app()
    with listening(app) as heard:
        app.test_client().get("/public")
    assert heard == []


def test_rule_that_does_not_hold_is_signalled(make_app: MakeApp, billing: Issued) -> None:
    app = make_app()
    app.add_url_rule("/stock", view_func=cert_required(common_name("stock"))(lambda: ""), endpoint="stock")
    with listening(app) as heard:
        app.test_client(cert=billing).get("/stock")
    assert [name for name, _ in heard] == ["accepted", "rejected"]
    assert heard[1][1]["rejection"].reason == "not_authorized"


def test_app_hears_of_its_own_requests_alone(make_app: MakeApp, billing: Issued) -> None:
    mtls = MTLS()
    one, other = make_app(mtls), make_app(mtls)
    with listening(one) as heard:
        other.test_client(cert=billing).get("/protected")
    assert heard == []


def test_asynchronous_receiver(make_app: MakeApp, billing: Issued) -> None:
    heard = []

    async def receive(sender: Flask, **values: Any) -> None:
        heard.append(values["peer"].common_names)

    app = make_app()
    with certificate_accepted.connected_to(receive, app):
        app.test_client(cert=billing).get("/protected")
    assert heard == [("billing",)]


def test_refusal_is_one_line(make_app: MakeApp, expired: Issued, caplog: pytest.LogCaptureFixture) -> None:
    make_app().test_client(cert=expired).get("/protected")
    (record,) = caplog.records
    line = record.getMessage()
    assert (record.name, record.levelname) == ("flask_mtls", "WARNING")
    assert 'method="GET" path="/protected" remote="127.0.0.1" reason=expired depth=0 subject="CN=expired"' in line
    assert f"sha256={expired.certificate.thumbprint}" in line
    assert "Renew it" in line


def test_missing_certificate_is_one_line(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    make_app(MTLS_REQUIRE="all").test_client().get("/protected")
    (record,) = caplog.records
    assert "reason=certificate_required" in record.getMessage()


def test_acceptance_is_logged_at_debug(make_app: MakeApp, billing: Issued, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="flask_mtls"):
        make_app().test_client(cert=billing).get("/protected")
    (record,) = caplog.records
    assert record.levelname == "DEBUG"
    assert 'subject="CN=billing"' in record.getMessage()


@pytest.mark.parametrize(
    "text", ["a\nrejected nobody", "a\r", "\x1b[31m", 'a" reason="none', "\u2028", "\u202e", "\x7f"]
)
def test_foreign_text_cannot_forge_a_line(
    make_app: MakeApp, foreign_ca: DevelopmentCA, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    make_app().test_client(cert=foreign_ca.client(text)).get("/protected")
    line = caplog.messages[0]
    assert line.isascii()
    assert line.isprintable()
    assert line.count(" reason=") == 1 or '\\" reason=' in line


def test_path_cannot_forge_a_line(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    make_app(MTLS_REQUIRE="all").test_client().get("/x%0Arejected%20method")
    assert caplog.messages[0].isprintable()


def test_foreign_text_is_cut() -> None:
    assert len(quoted("x" * 100_000)) < 600


def test_without_tls_the_log_says_how_to_serve(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()
    assert app.test_client().get("/protected", base_url="http://localhost").status_code == 403
    assert "flask mtls run" in caplog.text
    caplog.clear()
    assert app.test_client().get("/protected", base_url="https://localhost").status_code == 403
    assert "presented no certificate" in caplog.text
