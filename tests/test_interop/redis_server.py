"""A Redis of a test's own, which can be killed and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import redis

from ..processes import free_port, wait_for_port
from ..programs import require_program


@dataclass
class Server:
    """A Redis of a test's own."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process."""
        assert self.process is not None
        return self.process.pid

    def start(self, *options: str) -> None:
        """Run it, empty."""
        command = [require_program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        log = self.folder / "redis.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen([*command, *options], cwd=self.folder, stdout=output, stderr=output)
        wait_for_port(self.port, self.process, log)

    def kill(self) -> None:
        """End it without notice."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """It is there, and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def client(self) -> redis.Redis:
        """Somebody else who uses the same Redis."""
        return redis.Redis(port=self.port)


@contextlib.contextmanager
def running(server: Server, *options: str) -> Iterator[Server]:
    """Run a server until the block ends."""
    server.start(*options)
    try:
        yield server
    finally:
        server.kill()
