"""The development CA's responder: truthful by default, and each of its faults is the one that it says."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA
from mtls_core.devca.modes import Mode
from mtls_core.devca.profile import revocation_extensions
from mtls_core.devca.register import FolderRegister
from mtls_core.devca.responder import COUNT_PATH, CRL_TYPE, Responder
from mtls_core.revocation.ocsp import (
    RESPONSE_TYPE,
    build_request,
    delegated_responder,
    get_url,
    judge,
    responder_urls,
)
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Answer, Status

POLICY = RevocationPolicy(nonce="prefer")
NONCE = b"n" * 32


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return DevelopmentCA.create("Responder Test CA")


@pytest.fixture(scope="module")
def leaf(ca: DevelopmentCA) -> Certificate:
    return ca.client("billing").certificate


@pytest.fixture
def responder(ca: DevelopmentCA) -> Iterator[Responder]:
    with Responder(ca) as running:
        yield running


def ask(
    url: str, body: bytes | None = None, *, timeout: float = 10, headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request by a client that knows nothing of the server."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", parts.path, body, headers or {})
        reply = connection.getresponse()
        return reply, reply.read()


def ask_about(responder: Responder, ca: DevelopmentCA, leaf: Certificate) -> Answer:
    """What is made of the responder's answer about a certificate, with a nonce."""
    reply, body = ask(responder.ocsp_url, build_request(leaf, ca.certificate, nonce=NONCE))
    assert (reply.status, reply.getheader("Content-Type")) == (200, RESPONSE_TYPE)
    return judge(body, (leaf, ca.certificate), 0, at=datetime.now(UTC), policy=POLICY, nonce=NONCE, source="test")


# What it says when nothing is wrong.


def test_good(responder: Responder, ca: DevelopmentCA, leaf: Certificate) -> None:
    assert ask_about(responder, ca, leaf).status is Status.GOOD


def test_revoked(responder: Responder, ca: DevelopmentCA) -> None:
    billing = ca.client("billing")
    assert ask_about(responder, ca, billing.certificate).status is Status.GOOD
    responder.revoke(billing, reason=x509.ReasonFlags.key_compromise)
    said = ask_about(responder, ca, billing.certificate)
    assert (said.status, said.revocation_reason) == (Status.REVOKED, "keyCompromise")


@pytest.mark.parametrize("hash", ["sha1", "sha256"])
def test_get(responder: Responder, ca: DevelopmentCA, leaf: Certificate, hash: str) -> None:
    url = get_url(responder.ocsp_url, build_request(leaf, ca.certificate, hash=hash))  # type: ignore[arg-type]
    assert url is not None
    reply, body = ask(url)
    said = judge(body, (leaf, ca.certificate), 0, at=datetime.now(UTC), policy=POLICY, nonce=None, source="test")
    assert said.status is Status.GOOD
    assert reply.getheader("Cache-Control") == "max-age=3600, public, no-transform, must-revalidate"
    assert reply.getheader("ETag")


def test_several_authorities(responder: Responder, ca: DevelopmentCA) -> None:
    """One whose certificate names the responder is added once it exists."""
    below = ca.intermediate("Below", extensions=revocation_extensions(ocsp_urls=[responder.ocsp_url]))
    responder.add(below)
    assert responder_urls(below.certificate) == (responder.ocsp_url,)
    assert ask_about(responder, ca, below.certificate).status is Status.GOOD
    assert ask_about(responder, below, below.client("billing").certificate).status is Status.GOOD


def test_another_ca_of_the_same_name_is_a_mistake(responder: Responder) -> None:
    with pytest.raises(ValueError, match="two CAs have the name responder-test-ca"):
        responder.add(DevelopmentCA.create("Responder Test CA"))


def test_certificates_of_others(responder: Responder) -> None:
    other = DevelopmentCA.create("Another CA")
    assert "(unauthorized)" in ask_about(responder, other, other.client("billing").certificate).detail


@pytest.mark.parametrize("body", [b"", b"garbage", b"\x30\x00"])
def test_what_is_no_request(responder: Responder, ca: DevelopmentCA, leaf: Certificate, body: bytes) -> None:
    _reply, data = ask(responder.ocsp_url, body)
    said = judge(data, (leaf, ca.certificate), 0, at=datetime.now(UTC), policy=POLICY, nonce=None, source="test")
    assert "(malformedRequest)" in said.detail


