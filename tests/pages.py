"""Pages of the documentation, read as text and followed as a user would."""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .processes import free_port, wait_for_port
from .programs import require_program

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

#: The port in the text; each reader has another.
PORT = "8443"
#: That of the development CA's responder.
RESPONDER_PORT = "8889"
#: That of a service behind a proxy, which speaks plain HTTP.
PLAIN_PORT = "8000"
PASSWORD = "a password for the PFX files"
#: The captions of blocks that show lines of the log of the service, or of the responder, that runs.
LOG = "log"
RESPONDER = "responder"

#: Kinds of blocks that are shown and not run, and why.
NOT_RUN = {"csharp": "what users come from; it needs the SDK of .NET"}

_CODE_BLOCK = re.compile(r"^( *)\.\. code-block:: *(\S*)$")
_OPTION = re.compile(r"^ +:([\w-]+): *(.*)$")
#: Around a server of nginx.
_NGINX = """
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
    {server}
}}
"""

#: How long a line of a log may take.
_LOG_SECONDS = 5.0

_SERVERS = ("flask ", "gunicorn ", "python serve.py")
_RESPONDER = "python -m mtls_core.devca serve "


@dataclass(frozen=True)
class Block:
    """A block of code."""

    page: str
    line: int
    kind: str
    #: Of Python, the file that it is; of text, what it is from.
    caption: str
    text: str

    def __str__(self) -> str:
        return f"docs/{self.page}.rst:{self.line}"


def page_names() -> list[str]:
    """All pages."""
    return sorted(path.stem for path in DOCS.glob("*.rst"))


def read_page(page: str) -> str:
    """The source of a page."""
    return (DOCS / f"{page}.rst").read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """All blocks of code of a page, in order."""
    lines = read_page(page).splitlines()
    found = []
    for number, line in enumerate(lines):
        begin = _CODE_BLOCK.match(line)
        if begin:
            body = _indented(lines[number + 1 :], len(begin[1]))
            options = {}
            while body and (option := _OPTION.match(body[0])):
                options[option[1]] = option[2]
                del body[0]
            text = "\n".join(each[len(begin[1]) + 3 :] for each in body).strip("\n") + "\n"
            found.append(Block(page, number + 1, begin[2], options.get("caption", ""), text))
    return found


def table(page: str, name: str) -> list[list[str]]:
    """The rows of the ``list-table`` with that ``:name:``, without its heading; each cell in one line."""
    lines = read_page(page).splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.strip() == f":name: {name}"]
    rows: list[list[str]] = []
    for line in _indented(lines[start:], 0):
        text = line.strip()
        if text.startswith("* - "):
            rows.append([text[4:]])
        elif text.startswith("- ") and rows:
            rows[-1].append(text[2:])
        elif text and rows:
            rows[-1][-1] = f"{rows[-1][-1]} {text}".strip()
    return rows[1:]


def _indented(lines: list[str], indent: int) -> list[str]:
    """The first lines, as long as they are empty or indented further."""
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith(" " * (indent + 1)):
            return lines[:number]
    return lines


