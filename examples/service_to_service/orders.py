"""orders: knows what was bought, and asks billing for the invoice. Served by gunicorn."""

from __future__ import annotations

from typing import Any

from flask import Flask, redirect
from werkzeug.wrappers import Response

from flask_mtls import MTLS, cert_required, current_cert, spiffe
from requests_mtls import Identity, MTLSSession

mtls = MTLS()


def create_app() -> Flask:
    """The service. Its configuration comes from the environment: ``FLASK_MTLS_IDENTITY`` and so on."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    mtls.init_app(app)

    # One PFX says who this service is, to those who call it and to those whom it calls.
    identity = Identity.from_pfx(app.config["MTLS_IDENTITY"], app.config["MTLS_IDENTITY_PASSWORD"])
    billing = MTLSSession(
        identity,
        hosts=["localhost"],
        ca=app.config["MTLS_CLIENT_CA"],
        pins=app.config["BILLING_PIN"],
    )

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "up"}

    @app.get("/orders")
    @cert_required(spiffe("spiffe://shop.example/billing"))
    def list_orders() -> dict[str, Any]:
        return {"orders": [41, 42], "caller": current_cert.spiffe_id}

    @app.get("/orders/<int:number>")
    @cert_required
    def order(number: int) -> dict[str, Any]:
        return {"order": number, "caller": current_cert.spiffe_id}

    @app.get("/orders/archive")
    @cert_required
    def archive() -> Response:
        return redirect(app.config["ARCHIVE_URL"])

    @app.get("/orders/<int:number>/invoice")
    @cert_required
    def invoice(number: int) -> dict[str, Any]:
        answer = billing.get(f"{app.config['BILLING_URL']}/invoices/{number}", timeout=5)
        answer.raise_for_status()
        return {"caller": current_cert.spiffe_id, "billing_answered": answer.json()}

    return app
