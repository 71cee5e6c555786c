"""A small server that says over HTTP what a development CA revoked, truthfully or with every fault there is.

::

    with Responder(ca) as responder:
        billing = ca.client("billing", ocsp_urls=[responder.ocsp_url], crl_urls=[responder.crl_url(ca)])
        responder.revoke(billing, reason=x509.ReasonFlags.key_compromise)
        responder.mode = Mode.TRICKLE
        ...
        assert responder.counts()["ocsp"] == 1

The addresses are known when it was made, before it is entered.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp

from ..certificate import Certificate
from ..revocation.ocsp_request import MAX_NONCE_SIZE, RESPONSE_TYPE, key_bits
from .authority import DevelopmentCA
from .http_faults import Reply, Settings, send
from .issued import Issued
from .modes import ERRORS, faulty, signer_for
from .modes import Mode as Mode
from .ocsp import MALFORMED_REQUEST, UNAUTHORIZED, ResponseOptions, ocsp_error, ocsp_response
from .register import MemoryRegister, Record, Register

CRL_TYPE = "application/pkix-crl"
CERTIFICATE_TYPE = "application/pkix-cert"

_MAX_REQUEST = 16 * 1024
_OCSP_PATH = "/ocsp"
#: How often it was asked, as JSON. No fault shows here, and asking does not count.
COUNT_PATH = "/__count"


class Responder:
    """Serves OCSP under ``/ocsp``, by GET and POST, ``/NAME.crl`` and ``/NAME.cer`` of each CA, and how often it was
    asked under ``/__count``.

    :param authorities: The CAs it speaks for.
    :param register: What they revoked, instead of a register in memory for ``authorities``.
    :param host: Where it listens.
    :param port: 0: one that is free.
    :param lifetime: From ``thisUpdate`` to ``nextUpdate`` of what it says.
    :param clock: Gives the time, aware.
    :param log: Gets a line for each request.
    """

    def __init__(
        self,
        *authorities: DevelopmentCA,
        register: Register | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        lifetime: timedelta = timedelta(hours=1),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.register: Register = register or MemoryRegister(authorities)
        self.settings = Settings()
        self.lifetime = lifetime
        self.log = log
        self._clock = clock
        self._signers: dict[tuple[bytes, Mode], Issued | DevelopmentCA] = {}
        self._counts: Counter[str] = Counter()
        self._asked: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._server = _Server((host, port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def mode(self) -> Mode:
        """How it behaves; :attr:`settings` has the rest."""
        return self.settings.mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self.settings.mode = mode

    @property
    def url(self) -> str:
        """The beginning of all its addresses, without a slash at the end."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def ocsp_url(self) -> str:
        """Where it answers OCSP."""
        return self.url + _OCSP_PATH

    def crl_url(self, ca: DevelopmentCA) -> str:
        """Where the list of a CA is."""
        return f"{self.url}/{self._name(ca)}.crl"

    def certificate_url(self, ca: DevelopmentCA) -> str:
        """Where the certificate of a CA is."""
        return f"{self.url}/{self._name(ca)}.cer"

    def add(self, ca: DevelopmentCA) -> None:
        """Speak for one more CA; one, say, whose certificate has the addresses of this responder in it."""
        self._memory.add(ca)

    def revoke(self, certificate: Certificate | Issued, *, reason: x509.ReasonFlags | None = None) -> None:
        """Withdraw a certificate."""
        self._memory.revoke(certificate, reason=reason, date=self._clock())

    def signer(self, ca: DevelopmentCA) -> Issued | DevelopmentCA:
        """Who signs about the certificates of a CA, in the present mode."""
        with self._lock:
            key = (ca.certificate.der, self.mode)
            if key not in self._signers:
                self._signers[key] = signer_for(self.mode, ca, now=self._clock(), url=self.ocsp_url)
            return self._signers[key]

    def counts(self) -> Counter[str]:
        """How often it was asked for ``"ocsp"``, ``"crl"``, ``"certificate"``, and for what it does not have
        (``"other"``); faults count, too.
        """
        with self._lock:
            return self._counts.copy()

    def counts_by_serial(self) -> Counter[int]:
        """How often it was asked by OCSP about each certificate."""
        with self._lock:
            return self._asked.copy()

    def reset_counts(self) -> None:
        """Begin to count again."""
        with self._lock:
            self._counts.clear()
            self._asked.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop to listen, and end what is being sent. May be called more than once."""
        self.settings.stopped.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def reply_to_get(self, path: str) -> Reply:
        """What is sent for a GET."""
        if path.startswith(f"{_OCSP_PATH}/"):
            return self._ocsp(_from_url(path.removeprefix(f"{_OCSP_PATH}/")))
        if path == COUNT_PATH:
            return Reply(json.dumps(self.counts()).encode(), "application/json")
        name, _, kind = path.removeprefix("/").rpartition(".")
        ca = self.register.authorities().get(name)
        if ca is None or kind not in ("crl", "cer"):
            self._count("other")
            return Reply(b"not found\n", status=404)
        if kind == "crl":
            return self._crl(ca)
        self._count("certificate")
        return Reply(ca.certificate.der, CERTIFICATE_TYPE)

    def reply_to_post(self, path: str, body: bytes) -> Reply:
        """What is sent for a POST."""
        if path.rstrip("/") == _OCSP_PATH:
            return self._ocsp(body)
        self._count("other")
        return Reply(b"not found\n", status=404)

    def _crl(self, ca: DevelopmentCA) -> Reply:
        self._count("crl")
        record, now = self.register.record(ca), self._clock()
        revoked = record.revoked.values()
        crl = ca.crl(revoked, number=record.crl_number, this_update=now, next_update=now + self.lifetime)
        return Reply(crl, CRL_TYPE, headers=self._caching(now, crl))

    def _ocsp(self, data: bytes | None) -> Reply:
        self._count("ocsp")
        request = None if data is None else _read_request(data)
        if request is None:
            return Reply(ocsp_error(MALFORMED_REQUEST), RESPONSE_TYPE)
        with self._lock:
            self._asked[request.serial_number] += 1
        ca = self._issuer(request)
        if ca is None:
            return Reply(ocsp_error(UNAUTHORIZED), RESPONSE_TYPE)
        if self.mode in ERRORS:
            return Reply(ocsp_error(ERRORS[self.mode]), RESPONSE_TYPE)
        return self._signed(ca, request)

    def _signed(self, ca: DevelopmentCA, request: ocsp.OCSPRequest) -> Reply:
        now, number = self._clock(), request.serial_number
        options: ResponseOptions = {
            **_status(self.register.record(ca), number),
            "this_update": now,
            "next_update": now + self.lifetime,
            "hash": request.hash_algorithm.name,
            "nonce": _nonce(request),
            "signer": self.signer(ca),
        }
        body = ocsp_response(ca, number, **faulty(self.mode, options, number, now=now))
        return Reply(body, RESPONSE_TYPE, headers=self._caching(now, body))

    def _issuer(self, request: ocsp.OCSPRequest) -> DevelopmentCA | None:
        name = request.hash_algorithm.name
        asked = (request.issuer_name_hash, request.issuer_key_hash)
        return next((ca for ca in self.register.authorities().values() if _hashes(ca, name) == asked), None)

    def _caching(self, now: datetime, body: bytes) -> dict[str, str]:
        """What lets caches keep it (RFC 5019, section 6.2)."""
        return {
            "Last-Modified": format_datetime(now, usegmt=True),
            "Expires": format_datetime(now + self.lifetime, usegmt=True),
            "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
            "Cache-Control": f"max-age={int(self.lifetime.total_seconds())}, public, no-transform, must-revalidate",
        }

    def _count(self, kind: str) -> None:
        with self._lock:
            self._counts[kind] += 1

    def _name(self, ca: DevelopmentCA) -> str:
        names = [name for name, known in self.register.authorities().items() if known.certificate == ca.certificate]
        if not names:
            raise ValueError(f"{ca!r} is not one of the CAs that this responder speaks for")
        return names[0]

    @property
    def _memory(self) -> MemoryRegister:
        if not isinstance(self.register, MemoryRegister):
            raise TypeError("this responder was given its register; change that")
        return self.register


class _Server(socketserver.ThreadingTCPServer):
    """Not :class:`http.server.HTTPServer`, which asks the name server for its own name before it listens."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], responder: Responder) -> None:
        self.responder = responder
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what many tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30
    disable_nagle_algorithm = True  # head and body are two writes

    def do_GET(self) -> None:
        responder = self.server.responder
        settings = Settings() if self.path == COUNT_PATH else responder.settings
        send(self, responder.reply_to_get(self.path), settings)

    def do_POST(self) -> None:
        responder = self.server.responder
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_REQUEST:
            self.send_error(413)
            return
        send(self, responder.reply_to_post(self.path, self.rfile.read(int(length))), responder.settings)

    def log_message(self, format: str, *args: Any) -> None:
        log = self.server.responder.log
        if log is not None:
            log(format % args)


