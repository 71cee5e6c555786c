"""The app that gunicorn and ``flask mtls run`` serve in tests; its settings come from the environment."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request

from flask_mtls import MTLS, cert_required, current_cert

mtls = MTLS()


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_prefixed_env()
    mtls.init_app(app)

    @app.route("/protected", methods=["GET", "POST"])
    @cert_required
    def protected() -> dict[str, Any]:
        return {"caller": current_cert.common_names, "pid": os.getpid(), "length": len(request.get_data())}

    @app.get("/public")
    def public() -> dict[str, Any]:
        return {"caller": current_cert.common_names if current_cert else None}

    @app.get("/context")
    def context() -> dict[str, Any]:
        return {"pid": os.getpid(), "context": id(app.extensions["mtls"].tls_context())}

    return app
