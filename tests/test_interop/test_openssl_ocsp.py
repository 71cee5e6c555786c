"""OpenSSL's own responder, and the lists of ``openssl ca``, over HTTP; and OpenSSL as the client of our responder."""

from __future__ import annotations

import contextlib
import functools
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.devca.modes import Mode
from mtls_core.devca.ocsp import ocsp_signer
from mtls_core.devca.responder import Responder
from mtls_core.revocation import crl
from mtls_core.revocation.fetch import Fetcher
from mtls_core.revocation.ocsp import (
    NONCE_SIZE,
    REQUEST_TYPE,
    RESPONSE_TYPE,
    build_request,
    delegated_responder,
    get_url,
    judge,
)
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Answer, Status

from ..programs import require_program
from ..run import run

NONCE = bytes(range(NONCE_SIZE))
_CONFIGURATION = """\
[ca]
default_ca = here
[here]
database = {folder}/index.txt
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
crlnumber = {folder}/crlnumber
default_md = sha256
default_crl_days = 1
crl_extensions = crl_extensions
[crl_extensions]
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class OpenSSLCA:
    """A CA that ``openssl ca`` keeps the books of."""

    folder: Path
    ca: DevelopmentCA
    good: Certificate
    revoked: Certificate
    #: Of the same CA, and not in its books.
    unknown: Certificate

    def path(self, leaf: Certificate) -> tuple[Certificate, ...]:
        """From a certificate to the CA."""
        return (leaf, self.ca.certificate)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> OpenSSLCA:
    openssl = require_program("openssl")
    folder = tmp_path_factory.mktemp("openssl-ca")
    ca = DevelopmentCA.create("OpenSSL CA")
    made = OpenSSLCA(folder, ca, *(ca.client(name).certificate for name in ("good", "revoked", "unknown")))
    signer = ocsp_signer(ca, nocheck=False)
    for name, issued in (("ca", Issued(ca.certificate, (), ca.private_key)), ("signer", signer)):
        (folder / f"{name}.pem").write_bytes(issued.certificate_pem)
        (folder / f"{name}.key").write_bytes(issued.key_pem())
    for name in ("good", "revoked", "unknown"):
        (folder / f"{name}.pem").write_text(getattr(made, name).pem)
    (folder / "ca.cnf").write_text(_CONFIGURATION.format(folder=folder))
    (folder / "index.txt").touch()
    (folder / "crlnumber").write_text("01\n")
    configured = (openssl, "ca", "-config", str(folder / "ca.cnf"))
    for name in ("good", "revoked"):
        run(*configured, "-valid", str(folder / f"{name}.pem"))
    run(*configured, "-revoke", str(folder / "revoked.pem"), "-crl_reason", "keyCompromise")
    run(*configured, "-gencrl", "-out", str(folder / "ca.pem.crl"))
    run(openssl, "crl", "-in", str(folder / "ca.pem.crl"), "-outform", "DER", "-out", str(folder / "ca.crl"))
    return made


@contextlib.contextmanager
def _openssl_responder(books: OpenSSLCA, signer: str) -> Iterator[str]:
    """Run ``openssl ocsp``; it serves one connection at a time, so its log says when it is ready, and not a connection
    that asks nothing.
    """
    folder = books.folder
    log = folder / f"{signer}.log"
    command = (
        *(require_program("openssl"), "ocsp", "-port", "0", "-index", str(folder / "index.txt"), "-nmin", "5"),
        *("-CA", str(folder / "ca.pem")),
        *("-rsigner", str(folder / f"{signer}.pem"), "-rkey", str(folder / f"{signer}.key")),
    )
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield f"http://127.0.0.1:{_port(process, log)}/"
        finally:
            process.terminate()
            process.wait(timeout=15)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 15
    while process.poll() is None and time.monotonic() < deadline:
        text = log.read_text()
        found = re.search(r"^ACCEPT .*:(\d+)", text, re.MULTILINE)
        if found and "waiting for OCSP client connections" in text:
            return int(found.group(1))
        time.sleep(0.02)
    raise AssertionError(f"openssl ocsp did not start:\n{log.read_text()}")


@pytest.fixture(scope="module", params=["ca", "signer"], ids=["signed by the issuer", "signed by a delegate"])
def openssl_responder(request: pytest.FixtureRequest, books: OpenSSLCA) -> Iterator[str]:
    with _openssl_responder(books, request.param) as url:
        yield url


def ask(
    url: str,
    books: OpenSSLCA,
    leaf: Certificate,
    *,
    policy: RevocationPolicy,
    nonce: bytes | None = None,
    hash: str = "sha1",
    get: bool = False,
) -> tuple[Answer, bytes]:
    """What a responder says, and the bytes with which it does."""
    question = build_request(leaf, books.ca.certificate, nonce=nonce, hash=hash)  # type: ignore[arg-type]
    address = get_url(url, question) if get else url
    assert address is not None
    fetched = Fetcher(hosts=["127.0.0.1"]).fetch(
        address,
        deadline=time.monotonic() + 10,
        max_size=65536,
        body=None if get else question,
        content_type=None if get else REQUEST_TYPE,
        accept=RESPONSE_TYPE,
    )
    assert fetched.content_type == RESPONSE_TYPE
    now = datetime.now(UTC)
    said = judge(fetched.body, books.path(leaf), 0, at=now, policy=policy, nonce=nonce, source=url)
    return said, fetched.body


@pytest.mark.parametrize("hash", ["sha1", "sha256"])
def test_good(openssl_responder: str, books: OpenSSLCA, hash: str) -> None:
    said, _body = ask(openssl_responder, books, books.good, policy=RevocationPolicy(), hash=hash)
    assert said.status is Status.GOOD, said.detail


def test_good_by_get(openssl_responder: str, books: OpenSSLCA) -> None:
    said, _body = ask(openssl_responder, books, books.good, policy=RevocationPolicy(), get=True)
    assert said.status is Status.GOOD, said.detail


def test_good_with_a_nonce(openssl_responder: str, books: OpenSSLCA) -> None:
    required = RevocationPolicy(nonce="require")
    said, body = ask(openssl_responder, books, books.good, policy=required, nonce=NONCE)
    assert said.status is Status.GOOD, said.detail
    other = judge(
        body, books.path(books.good), 0, at=datetime.now(UTC), policy=required, nonce=NONCE[::-1], source="replayed"
    )
    assert other.status is Status.UNKNOWN


def test_revoked(openssl_responder: str, books: OpenSSLCA) -> None:
    said, _body = ask(openssl_responder, books, books.revoked, policy=RevocationPolicy())
    assert (said.status, said.revocation_reason) == (Status.REVOKED, "keyCompromise")


def test_unknown(openssl_responder: str, books: OpenSSLCA) -> None:
    said, _body = ask(openssl_responder, books, books.unknown, policy=RevocationPolicy())
    assert said.status is Status.UNKNOWN
    assert "does not know it (unknown)" in said.detail


def test_whose_revocation_remains_to_be_asked(books: OpenSSLCA) -> None:
    signers = {}
    for name in ("ca", "signer"):
        with _openssl_responder(books, name) as url:
            _said, body = ask(url, books, books.good, policy=RevocationPolicy())
        path = books.path(books.good)
        signers[name] = delegated_responder(body, path, 0, at=datetime.now(UTC), policy=RevocationPolicy())
    signer = Certificate.from_pem((books.folder / "signer.pem").read_bytes())
    assert signers == {"ca": None, "signer": signer}


def test_a_list_of_openssl_ca_over_http(books: OpenSSLCA) -> None:
    handler = functools.partial(_QuietHandler, directory=str(books.folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/ca.crl"
        fetched = Fetcher(hosts=["127.0.0.1"]).fetch(url, deadline=time.monotonic() + 10, max_size=1 << 20)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    lists = [crl.CertificateList.from_der(fetched.body, source=url)]
    now = datetime.now(UTC)
    said = [
        crl.judge(books.path(leaf), 0, lists, at=now, policy=RevocationPolicy()) for leaf in (books.good, books.revoked)
    ]
    assert [answer.status for answer in said] == [Status.GOOD, Status.REVOKED]
    assert said[1].revocation_reason == "keyCompromise"


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Not into the output of the tests."""


