"""An application that is fooled: it believes headers, whoever sends them, and takes what it can find in them.

If the matrix did not notice this one, it would notice nothing.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from wsgiref.simple_server import WSGIRequestHandler, make_server

from mtls_core.certificate import Certificate
from mtls_core.errors import MalformedCertificate

from .servers import Place, Places, Server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_BASE64 = re.compile(r"[A-Za-z0-9+/]{100,}={0,2}")

#: Which of several certificates to take.
Choice = Callable[[list[Certificate]], Certificate]


class _Handler(WSGIRequestHandler):
    """As it comes, it takes an underscore for a dash, and joins headers with commas."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def naive(choose: Choice) -> Server:
    """A server with this application."""

    @contextlib.contextmanager
    def serve(settings: Path, folder: Path) -> Iterator[Places]:
        with make_server("127.0.0.1", 0, _application(choose), handler_class=_Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            try:
                yield lambda mount: Place(server.server_port, f"{mount}/who")
            finally:
                server.shutdown()
                thread.join(timeout=10)

    return serve


def _application(choose: Choice) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        texts = [str(value) for key, value in environ.items() if key.startswith("HTTP_") and "CERT" in key]
        found = [certificate for text in texts for certificate in _certificates(text) if not certificate.is_ca]
        if not found:
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [json.dumps({"reason": "certificate_required"}).encode()]
        who = choose(found)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"thumbprint": who.thumbprint, "names": [*who.common_names]}).encode()]

    return application


def _certificates(text: str) -> Iterator[Certificate]:
    """All there are, wherever they stand."""
    for candidate in _BASE64.findall(re.sub(r"[\r\n ]", "", unquote(text))):
        with contextlib.suppress(MalformedCertificate, binascii.Error):
            yield Certificate.from_der(base64.b64decode(candidate))
