"""Behind a proxy that ends TLS: each server, over plain HTTP, and what it makes of headers that look like others."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

from flask_mtls import ConfigurationError
from flask_mtls.config import Settings
from flask_mtls.proxies import STRICT_HEADERS
from flask_mtls.serving.gunicorn_settings import fit_for_headers, without_tls
from flask_mtls.serving.unchecked import note_checked, warn_if_unchecked
from flask_mtls.serving.werkzeug import server_options
from mtls_core.devca import DevelopmentCA, Issued

from ..processes import free_port, serving
from ..programs import require_program
from .conftest import MakeApp
from .heads import CASES, assert_not_evil, callers, document, exchange, rfc9440
from .heads import request as head
from .serving import fetch, running

APP = "tests.test_flask_mtls.wsgi"
CONFIGURED = ("-c", "python:flask_mtls.gunicorn_conf")
WORKERS = ["sync", "gthread", "gevent"]


@pytest.fixture(scope="module")
def evil(ca: DevelopmentCA) -> Issued:
    return ca.client("evil")


@pytest.fixture(scope="module")
def environment(ca: DevelopmentCA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables of a service behind a proxy on this machine."""
    path = tmp_path_factory.mktemp("settings") / "ca.pem"
    path.write_text(ca.pem)
    return {
        "FLASK_MTLS_CLIENT_CA": str(path),
        "FLASK_MTLS_FORWARDED": "rfc9440",
        "FLASK_MTLS_TRUSTED_PROXIES": '["127.0.0.1"]',
    }


