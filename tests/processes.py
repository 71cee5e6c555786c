"""Servers that run as processes of their own, as they do in production."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: How servers are started; ``{port}`` and the application are filled in. gunicorn is as it comes, its workers and
#: Werkzeug have our settings.
COMMANDS = {
    "gunicorn": ("gunicorn", "--bind", "127.0.0.1:{port}", "--log-level", "warning", "{app}:create_app()"),
    "waitress": ("waitress", "--listen", "127.0.0.1:{port}", "--call", "{app}:create_app"),
    "werkzeug": ("flask", "--app", "{app}:create_app", "mtls", "run", "--host", "127.0.0.1", "--port", "{port}"),
    **{
        kind: (
            *("gunicorn", "-c", "python:flask_mtls.gunicorn_conf", "--bind", "127.0.0.1:{port}"),
            *("--worker-class", kind, "--log-level", "warning", "{app}:create_app()"),
        )
        for kind in ("sync", "gthread", "gevent")
    },
}


@dataclass(frozen=True)
class Process:
    """A server that runs."""

    port: int
    pid: int
    log: Path

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"https://localhost:{self.port}"


@contextlib.contextmanager
def serving(
    kind: str, app: str, settings: Mapping[str, str], folder: Path, *, more: Sequence[str] = ()
) -> Iterator[Process]:
    """Run an application under a kind of server until the block ends.

    :param kind: A key of :data:`COMMANDS`.
    :param app: The module, importable from the root of the repository, that has ``create_app``.
    :param settings: Environment variables.
    :param folder: Where the log goes.
    :param more: Further options of the server.
    """
    port = free_port()
    command = [part.format(port=port, app=app) for part in COMMANDS[kind]]
    log = folder / f"{kind}.log"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **settings}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *more], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_for_port(port, process, log)
            yield Process(port, process.pid, log)
        finally:
            process.terminate()
            process.wait(timeout=15)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path, *, seconds: float = 30) -> None:
    """Return when the port accepts connections; fail with the log if it never does."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"{process.args!r} did not start:\n{log.read_text()}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
