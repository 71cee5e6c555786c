"""Run the spoofing matrix, and print it.

    python -m tests.spoofing

Exits 1 if anybody passed for somebody else, or if an attempt could not be made.
"""

from __future__ import annotations

import sys
import time

from .matrix import run
from .report import show


def main() -> int:
    """Run it; the number of the process' exit."""
    started = time.monotonic()
    status = show(run())
    print(f"It took {time.monotonic() - started:.1f} s.")
    return status


if __name__ == "__main__":
    sys.exit(main())
