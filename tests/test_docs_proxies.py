"""What the page about proxies, and those that speak of them, say is complete, and happens."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from flask_mtls import MTLS, cert_required, current_cert
from flask_mtls.proxies import SOCKET
from flask_mtls.sources.formats import ENCODINGS, PRESETS, Format
from mtls_core.devca import DevelopmentCA, Issued

from .pages import ROOT, read_page, table
from .spoofing import formats

PROXY, ELSEWHERE = "10.0.0.5", "10.0.0.9"

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Request:
    """What reaches the service."""

    #: MTLS_FORWARDED.
    forwarded: Any
    headers: Headers
    remote: str = PROXY
    settings: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of it."""

    #: ``200`` with the caller's common name, or ``403`` with the reason.
    text: str
    #: The ``detail`` of the log line.
    detail: str = ""


class Details(logging.Handler):
    """Collects the details of the lines about refusals."""

    def __init__(self) -> None:
        super().__init__()
        self.details: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take that of a line."""
        self.details.append(json.loads(record.getMessage().partition(" detail=")[2]))


@dataclass(frozen=True)
class Connection:
    """A TLS connection over which a proxy shows a certificate of its own."""

    issued: Issued | None
    family: int = socket.AF_INET

    def getpeername(self) -> tuple[str, int]:
        """The proxy's address."""
        return PROXY, 40000

    def getpeercert(self, _binary: bool) -> bytes | None:
        """Its certificate."""
        return self.issued.certificate.der if self.issued else None

    def get_unverified_chain(self) -> list[bytes]:
        """As Python 3.13 has it."""
        return [self.issued.certificate.der] if self.issued else []

    @property
    def _sslobj(self) -> Any:
        """As older ones have it."""
        chain = [SimpleNamespace(public_bytes=lambda: self.issued.certificate.pem)] if self.issued else []
        return SimpleNamespace(get_unverified_chain=lambda: chain)


@dataclass(frozen=True)
class Cast:
    """A service, its callers and their headers."""

    ca: DevelopmentCA
    edge: Issued
    client: Issued
    forged: Issued

    def by(self, name: str, issued: Issued | None = None) -> dict[str, str]:
        """What a proxy sends for a client; the usual one if none is named."""
        (found,) = [each for each in formats.all_formats(self.edge) if each.name == name]
        return dict(found.headers(issued or self.client))

    def ask(self, request: Request, path: str = "/orders") -> Outcome:
        """What becomes of a request."""
        app = Flask(__name__)
        app.config.from_mapping({"MTLS_CLIENT_CA": self.ca.trust_store(), "MTLS_FORWARDED": request.forwarded})
        app.config.from_mapping({"MTLS_TRUSTED_PROXIES": [PROXY], **request.settings})
        MTLS(app)

        @app.get("/orders")
        @cert_required
        def orders() -> str:
            return current_cert.common_names[0]

        @app.get("/health")
        def health() -> str:
            return "up"

        handler = Details()
        log = logging.getLogger("flask_mtls")
        log.addHandler(handler)
        try:
            environ = {"REMOTE_ADDR": request.remote, **request.environ}
            answer = app.test_client().get(path, headers=list(request.headers), environ_overrides=environ)
        finally:
            log.removeHandler(handler)
        if answer.status_code == 200:
            return Outcome(f"200 {answer.text}")
        return Outcome(f"{answer.status_code} {answer.get_json()['reason']}", handler.details[-1])


@pytest.fixture(scope="module")
def cast() -> Cast:
    ca = DevelopmentCA.create()
    return Cast(ca, *(ca.client(name) for name in ("edge", "client", "forged")))


# The tables of formats


def test_every_preset_is_listed_as_it_is() -> None:
    rows = {_code(row[0])[0]: row[1:] for row in table("proxies", "presets")}
    assert rows == {name: _row(form) for name, form in PRESETS.items()}


