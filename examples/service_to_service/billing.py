"""billing: writes invoices, and asks orders what was bought. Served by ``flask mtls run``."""

from __future__ import annotations

from typing import Any

from flask import Flask

from flask_mtls import MTLS, cert_required, current_cert
from requests_mtls import Identity, MTLSSession

mtls = MTLS()


def create_app() -> Flask:
    """The service. ``FLASK_MTLS_ALLOWED`` names the only certificates that may call it: those of orders."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    mtls.init_app(app)

    identity = Identity.from_pfx(app.config["MTLS_IDENTITY"], app.config["MTLS_IDENTITY_PASSWORD"])
    orders = MTLSSession(
        identity,
        hosts=["localhost"],
        ca=app.config["MTLS_CLIENT_CA"],
        pins=app.config["ORDERS_PIN"],
    )

    @app.get("/invoices/<int:number>")
    @cert_required
    def invoice(number: int) -> dict[str, Any]:
        return {"invoice": number, "caller": current_cert.spiffe_id}

    @app.get("/statement")
    def statement() -> dict[str, Any]:
        answer = orders.get(f"{app.config['ORDERS_URL']}/orders", timeout=5)
        answer.raise_for_status()
        return {"orders_answered": answer.json()}

    return app