class Reader:
    """Somebody who does what a page says, in a folder of their own. Python runs in this process, in that folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(free_port())
        self.responder_port = str(free_port())
        self.plain_port = str(free_port())
        self.namespace: dict[str, Any] = {"__name__": "page"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        #: Of the shell. Plugins that happen to be installed here are not part of the examples.
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        self._printed = ""
        self._logs = {LOG: folder / "service.log", RESPONDER: folder / "responder.log"}
        self._service = contextlib.ExitStack()
        self._responder = contextlib.ExitStack()
        self._proxy = contextlib.ExitStack()

    def follow(self, block: Block) -> None:
        """Do what a block says, or hold what happened against what it shows."""
        text = self._with_ports(block.text)
        match block.kind, block.caption:
            case "python", "":
                self._printed = self._execute(text, block)
            case "python", name:
                (self.folder / name).write_text(text, encoding="utf-8")
            case "sh", _ if text.startswith(_SERVERS):
                self.serve(text)
            case "sh", _ if text.startswith(_RESPONDER):
                self._responder.close()
                self._start(text, int(self.responder_port), self._logs[RESPONDER], self._responder)
            case "sh", _:
                self._printed = self._type(text, block)
            case "nginx", _:
                self._proxy.close()
                self._proxy.enter_context(nginx(text, self.folder, int(self.port)))
            case "json", _:
                assert json.loads(self._printed) == json.loads(text), block
            case "text", caption:
                if caption:
                    self._wait_for_line(text, self._logs[caption])
                self._compare(text, self._logs[caption].read_text() if caption else self._printed, block)
            case kind, _ if kind in NOT_RUN:
                pass
            case _:
                raise AssertionError(f"{block}: nobody knows what to do with a block of the kind {block.kind!r}")

    def serve(self, command: str) -> None:
        """Start a service in place of the one that runs, and make sure that it answers."""
        self._service.close()
        plain = self.plain_port in command
        port = self.plain_port if plain else self.port
        self._start(command, int(port), self._logs[LOG], self._service)
        url = f"{'http' if plain else 'https'}://localhost:{port}/health"
        answer = requests.get(url, verify=str(self.folder / "pki" / "ca.pem"), timeout=30)
        assert answer.json() == {"status": "up"}, command

    def stop(self) -> None:
        """End what runs."""
        self._proxy.close()
        self._service.close()
        self._responder.close()

    def _with_ports(self, text: str) -> str:
        for shown, used in ((PORT, self.port), (RESPONDER_PORT, self.responder_port), (PLAIN_PORT, self.plain_port)):
            text = re.sub(rf"\b{shown}\b", used, text)
        return text

    def _start(self, command: str, port: int, log: Path, running: contextlib.ExitStack) -> None:
        """Start a server that ends with ``running``, and wait until it listens."""
        arguments = shlex.split(command.replace("\\\n", " "))
        running.enter_context(_running(arguments, port, log, cwd=self.folder, env=self.environment))

    def _execute(self, code: str, block: Block) -> str:
        printed = io.StringIO()
        # Line numbers of the page in tracebacks.
        compiled = compile("\n" * block.line + code, str(DOCS / f"{block.page}.rst"), "exec")
        with contextlib.redirect_stdout(printed), contextlib.chdir(self.folder):
            exec(compiled, self.namespace)  # noqa: S102 - the pages are ours
        return printed.getvalue()

    def _type(self, commands: str, block: Block) -> str:
        for line in commands.splitlines():
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").partition("=")
                self.environment[name] = shlex.split(value)[0]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"
        return done.stdout

    @staticmethod
    def _wait_for_line(shown: str, log: Path) -> None:
        """A client may have its answer before the service has written its line."""
        deadline = time.monotonic() + _LOG_SECONDS
        while not _agrees(shown, log.read_text(), anywhere=True) and time.monotonic() < deadline:
            time.sleep(0.02)

    @staticmethod
    def _compare(shown: str, happened: str, block: Block) -> None:
        """``...`` in what is shown stands for anything; of a log, the lines may be anywhere."""
        assert _agrees(shown, happened, anywhere=bool(block.caption)), f"{block}:\n{happened}"


def _agrees(shown: str, happened: str, *, anywhere: bool) -> bool:
    wanted, got = ("\n".join(map(str.rstrip, text.splitlines())) + "\n" for text in (shown, happened))
    if anywhere:
        wanted = f"...{wanted}..."
    return doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)


@contextlib.contextmanager
def nginx(server: str, folder: Path, port: int) -> Iterator[None]:
    """nginx, until the block ends.

    :param server: Its ``server`` block; paths in it are relative to the folder.
    :param port: Where that listens.
    """
    # Workers stay root where the reader is, to reach the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_NGINX.format(user=user, server=server), encoding="utf-8")
    command = [require_program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with _running(command, port, folder / "nginx.log"):
        yield


@contextlib.contextmanager
def _running(command: list[str], port: int, log: Path, **options: Any) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
    try:
        wait_for_port(port, process, log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=15)


@contextlib.contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    """A reader whose service ends with the block."""
    somebody = Reader(folder)
    try:
        yield somebody
    finally:
        somebody.stop()