def _row(form: Format) -> list[str]:
    """As the table has it."""
    chain = "none" if form.chain_header is None else f"``{form.chain_header}``"
    says = {"verified": form.verify_header, "present": form.present_header, "revoked": form.revoked_header}
    return [
        f"``{form.header}``",
        f"``{form.encoding}``",
        "in the same header" if form.with_chain or form.encoding == "xfcc" else chain,
        ", ".join(f"{what}: ``{name}``" for what, name in says.items() if name) or "nothing",
    ]


def test_every_encoding_is_listed() -> None:
    assert [_code(row[0])[0] for row in table("proxies", "encodings")] == list(ENCODINGS)


def test_every_key_of_a_mapping_is_listed() -> None:
    listed = {_code(row[0])[0] for row in table("proxies", "mapping")}
    assert listed == {"format", *(each.name for each in fields(Format))} - {"name"}


def test_every_preset_is_named_where_the_setting_is() -> None:
    entry = read_page("config").partition(".. data:: MTLS_FORWARDED\n")[2].partition(".. data::")[0]
    assert [name for name in PRESETS if f'``"{name}"``' not in entry] == []


def test_every_example_that_is_named_is_there() -> None:
    named = re.findall(r"``(examples/proxies[\w./-]*)``", read_page("proxies") + read_page("server"))
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert len(named) >= 6


# What is taken for no certificate


@pytest.mark.parametrize("value", [row[0] for row in table("proxies", "nothing")])
@pytest.mark.parametrize("form", ["rfc9440", "nginx", "haproxy", "apache", "caddy", "envoy", "traefik"])
def test_what_counts_as_none_does(cast: Cast, value: str, form: str) -> None:
    text = {"no such header": None, "empty": ""}.get(value, value.strip("`"))
    headers = [] if text is None else [(PRESETS[form].header, text)]
    request = Request(form, headers)
    assert cast.ask(request).text == "403 certificate_required"
    assert cast.ask(request, "/health").text == "200 up"


# What is refused


def test_what_is_refused_is_refused_as_listed(cast: Cast) -> None:
    happened = {what: cast.ask(request).text for what, request in refused(cast).items()}
    assert happened == {what: f"403 {_code(reason)[0]}" for what, reason in table("proxies", "refused")}


def test_headers_from_elsewhere_are_refused_for_public_views_too_and_others_are_not(cast: Cast) -> None:
    """All that is said to concern every endpoint does; the rest does not."""
    for what, request in refused(cast).items():
        public = cast.ask(request, "/health").text
        assert public == ("403 untrusted_proxy" if cast.ask(request).text == "403 untrusted_proxy" else "200 up"), what


def test_the_lines_of_the_log_are_those_that_are_explained(cast: Cast) -> None:
    shown = [pattern for says, _do in table("proxies", "lines") for pattern in _code(says)]
    outcomes = [cast.ask(request) for request in (refused(cast) | missing(cast)).values()]
    # That a certificate has expired is no matter of proxies.
    happened = [outcome.detail for outcome in outcomes if outcome.text != "403 expired"]
    assert [detail for detail in happened if not any(_fits(pattern, detail) for pattern in shown)] == []
    assert [pattern for pattern in shown if not any(_fits(pattern, detail) for detail in happened)] == []


def refused(cast: Cast) -> dict[str, Request]:
    """A request for every row of the table of what is refused."""
    return _from_others(cast) | _not_in_form(cast) | _in_contradiction(cast) | _by_envoy(cast) | _not_good(cast)


def _from_others(cast: Cast) -> dict[str, Request]:
    nginx = cast.by("nginx")
    unix = Connection(None, socket.AF_UNIX)
    pinned = {"MTLS_TRUSTED_PROXIES": ["spiffe://example.org/proxy"]}
    foreign = DevelopmentCA.create("Another CA").client("proxy", uris=["spiffe://example.org/proxy"])

    def over(issued: Issued | None) -> Request:
        return Request("nginx", nginx.items(), settings=pinned, environ={SOCKET: Connection(issued)})

    return {
        "the header from another address, good certificate or not": Request("nginx", nginx.items(), ELSEWHERE),
        "the verify header alone from another address": Request("nginx", [("X-SSL-Client-Verify", "NONE")], ELSEWHERE),
        "the header over a unix socket that is not listed": Request("nginx", nginx.items(), environ={SOCKET: unix}),
        "the header where the server does not tell the address": Request("nginx", nginx.items(), ""),
        "the header over a hop without a certificate, where the proxy's is pinned": over(None),
        "the header over a hop with another good certificate": over(cast.edge),
        "the header over a hop with a certificate of another CA": over(foreign),
        "the header through cheroot as it comes": Request(
            "nginx", nginx.items(), environ={"SERVER_SOFTWARE": "Cheroot/11.1"}
        ),
    }


