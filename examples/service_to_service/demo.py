"""Two services call each other over mutual TLS; every check is shown to accept and to refuse.

    make demo

Exits 0 if everything happened as expected, 1 if anything did not.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from connections import revoke_between
from other_host import Watcher, watcher
from services import PASSWORD, Cast, Service, make_certificates, running

from mtls_core.devca import Issued
from requests_mtls import (
    Identity,
    IdentityError,
    IdentityRejected,
    MTLSAdapter,
    MTLSRequestError,
    MTLSSession,
    Pin,
)

WIDTHS = (2, 54, 44, 44, 6)


@dataclass(frozen=True)
class Row:
    """One case: what must happen, and how to make it happen."""

    case: str
    expected: str
    act: Callable[[], str]


def main() -> int:
    """Run all cases; the number of the process' exit."""
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="mtls-demo-") as folder,
        make_certificates(Path(folder)) as cast,
        watcher(cast.ca) as elsewhere,
        running(cast, Path(folder), archive_url=f"https://127.0.0.1:{elsewhere.port}/") as services,
    ):
        print("Two services, each the other's client, one CA, identities as PFX files:\n")
        print(f"  orders    {services['orders'].url}   gunicorn           spiffe://shop.example/orders")
        print(f"  billing   {services['billing'].url}   flask mtls run     spiffe://shop.example/billing")
        failed = [row.case for row in report(cases(cast, services, elsewhere))]
        if failed:
            print("".join(f"\nlog of {service.name}:\n{service.log.read_text()}" for service in services.values()))
    total = f"in {time.monotonic() - started:.1f} s"
    print(f"\n{len(failed)} rows FAILED {total}" if failed else f"\nAll rows passed {total}.")
    return 1 if failed else 0


def report(sections: dict[str, list[Row]]) -> list[Row]:
    """Print each row as it happens; the rows that went wrong."""
    failed, number = [], 0
    for section, rows in sections.items():
        print(f"\n{section}\n")
        line("#", "case", "expected", "happened", "result")
        for row in rows:
            number += 1
            happened = outcome(row.act)
            passed = happened == row.expected
            line(str(number), row.case, row.expected, happened, "pass" if passed else "FAIL")
            if not passed:
                failed.append(row)
    return failed


def line(*cells: str) -> None:
    """One aligned row."""
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip(), flush=True)


def outcome(act: Callable[[], str]) -> str:
    """What happened, in a few words: the answer, the server's alert, or the client's own error."""
    try:
        return act()
    except IdentityRejected as error:
        return f"TLS alert: {error.alert}"
    except MTLSRequestError as error:
        return type(error).__name__
    except IdentityError as error:
        return f"IdentityError: {error.problem.value}"
    except Exception as error:  # a row that fails otherwise has failed, and the rest go on
        return f"{type(error).__name__}: {error}"


def answer(response: requests.Response) -> str:
    """Status, and the caller that the service saw or the reason why it refused."""
    body: dict[str, Any] = response.json()
    return f"{response.status_code} {body.get('caller') or body.get('reason') or body.get('status')}"


def cases(cast: Cast, services: dict[str, Service], elsewhere: Watcher) -> dict[str, list[Row]]:
    """Every row of the demo."""
    orders, billing = services["orders"], services["billing"]
    return {
        "Who is let in": accepted(cast, orders, billing),
        "Who is not: chain, validity, usage, thumbprint, and what the endpoint asks for": refused(
            cast, orders, billing
        ),
        "Who was, until the CA withdrew the certificate": revoked(cast, services),
        "What a client refuses to do": client_side(cast, orders, elsewhere),
    }


