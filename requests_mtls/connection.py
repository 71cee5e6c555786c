"""urllib3's connection and pool, with the handshake checked before the first byte of a request.

urllib3 applies what the pool and the request ask for to the context it is given, on every new connection. Here a
connection takes its terms from its :class:`~requests_mtls.generation.Generation` and from nowhere else.
"""

from __future__ import annotations

import errno
import ssl
from datetime import UTC, datetime
from typing import Any, NoReturn

from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse
from urllib3.util.ssltransport import SSLTransport

from mtls_core.errors import MalformedCertificate
from mtls_core.handshake import failed_handshake

from .errors import InsecureRequest, MTLSRequestError, PinMismatch, ServerVerificationError
from .failures import identity_rejected, server_not_verified
from .generation import Generation
from .hosts import Target, target_of


class Refused(HTTPError):
    """Carries a finished error through urllib3.

    urllib3 retries what is an ``OSError`` (all errors of requests are) or of a class it knows, and wraps it if there is
    a proxy. A bare ``HTTPError`` it lets pass.
    """

    def __init__(self, error: MTLSRequestError) -> None:
        super().__init__(str(error))
        self.error = error


class MTLSConnection(HTTPSConnection):
    """A connection on the terms of a generation, direct or through a proxy's tunnel."""

    def __init__(self, *args: Any, generation: Generation, target: Target, **options: Any) -> None:
        super().__init__(*args, **options)
        self._generation = generation
        self._target = target

    def connect(self) -> None:
        """Connect, and check the server; what is wrong with it ends the connection before anything is sent.

        :raises Refused: If the server, or an HTTPS proxy, is not who it should be, or refuses the identity.
        """
        self._take_terms()
        try:
            super().connect()
        except ssl.SSLError as error:
            refusal = self._explain(error)
            if refusal is None:
                raise
            self._refuse(refusal, error)
        self._check_pins()

    def _refuse(self, refusal: MTLSRequestError, cause: Exception | None = None) -> NoReturn:
        self.close()
        raise Refused(refusal) from cause

    def _take_terms(self) -> None:
        """Set everything that decides about trust, whatever the pool was told."""
        if self.proxy_is_forwarding:
            raise Refused(
                InsecureRequest("the proxy would read the request and speak for this service; only tunnels are used")
            )
        self.ssl_context = self._generation.context
        self.cert_reqs = ssl.CERT_REQUIRED
        self.ca_certs = self.ca_cert_dir = self.ca_cert_data = None
        self.cert_file = self.key_file = self.key_password = None
        self.ssl_version = self.ssl_minimum_version = self.ssl_maximum_version = None
        # Either of these two would switch the context's own check of the name off.
        self.assert_hostname = self.assert_fingerprint = None
        self.server_hostname = None

    def _check_pins(self) -> None:
        host = self._target.host
        try:
            self._generation.check_pins(host, self._tls())
        except PinMismatch as error:
            self._refuse(error)
        except MalformedCertificate as error:
            message = f"{host}: a certificate of the server's chain cannot be read: {error.detail}"
            self._refuse(ServerVerificationError(message, host=host, problem=error.detail), error)

    def _tls(self) -> Any:
        """The TLS connection to the server, which within the one to a proxy is not a socket."""
        return self.sock.sslobj if isinstance(self.sock, SSLTransport) else self.sock

    def _explain(self, error: ssl.SSLError) -> MTLSRequestError | None:
        failed = failed_handshake(error)
        if failed is None:
            return None
        with_server = failed.context is self._generation.context
        host = self._target.host if with_server else self.host
        if isinstance(error, ssl.SSLCertVerificationError):
            option = "ca" if with_server else "proxy_ca"
            return server_not_verified(error, failed, host, option=option, at=datetime.now(UTC))
        # A proxy that asks for a certificate gets none, whatever it says about that.
        return identity_rejected(error, host, self._generation.identity) if with_server else None

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request.

        A server that refuses a certificate under TLS 1.3 says so when the handshake is over for us, and closes: sending
        then fails with a mere "EOF occurred in violation of protocol", and the alert waits to be read. After an EPIPE,
        which is what this is called without TLS, urllib3 does read, as an early answer may be waiting as well.
        """
        try:
            super().request(*args, **options)
        except ssl.SSLEOFError as error:
            raise BrokenPipeError(errno.EPIPE, "the server has closed the connection") from error

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Read a response.

        :raises Refused: If the server refuses the identity instead.
        """
        try:
            return super().getresponse()
        except ssl.SSLError as error:
            refusal = identity_rejected(error, self._target.host, self._generation.identity)
            if refusal is None:
                raise
            self._refuse(refusal, error)


class MTLSConnectionPool(HTTPSConnectionPool):
    """Connections to one host, which must be one that the identity is meant for: no pool exists for another.

    :param generation: The terms of all connections of the pool.
    :raises HostNotAllowed: If the host is none of the generation's.
    """

    ConnectionCls = MTLSConnection

    def __init__(self, host: str, port: int | None = None, *, generation: Generation, **options: Any) -> None:
        netloc = f"[{host}]" if ":" in host else host
        target = target_of(f"https://{netloc}" if port is None else f"https://{netloc}:{port}")
        generation.check_host(target)
        super().__init__(host, port, generation=generation, target=target, **options)