def _not_in_form(cast: Cast) -> dict[str, Request]:
    nginx, traefik, caddy = cast.by("nginx"), cast.by("traefik"), cast.by("caddy")
    (name, certificate), (listed, one) = next(iter(nginx.items())), next(iter(traefik.items()))
    other = cast.by("traefik", cast.forged)[listed]
    return {
        "two headers of one name": Request("nginx", [(name, certificate), (name, certificate)]),
        "more than 16384 bytes": Request("nginx", [(name, "A" * 16385)]),
        "line breaks or tabs within": Request("nginx", [(name, cast.client.certificate.pem.replace("\n", "\t"))]),
        "another encoding than the format's": Request("nginx", caddy.items()),
        "base64 with something behind it": Request("caddy", [(name, _base64_of(cast.client, b"\x30\x00"))]),
        "a value that was cut short": Request("caddy", [(name, caddy[name][:400])]),
        "PEM where the format has base64": Request("caddy", nginx.items()),
        "RFC 9440 without its colons": Request("rfc9440", [("Client-Cert", caddy[name])]),
        "more than 10 certificates": Request("traefik", [(listed, ",".join([one] * 11))]),
        "two clients' certificates in one list": Request(
            "traefik", [(listed, f"{one.partition(',')[0]},{other.partition(',')[0]}")]
        ),
        "a CA in the list that did not issue the others": Request(
            "traefik", [(listed, f"{one.partition(',')[0]},{_base64_of_ca(DevelopmentCA.create('Another CA'))}")]
        ),
        "the escaped form of old Traefik": Request("traefik", [(listed, one.replace("=", "%3D") + "%2C")]),
    }


def _base64_of_ca(ca: DevelopmentCA) -> str:
    return base64.b64encode(ca.certificate.der).decode("ascii")


def _in_contradiction(cast: Cast) -> dict[str, Request]:
    haproxy = cast.by("haproxy")
    mapping = {"format": "nginx", "header": "ssl-client-cert", "verify_header": "ssl-client-verify"}
    return {
        '"verified", and no certificate': Request("nginx", [("X-SSL-Client-Verify", "SUCCESS")]),
        'a certificate, and "not present"': Request("haproxy", (haproxy | {"X-SSL-Client-Used": "0"}).items()),
        '"present" in a word that is neither yes nor no': Request(
            "haproxy", (haproxy | {"X-SSL-Client-Used": "yes"}).items()
        ),
        "a certificate without the verify header that a mapping names": Request(
            mapping, [("ssl-client-cert", cast.by("nginx")["X-SSL-Client-Cert"])]
        ),
    }


def _by_envoy(cast: Cast) -> dict[str, Request]:
    element = cast.by("envoy")["X-Forwarded-Client-Cert"]
    digest, nothing = element.partition(";")[0], hashlib.sha256().hexdigest()
    forging = cast.ca.client("forging", uris=["spiffe://example.org/forging,Hash=00"])

    def header(value: str) -> Request:
        return Request("envoy", [("X-Forwarded-Client-Cert", value)])

    return {
        "Envoy's Hash without Cert": header(digest),
        "Envoy's Hash of nothing": header(element.replace(digest, f"Hash={nothing}")),
        "Envoy's Hash of another certificate than Cert": header(
            element.replace(digest, f"Hash={cast.forged.certificate.thumbprint}")
        ),
        "an unclosed quote": header(f'{element},By="spiffe://example.org'),
        "a comma in a name of the certificate, by Envoy": header(cast.by("envoy", forging)["X-Forwarded-Client-Cert"]),
    }