# Our responder, asked by OpenSSL.


def _openssl_asks(responder: Responder, books: OpenSSLCA, name: str, *options: str) -> str:
    folder = books.folder
    return run(
        *(require_program("openssl"), "ocsp", "-issuer", str(folder / "ca.pem"), *options),
        *("-cert", str(folder / f"{name}.pem"), "-url", responder.ocsp_url, "-CAfile", str(folder / "ca.pem")),
    )


@pytest.mark.parametrize("mode", [Mode.GOOD, Mode.DELEGATED])
@pytest.mark.parametrize("options", [(), ("-sha256",), ("-no_nonce",)])
def test_openssl_believes_our_responder(books: OpenSSLCA, mode: Mode, options: tuple[str, ...]) -> None:
    with Responder(books.ca) as responder:
        responder.mode = mode
        assert "good.pem: good" in _openssl_asks(responder, books, "good", *options)
        responder.revoke(books.revoked, reason=x509.ReasonFlags.key_compromise)
        printed = _openssl_asks(responder, books, "revoked", *options)
    assert "revoked.pem: revoked" in printed
    assert "Reason: keyCompromise" in printed


def test_openssl_believes_our_list(books: OpenSSLCA, tmp_path: Path) -> None:
    with Responder(books.ca) as responder:
        responder.revoke(books.revoked)
        url = responder.crl_url(books.ca)
        body = Fetcher(hosts=["127.0.0.1"]).fetch(url, deadline=time.monotonic() + 10, max_size=1 << 20).body
    (tmp_path / "ours.crl").write_bytes(body)
    files = ("-CAfile", str(books.folder / "ca.pem"), "-CRLfile", str(tmp_path / "ours.crl"))
    verify = (require_program("openssl"), "verify", "-crl_check", *files)
    assert "good.pem: OK" in run(*verify, str(books.folder / "good.pem"))
    assert "OK" not in run(*verify, str(books.folder / "revoked.pem"), ok=False)
