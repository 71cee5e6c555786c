"""What a decision costs.

    python benchmarks/decision.py

Two figures, of CPU time, taken in one process:

- a request on a kept connection: the same view bare and under ``@cert_required``, called in turn with the server's end
  of one real TLS connection, so that whatever else the machine does falls on both alike;
- a first decision: parsing a P-256 leaf and validating its chain of two, by both judges, with nothing remembered.
"""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder

from flask_mtls import MTLS, cert_required
from mtls_core.certificate import Certificate
from mtls_core.contexts import client_context, server_context
from mtls_core.devca import DevelopmentCA
from mtls_core.verifier import ClientPolicy, Verifier

ROUNDS = 60
CALLS = 500


def main() -> None:
    """Measure and print."""
    ca = DevelopmentCA.create()
    bare, decorated = kept_connection(ca)
    extra = [(d - b) for b, d in zip(bare, decorated, strict=True)]
    ratio = statistics.median(decorated) / statistics.median(bare)
    print(f"{'view':28} {'median µs':>10}   ({ROUNDS} rounds of {CALLS} requests each, interleaved)")
    print(f"{'bare':28} {statistics.median(bare):10.1f}")
    print(f"{'@cert_required':28} {statistics.median(decorated):10.1f}   x{ratio:.2f} of bare")
    print(f"{'cost of the decorator':28} {statistics.median(extra):10.1f}   {spread(extra)}")
    print()
    for label, chain_of in (("P-256, chain of two", "p256"), ("RSA-2048, chain of two", "rsa")):
        first = first_decision(DevelopmentCA.create(key=chain_of), chain_of)
        print(f"{'first decision, ' + label:40} {statistics.median(first):10.1f}   {spread(first)}")


def kept_connection(ca: DevelopmentCA) -> tuple[list[float], list[float]]:
    """Microseconds a request, bare and decorated, a value a round."""
    app = Flask(__name__)
    app.config.update(MTLS_CLIENT_CA=ca.pem.encode())
    MTLS(app)

    @app.get("/bare")
    def bare_view() -> str:
        return "ok"

    @app.get("/decorated")
    @cert_required
    def decorated_view() -> str:
        return "ok"

    connection, _client = handshake(ca)
    bare = environ("/bare", connection)
    decorated = environ("/decorated", connection)
    request(app, decorated)  # the first decision is measured by itself
    results: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        results[0].append(cpu_microseconds(lambda: request(app, bare)))
        results[1].append(cpu_microseconds(lambda: request(app, decorated)))
    return results


def first_decision(ca: DevelopmentCA, key: str) -> list[float]:
    """Microseconds for parsing and judging a certificate that was never seen before."""
    verifier = Verifier(ClientPolicy(trust=ca.trust_store()))
    leaves = [ca.client(f"billing-{number}", key=key).certificate.der for number in range(5)]
    return [
        cpu_microseconds(lambda der=der: verifier.verify(Certificate.from_der(der)), calls=20)  # type: ignore[misc]
        for _ in range(20)
        for der in leaves
    ]


def handshake(ca: DevelopmentCA) -> tuple[Any, Any]:
    """Both ends of a real TLS connection whose client has shown its certificate, the server's first."""
    trust = ca.trust_store()
    ours, theirs = socket.socketpair()
    caller = client_context(ca.client("billing").identity, trust=trust)
    client: list[Any] = []
    thread = threading.Thread(target=lambda: client.append(caller.wrap_socket(theirs, server_hostname="localhost")))
    thread.start()
    connection = server_context(ca.server("localhost").identity, trust=trust).wrap_socket(ours, server_side=True)
    thread.join()
    return connection, client


def environ(path: str, connection: Any) -> dict[str, Any]:
    """What Werkzeug's server hands to the application."""
    built = EnvironBuilder(path, base_url="https://localhost").get_environ()
    built["werkzeug.socket"] = connection
    return built


def request(app: Flask, environment: dict[str, Any]) -> None:
    """One request, answered with 200."""
    statuses: list[str] = []
    body = app(dict(environment), lambda status, headers: statuses.append(status))  # type: ignore[arg-type]
    body.close()  # type: ignore[attr-defined]
    assert statuses == ["200 OK"], statuses


def cpu_microseconds(action: Callable[[], object], calls: int = CALLS) -> float:
    """CPU time of one call."""
    start = time.process_time()
    for _ in range(calls):
        action()
    return (time.process_time() - start) / calls * 1e6


def spread(values: list[float]) -> str:
    """Where the middle half of the values lies."""
    low, _, high = statistics.quantiles(values, n=4)
    return f"(middle half {low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