def _not_good(cast: Cast) -> dict[str, Request]:
    now = datetime.now(UTC)
    expired = cast.ca.client("expired", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
    below = cast.ca.intermediate("Issuing CA").client("client")
    failed = {"X-SSL-Client-Verify": "FAILED:certificate has expired"}
    return {
        "a certificate that the proxy did not verify, and nothing wrong with it here": Request(
            "nginx", (cast.by("nginx") | failed).items()
        ),
        "an expired certificate that the proxy did not verify": Request(
            "nginx", (cast.by("nginx", expired) | failed).items()
        ),
        "a certificate that the proxy says is revoked": Request(
            "cloudflare", (cast.by("cloudflare") | {"Cf-Cert-Revoked": "true"}).items()
        ),
        "a certificate whose intermediate neither came nor is known": Request("nginx", cast.by("nginx", below).items()),
    }


def missing(cast: Cast) -> dict[str, Request]:
    """Requests without a certificate, for the lines of the log about them."""
    edge_alone = [("X-Forwarded-Client-Cert", cast.by("envoy", cast.edge)["X-Forwarded-Client-Cert"])]
    return {
        "nothing": Request("nginx", []),
        "a placeholder": Request("apache", [("X-SSL-Client-Cert", "(null)")]),
        "an element too few": Request("envoy", edge_alone, settings={"MTLS_FORWARDED_HOPS": 2}),
        "past the proxy": Request("nginx", [], ELSEWHERE),
    }


# Envoy's hops


def test_hops_are_counted_as_listed(cast: Cast) -> None:
    happened = {}
    for elements, *_ in table("proxies", "hops"):
        value = ",".join(
            cast.by("envoy", getattr(cast, name))["X-Forwarded-Client-Cert"] for name in elements.split(", ")
        )
        happened[elements] = [
            cast.ask(
                Request("envoy", [("X-Forwarded-Client-Cert", value)], settings={"MTLS_FORWARDED_HOPS": hops})
            ).text.removeprefix("200 ")
            for hops in (1, 2)
        ]
    assert happened == {row[0]: [_plain(cell) for cell in row[1:]] for row in table("proxies", "hops")}


# aspnet.rst


def test_the_cases_about_forwarding_end_as_listed(cast: Cast) -> None:
    own = {"header": "X-Client-Cert", "encoding": "der-base64"}
    encoded = cast.by("azure")["X-ARR-ClientCert"]
    own_connection = {SOCKET: Connection(cast.edge), "wsgi.url_scheme": "https"}
    cases = {
        "A23": Request(own, [("X-Client-Cert", encoded)]),
        "A24": Request(own, [("X-Client-Cert", f"OOPS{encoded}")]),
        "A25": Request("azure", [("X-ARR-ClientCert", encoded)]),
        "A26": Request(own, [("X-Other-Cert", encoded)]),
        "F03": Request(own, [("X-Client-Cert", encoded)]),
        "F04": Request(own, [("X-Client-Cert", encoded)], environ=own_connection),
        "F05": Request("azure", [("X-ARR-ClientCert", encoded)]),
        "F06": Request(own, [("X-Other-Cert", encoded)]),
        "F07": Request(own, [("X-Client-Cert", f"OOPS{encoded}")]),
    }
    shown = {case: _plain(here) for case, _there, here in table("aspnet", "cases") if case in cases}
    happened = {case: cast.ask(request).text.removesuffix(" client") for case, request in cases.items()}
    assert {case: _beginning(text) for case, text in shown.items()} == happened


def _beginning(cell: str) -> str:
    """That of a cell which says what happens."""
    found = re.match(r"200|403 \w+", cell)
    return found[0] if found else ""


# What the tests above read with


def _plain(cell: str) -> str:
    return re.sub(r"[`*]", "", cell)


def _code(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"``(.+?)``(?!`)", cell)


def _base64_of(issued: Issued, behind: bytes) -> str:
    return base64.b64encode(issued.certificate.der + behind).decode()


def _fits(pattern: str, detail: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(re.escape("..."), ".*"), detail) is not None