def test_what_is_no_base64(responder: Responder, ca: DevelopmentCA, leaf: Certificate) -> None:
    _reply, data = ask(f"{responder.ocsp_url}/*")
    said = judge(data, (leaf, ca.certificate), 0, at=datetime.now(UTC), policy=POLICY, nonce=None, source="test")
    assert "(malformedRequest)" in said.detail


def test_a_long_request(responder: Responder) -> None:
    reply, _body = ask(responder.ocsp_url, b"x" * 20_000)
    assert reply.status == 413


def test_the_list_and_the_certificate(responder: Responder, ca: DevelopmentCA) -> None:
    billing = ca.client("billing", crl_urls=[responder.crl_url(ca)])
    responder.revoke(billing, reason=x509.ReasonFlags.superseded)
    reply, body = ask(responder.crl_url(ca))
    assert reply.getheader("Content-Type") == CRL_TYPE
    crl = x509.load_der_x509_crl(body)
    assert crl.is_signature_valid(ca.certificate.public_key)
    entry = crl.get_revoked_certificate_by_serial_number(billing.certificate.serial_number)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.superseded
    _reply, body = ask(responder.certificate_url(ca))
    assert Certificate.from_der(body) == ca.certificate


def test_the_lists_number_grows(responder: Responder, ca: DevelopmentCA) -> None:
    def number() -> int:
        crl = x509.load_der_x509_crl(ask(responder.crl_url(ca))[1])
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number

    before = number()
    responder.revoke(ca.client("billing"))
    assert number() == before + 1


@pytest.mark.parametrize("path", ["/", "/nobody.crl", "/responder-test-ca.txt", "/responder-test-ca"])
def test_what_it_does_not_have(responder: Responder, path: str) -> None:
    assert ask(responder.url + path)[0].status == 404
    assert ask(responder.url + path, b"body")[0].status == 404
    assert responder.counts() == {"other": 2}


def test_counts(responder: Responder, ca: DevelopmentCA, leaf: Certificate) -> None:
    ask_about(responder, ca, leaf)
    ask_about(responder, ca, leaf)
    ask(responder.crl_url(ca))
    ask(responder.certificate_url(ca))
    responder.mode = Mode.SERVER_ERROR
    ask(responder.crl_url(ca))
    assert responder.counts() == {"ocsp": 2, "crl": 2, "certificate": 1}
    assert responder.counts_by_serial() == {leaf.serial_number: 2}
    assert json.loads(ask(responder.url + COUNT_PATH)[1]) == {"ocsp": 2, "crl": 2, "certificate": 1}
    responder.reset_counts()
    assert not responder.counts()
    assert not responder.counts_by_serial()


def test_a_responder_with_a_register_of_its_own_is_not_told(ca: DevelopmentCA, tmp_path: Path) -> None:
    running = Responder(register=FolderRegister(tmp_path, ca))
    with contextlib.closing(running), pytest.raises(TypeError, match="given its register"):
        running.revoke(ca.client("billing"))


def test_addresses_of_another_ca(responder: Responder) -> None:
    with pytest.raises(ValueError, match="not one of the CAs"):
        responder.crl_url(DevelopmentCA.create("Another CA"))


# Faults of what is signed: HTTP is as it should be, the answer does not count, and says why.


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        (Mode.UNKNOWN, "does not know it (unknown)"),
        (Mode.WRONG_SERIAL, "answered about other certificates"),
        (Mode.WRONG_ISSUER, "answered about other certificates"),
        (Mode.WRONG_SIGNATURE, "does not verify"),
        (Mode.STALE, "was to be renewed by"),
        (Mode.FUTURE, "Check the clocks"),
        (Mode.OLD, "older than 1 day"),
        (Mode.NONCE_REPLACED, "another nonce"),
        (Mode.DELEGATED_WITHOUT_USAGE, "was not issued for signing OCSP responses"),
        (Mode.DELEGATED_EXPIRED, "expired on"),
        (Mode.DELEGATED_BY_ANOTHER_CA, "does not verify with the key of CN=Responder Test CA"),
        (Mode.MALFORMED_REQUEST, "(malformedRequest)"),
        (Mode.INTERNAL_ERROR, "(internalError)"),
        (Mode.TRY_LATER, "(tryLater)"),
        (Mode.SIG_REQUIRED, "(sigRequired)"),
        (Mode.UNAUTHORIZED, "(unauthorized)"),
        (Mode.GARBAGE, "is not an OCSP response"),
        (Mode.EMPTY, "sent an empty answer"),
        (Mode.TRUNCATED, "is not an OCSP response"),
        (Mode.TRAILING_BYTES, "is not an OCSP response"),
    ],
)
def test_answers_that_do_not_count(
    responder: Responder, ca: DevelopmentCA, leaf: Certificate, mode: Mode, sentence: str
) -> None:
    """P1: each fault of the table of OCSP faults ends as unknown, with a sentence of its own."""
    responder.mode = mode
    said = ask_about(responder, ca, leaf)
    assert said.status is Status.UNKNOWN
    assert sentence in said.detail
    responder.mode = Mode.GOOD
    assert ask_about(responder, ca, leaf).status is Status.GOOD


