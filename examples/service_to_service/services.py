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
from mtls_core.devca.responder import Mode, Responder
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
    #: Says what was revoked.
    responder: Responder
    #: Should, but answers every question with a 500.
    broken_responder: Responder

    def issue(self, *, ocsp: Responder | None = None, crl: Responder | None = None) -> Issued:
        """A new certificate for the caller ``shop``, with the addresses where its revocation can be asked."""
        return self.ca.client(
            "shop",
            uris=["spiffe://shop.example/shop"],
            ocsp_urls=[ocsp.ocsp_url] if ocsp else [],
            crl_urls=[crl.crl_url(self.ca)] if crl else [],
        )

    def identity(self, name: str) -> Identity:
        """A caller's identity, by way of a PFX, as a service would load it."""
        return Identity.from_pfx(self.callers[name].pfx(PASSWORD), PASSWORD)


@contextlib.contextmanager
def make_certificates(folder: Path) -> Iterator[Cast]:
    """A CA with its responder, two services, and callers of every kind."""
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

    callers = {
        "shop": ca.client("shop", uris=uri("shop")),
        "stock": issuing.client("stock", uris=uri("stock")),
        "expired": ca.client("shop", uris=uri("shop"), not_before=now - 9 * day, not_after=now - day),
        "early": ca.client("shop", uris=uri("shop"), not_before=now + day, not_after=now + 9 * day),
        "server-only": ca.issue("shop", uris=uri("shop"), usage=["server"]),
        "other CA": other_ca.client("shop", uris=uri("shop")),
        "self-signed": self_signed("shop", uris=uri("shop"), usage=["client"]),
    }
    with Responder(ca) as responder, Responder(ca) as broken:
        broken.mode = Mode.SERVER_ERROR
        yield Cast(ca, ca_file, other_ca, service("orders"), service("billing"), callers, responder, broken)


@dataclass(frozen=True)
class Service:
    """A service that runs, or is about to."""

    name: str
    url: str
    log: Path

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def command(self) -> tuple[str, ...]:
        """How it is started: orders with gunicorn, the others with Werkzeug."""
        if self.name == "orders":
            settings = ("--bind", f"127.0.0.1:{self.port}", "--threads", "4", "--log-level", "warning")
            return ("gunicorn", "-c", "python:flask_mtls.gunicorn_conf", *settings, "orders:create_app()")
        app = "billing" if self.name == "billing" else "orders"
        return ("flask", "--app", f"{app}:create_app", "mtls", "run", "--host", "127.0.0.1", "--port", str(self.port))

    def wait(self, *, seconds: float = 30) -> None:
        """Return when the port accepts connections.

        :raises RuntimeError: If that takes too long; with what the service had to say.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()}")


@contextlib.contextmanager
def running(cast: Cast, folder: Path, *, archive_url: str) -> Iterator[dict[str, Service]]:
    """Start the services, each with its PFX in a file of mode 0600, and wait until they answer.

    Besides ``orders`` and ``billing`` there is ``lenient``, which is orders with an outage of the CA accepted, and
    ``strict``, which is orders with a source of revocation required.

    :param archive_url: Where orders redirects to, on another host.
    """
    urls = {name: f"https://localhost:{free_port()}" for name in ("orders", "billing", "lenient", "strict")}
    cast.orders.write(folder, "orders", password=PASSWORD)
    cast.billing.write(folder, "billing", password=PASSWORD)
    common = {
        "FLASK_MTLS_IDENTITY": str(folder / "orders.pfx"),
        "FLASK_MTLS_IDENTITY_PASSWORD": PASSWORD,
        "FLASK_MTLS_CLIENT_CA": str(cast.ca_file),
        # Responders on loopback are not asked unless they are named, and here we do not want to wait for minutes.
        "FLASK_MTLS_REVOCATION_HOSTS": '["127.0.0.1"]',
        "FLASK_MTLS_REVOCATION_REFRESH": "1",
        "FLASK_ORDERS_URL": urls["orders"],
        "FLASK_ORDERS_PIN": str(Pin.for_public_key(cast.orders.certificate)),
        "FLASK_BILLING_URL": urls["billing"],
        "FLASK_BILLING_PIN": str(Pin.for_public_key(cast.billing.certificate)),
        "FLASK_ARCHIVE_URL": archive_url,
    }
    own = {
        "orders": {},
        "billing": {
            "FLASK_MTLS_IDENTITY": str(folder / "billing.pfx"),
            "FLASK_MTLS_ALLOWED": json.dumps([cast.orders.certificate.thumbprint]),
        },
        "lenient": {"FLASK_MTLS_REVOCATION_UNREACHABLE": "accept"},
        "strict": {"FLASK_MTLS_REVOCATION": "required"},
    }
    with contextlib.ExitStack() as stack:
        services = {name: Service(name, url, folder / f"{name}.log") for name, url in urls.items()}
        for name, service in services.items():
            stack.enter_context(process(service, {**os.environ, **common, **own[name]}))
        for service in services.values():
            service.wait()
        yield services


@contextlib.contextmanager
def process(service: Service, environment: dict[str, str]) -> Iterator[None]:
    """Run a service until the block ends."""
    with service.log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *service.command], cwd=HERE, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            server.terminate()
            server.wait(timeout=10)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