@pytest.fixture(scope="module", params=["werkzeug", "waitress", *WORKERS])
def server(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """The address of a server, of each kind."""
    kind: str = request.param
    if kind == "waitress":
        require_program("waitress-serve")
    with serving(kind, APP, environment, tmp_path_factory.mktemp(kind)) as process:
        yield "127.0.0.1", process.port


@pytest.fixture
def behind_proxy(make_app: MakeApp) -> Any:
    def make(**settings: Any) -> Flask:
        return make_app(**{"MTLS_FORWARDED": "rfc9440", "MTLS_TRUSTED_PROXIES": ["127.0.0.1"]} | settings)

    return make


@pytest.fixture
def settings(behind_proxy: Any) -> Settings:
    found: Settings = behind_proxy().extensions["mtls"].settings
    return found


def test_proxy_is_believed_over_plain_http(server: tuple[str, int], billing: Issued) -> None:
    assert callers(exchange(server, head(b"Client-Cert: " + rfc9440(billing)))) == ["billing"]
    assert document(exchange(server, head()))["reason"] == "certificate_required"


#: waitress goes by the chunks, and takes what is behind them for the next request. No application can see that it
#: did. To pass that on, a proxy must go by the length, or know no chunks in HTTP/1.0, and leave the header that it
#: did not understand (RFC 9112, section 6.1, forbids it). nginx 1.22 and Envoy 1.40 refuse all three; HAProxy 2.6 and
#: Apache 2.4 refuse the third, and end the others where the chunks end; Caddy 2.11 sees two requests, as waitress
#: does, and strips headers from both.
BELIEVED_BY_WAITRESS = {"length-and-chunks", "chunks-and-length", "chunks-in-http-1.0"}


@pytest.mark.parametrize("case", CASES)
def test_nobody_becomes_somebody_else(
    request: pytest.FixtureRequest, server: tuple[str, int], billing: Issued, evil: Issued, case: str
) -> None:
    if case in BELIEVED_BY_WAITRESS and request.node.callspec.params["server"] == "waitress":
        request.applymarker(pytest.mark.xfail(reason="only the proxy can prevent it"))
    good = rfc9440(billing)
    sent = CASES[case](good, rfc9440(evil))
    assert_not_evil(exchange(server, sent), sent, good)


def test_header_that_is_long_enough_for_any_certificate(server: tuple[str, int], ca: DevelopmentCA) -> None:
    big = ca.client("big", dns=[f"host-{number}.internal" for number in range(450)])
    value = rfc9440(big)
    assert 10_000 < len(value) < 16 * 1024
    assert callers(exchange(server, head(b"Client-Cert: " + value))) == ["big"]


def test_port_without_tls_is_named_in_the_log(behind_proxy: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="flask_mtls")
    with running(behind_proxy()):
        assert "this port speaks plain HTTP, for the proxies in MTLS_TRUSTED_PROXIES (127.0.0.1)" in caplog.text


def test_service_with_an_identity_speaks_tls_with_its_proxies(
    behind_proxy: Any, ca: DevelopmentCA, orders: Issued, billing: Issued
) -> None:
    with running(behind_proxy(MTLS_IDENTITY=orders.identity)) as port:
        sent = head(b"Client-Cert: " + rfc9440(billing))
        answer = exchange(("127.0.0.1", port), sent, tls=ssl.create_default_context(cadata=ca.pem))
        assert callers(answer) == ["billing"]


def test_service_without_a_proxy_does_not_speak_plain_http(make_app: MakeApp) -> None:
    with pytest.raises(ConfigurationError, match="MTLS_IDENTITY is not set"), running(make_app()):
        pass


@pytest.mark.parametrize("pinned", [False, True])
def test_certificate_of_a_proxy_cannot_be_shown_over_plain_http(
    behind_proxy: Any, orders: Issued, pinned: bool
) -> None:
    proxies = ["127.0.0.1", str(orders.certificate.thumbprint)] if pinned else ["127.0.0.1"]
    app = behind_proxy(MTLS_TRUSTED_PROXIES=proxies)
    if not pinned:
        with running(app):
            return
    with pytest.raises(ConfigurationError, match="over plain HTTP they cannot show them"), running(app):
        pass


def test_strict_head_of_werkzeug_is_for_headers_that_are_believed(
    make_app: MakeApp, behind_proxy: Any, orders: Issued, ca: DevelopmentCA
) -> None:
    """A service without a proxy reads what it always read."""
    tls, folded = ssl.create_default_context(cadata=ca.pem), head(b"X-Note: a", b" b")
    with running(make_app(MTLS_IDENTITY=orders.identity)) as port:
        assert document(exchange(("127.0.0.1", port), folded, tls=tls))["reason"] == "certificate_required"
    with running(behind_proxy(MTLS_IDENTITY=orders.identity)) as port:
        assert exchange(("127.0.0.1", port), folded, tls=tls).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("kind", WORKERS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_gunicorn_on_a_unix_socket(
    kind: str,
    tls: bool,
    environment: dict[str, str],
    ca: DevelopmentCA,
    orders: Issued,
    billing: Issued,
    tmp_path: Path,
) -> None:
    path = tmp_path / "gunicorn.sock"
    settings = environment | {"FLASK_MTLS_TRUSTED_PROXIES": '["unix"]'}
    if tls:
        settings["FLASK_MTLS_IDENTITY"] = str(orders.write(tmp_path, "orders", password="s3cret").pfx)
        settings["FLASK_MTLS_IDENTITY_PASSWORD"] = "s3cret"
    context = ssl.create_default_context(cadata=ca.pem) if tls else None
    sent = head(b"Client-Cert: " + rfc9440(billing))
    with serving(kind, APP, settings, tmp_path, more=["--bind", f"unix:{path}"]) as process:
        # First, since a worker that answers was born when both sockets listened.
        other = exchange(("127.0.0.1", process.port), sent, tls=context)
        assert document(other)["reason"] == "untrusted_proxy"
        assert callers(exchange(str(path), sent, tls=context)) == ["billing"]


@pytest.mark.parametrize("kind", WORKERS)
def test_gunicorn_says_that_it_speaks_plain_http(kind: str, environment: dict[str, str], tmp_path: Path) -> None:
    with serving(kind, APP, environment, tmp_path, more=["--log-level", "info"]) as process:
        exchange(("127.0.0.1", process.port), head())
    assert "flask_mtls: this port speaks plain HTTP" in process.log.read_text()


def test_gunicorn_with_an_identity_speaks_tls(
    environment: dict[str, str], ca: DevelopmentCA, orders: Issued, tmp_path: Path
) -> None:
    files = orders.write(tmp_path, "orders", password="s3cret")
    identity = {"FLASK_MTLS_IDENTITY": str(files.pfx), "FLASK_MTLS_IDENTITY_PASSWORD": "s3cret"}
    with serving("gthread", APP, environment | identity, tmp_path) as process:
        assert fetch(process.port, None, ca.trust_store()).outcome == "certificate_required"


def start(environment: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    bind = ("--bind", f"127.0.0.1:{free_port()}")
    command = [sys.executable, "-m", "gunicorn", *CONFIGURED, *bind, *options, f"{APP}:create_app()"]
    everything = {**os.environ, **environment}
    return subprocess.run(command, env=everything, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--header-map", "dangerous"], "header_map = 'dangerous'"),
        (["--worker-class", "gunicorn.workers.ggevent.GeventPyWSGIWorker"], "worker class GeventPyWSGIWorker"),
        (["--certfile", "/dev/zero", "--keyfile", "/dev/zero"], "put it into MTLS_IDENTITY"),
    ],
)
def test_gunicorn_does_not_start_where_headers_could_be_forged(
    environment: dict[str, str], options: list[str], said: str
) -> None:
    ended = start(environment, *options)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def worker(**settings: Any) -> SyncWorker:
    """A worker as far as its settings go."""
    made = SyncWorker.__new__(SyncWorker)
    made.cfg = Config()
    for name, value in settings.items():
        made.cfg.set(name, value)
    return made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("header_map", "dangerous"),
        ("strip_header_spaces", True),
        ("forwarder_headers", "SCRIPT_NAME,CLIENT_CERT"),
        ("forwarder_headers", "CLIENT_CERT_CHAIN"),
        ("forwarder_headers", "*"),
    ],
)
def test_setting_with_which_headers_could_be_forged(settings: Settings, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"MTLS_FORWARDED cannot be relied on with gunicorn's {name}"):
        fit_for_headers(worker(**{name: value}), settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("header_map", "drop"),
        ("header_map", "refuse"),
        ("strip_header_spaces", False),
        ("forwarder_headers", "SCRIPT_NAME,PATH_INFO,REMOTE_USER"),
        ("forwarder_headers", "CLIENT-CERT"),
    ],
)
def test_setting_with_which_headers_are_safe(settings: Settings, name: str, value: Any) -> None:
    fit_for_headers(worker(**{name: value}), settings)


