"""nginx in front, over loopback, over a unix socket, and over mutual TLS."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import pytest

from mtls_core.devca import Issued
from mtls_core.pins import Pin

from ..processes import Process, free_port
from ..programs import require_program
from .proxy_scenarios import ExampleScenarios
from .proxying import Headers, Parties, Site, application, configuration, echo, proxy, spiffe_id

#: Around the example, which is a file for conf.d. Workers stay root where the test is, to reach its folder.
_MAIN = """
daemon off;
pid nginx.pid;
error_log stderr;
{user}
events {{ }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include {site};
}}
"""


@contextlib.contextmanager
def nginx(parties: Parties, app: Process, folder: Path, *, upstream: str = "", hop: str = "") -> Iterator[Site]:
    """nginx in front of an application until the block ends.

    :param upstream: Where the application is, if not on its port.
    :param hop: Directives for the hop, in the place of ``proxy_pass``.
    """
    port = free_port()
    site, main = folder / "site.conf", folder / "nginx.conf"
    replacements = {
        "127.0.0.1:8000": upstream or f"127.0.0.1:{app.port}",
        "443 ssl": f"127.0.0.1:{port} ssl",
        "/etc/mtls/server.pem": parties.certificate("server"),
        "/etc/mtls/server.key": parties.key("server"),
        "/etc/mtls/client-ca.pem": parties.authorities,
        **({"proxy_pass http://orders;": hop} if hop else {}),
    }
    site.write_text(configuration("nginx.conf", replacements))
    main.write_text(_MAIN.format(site=site, user="user root;" if os.geteuid() == 0 else ""))
    with proxy([require_program("nginx"), "-p", folder, "-c", main, "-e", "stderr"], port, folder) as log:
        yield Site(parties, port, app, (log, app.log))


@pytest.fixture(scope="module")
def site(parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    with (
        application(parties, folder, example="nginx.conf", authorities=parties.authorities) as app,
        nginx(parties, app, folder) as site,
    ):
        yield site


@pytest.fixture
def echoing(parties: Parties, tmp_path: Path) -> Iterator[Site]:
    with echo(tmp_path) as app, nginx(parties, app, tmp_path) as site:
        yield site


class TestNginx(ExampleScenarios):
    source = "nginx"
    # No mode of nginx lets through what is not valid now.
    refusals: ClassVar[Mapping[str, str | int]] = {**ExampleScenarios.refusals, "expired": 400}

    def headers(self, issued: Issued) -> Headers:
        escaped = quote(issued.certificate.pem, safe="")
        return [("X-SSL-Client-Cert", escaped), ("X-SSL-Client-Verify", "SUCCESS")]


def test_a_unix_socket_is_a_place_to_trust(parties: Parties, tmp_path: Path) -> None:
    with _over_a_unix_socket(parties, tmp_path, trusted="unix") as site:
        assert site.ask("orders").outcome == spiffe_id("orders")
        assert site.ask().outcome == "certificate_required"


def test_a_unix_socket_that_is_not_trusted_is_not(parties: Parties, tmp_path: Path) -> None:
    with _over_a_unix_socket(parties, tmp_path, trusted="127.0.0.1") as site:
        assert site.ask("orders").outcome == "untrusted_proxy"


def test_a_proxy_is_known_by_its_own_certificate(parties: Parties, tmp_path: Path) -> None:
    pin = str(Pin.for_certificate(parties.leaf("proxy")))
    with _over_mutual_tls(parties, tmp_path, trusted=pin) as site:
        assert site.ask("orders").outcome == spiffe_id("orders")
        assert site.ask().outcome == "certificate_required"


def test_a_proxy_is_known_by_its_own_spiffe_id(parties: Parties, tmp_path: Path) -> None:
    with _over_mutual_tls(parties, tmp_path, trusted=spiffe_id("proxy")) as site:
        assert site.ask("orders").outcome == spiffe_id("orders")


def test_a_proxy_with_another_certificate_is_not_believed(parties: Parties, tmp_path: Path) -> None:
    pin = str(Pin.for_certificate(parties.leaf("billing")))
    with _over_mutual_tls(parties, tmp_path, trusted=pin) as site:
        assert site.ask("orders").outcome == "untrusted_proxy"


def test_a_proxy_without_a_certificate_of_its_own_is_not_believed(parties: Parties, tmp_path: Path) -> None:
    pin = str(Pin.for_certificate(parties.leaf("proxy")))
    with _over_mutual_tls(parties, tmp_path, trusted=pin, shown=False) as site:
        assert site.ask("orders").outcome == "untrusted_proxy"


@contextlib.contextmanager
def _over_a_unix_socket(parties: Parties, folder: Path, *, trusted: str) -> Iterator[Site]:
    socket = folder / "app.sock"
    with (
        application(
            *(parties, folder),
            forwarded="nginx",
            trusted=[trusted],
            authorities=parties.authorities,
            more=("--bind", f"unix:{socket}"),
        ) as app,
        nginx(parties, app, folder, upstream=f"unix:{socket}") as site,
    ):
        yield site


@contextlib.contextmanager
def _over_mutual_tls(parties: Parties, folder: Path, *, trusted: str, shown: bool = True) -> Iterator[Site]:
    own = f"""
        proxy_ssl_certificate {parties.certificate("proxy")};
        proxy_ssl_certificate_key {parties.key("proxy")};
    """
    hop = f"""
        proxy_pass https://orders;
        {own if shown else ""}
        proxy_ssl_trusted_certificate {parties.roots};
        proxy_ssl_verify on;
        proxy_ssl_name localhost;
    """
    identity = {
        "FLASK_MTLS_IDENTITY": str(parties.certificate("server")),
        "FLASK_MTLS_IDENTITY_KEY": str(parties.key("server")),
    }
    with (
        application(
            *(parties, folder),
            forwarded="nginx",
            trusted=[trusted],
            authorities=parties.authorities,
            settings=identity,
        ) as app,
        nginx(parties, app, folder, hop=hop) as site,
    ):
        yield site
