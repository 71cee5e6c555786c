"""The page about the examples is true."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..processes import Process, free_port, wait_for_port
from .proxying import EXAMPLES, Parties, replaced, settings_in
from .test_proxy_nginx import nginx

README = (EXAMPLES / "README.md").read_text()
#: A line of the table of what is run: the files of its first cell, and the format.
_ROW = re.compile(r"^\| (\[.*?\)) \|.*?\| `([\w-]+)` \|", re.MULTILINE)
_LINK = re.compile(r"\]\(([\w./-]+)\)")


def test_the_page_names_every_file() -> None:
    files = {path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*") if path.is_file()}
    there = {str(path) for path in files if "__pycache__" not in path.parts}
    assert set(_LINK.findall(README)) == there - {"README.md"}


@pytest.mark.parametrize(("cell", "form"), _ROW.findall(README))
def test_the_table_names_the_format_of_each(cell: str, form: str) -> None:
    last = _LINK.findall(cell)[-1]
    assert settings_in(last)["FLASK_MTLS_FORWARDED"] == f'"{form}"'


def test_the_service_is_started_and_answers_as_the_page_says(parties: Parties, tmp_path: Path) -> None:
    shown = [json.loads(line) for line in re.findall(r"^\{.*\}$", README, re.MULTILINE)]
    with _as_the_page_says(parties, tmp_path) as service, nginx(parties, service, tmp_path) as site:
        assert [site.ask("billing").body, site.ask().body] == shown


@contextlib.contextmanager
def _as_the_page_says(parties: Parties, folder: Path) -> Iterator[Process]:
    port = free_port()
    block = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert block is not None
    replacements = {
        "/etc/mtls/client-ca.pem": parties.authorities,
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        # The shell becomes gunicorn, so that ending it ends gunicorn.
        "\ngunicorn ": "\nexec gunicorn ",
    }
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(EXAMPLES.parents[1]),
    }
    log = folder / "service.log"
    with log.open("wb") as output:
        command = ["sh", "-c", replaced(block[1], replacements)]
        process = subprocess.Popen(command, cwd=EXAMPLES, env=environment, stdout=output, stderr=output)
        try:
            wait_for_port(port, process, log)
            yield Process(port, process.pid, log)
        finally:
            process.terminate()
            process.wait(timeout=15)