def test_protocol_in_which_names_are_not_kept(settings: Settings) -> None:
    if "protocol" not in Config().settings:
        pytest.skip("this gunicorn speaks HTTP alone")
    fit_for_headers(worker(protocol="http"), settings)
    with pytest.raises(ConfigurationError, match="gunicorn's protocol = 'uwsgi'"):
        fit_for_headers(worker(protocol="uwsgi"), settings)


def test_worker_that_nobody_knows(settings: Settings) -> None:
    class Other:
        cfg = Config()

    with pytest.raises(ConfigurationError, match="gunicorn's worker class Other"):
        fit_for_headers(Other(), settings)
    known = ThreadWorker.__new__(ThreadWorker)
    known.cfg = Config()
    fit_for_headers(known, settings)


@pytest.mark.parametrize(
    ("configured", "becomes"), [(8190, 16 * 1024 + 256), (100, 16 * 1024 + 256), (50_000, 50_000), (0, 65536)]
)
def test_limit_of_gunicorn_is_raised_and_never_lowered(settings: Settings, configured: int, becomes: int) -> None:
    """0 says no limit, which gunicorn 27 takes for 8190."""
    one = worker(limit_request_field_size=configured)
    fit_for_headers(one, settings)
    assert one.cfg.limit_request_field_size == becomes


def test_limit_of_gunicorn_has_room_for_each_proxy(behind_proxy: Any) -> None:
    settings = behind_proxy(MTLS_FORWARDED="envoy", MTLS_FORWARDED_HOPS=3).extensions["mtls"].settings
    one = worker()
    fit_for_headers(one, settings)
    assert one.cfg.limit_request_field_size == 3 * 16 * 1024 + 256


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"certfile": "/etc/ssl/orders.pem"}, "/etc/ssl/orders.pem"),
        ({"certfile": os.devnull, "keyfile": "/etc/ssl/orders.key"}, "/etc/ssl/orders.key"),
    ],
)
def test_certificate_for_gunicorn_is_not_ignored(given: dict[str, str], named: str) -> None:
    """Who gives one expects TLS."""
    with pytest.raises(ConfigurationError, match=f"gunicorn was given '{named}'"):
        without_tls(worker(**given).cfg)


@pytest.mark.parametrize("certfile", [os.devnull, None])
def test_gunicorn_speaks_plain_http_without_one(certfile: str | None) -> None:
    cfg = worker(certfile=certfile).cfg
    without_tls(cfg)
    assert not cfg.is_ssl


def test_gunicorn_without_our_configuration_is_warned_of(environment: dict[str, str], tmp_path: Path) -> None:
    with serving("gunicorn", APP, environment, tmp_path) as process:
        for _ in range(2):
            exchange(("127.0.0.1", process.port), head())
    assert process.log.read_text().count("without -c python:flask_mtls.gunicorn_conf") == 1
    with serving("sync", APP, environment, tmp_path) as process:
        exchange(("127.0.0.1", process.port), head())
    assert "without -c" not in process.log.read_text()


def test_warning_comes_once(behind_proxy: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = behind_proxy()
    for _ in range(3):
        warn_if_unchecked(app, {"gunicorn.socket": object()})
    (line,) = caplog.messages
    assert "without -c python:flask_mtls.gunicorn_conf" in line


@pytest.mark.parametrize("environ", [{}, {"werkzeug.socket": object(), STRICT_HEADERS: True}])
def test_other_servers_are_not_warned_of(
    behind_proxy: Any, caplog: pytest.LogCaptureFixture, environ: dict[str, Any]
) -> None:
    warn_if_unchecked(behind_proxy(), environ)
    assert not caplog.messages


def test_werkzeug_as_it_comes_is_warned_of(behind_proxy: Any, caplog: pytest.LogCaptureFixture) -> None:
    warn_if_unchecked(behind_proxy(), {"werkzeug.socket": object()})
    assert "'flask mtls run' and mtls.run() refuse such requests" in caplog.text


@pytest.mark.parametrize("settings", [{"MTLS_CLIENT_CERTS": "required"}, {"MTLS_FORWARDED_DIRECT": True}])
def test_certificates_that_are_expected_are_not_expected_over_plain_http(
    behind_proxy: Any, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="over plain HTTP there are none"):
        server_options(behind_proxy(**settings))
    assert server_options(behind_proxy()).ssl_context is None


def test_gunicorn_with_our_configuration_is_not_warned_of(behind_proxy: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = behind_proxy()
    note_checked(app)
    warn_if_unchecked(app, {"gunicorn.socket": object()})
    assert not caplog.messages
