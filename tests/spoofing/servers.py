"""The servers under which the applications run, as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..processes import serving
from .app import SETTINGS
from .cast import Cast
from .origins import ORIGINS

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Place:
    """Where one application is."""

    port: int
    path: str


#: Where the application with that mount is.
Places = Callable[[str], Place]


def write_settings(cast: Cast, folder: Path) -> Path:
    """The settings of all applications, in a file."""
    authorities = folder / "authorities.pem"
    authorities.write_text(cast.authorities)
    common = {"MTLS_CLIENT_CA": str(authorities), "MTLS_RELOAD_INTERVAL": None}
    settings: dict[str, Mapping[str, Any]] = {
        origin.mount(form): common
        | {
            "MTLS_FORWARDED": form.setting,
            "MTLS_FORWARDED_HOPS": form.hops,
            "MTLS_TRUSTED_PROXIES": [origin.trusted],
        }
        for origin in ORIGINS
        for form in cast.formats
    }
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    return path


@contextlib.contextmanager
def gunicorn(settings: Path, folder: Path) -> Iterator[Places]:
    """All applications on one port: its parser is the same for all."""
    with serving("sync", "tests.spoofing.app", {SETTINGS: str(settings)}, folder) as process:
        yield lambda mount: Place(process.port, f"{mount}/who")


@contextlib.contextmanager
def _a_port_each(kind: str, settings: Path, folder: Path) -> Iterator[Places]:
    """Servers of ours that read headers as the application's settings say."""
    log = folder / f"{kind}.log"
    command = [sys.executable, "-m", "tests.spoofing.ports", kind]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), SETTINGS: str(settings)}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=output, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{command!r} did not start:\n{log.read_text()}")
            ports: dict[str, int] = json.loads(line)
            yield lambda mount: Place(ports[mount], "/who")
        finally:
            process.terminate()


def werkzeug(settings: Path, folder: Path) -> contextlib.AbstractContextManager[Places]:
    """What ``flask mtls run`` uses."""
    return _a_port_each("werkzeug", settings, folder)


def cheroot(settings: Path, folder: Path) -> contextlib.AbstractContextManager[Places]:
    """The one of :mod:`flask_mtls.serving.cheroot`."""
    return _a_port_each("cheroot", settings, folder)


Server = Callable[[Path, Path], contextlib.AbstractContextManager[Places]]

SERVERS: Mapping[str, Server] = {"werkzeug": werkzeug, "gunicorn": gunicorn, "cheroot": cheroot}