def accepted(cast: Cast, orders: Service, billing: Service) -> list[Row]:
    """Callers who are welcome."""

    def get(name: str, url: str) -> requests.Response:
        with MTLSSession(cast.identity(name), hosts=["localhost"], ca=cast.ca_file) as session:
            return session.get(url, timeout=10)

    def billing_calls_orders() -> str:
        body = anonymous(cast, f"{billing.url}/statement").json()
        return f"200 {body['orders_answered']['caller']}"

    def orders_calls_billing() -> str:
        body = get("shop", f"{orders.url}/orders/42/invoice").json()
        return f"200 {body['billing_answered']['caller']}"

    return [
        Row("billing calls orders", "200 spiffe://shop.example/billing", billing_calls_orders),
        Row("orders calls billing", "200 spiffe://shop.example/orders", orders_calls_billing),
        Row(
            "a caller of the same CA",
            "200 spiffe://shop.example/shop",
            lambda: answer(get("shop", f"{orders.url}/orders/42")),
        ),
        Row(
            "a caller whose intermediate CA only its own PFX holds",
            "200 spiffe://shop.example/stock",
            lambda: answer(get("stock", f"{orders.url}/orders/42")),
        ),
        Row(
            "a public endpoint, without a certificate",
            "200 up",
            lambda: answer(anonymous(cast, f"{orders.url}/health")),
        ),
    ]


def refused(cast: Cast, orders: Service, billing: Service) -> list[Row]:
    """Callers who are turned away, by the application (403) or in the handshake (an alert)."""
    url = f"{orders.url}/orders/42"

    def get(name: str, url: str = url) -> Callable[[], str]:
        return lambda: answer(careless(cast, cast.identity(name), url))

    def no_intermediate() -> str:
        identity = Identity.from_pfx(cast.callers["stock"].pfx(PASSWORD, include_chain=False), PASSWORD)
        return answer(careless(cast, identity, url))

    return [
        Row("no certificate", "403 certificate_required", lambda: answer(anonymous(cast, url))),
        Row("validity: expired yesterday", "403 expired", get("expired")),
        Row("validity: not valid before tomorrow", "403 not_yet_valid", get("early")),
        Row("usage: for servers only", "TLS alert: unsupported certificate", get("server-only")),
        Row("chain: another CA, same names", "TLS alert: unknown ca", get("other CA")),
        Row("chain: self-signed, same names", "TLS alert: unknown ca", get("self-signed")),
        Row("chain: the intermediate CA is missing", "TLS alert: unknown ca", no_intermediate),
        Row(
            "thumbprint: valid, but billing expects another",
            "403 not_expected",
            get("shop", f"{billing.url}/invoices/42"),
        ),
        Row(
            "authorisation: valid, but not for this endpoint", "403 not_authorized", get("shop", f"{orders.url}/orders")
        ),
    ]


def revoked(cast: Cast, services: dict[str, Service]) -> list[Row]:
    """Certificates that were good once; answered by OCSP, by a revocation list, or by nobody."""
    path = "/orders/42"
    good = "200 spiffe://shop.example/shop"

    def get(issued: Issued, service: str = "orders") -> str:
        identity = Identity.from_pfx(issued.pfx(PASSWORD), PASSWORD)
        return answer(careless(cast, identity, services[service].url + path))

    def unanswered(service: str) -> str:
        return get(cast.issue(ocsp=cast.broken_responder), service)

    def withdrawn(issued: Issued) -> Issued:
        cast.responder.revoke(issued)
        return issued

    def later(*, resuming: bool) -> str:
        issued = cast.issue(ocsp=cast.responder)
        return revoke_between(services["orders"], cast, issued, path, resuming=resuming)

    return [
        Row("asked by OCSP, and good", good, lambda: get(cast.issue(ocsp=cast.responder))),
        Row("revoked, says OCSP", "403 revoked", lambda: get(withdrawn(cast.issue(ocsp=cast.responder)))),
        Row("revoked, says the CA's list", "403 revoked", lambda: get(withdrawn(cast.issue(crl=cast.responder)))),
        Row(
            "responder down, an outage refuses",
            "403 revocation_unknown",
            lambda: get(cast.issue(ocsp=cast.broken_responder)),
        ),
        Row(
            "responder down, an outage is accepted",
            good,
            lambda: get(cast.issue(ocsp=cast.broken_responder), "lenient"),
        ),
        Row("names no source, sources used as available", good, lambda: get(cast.issue())),
        Row("names no source, a source is required", "403 revocation_unknown", lambda: get(cast.issue(), "strict")),
        Row("revoked while its connection stays open", "200, then 403 revoked", lambda: later(resuming=False)),
        Row("revoked, and resuming its TLS session", "200, then 403 revoked, resumed", lambda: later(resuming=True)),
    ]


