"""A process with many servers, one for each application:

    python -m tests.spoofing.ports KIND

It prints their ports by mount as one line of JSON once all of them listen, and serves until it is ended.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable

from flask import Flask

from .app import all_apps


def start_werkzeug(app: Flask) -> int:
    """Serve an app; its port."""
    from flask_mtls.serving.werkzeug import create_server

    server = create_server(app)
    _in_background(server.serve_forever)
    return int(server.port)


def start_cheroot(app: Flask) -> int:
    """The same."""
    from flask_mtls.serving.cheroot import create_server

    server = create_server(app, threads=1)
    server.prepare()
    _in_background(server.serve)
    return int(server.bind_addr[1])


KINDS: dict[str, Callable[[Flask], int]] = {"werkzeug": start_werkzeug, "cheroot": start_cheroot}


def _in_background(serve: Callable[[], None]) -> None:
    threading.Thread(target=serve, daemon=True).start()


if __name__ == "__main__":
    start = KINDS[sys.argv[1]]
    print(json.dumps({mount: start(app) for mount, app in all_apps().items()}), flush=True)
    threading.Event().wait()
