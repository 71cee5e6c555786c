"""Makes the certificates, starts the two services, and stops them again."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mtls_core.devca import DevelopmentCA, Issued, self_signed
from requests_mtls import Identity, Pin

PASSWORD = "only for this demo"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cast:
    """Everybody who appears."""

    ca: DevelopmentCA
    ca_file: Path
    other_ca: DevelopmentCA
    orders: Issued
    billing: Issued
    callers: dict[str, Issued]

    def identity(self, name: str) -> Identity:
        """A caller's identity, by way of a PFX, as a service would load it."""
        return Identity.from_pfx(self.callers[name].pfx(PASSWORD), PASSWORD)


def make_certificates(folder: Path) -> Cast:
    """A CA, two services, and callers of every kind."""
    now = datetime.now(UTC)
    day = timedelta(days=1)
    ca = DevelopmentCA.create("Shop CA")
    ca_file = folder / "ca.pem"
    ca_file.write_text(ca.pem)
    issuing = ca.intermediate("Shop Issuing CA")
    other_ca = DevelopmentCA.create("Some other CA")

    def uri(name: str) -> list[str]:
        return [f"spiffe://shop.example/{name}"]

    def service(name: str) -> Issued:
        return ca.issue(name, dns=["localhost", f"{name}.internal"], uris=uri(name), usage=["client", "server"])

    return Cast(
        ca,
        ca_file,
        other_ca,
        service("orders"),
        service("billing"),
        {
            "shop": ca.client("shop", uris=uri("shop")),
            "stock": issuing.client("stock", uris=uri("stock")),
            "expired": ca.client("shop", uris=uri("shop"), not_before=now - 9 * day, not_after=now - day),
            "early": ca.client("shop", uris=uri("shop"), not_before=now + day, not_after=now + 9 * day),
            "server-only": ca.issue("shop", uris=uri("shop"), usage=["server"]),
            "other CA": other_ca.client("shop", uris=uri("shop")),
            "self-signed": self_signed("shop", uris=uri("shop"), usage=["client"]),
        },
    )


@dataclass(frozen=True)
class Service:
    """A service that runs."""

    name: str
    url: str
    log: Path


@contextlib.contextmanager
def running(cast: Cast, folder: Path, *, archive_url: str) -> Iterator[tuple[Service, Service]]:
    """Start orders and billing, each with its PFX in a file of mode 0600, and wait until they answer.

    :param archive_url: Where orders redirects to, on another host.
    """
    ports = {"orders": free_port(), "billing": free_port()}
    cast.orders.write(folder, "orders", password=PASSWORD)
    cast.billing.write(folder, "billing", password=PASSWORD)
    common = {
        "FLASK_MTLS_IDENTITY_PASSWORD": PASSWORD,
        "FLASK_MTLS_CLIENT_CA": str(cast.ca_file),
        "FLASK_ORDERS_URL": f"https://localhost:{ports['orders']}",
        "FLASK_ORDERS_PIN": str(Pin.for_public_key(cast.orders.certificate)),
        "FLASK_ARCHIVE_URL": archive_url,
        "FLASK_BILLING_URL": f"https://localhost:{ports['billing']}",
        "FLASK_BILLING_PIN": str(Pin.for_public_key(cast.billing.certificate)),
    }
    orders = [sys.executable, "-m", "gunicorn", "-c", "python:flask_mtls.gunicorn_conf", "orders:create_app()"]
    orders += ["--bind", f"127.0.0.1:{ports['orders']}", "--threads", "4", "--log-level", "warning"]
    billing = [sys.executable, "-m", "flask", "--app", "billing:create_app", "mtls", "run"]
    billing += ["--host", "127.0.0.1", "--port", str(ports["billing"])]
    allowed = {"FLASK_MTLS_ALLOWED": json.dumps([cast.orders.certificate.thumbprint])}
    with contextlib.ExitStack() as stack:
        for name, command, more in (("orders", orders, {}), ("billing", billing, allowed)):
            environment = {**os.environ, **common, **more, "FLASK_MTLS_IDENTITY": str(folder / f"{name}.pfx")}
            stack.enter_context(process(command, environment, folder / f"{name}.log", ports[name]))
        yield (
            Service("orders", common["FLASK_ORDERS_URL"], folder / "orders.log"),
            Service("billing", common["FLASK_BILLING_URL"], folder / "billing.log"),
        )


@contextlib.contextmanager
def process(command: list[str], environment: dict[str, str], log: Path, port: int) -> Iterator[None]:
    """Run a server until the block ends; it starts with the port open."""
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=HERE, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(port, server, log)
            yield
        finally:
            server.terminate()
            server.wait(timeout=10)


def wait_for(port: int, server: subprocess.Popen[bytes], log: Path, *, seconds: float = 30) -> None:
    """Return when the port accepts connections.

    :raises RuntimeError: If the server ends before that, or takes too long; with what it had to say.
    """
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{' '.join(server.args)} did not start:\n{log.read_text()}")  # type: ignore[arg-type]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
