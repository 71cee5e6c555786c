"""Certificates that many tests use, and apps to show them to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from flask_mtls import MTLS, cert_required, current_cert
from flask_mtls.testing import HasCertificate, MTLSClient
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued

MakeApp = Callable[..., Flask]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture(scope="session")
def ca() -> DevelopmentCA:
    return DevelopmentCA.create("Test CA")


@pytest.fixture(scope="session")
def issuing_ca(ca: DevelopmentCA) -> DevelopmentCA:
    return ca.intermediate("Test Issuing CA")


@pytest.fixture(scope="session")
def foreign_ca() -> DevelopmentCA:
    return DevelopmentCA.create("Foreign CA")


@pytest.fixture(scope="session")
def billing(ca: DevelopmentCA) -> Issued:
    return ca.client("billing", dns=["billing.internal"], uris=["spiffe://example.org/billing"])


@pytest.fixture(scope="session")
def stock(issuing_ca: DevelopmentCA) -> Issued:
    """A caller whose intermediate only it has."""
    return issuing_ca.client("stock", dns=["stock.internal"])


@pytest.fixture(scope="session")
def expired(ca: DevelopmentCA) -> Issued:
    return ca.client("expired", not_after=datetime.now(UTC) - timedelta(days=1))


@pytest.fixture(scope="session")
def orders(ca: DevelopmentCA) -> Issued:
    """Who serves."""
    return ca.server("localhost")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_app(ca: DevelopmentCA, clock: Clock) -> MakeApp:
    """An app with ``/protected`` and ``/public``; trusts the test CA unless told otherwise."""

    def make(mtls: MTLS | None = None, **settings: Any) -> Flask:
        app = Flask(__name__)
        app.testing = True
        app.test_client_class = MTLSClient
        app.config.from_mapping({"MTLS_CLIENT_CA": ca.pem} | settings)
        (mtls or MTLS(clock=clock)).init_app(app)

        @app.route("/protected", methods=["GET", "POST"])
        @cert_required
        def protected() -> dict[str, Any]:
            return {"caller": current_cert.common_names}

        @app.get("/public")
        def public() -> dict[str, Any]:
            return {"caller": current_cert.common_names if current_cert else None}

        return app

    return make


def answer(app: Flask, cert: Certificate | HasCertificate | None, path: str = "/protected", **options: Any) -> Any:
    """What a request with this certificate comes to: the status, or the reason of a refusal."""
    response = app.test_client(cert=cert).open(path, **options)
    document = response.get_json(silent=True) if response.status_code == 403 else None
    return document["reason"] if document and "reason" in document else response.status_code
