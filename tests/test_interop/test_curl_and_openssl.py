"""Clients that are not ours: curl with a PFX, ``openssl s_client`` with PEM."""

from __future__ import annotations

import json

from ..processes import Process
from ..programs import require_program
from ..run import run
from .conftest import PASSWORD, Files


def test_curl_with_a_pfx_is_let_in(service: Process, files: Files) -> None:
    status, body = _curl(service, files, "/caller", "--cert-type", "P12", "--cert", f"{files.pfx}:{PASSWORD}")
    assert status == 200
    assert body == {"caller": "spiffe://example.org/billing", "chain": 3}


def test_curl_without_one_is_refused(service: Process, files: Files) -> None:
    status, body = _curl(service, files, "/caller")
    assert status == 403
    assert body["reason"] == "certificate_required"


def test_curl_without_one_reaches_what_is_public(service: Process, files: Files) -> None:
    assert _curl(service, files, "/public") == (200, {"status": "up"})


def test_curl_with_a_pfx_of_another_ca_is_told_so(service: Process, files: Files) -> None:
    curl = require_program("curl")
    said = run(
        *(curl, "-sS", "--cacert", files.ca, "--cert-type", "P12", "--cert", f"{files.other_pfx}:{PASSWORD}"),
        *("--stderr", "-", f"{service.url}/caller"),
        ok=False,
    )
    assert "unknown ca" in said


def test_openssl_with_a_certificate_is_let_in(service: Process, files: Files) -> None:
    answer = _s_client(service, files, "-cert", files.pem, "-cert_chain", files.pem, "-key", files.key)
    assert "HTTP/1.1 200 OK" in answer
    assert "spiffe://example.org/billing" in answer


def test_openssl_without_one_is_refused(service: Process, files: Files) -> None:
    answer = _s_client(service, files)
    assert "HTTP/1.1 403 FORBIDDEN" in answer
    assert '"reason":"certificate_required"' in answer.replace(" ", "")


def test_openssl_sees_that_a_certificate_is_asked_for(service: Process, files: Files) -> None:
    assert "Peer signature type" in _s_client(service, files, quiet=False)


def _curl(service: Process, files: Files, path: str, *options: str) -> tuple[int, dict[str, object]]:
    curl = require_program("curl")
    printed = run(curl, "-sS", "--cacert", files.ca, "-w", "\n%{http_code}", *options, f"{service.url}{path}")
    body, _, status = printed.rpartition("\n")
    return int(status), json.loads(body)


def _s_client(service: Process, files: Files, *options: str, quiet: bool = True) -> str:
    openssl = require_program("openssl")
    request = b"GET /caller HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return run(
        *(openssl, "s_client", "-connect", f"localhost:{service.port}", "-CAfile", files.ca, "-verify_return_error"),
        *(("-quiet",) if quiet else ("-ign_eof",)),
        *("-pass", f"pass:{PASSWORD}", *options),
        stdin=request,
        # s_client counts it as an error that the server ends the connection without a close_notify.
        ok=False,
    )