@pytest.mark.parametrize("mode", [Mode.DELEGATED, Mode.DELEGATED_TO_BE_CHECKED, Mode.NONCE_MISSING])
def test_answers_that_count(responder: Responder, ca: DevelopmentCA, leaf: Certificate, mode: Mode) -> None:
    responder.mode = mode
    assert ask_about(responder, ca, leaf).status is Status.GOOD


def test_a_delegate_can_be_asked_about_and_revoked(responder: Responder, ca: DevelopmentCA, leaf: Certificate) -> None:
    responder.mode = Mode.DELEGATED_TO_BE_CHECKED
    _reply, body = ask(responder.ocsp_url, build_request(leaf, ca.certificate))
    delegate = delegated_responder(body, (leaf, ca.certificate), 0, at=datetime.now(UTC), policy=POLICY)
    assert delegate is not None
    assert delegate == responder.signer(ca).certificate
    assert responder_urls(delegate) == (responder.ocsp_url,)
    responder.mode = Mode.GOOD
    responder.revoke(delegate)
    assert ask_about(responder, ca, delegate).status is Status.REVOKED


def test_faults_of_ocsp_leave_lists_alone(responder: Responder, ca: DevelopmentCA) -> None:
    responder.mode = Mode.STALE
    assert x509.load_der_x509_crl(ask(responder.crl_url(ca))[1]).is_signature_valid(ca.certificate.public_key)


# Faults of HTTP.


@pytest.mark.parametrize(
    ("mode", "status", "content_type"),
    [
        (Mode.SERVER_ERROR, 500, "text/plain"),
        (Mode.NOT_FOUND, 404, "text/plain"),
        (Mode.HTML, 200, "text/html"),
        (Mode.WRONG_CONTENT_TYPE, 200, "text/plain"),
    ],
)
def test_statuses_and_types(
    responder: Responder, ca: DevelopmentCA, mode: Mode, status: int, content_type: str
) -> None:
    responder.mode = mode
    reply, _body = ask(responder.crl_url(ca))
    assert (reply.status, reply.getheader("Content-Type")) == (status, content_type)


def test_redirect(responder: Responder, ca: DevelopmentCA) -> None:
    responder.mode = Mode.REDIRECT
    responder.settings.redirect_to = "file:///etc/passwd"
    reply, _body = ask(responder.crl_url(ca))
    assert (reply.status, reply.getheader("Location")) == (302, "file:///etc/passwd")


def test_truncated(responder: Responder, ca: DevelopmentCA) -> None:
    _reply, whole = ask(responder.crl_url(ca))
    responder.mode = Mode.TRUNCATED
    reply, half = ask(responder.crl_url(ca))
    assert len(half) == int(reply.getheader("Content-Length") or 0)
    assert abs(len(half) - len(whole) / 2) < 4


def test_cut_off(responder: Responder, ca: DevelopmentCA) -> None:
    responder.mode = Mode.CUT_OFF
    with pytest.raises(http.client.IncompleteRead):
        ask(responder.crl_url(ca))


def test_reset(responder: Responder, ca: DevelopmentCA) -> None:
    responder.mode = Mode.RESET
    with pytest.raises(ConnectionResetError):
        ask(responder.crl_url(ca))


