"""What can go wrong with a request, each under :class:`requests.exceptions.SSLError`.

The tree::

    requests.exceptions.SSLError, mtls_core.errors.MTLSError
    └── MTLSRequestError
        ├── InsecureRequest (also ValueError)
        ├── HostNotAllowed
        ├── IdentityExpired
        ├── ServerVerificationError
        ├── PinMismatch
        └── IdentityRejected

The first three are raised before anything is resolved or connected; none of the six is ever retried.
"""

from __future__ import annotations

import requests.exceptions

from mtls_core.certificate import Certificate
from mtls_core.errors import MTLSError


class MTLSRequestError(requests.exceptions.SSLError, MTLSError):
    """The base of the errors below. Where a request was under way, it is on :attr:`request`."""


class InsecureRequest(MTLSRequestError, ValueError):
    """Raised if a request asks for what would undo the adapter's protection: ``verify=False``, another CA bundle,
    another client certificate, plain ``http://``, or a kind of proxy whose connections are not checked.
    """


class HostNotAllowed(MTLSRequestError):
    """Raised if a request goes to a host that the identity is not meant for.

    :param host: That host.
    :param port: Its port.
    """

    def __init__(self, message: str, *, host: str = "", port: int = 0) -> None:
        super().__init__(message)
        self.host = host
        self.port = port


class IdentityExpired(MTLSRequestError):
    """Raised if the identity's certificate is expired, or not yet valid.

    :param certificate: The identity's certificate.
    """

    def __init__(self, message: str, *, certificate: Certificate | None = None) -> None:
        super().__init__(message)
        self.certificate = certificate


class ServerVerificationError(MTLSRequestError):
    """Raised if the server, or an HTTPS proxy on the way, is not who it should be: untrusted, expired, another name.

    :param host: The name that was connected to; the proxy's if it was the proxy.
    :param problem: OpenSSL's words.
    :param chain: The certificates as far as a chain could be built, leaf first; empty if none could be read.
    """

    def __init__(self, message: str, *, host: str = "", problem: str = "", chain: tuple[Certificate, ...] = ()) -> None:
        super().__init__(message)
        self.host = host
        self.problem = problem
        self.chain = chain

    @property
    def certificate(self) -> Certificate | None:
        """The server's own certificate."""
        return self.chain[0] if self.chain else None


class PinMismatch(MTLSRequestError):
    """Raised if no certificate of the server's verified chain is pinned. Nothing of the request was sent.

    :param host: The name that was connected to.
    :param chain: The verified chain, leaf first. The message lists its pins.
    """

    def __init__(self, message: str, *, host: str = "", chain: tuple[Certificate, ...] = ()) -> None:
        super().__init__(message)
        self.host = host
        self.chain = chain


class IdentityRejected(MTLSRequestError):
    """Raised if the server refuses the identity's certificate.

    :param host: The name that was connected to.
    :param alert: The server's TLS alert in words (RFC 8446, section 6.2), such as ``"unknown ca"``.
    :param certificate: The identity's certificate.
    """

    def __init__(
        self, message: str, *, host: str = "", alert: str = "", certificate: Certificate | None = None
    ) -> None:
        super().__init__(message)
        self.host = host
        self.alert = alert
        self.certificate = certificate
