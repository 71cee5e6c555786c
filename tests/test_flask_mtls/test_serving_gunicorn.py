"""gunicorn over mutual TLS: each kind of worker, in processes of their own."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_mtls import ConfigurationError
from flask_mtls.serving import gunicorn
from mtls_core.contexts import client_context
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.trust import TrustStore

from ..processes import free_port, serving, wait_for_port
from .conftest import MakeApp
from .serving import Caller, fetch

APP = "tests.test_flask_mtls.wsgi"
KINDS = ["sync", "gthread", "gevent"]


@pytest.fixture(scope="module")
def trust(ca: DevelopmentCA) -> TrustStore:
    return ca.trust_store()


@pytest.fixture
def settings(ca: DevelopmentCA, orders: Issued, tmp_path: Path) -> dict[str, str]:
    """Environment variables of a service whose files lie in the test's folder."""
    files = orders.write(tmp_path, "orders", password="s3cret")
    (tmp_path / "ca.pem").write_text(ca.pem)
    return {
        "FLASK_MTLS_IDENTITY": str(files.pfx),
        "FLASK_MTLS_IDENTITY_PASSWORD": "s3cret",
        "FLASK_MTLS_CLIENT_CA": str(tmp_path / "ca.pem"),
        "FLASK_MTLS_RELOAD_INTERVAL": "0.2",
    }


def wait_until(condition: Callable[[], bool], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_worker(
    kind: str,
    preload: bool,
    settings: dict[str, str],
    stock: Issued,
    expired: Issued,
    foreign_ca: DevelopmentCA,
    trust: TrustStore,
    tmp_path: Path,
) -> None:
    """P21, P22: also with the app loaded before the fork, and before gevent replaces the classes of ssl."""
    with serving(kind, APP, settings, tmp_path, more=["--preload"] if preload else []) as server:
        assert fetch(server.port, stock, trust).document["caller"] == ["stock"]
        assert fetch(server.port, stock, trust, method="POST", body=b"x" * 200_000).document["length"] == 200_000
        assert fetch(server.port, expired, trust).outcome == "expired"
        assert fetch(server.port, None, trust).outcome == "certificate_required"
        assert fetch(server.port, None, trust, "/public").document == {"caller": None}
        with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
            fetch(server.port, foreign_ca.client("intruder"), trust)
        contexts = [fetch(server.port, None, trust, "/context").document for _ in range(3)]
        assert contexts[0] == contexts[1] == contexts[2]
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "client certificate refused" in log


@pytest.mark.parametrize("kind", ["gthread", "gevent"])
def test_removed_ca_is_out_in_all_workers_on_open_connections(
    kind: str,
    settings: dict[str, str],
    ca: DevelopmentCA,
    foreign_ca: DevelopmentCA,
    billing: Issued,
    trust: TrustStore,
    tmp_path: Path,
) -> None:
    """P9: in two workers, with the app loaded before the fork, and without anybody telling them."""
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem + foreign_ca.pem)
    guest = foreign_ca.client("guest")
    context = client_context(guest.identity, trust=trust)
    more = ["--preload", "--workers", "2", "--keep-alive", "60"]
    with serving(kind, APP, settings, tmp_path, more=more) as server, contextlib.ExitStack() as opened:
        callers: dict[int, Caller] = {}
        while len(callers) < 2:  # which worker gets a connection is the kernel's choice
            caller = opened.enter_context(Caller(server.port, guest, trust, context=context))
            callers.setdefault(caller.get().document["pid"], caller)
        file.write_text(ca.pem)
        for caller in callers.values():
            wait_until(lambda caller=caller: caller.get().outcome == "issuer_not_found")  # type: ignore[misc]
        assert fetch(server.port, billing, trust).outcome == 200


@pytest.mark.parametrize("kind", ["gthread", "gevent"])
def test_certificate_that_expires_on_an_open_connection(
    kind: str, settings: dict[str, str], ca: DevelopmentCA, trust: TrustStore, tmp_path: Path
) -> None:
    """P10: the next request is refused."""
    with serving(kind, APP, settings, tmp_path, more=["--keep-alive", "60"]) as server:
        short = ca.client("short", not_after=datetime.now(UTC) + timedelta(seconds=2))
        with Caller(server.port, short, trust) as caller:
            assert caller.get().outcome == 200
            connection = caller.connection.sock
            wait_until(lambda: caller.get().outcome == "expired")
            assert caller.connection.sock is connection


@pytest.mark.parametrize("kind", KINDS)
def test_bad_handshakes_leave_nothing_behind(
    kind: str,
    settings: dict[str, str],
    billing: Issued,
    foreign_ca: DevelopmentCA,
    trust: TrustStore,
    tmp_path: Path,
) -> None:
    """P15, with connections that are reset in the middle among them."""
    refused = client_context(foreign_ca.client("intruder").identity, trust=trust)
    with serving(kind, APP, settings, tmp_path) as server:
        pid = fetch(server.port, billing, trust).document["pid"]
        for number in range(40):
            bad_handshake(server.port, refused, number)
        before = descriptors(pid)
        for number in range(300):
            bad_handshake(server.port, refused, number)
        assert fetch(server.port, billing, trust).document["pid"] == pid
        wait_until(lambda: descriptors(pid) <= before)
    assert "Traceback" not in server.log.read_text()


