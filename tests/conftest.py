"""What holds for every test."""

from __future__ import annotations

import os

import pytest

_AMBIENT = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


@pytest.fixture(autouse=True)
def _no_ambient_tls_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's proxy or CA bundle must not decide what a test sees."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name in _AMBIENT:
            monkeypatch.delenv(name)
