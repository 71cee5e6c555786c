"""Connections by hand, where it matters which connection a request is on."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time

from services import Cast, Service

from mtls_core.contexts import client_context
from mtls_core.devca import Issued


class Connection:
    """One TLS connection to a service, and the requests on it."""

    def __init__(self, service: Service, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        raw = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        self.tls = context.wrap_socket(raw, server_hostname="localhost", session=session)

    def get(self, path: str) -> tuple[int, str]:
        """Status and reason of an answer."""
        self.tls.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        response = http.client.HTTPResponse(self.tls)
        response.begin()
        return response.status, json.loads(response.read()).get("reason", "")

    def resumed(self, service: Service) -> Connection:
        """Another connection, which resumes the session of this one."""
        return Connection(service, self.tls.context, self.tls.session)


def revoke_between(service: Service, cast: Cast, issued: Issued, path: str, *, resuming: bool) -> str:
    """Be let in, have the certificate revoked, and go on: on the same connection, or by resuming its TLS session."""
    connection = Connection(service, client_context(issued.identity, trust=cast.ca.trust_store()))
    status, _ = connection.get(path)
    said = [str(status)]
    cast.responder.revoke(issued)
    deadline = time.monotonic() + 10
    # A revocation is noticed after MTLS_REVOCATION_REFRESH, one second here.
    while status == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
        if resuming:
            connection = connection.resumed(service)
        status, reason = connection.get(path)
    said.append(f"then {status} {reason}")
    if resuming:
        said.append("resumed" if connection.tls.session_reused else "not resumed")
    return ", ".join(said)
