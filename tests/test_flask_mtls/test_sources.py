"""Where a certificate is looked for, and what is not believed."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from flask_mtls import CertificateRejected
from flask_mtls.peer import PRESENTED, PeerCertificate, find_presented
from flask_mtls.sources import Presented, tls
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.verifier import VerifiedCertificate


class Connection:
    """As much of a TLS connection as is looked at."""

    def __init__(self, leaf: bytes | None) -> None:
        self.leaf = leaf

    def getpeercert(self, binary_form: bool = False) -> bytes | None:
        return self.leaf


class FailedConnection:
    def getpeercert(self, binary_form: bool = False) -> bytes | None:
        raise ValueError("handshake not done yet")


@pytest.mark.parametrize("key", ["gunicorn.socket", "gunicorn.sock", "werkzeug.socket"])
def test_socket_of_each_server(billing: Issued, key: str) -> None:
    found = tls.find({key: Connection(billing.certificate.der)})
    assert found is not None
    assert (found.leaf, found.source) == (billing.certificate.der, "tls")


@pytest.mark.parametrize(
    "connection", [Connection(None), FailedConnection(), object()], ids=["none", "failed", "plain"]
)
def test_socket_without_a_certificate(connection: Any) -> None:
    assert tls.find({"gunicorn.socket": connection, "wsgi.url_scheme": "https"}) is None


def cheroot(issued: Issued, **changes: Any) -> dict[str, Any]:
    return {
        "SERVER_SOFTWARE": "Cheroot/11.1.2 Server",
        "wsgi.url_scheme": "https",
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(issued.certificate.der),
    } | changes


def test_certificate_that_cheroot_exports(billing: Issued) -> None:
    found = tls.find(cheroot(billing))
    assert found is not None
    assert found.leaf == billing.certificate.der


@pytest.mark.parametrize(
    "change",
    [
        {"SERVER_SOFTWARE": "granian"},
        {"wsgi.url_scheme": "http"},
        {"SSL_CLIENT_VERIFY": "NONE"},
        {"SSL_CLIENT_CERT": None},
    ],
)
def test_bare_variable_is_not_believed(billing: Issued, change: dict[str, Any]) -> None:
    """Some servers copy the environment of their process into that of the request."""
    assert tls.find(cheroot(billing, **change)) is None


def test_socket_comes_before_what_is_exported(billing: Issued) -> None:
    """Werkzeug exports the leaf as well; the socket says more."""
    assert tls.find(cheroot(billing) | {"werkzeug.socket": Connection(None)}) is None


def test_exported_nonsense_is_malformed(billing: Issued) -> None:
    with pytest.raises(CertificateRejected) as caught:
        tls.find(cheroot(billing, SSL_CLIENT_CERT="nonsense"))
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("value", ["text", b"bytes", {"leaf": b""}])
def test_only_an_object_of_this_process_is_taken_for_a_certificate(value: object) -> None:
    """What the test client sets cannot come from a request, in which there is nothing but text."""
    assert find_presented({PRESENTED: value, f"HTTP_{PRESENTED}": value}) is None


def test_middleware_may_present_a_certificate(billing: Issued) -> None:
    given = Presented(billing.certificate.der, "elsewhere")
    assert find_presented({PRESENTED: given}) is given


def test_peer_is_a_view_of_its_certificate(billing: Issued, ca: DevelopmentCA) -> None:
    from datetime import UTC, datetime

    verdict = VerifiedCertificate(
        billing.certificate, (billing.certificate, ca.certificate), "chained", datetime.now(UTC)
    )
    peer = PeerCertificate(verdict, source="tls", principal="somebody")
    assert peer.spiffe_id == "spiffe://example.org/billing"
    assert peer.verdict is verdict
    assert peer == PeerCertificate(verdict, source="other")
    assert hash(peer) == hash(billing.certificate)
    assert repr(peer).startswith("<PeerCertificate CN=billing")
    with pytest.raises(AttributeError):
        _ = peer.no_such_field  # type: ignore[attr-defined]
