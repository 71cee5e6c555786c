"""External programs that some tests use."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


def require_program(name: str) -> str:
    """The path of a program; without it the test is skipped, or fails where ``MTLS_REQUIRE_PROGRAMS=1``.

    Some come from PyPI, and lie beside the interpreter, whose environment need not be activated; some are servers,
    which Debian keeps where only root looks.
    """
    path = shutil.which(name) or shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/sbin")
    if path is not None:
        return path
    if os.environ.get("MTLS_REQUIRE_PROGRAMS") == "1":
        pytest.fail(f"{name} is not installed, and MTLS_REQUIRE_PROGRAMS=1 says that it must be")
    pytest.skip(f"{name} is not installed")