def _from_url(text: str) -> bytes | None:
    """The request within an address (RFC 6960, appendix A.1)."""
    try:
        return base64.b64decode(unquote(text), validate=True)
    except (binascii.Error, ValueError):
        return None


def _read_request(data: bytes) -> ocsp.OCSPRequest | None:
    try:
        request = ocsp.load_der_ocsp_request(data)
        nonce = _nonce(request)
        known = request.hash_algorithm.name in ("sha1", "sha256", "sha384", "sha512")
    except (ValueError, UnsupportedAlgorithm):
        return None
    # RFC 9654, section 2.1.
    return request if known and (nonce is None or 0 < len(nonce) <= MAX_NONCE_SIZE) else None


def _nonce(request: ocsp.OCSPRequest) -> bytes | None:
    try:
        nonce: bytes = request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None
    return nonce


def _hashes(ca: DevelopmentCA, name: str) -> tuple[bytes, bytes]:
    certificate = ca.certificate
    one, other = (
        hashlib.new(name, data, usedforsecurity=False).digest()
        for data in (certificate.subject_der, key_bits(certificate))
    )
    return one, other


def _status(record: Record, serial_number: int) -> ResponseOptions:
    revocation = record.revoked.get(serial_number)
    if revocation is None:
        return {"status": "good" if record.knows(serial_number) else "unknown"}
    options: ResponseOptions = {"status": "revoked", "reason": revocation.reason}
    if revocation.date is not None:
        options["revoked_at"] = revocation.date
    return options
