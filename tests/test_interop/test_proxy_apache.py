"""Apache in front, with its own headers and with those of RFC 9440."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from mtls_core.certificate import Certificate
from mtls_core.devca import Issued

from ..processes import Process, free_port
from ..programs import require_program
from .proxy_scenarios import ExampleScenarios
from .proxying import Headers, Parties, Site, application, configuration, echo, proxy, rfc9440

#: Around the example, which is a file for sites-available: what Debian's apache2.conf has, and nothing that decides.
_MAIN = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
ServerName localhost
PidFile {folder}/apache.pid
ErrorLog /dev/stderr
Mutex file:{folder}
User www-data
Group www-data
{modules}
Listen 127.0.0.1:{port}
Include {site}
"""
_MODULES = (
    "mpm_event",
    "authz_core",
    "authz_host",
    "setenvif",
    "headers",
    "socache_shmcb",
    "ssl",
    "proxy",
    "proxy_http",
)


@contextlib.contextmanager
def apache(example: str, parties: Parties, app: Process, folder: Path) -> Iterator[Site]:
    """Apache in front of an application until the block ends."""
    port = free_port()
    site, main = folder / "site.conf", folder / "apache.conf"
    replacements = {
        "127.0.0.1:8000": f"127.0.0.1:{app.port}",
        "*:443": f"*:{port}",
        "/etc/mtls/server.pem": parties.certificate("server"),
        "/etc/mtls/server.key": parties.key("server"),
        "/etc/mtls/client-ca.pem": parties.authorities,
    }
    site.write_text(configuration(example, replacements))
    modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in _MODULES)
    main.write_text(_MAIN.format(folder=folder, modules=modules, port=port, site=site))
    with proxy([require_program("apache2"), "-DFOREGROUND", "-f", main], port, folder) as log:
        yield Site(parties, port, app, (log, app.log))


@pytest.fixture(scope="module")
def own_headers(parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("apache")
    with (
        application(parties, folder, example="apache.conf") as app,
        apache("apache.conf", parties, app, folder) as site,
    ):
        yield site


@pytest.fixture(scope="module")
def after_rfc9440(parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("apache-rfc9440")
    with (
        application(parties, folder, example="apache-rfc9440.conf") as app,
        apache("apache-rfc9440.conf", parties, app, folder) as site,
    ):
        yield site


class _ApacheScenarios(ExampleScenarios):
    # No mode of Apache lets through what is not valid now.
    refusals: ClassVar[Mapping[str, str | int]] = {**ExampleScenarios.refusals, "expired": "alert certificate_expired"}
    forged_by_nobody: ClassVar[Mapping[str, str | int]] = {"underscores": 403, "one underscore": 403}
    forged_by_another = forged_by_nobody


class TestApache(_ApacheScenarios):
    source = "apache"

    @pytest.fixture
    def site(self, own_headers: Site) -> Site:
        return own_headers

    @pytest.fixture
    def echoing(self, parties: Parties, tmp_path: Path) -> Iterator[Site]:
        with echo(tmp_path) as app, apache("apache.conf", parties, app, tmp_path) as site:
            yield site

    def headers(self, issued: Issued) -> Headers:
        return [
            ("X-SSL-Client-Cert", _spaced(issued.certificate)),
            *((f"X-SSL-Client-Chain-{n}", _spaced(each)) for n, each in enumerate(issued.chain)),
            ("X-SSL-Client-Verify", "SUCCESS"),
        ]


class TestApacheAfterRFC9440(_ApacheScenarios):
    source = "rfc9440"

    @pytest.fixture
    def site(self, after_rfc9440: Site) -> Site:
        return after_rfc9440

    @pytest.fixture
    def echoing(self, parties: Parties, tmp_path: Path) -> Iterator[Site]:
        with echo(tmp_path) as app, apache("apache-rfc9440.conf", parties, app, tmp_path) as site:
            yield site

    def headers(self, issued: Issued) -> Headers:
        return rfc9440(issued)


def _spaced(certificate: Certificate) -> str:
    return certificate.pem.replace("\n", " ")
