"""A test client that has a certificate.

For example::

    app.test_client_class = MTLSClient
    app.test_client(cert=ca.client("billing")).get("/orders")
"""

from __future__ import annotations

from typing import Any, Protocol

from flask.testing import FlaskClient

from mtls_core.certificate import Certificate

from .peer import PRESENTED
from .sources import Presented


class HasCertificate(Protocol):
    """What a development CA issues, and an :class:`~mtls_core.identity.Identity`: a certificate and those above it."""

    @property
    def certificate(self) -> Certificate: ...
    @property
    def chain(self) -> tuple[Certificate, ...]: ...


class MTLSClient(FlaskClient):
    """Presents a certificate with every request, as a TLS connection would. It is validated like any other.

    :param cert: The certificate; with those above it if it comes from a development CA.
    """

    def __init__(self, *args: Any, cert: Certificate | HasCertificate | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        environ: dict[str, Any] = self.environ_base
        if isinstance(cert, Certificate):
            environ[PRESENTED] = Presented(cert.der, "test")
        elif cert is not None:
            above = tuple(each.der for each in cert.chain if each != cert.certificate)
            environ[PRESENTED] = Presented(cert.certificate.der, "test", lambda: above)
