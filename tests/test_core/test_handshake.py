"""What a failed handshake leaves on its error."""

from __future__ import annotations

import ssl

import pytest

from mtls_core.contexts import client_context, server_context
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.handshake import failed_handshake


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return DevelopmentCA.create()


@pytest.fixture(scope="module")
def issued(ca: DevelopmentCA) -> Issued:
    return ca.intermediate().server("orders.internal")


def shake_hands(client: ssl.SSLContext, issued: Issued, ca: DevelopmentCA, name: str) -> None:
    """A handshake in memory, as far as it goes."""
    server = server_context(issued.identity, trust=ca.trust_store())
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError as error:
                assert failed_handshake(error) is None  # noqa: PT017 - no failure: it goes on


def test_a_good_handshake_raises_nothing(issued: Issued, ca: DevelopmentCA) -> None:
    """The twin of those below."""
    shake_hands(client_context(None, trust=ca.trust_store()), issued, ca, "orders.internal")


def test_a_wrong_name_leaves_the_whole_chain(issued: Issued, ca: DevelopmentCA) -> None:
    context = client_context(None, trust=ca.trust_store())
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(context, issued, ca, "billing.internal")

    failed = failed_handshake(caught.value)
    assert failed is not None
    assert failed.context is context
    assert failed.chain == (issued.certificate, *issued.chain, ca.certificate)


def test_an_unknown_issuer_leaves_the_chain_up_to_there(issued: Issued, ca: DevelopmentCA) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(
            client_context(None, trust=DevelopmentCA.create("Other").trust_store()), issued, ca, "orders.internal"
        )

    failed = failed_handshake(caught.value)
    assert failed is not None
    assert failed.chain == (issued.certificate, *issued.chain)


def test_other_errors_have_no_circumstances() -> None:
    assert failed_handshake(ssl.SSLError(1, "something else")) is None
    assert failed_handshake(ValueError()) is None


def test_a_handshake_that_never_came_to_certificates_leaves_none(ca: DevelopmentCA) -> None:
    incoming = ssl.MemoryBIO()
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection = client_context(None, trust=ca.trust_store()).wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="x")
    with pytest.raises(ssl.SSLError) as caught:
        connection.do_handshake()

    failed = failed_handshake(caught.value)
    assert failed is not None
    assert failed.chain == ()
