"""A service behind a proxy that ends TLS: it tells its caller by which certificate it knows them.

All there is to set comes from the environment, as ``FLASK_MTLS_FORWARDED`` and so on; see README.md.
"""

from __future__ import annotations

from typing import Any

from flask import Flask

from flask_mtls import MTLS, cert_required, current_cert

mtls = MTLS()


def create_app() -> Flask:
    """The service."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    mtls.init_app(app)

    @app.get("/whoami")
    @cert_required
    def whoami() -> dict[str, Any]:
        return {
            "subject": current_cert.subject,
            "spiffe_id": current_cert.spiffe_id,
            "source": current_cert.source,
            "chain": len(current_cert.chain),
        }

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "up"}

    return app
