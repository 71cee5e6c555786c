"""Running external programs in tests."""

from __future__ import annotations

import subprocess
from typing import Literal, overload


@overload
def run(*command: str, stdin: bytes = b"", text: Literal[True] = True, ok: bool = True) -> str: ...
@overload
def run(*command: str, stdin: bytes = b"", text: Literal[False], ok: bool = True) -> bytes: ...
def run(*command: str, stdin: bytes = b"", text: bool = True, ok: bool = True) -> str | bytes:
    """What a program printed.

    :param ok: Whether the program must have succeeded.
    """
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    assert not ok or done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    return done.stdout.decode(errors="replace") if text else done.stdout