def bad_handshake(port: int, refused: ssl.SSLContext, number: int) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=10) as raw:
        if number % 10 == 0:
            with refused.wrap_socket(raw, server_hostname="localhost") as connection:
                connection.recv(1)
            return
        if number % 3 == 0:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing is a reset
        raw.sendall([b"", b"\x16", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x05hello"][number % 4])


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("kind", KINDS)
def test_on_demand(kind: str, settings: dict[str, str], stock: Issued, trust: TrustStore, tmp_path: Path) -> None:
    with serving(kind, APP, settings | {"FLASK_MTLS_CLIENT_CERTS": "on_demand"}, tmp_path) as server:
        assert fetch(server.port, stock, trust, "/public").document == {"caller": None}
        assert fetch(server.port, stock, trust).document["caller"] == ["stock"]


def test_stalled_handshake_ends_at_the_deadline(
    settings: dict[str, str], billing: Issued, trust: TrustStore, tmp_path: Path
) -> None:
    """The one worker is free again after it, and was not killed."""
    with serving("sync", APP, settings | {"FLASK_MTLS_HANDSHAKE_TIMEOUT": "0.5"}, tmp_path) as server:
        with socket.create_connection(("localhost", server.port)) as stalled:
            stalled.sendall(b"\x16\x03\x01")
            assert fetch(server.port, billing, trust).outcome == 200
        assert "Booting" not in server.log.read_text()


def start(
    settings: Mapping[str, str], *options: str, app: str = f"{APP}:create_app()"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{free_port()}", *options, app]
    environment = {**os.environ, **settings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_what_cannot_be_served_stops_the_start(settings: dict[str, str]) -> None:
    """P24: no worker that is born again and again."""
    for key in ("FLASK_MTLS_IDENTITY", "FLASK_MTLS_IDENTITY_PASSWORD"):
        del settings[key]
    ended = start(settings, "-c", "python:flask_mtls.gunicorn_conf")
    assert ended.returncode != 0
    assert "flask_mtls: MTLS_IDENTITY is not set" in ended.stderr
    assert "Traceback" not in ended.stderr


def own_configuration(folder: Path, text: str) -> str:
    path = folder / "conf.py"
    path.write_text(f"from flask_mtls.gunicorn_conf import *\n{text}\n")
    return str(path)


def test_configuration_of_ones_own(
    settings: dict[str, str], billing: Issued, trust: TrustStore, tmp_path: Path
) -> None:
    conf = own_configuration(tmp_path, "threads = 2\nproc_name = 'orders'")
    port, log = free_port(), tmp_path / "own.log"
    command = [sys.executable, "-m", "gunicorn", "-c", conf, "--bind", f"127.0.0.1:{port}", f"{APP}:create_app()"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for_port(port, process, log)
        assert fetch(port, billing, trust).outcome == 200
    finally:
        process.terminate()
        process.wait(timeout=15)


def test_context_without_post_worker_init_says_what_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a configuration has put its own in the place of ours."""
    monkeypatch.setattr(gunicorn._Serving, "context", None)
    with pytest.raises(ConfigurationError, match=r"gunicorn_conf\.post_worker_init\(worker\)"):
        gunicorn.ssl_context(None, None)


def test_no_certificate_of_gunicorns_own_is_needed_or_read() -> None:
    """Should our hook be replaced, gunicorn has nothing to serve with, and does not serve in the clear."""
    from flask_mtls import gunicorn_conf

    assert gunicorn_conf.certfile == os.devnull
    with pytest.raises(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(gunicorn_conf.certfile)


def in_a_closure(app: Flask) -> Callable[..., Any]:
    def middleware(environ: Any, start_response: Any) -> Any:
        return app(environ, start_response)

    return middleware


class Slotted:
    """Middleware that hides its app from everybody."""

    __slots__ = ("_app",)

    def __init__(self, app: Flask) -> None:
        self._app = app


@pytest.mark.parametrize(
    "wrap",
    [
        lambda app: app,
        ProxyFix,
        in_a_closure,
        lambda app: ProxyFix(in_a_closure(app)),
        lambda app: app.wsgi_app,
        lambda app: functools.partial(ProxyFix(app)),
        lambda app: DispatcherMiddleware(Flask("plain"), {"/orders": app}),
        lambda app: DispatcherMiddleware(app, {"/plain": Flask("plain")}),
    ],
    ids=["bare", "object", "closure", "both", "method", "partial", "mount", "dispatcher"],
)
def test_app_is_found_within_middleware(make_app: MakeApp, wrap: Callable[[Flask], Any]) -> None:
    app = make_app()
    assert gunicorn.find_app(wrap(app)) is app


def test_app_with_middleware_within_is_found(make_app: MakeApp) -> None:
    app, other = make_app(), make_app()
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/other": other})  # type: ignore[method-assign]
    assert gunicorn.find_app(app) is app


def test_several_apps_on_a_port(make_app: MakeApp) -> None:
    with pytest.raises(ConfigurationError, match="several apps with MTLS share this port"):
        gunicorn.find_app(DispatcherMiddleware(make_app(), {"/other": make_app()}))


@pytest.mark.parametrize("wsgi", [Flask("plain"), lambda environ, start: [], None, [[[]]]])
def test_no_app_with_mtls(wsgi: Any) -> None:
    with pytest.raises(ConfigurationError, match="no Flask app with MTLS found"):
        gunicorn.find_app(wsgi)


def test_app_that_cannot_be_seen_is_said_to_be_so(make_app: MakeApp) -> None:
    with pytest.raises(ConfigurationError, match=r"put middleware around app\.wsgi_app"):
        gunicorn.find_app(Slotted(make_app()))


def test_cycle_of_middleware_ends() -> None:
    cycle: dict[str, Any] = {}
    cycle["itself"] = cycle
    with pytest.raises(ConfigurationError):
        gunicorn.find_app(cycle)