def client_side(cast: Cast, orders: Service, elsewhere: Watcher) -> list[Row]:
    """What never leaves the client."""
    shop = cast.identity("shop")
    url = f"{orders.url}/orders/42"

    def session(identity: Identity = shop, **options: Any) -> requests.Session:
        return MTLSSession(identity, **{"hosts": ["localhost"], "ca": cast.ca_file, **options})

    def wrong_pin() -> str:
        other = str(Pin.for_public_key(cast.billing.certificate))
        with watcher(cast.ca) as server:
            said = outcome(lambda: answer(session(pins=[other]).get(f"https://localhost:{server.port}/", timeout=10)))
        return f"{said}, {server.handshakes} handshake, {server.request_bytes} bytes of request"

    def redirected() -> str:
        said = outcome(lambda: answer(session().get(f"{orders.url}/orders/archive", timeout=10)))
        return f"{said}, {elsewhere.connections} connections"

    def mount_prefix() -> str:
        with watcher(cast.ca) as server:
            plain = requests.Session()
            plain.mount(
                "https://local", MTLSAdapter(shop, hosts=["local"], ca=cast.ca_file)
            )  # also serves https://localhost
            said = outcome(lambda: answer(plain.get(f"https://localhost:{server.port}/")))
        return f"{said}, {server.connections} connections"

    return [
        Row("pin: another public key", "PinMismatch, 1 handshake, 0 bytes of request", wrong_pin),
        Row(
            "pin: the server's own, and a spare",
            "200 spiffe://shop.example/shop",
            lambda: answer(
                session(pins=[Pin.for_public_key(cast.orders.certificate), "sha256/" + "A" * 43 + "="]).get(url)
            ),
        ),
        Row(
            "the server has another name",
            "ServerVerificationError",
            lambda: answer(session(hosts=["127.0.0.1"]).get(url.replace("localhost", "127.0.0.1"))),
        ),
        Row(
            "the server is of another CA",
            "ServerVerificationError",
            lambda: answer(session(ca=cast.other_ca.trust_store()).get(url)),
        ),
        Row("verify=False", "InsecureRequest", lambda: answer(session().get(url, verify=False))),
        Row("a redirect to a host the identity is not meant for", "HostNotAllowed, 0 connections", redirected),
        Row("a careless mount prefix that fits such a host", "HostNotAllowed, 0 connections", mount_prefix),
        Row("the identity has expired", "IdentityExpired", lambda: answer(session(cast.identity("expired")).get(url))),
        Row(
            "the PFX password is wrong",
            "IdentityError: wrong_password",
            lambda: str(Identity.from_pfx(cast.callers["shop"].pfx(PASSWORD), "something else")),
        ),
    ]


def careless(cast: Cast, identity: Identity, url: str) -> requests.Response:
    """Call by a clock at which the identity was good: an ordinary client does not look at its own dates."""
    good = identity.certificate.not_before
    with MTLSSession(identity, hosts=["localhost"], ca=cast.ca_file, clock=lambda: good) as session:
        return session.get(url, timeout=10)


def anonymous(cast: Cast, url: str) -> requests.Response:
    """Call without a certificate."""
    return requests.get(url, verify=str(cast.ca_file), timeout=10)


if __name__ == "__main__":
    sys.exit(main())
