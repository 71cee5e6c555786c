"""X.509 and TLS for the two faces, :mod:`flask_mtls` and :mod:`requests_mtls`."""

from __future__ import annotations

__version__ = "0.1.0"
