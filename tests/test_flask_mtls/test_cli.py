"""``flask mtls …``"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import ScriptInfo

from flask_mtls import MTLS
from flask_mtls.cli import cli
from mtls_core.devca import DevelopmentCA, Issued

from ..processes import free_port, serving, wait_for_port
from .conftest import MakeApp
from .serving import fetch

APP = "tests.test_flask_mtls.wsgi"
BROKEN = "this is no Python\n"


def invoke(app: Flask, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, arguments, obj=ScriptInfo(create_app=lambda: app))
    return result.exit_code, result.output


def test_config_as_a_table(make_app: MakeApp) -> None:
    code, output = invoke(make_app(), "config")
    assert code == 0
    assert ["MTLS_REQUIRE", '"decorated"'] in [line.split() for line in output.splitlines()]
    columns = {line.index(line.split()[1]) for line in output.splitlines()}
    assert len(columns) == 1


def test_config_as_json(make_app: MakeApp, orders: Issued, tmp_path: Path) -> None:
    files = orders.write(tmp_path, "orders", password="hunter2")
    app = make_app(MTLS_IDENTITY=files.pfx, MTLS_IDENTITY_PASSWORD="hunter2")
    code, output = invoke(app, "config", "--format", "json")
    assert code == 0
    document = json.loads(output)
    assert document["MTLS_IDENTITY"] == str(files.pfx)
    assert document["MTLS_IDENTITY_PASSWORD"] == "(set)"


def test_config_of_an_app_without_mtls() -> None:
    code, output = invoke(Flask("plain"), "config")
    assert code == 1
    assert "call mtls.init_app" in output


def test_run_without_an_identity_is_an_error_of_one_line(make_app: MakeApp) -> None:
    code, output = invoke(make_app(), "run")
    assert code == 1
    assert "Error: MTLS_IDENTITY is not set" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("option", "debug"), [("--debug", True), ("--no-debug", False)])
def test_run_in_debug_mode(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, option: str, debug: bool) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "0" if debug else "1")
    app = make_app()
    invoke(app, "run", option)
    assert app.debug is debug


def test_run_of_an_app_that_is_misconfigured_is_an_error_of_one_line() -> None:
    def create_app() -> Flask:
        app = Flask("x")
        MTLS(app)
        return app

    result = CliRunner().invoke(cli, ["run"], obj=ScriptInfo(create_app=create_app))
    assert result.exit_code == 1
    assert "Error: MTLS_CLIENT_CA is not set" in result.output


def test_run_of_an_app_that_does_not_load_raises() -> None:
    def create_app() -> Flask:
        raise ZeroDivisionError

    result = CliRunner().invoke(cli, ["run"], obj=ScriptInfo(create_app=create_app))
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.fixture
def settings(ca: DevelopmentCA, orders: Issued, tmp_path: Path) -> dict[str, str]:
    files = orders.write(tmp_path, "orders", password="s3cret")
    (tmp_path / "ca.pem").write_text(ca.pem)
    return {
        "FLASK_MTLS_IDENTITY": str(files.pfx),
        "FLASK_MTLS_IDENTITY_PASSWORD": "s3cret",
        "FLASK_MTLS_CLIENT_CA": str(tmp_path / "ca.pem"),
    }


def test_run(settings: dict[str, str], billing: Issued, ca: DevelopmentCA, tmp_path: Path) -> None:
    with serving("werkzeug", APP, settings, tmp_path) as server:
        assert fetch(server.port, billing, ca.trust_store()).document["caller"] == ["billing"]
    assert "Running on https://127.0.0.1" in server.log.read_text()


def test_run_with_the_reloader(settings: dict[str, str], billing: Issued, ca: DevelopmentCA, tmp_path: Path) -> None:
    """The code changes, breaks and is mended while it runs, as with ``flask run``."""
    module = tmp_path / "reloaded.py"
    good = f"from {APP} import create_app as make\napp = make()\n@app.get('/version')\ndef version(): return '%d'\n"
    module.write_text(good % 1)
    port, log = free_port(), tmp_path / "reload.log"
    command = [sys.executable, "-m", "flask", "--app", str(module), "mtls", "run", "--port", str(port), "--reload"]
    environment = {**os.environ, **settings, "PYTHONPATH": str(Path.cwd()), "PYTHONDONTWRITEBYTECODE": "1"}
    with log.open("wb") as output:
        # Its own session: the reloader's child is ended with it.
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_for_port(port, process, log)
        wait_until(lambda: version(port, billing, ca) == 1)
        module.write_text(BROKEN)
        wait_until(lambda: "SyntaxError" in log.read_text())
        # Again and again: what is written before the reloader's first look is no change to it.
        wait_until(lambda: bool(module.write_text(good % 2)) and version(port, billing, ca) == 2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=15)


def version(port: int, caller: Issued, ca: DevelopmentCA) -> object:
    """What the app says; nothing while it does not load, or between two processes."""
    try:
        return fetch(port, caller, ca.trust_store(), "/version").document
    except OSError:
        return None


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