def test_slow(responder: Responder, ca: DevelopmentCA) -> None:
    responder.mode = Mode.SLOW
    responder.settings.delay = 0.2
    start = time.monotonic()
    assert ask(responder.crl_url(ca))[0].status == 200
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize("mode", [Mode.SLOW, Mode.SILENT])
def test_no_answer_in_time(responder: Responder, ca: DevelopmentCA, mode: Mode) -> None:
    responder.mode = mode
    with pytest.raises(TimeoutError):
        ask(responder.crl_url(ca), timeout=0.2)


def test_trickle(responder: Responder, ca: DevelopmentCA) -> None:
    """Each read is quick; together they take long."""
    responder.mode = Mode.TRICKLE
    responder.settings.interval = 0.001
    start = time.monotonic()
    _reply, body = ask(responder.certificate_url(ca), timeout=2)
    assert Certificate.from_der(body) == ca.certificate
    assert time.monotonic() - start >= len(body) * 0.001


def test_drip_headers(responder: Responder, ca: DevelopmentCA) -> None:
    """Header fields never end; no single read takes long."""
    responder.mode = Mode.DRIP_HEADERS
    responder.settings.interval = 0.001
    parts = urlsplit(responder.crl_url(ca))
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2) as connection:
        connection.sendall(b"GET /responder-test-ca.crl HTTP/1.0\r\n\r\n")
        seen = b""
        while len(seen) < 100:
            seen += connection.recv(100)
    assert seen.startswith(b"HTTP/1.0 200 OK\r\nX-Filler: drip\r\nX-Filler: drip\r\n")
    assert b"\r\n\r\n" not in seen


def test_huge(responder: Responder, ca: DevelopmentCA) -> None:
    """It is made as it is sent, and ends when nobody reads any more."""
    responder.mode = Mode.HUGE
    parts = urlsplit(responder.crl_url(ca))
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as connection:
        connection.sendall(b"GET /responder-test-ca.crl HTTP/1.0\r\n\r\n")
        seen = 0
        while seen < 4 * 1024 * 1024:
            seen += len(connection.recv(65536))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_closing_ends_what_is_being_sent(ca: DevelopmentCA) -> None:
    responder = Responder(ca)
    responder.mode = Mode.DRIP_HEADERS
    responder.settings.interval = 3600
    parts = urlsplit(responder.url)
    with responder, socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as connection:
        connection.sendall(b"GET /responder-test-ca.crl HTTP/1.0\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.0 200 OK\r\n"
        responder.close()
        assert connection.recv(1) == b""
    responder.close()


def test_its_clock_may_be_another(ca: DevelopmentCA, leaf: Certificate) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with Responder(ca, clock=lambda: long_ago, lifetime=timedelta(days=2)) as responder:
        crl = x509.load_der_x509_crl(ask(responder.crl_url(ca))[1])
        assert (crl.last_update_utc, crl.next_update_utc) == (long_ago, long_ago + timedelta(days=2))
        assert "2020-01-03" in ask_about(responder, ca, leaf).detail


def test_it_says_what_it_was_asked(ca: DevelopmentCA) -> None:
    lines: list[str] = []
    with Responder(ca, log=lines.append) as responder:
        ask(responder.crl_url(ca))
    assert lines == ['"GET /responder-test-ca.crl HTTP/1.1" 200 -']


def test_any_hash_of_the_request_is_answered(responder: Responder, ca: DevelopmentCA, leaf: Certificate) -> None:
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf.parsed, ca.certificate.parsed, hashes.SHA512())
    _reply, body = ask(responder.ocsp_url, builder.build().public_bytes(Encoding.DER))
    said = judge(body, (leaf, ca.certificate), 0, at=datetime.now(UTC), policy=POLICY, nonce=None, source="test")
    assert said.status is Status.GOOD


@pytest.mark.parametrize("size", [0, 129])
def test_a_nonce_of_a_size_that_rfc_9654_forbids(
    responder: Responder, ca: DevelopmentCA, leaf: Certificate, size: int
) -> None:
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf.parsed, ca.certificate.parsed, hashes.SHA256())
    builder = builder.add_extension(x509.OCSPNonce(b"n" * size), critical=False)
    _reply, body = ask(responder.ocsp_url, builder.build().public_bytes(Encoding.DER))
    said = judge(body, (leaf, ca.certificate), 0, at=datetime.now(UTC), policy=POLICY, nonce=None, source="test")
    assert "(malformedRequest)" in said.detail
