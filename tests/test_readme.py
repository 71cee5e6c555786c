"""The README is done, from top to bottom, as a new user would: every block in it is run, and prints what it says."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from .pages import nginx
from .processes import free_port, wait_for_port
from .programs import require_program

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVERS = ("flask ", "gunicorn ")


@dataclass(frozen=True)
class Block:
    """A fenced block, with the paragraph before it."""

    language: str
    text: str
    before: str


@dataclass(frozen=True)
class User:
    """Somebody who has a folder of their own, the README, and this Python."""

    folder: Path
    port: int

    def do(self, command: str) -> str:
        """Type a command; what it printed."""
        done = subprocess.run(
            shlex.split(self._here(command)),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def start(self, command: str) -> Iterator[None]:
        """Type a command that goes on until it is interrupted."""
        log = self.folder / "log"
        arguments = shlex.split(self._here(command))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
            try:
                wait_for_port(self.port, process, log)
                yield
            finally:
                process.terminate()
                process.wait(timeout=15)

    @property
    def environment(self) -> dict[str, str]:
        """The shell's variables after the ``export`` lines."""
        return {**os.environ, "MTLS_DEVCA_PASSWORD": "a password for the PFX files", "PYTHONPATH": str(ROOT)}

    def _here(self, command: str) -> str:
        return command.replace("8443", str(self.port)).replace("python ", f"{shlex.quote(sys.executable)} ", 1)


def blocks() -> list[Block]:
    """All fenced blocks of the README."""
    text = (ROOT / "README.md").read_text()
    found = []
    for match in BLOCK.finditer(text):
        paragraph = text[: match.start()].rstrip().rpartition("\n\n")[2]
        found.append(Block(match[1], match[2], paragraph))
    return found


def only(language: str, *words: str) -> Block:
    """The one block of a language whose text or introduction has these words."""
    (block,) = [b for b in blocks() if b.language == language and all(word in b.before + b.text for word in words)]
    return block


def test_every_block_is_of_a_kind_that_is_run_below() -> None:
    languages = [block.language for block in blocks()]
    assert sorted(languages) == sorted(["sh", "python", "sh", "sh", "python", "text", "sh", "json", "nginx", "python"])
    assert (ROOT / "README.md").read_text().count("```") == 2 * len(languages)


@pytest.mark.parametrize("server", SERVERS)
def test_a_new_user_gets_what_the_readme_shows(server: str, tmp_path: Path) -> None:
    user = User(tmp_path, free_port())
    make_certificates(user)
    for name in ("orders.py", "billing.py"):
        (tmp_path / name).write_text(only("python", f"`{name}`").text.replace("8443", str(user.port)))
    (command,) = [b.text.strip() for b in blocks() if b.language == "sh" and b.text.startswith(server)]
    with user.start(command):
        assert user.do("python billing.py") == only("text").text
        require_program("curl")
        refusal = user.do(only("sh", "curl").text.strip().replace("curl ", "curl -sS "))
        assert refusal == only("json").text.strip()


def test_behind_a_proxy_the_same_user_gets_the_same(tmp_path: Path) -> None:
    client, service = User(tmp_path, free_port()), User(tmp_path, free_port())
    make_certificates(client)
    settings = only("python", "MTLS_FORWARDED").text
    service_before = only("python", "`orders.py`").text
    (tmp_path / "orders.py").write_text(SETTINGS.sub(lambda _: settings, service_before, count=1))
    (tmp_path / "billing.py").write_text(only("python", "`billing.py`").text.replace("8443", str(client.port)))
    (gunicorn,) = [b.text.strip() for b in blocks() if b.language == "sh" and b.text.startswith("gunicorn ")]
    server = f"listen 127.0.0.1:{client.port} ssl;\n{SERVER}\n" + only("nginx").text.replace("8000", str(service.port))
    in_pem(tmp_path / "pki" / "orders.pfx", tmp_path / "proxy.pem")
    with nginx(f"server {{ {server} }}", tmp_path, client.port), service.start(gunicorn):
        assert client.do("python billing.py") == only("text").text


#: What the README leaves out.
SERVER = "server_name localhost; ssl_certificate proxy.pem; ssl_certificate_key proxy.pem;"
#: What other settings take the place of.
SETTINGS = re.compile(r"^    app\.config\.from_mapping\(\n.*?^    \)\n", re.MULTILINE | re.DOTALL)


def make_certificates(user: User) -> None:
    """As the README says."""
    for line in only("sh", "mtls_core.devca").text.splitlines():
        if line.startswith("python -m mtls_core"):
            user.do(line)
        else:
            assert line.startswith(
                ('python -m pip install ".[gunicorn]"', 'export MTLS_DEVCA_PASSWORD="a password for the PFX files"')
            )


def in_pem(pfx: Path, pem: Path) -> None:
    """As nginx needs it."""
    key, certificate, _ = pkcs12.load_key_and_certificates(pfx.read_bytes(), b"a password for the PFX files")
    assert key is not None
    assert certificate is not None
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
