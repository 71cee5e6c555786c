"""A service for clients that are not ours, configured by its environment."""

from __future__ import annotations

from flask import Flask

from flask_mtls import MTLS, cert_required, current_cert

mtls = MTLS()


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_prefixed_env()
    mtls.init_app(app)

    @app.get("/caller")
    @cert_required
    def caller() -> dict[str, object]:
        return {"caller": current_cert.spiffe_id, "chain": len(current_cert.chain)}

    @app.get("/public")
    def public() -> dict[str, str]:
        return {"status": "up"}

    return app
