"""HAProxy in front, with its own headers and with those of RFC 9440."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_core.devca import Issued

from ..processes import Process, free_port
from ..programs import require_program
from .proxy_scenarios import ExampleScenarios
from .proxying import Headers, Parties, Site, application, base64_der, configuration, echo, proxy, rfc9440


@contextlib.contextmanager
def haproxy(example: str, parties: Parties, app: Process, folder: Path) -> Iterator[Site]:
    """HAProxy in front of an application until the block ends."""
    port = free_port()
    path = folder / "haproxy.cfg"
    replacements = {
        "127.0.0.1:8000": f"127.0.0.1:{app.port}",
        "bind :443": f"bind 127.0.0.1:{port}",
        "/etc/mtls/server-and-key.pem": parties.both("server"),
        "/etc/mtls/client-ca.pem": parties.authorities,
    }
    path.write_text(configuration(example, replacements))
    with proxy([require_program("haproxy"), "-db", "-f", path], port, folder) as log:
        yield Site(parties, port, app, (log, app.log))


@pytest.fixture(scope="module")
def own_headers(parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("haproxy")
    with (
        application(parties, folder, example="haproxy.cfg") as app,
        haproxy("haproxy.cfg", parties, app, folder) as site,
    ):
        yield site


class TestHAProxy(ExampleScenarios):
    source = "haproxy"

    @pytest.fixture
    def site(self, own_headers: Site) -> Site:
        return own_headers

    @pytest.fixture
    def echoing(self, parties: Parties, tmp_path: Path) -> Iterator[Site]:
        with echo(tmp_path) as app, haproxy("haproxy.cfg", parties, app, tmp_path) as site:
            yield site

    def headers(self, issued: Issued) -> Headers:
        chain = base64.b64encode(b"".join(each.der for each in issued.chain)).decode()
        return [
            ("X-SSL-Client-Cert", base64_der(issued.certificate)),
            ("X-SSL-Client-Chain", chain),
            ("X-SSL-Client-Verify", "0"),
            ("X-SSL-Client-Used", "1"),
        ]


@pytest.fixture(scope="module")
def after_rfc9440(parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("haproxy-rfc9440")
    with (
        application(parties, folder, example="haproxy-rfc9440.cfg", authorities=parties.authorities) as app,
        haproxy("haproxy-rfc9440.cfg", parties, app, folder) as site,
    ):
        yield site


class TestHAProxyAfterRFC9440(ExampleScenarios):
    source = "rfc9440"

    @pytest.fixture
    def site(self, after_rfc9440: Site) -> Site:
        return after_rfc9440

    @pytest.fixture
    def echoing(self, parties: Parties, tmp_path: Path) -> Iterator[Site]:
        with echo(tmp_path) as app, haproxy("haproxy-rfc9440.cfg", parties, app, tmp_path) as site:
            yield site

    def headers(self, issued: Issued) -> Headers:
        return rfc9440(issued)
