"""The applications that attackers call: one for each format and each list of trusted proxies."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_mtls import MTLS, cert_required, current_cert

#: The environment variable with the path of a file that has, by mount, the settings of each app.
SETTINGS = "SPOOFING_SETTINGS"

mtls = MTLS()


def all_apps() -> dict[str, Flask]:
    """The apps by their mounts."""
    apps: dict[str, Mapping[str, Any]] = json.loads(Path(os.environ[SETTINGS]).read_text())
    return {mount: _make_app(mount, settings) for mount, settings in apps.items()}


def create_app() -> Flask:
    """All of them in one."""
    apps = all_apps()
    # The one whose headers may be longest: a server that reads headers for one app has its limits.
    front = max(apps.values(), key=lambda app: int(app.config["MTLS_FORWARDED_HOPS"]))
    front.wsgi_app = DispatcherMiddleware(front.wsgi_app, {**apps})  # type: ignore[method-assign]
    return front


def _make_app(name: str, settings: Mapping[str, Any]) -> Flask:
    app = Flask(name)
    app.config.from_mapping(settings)
    mtls.init_app(app)

    @app.get("/who")
    @cert_required
    def who() -> dict[str, Any]:
        names = [*current_cert.common_names, *current_cert.dns_names, *current_cert.uris]
        return {"thumbprint": current_cert.thumbprint, "names": names}

    # As behind a proxy, so that REMOTE_ADDR is the address that an attacker claims to have.
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    return app
