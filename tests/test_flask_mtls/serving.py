"""Servers in threads of the test, and calls to them."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask

from flask_mtls.serving.werkzeug import create_server
from mtls_core.contexts import client_context
from mtls_core.devca import Issued
from mtls_core.trust import TrustStore


@contextlib.contextmanager
def running(app: Flask) -> Iterator[int]:
    """Serve with Werkzeug until the block ends; gives the port."""
    server = create_server(app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join(timeout=10)


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    document: Any

    @property
    def outcome(self) -> Any:
        """The reason of a refusal, or the status."""
        return self.document["reason"] if self.status == 403 else self.status


class Caller:
    """A connection that is kept.

    :param caller: Whose certificate it shows.
    :param trust: Who may have issued the server's.
    """

    def __init__(
        self, port: int, caller: Issued | None, trust: TrustStore, *, context: ssl.SSLContext | None = None
    ) -> None:
        if context is None:
            context = client_context(caller.identity if caller else None, trust=trust)
        self.connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=15)

    def get(
        self,
        path: str = "/protected",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request."""
        self.connection.request(method, path, body=body, headers=headers or {})
        response = self.connection.getresponse()
        return Answer(response.status, json.loads(response.read()))

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *exception: object) -> None:
        self.connection.close()


def fetch(port: int, caller: Issued | None, trust: TrustStore, path: str = "/protected", **options: Any) -> Answer:
    """One request on a connection of its own."""
    with Caller(port, caller, trust) as one:
        return one.get(path, **options)
