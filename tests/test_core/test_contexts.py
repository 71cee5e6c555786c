"""Contexts, by real handshakes: what they ask for, what they refuse, and that nothing changes them."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mtls_core.certificate import Certificate
from mtls_core.contexts import client_context, following_context, sent_chain, server_context, verified_chain
from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.errors import ConfigurationError
from mtls_core.trust import TrustStore

from ..loopback import call, tls_server

Change = Callable[[ssl.SSLContext], object]


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return DevelopmentCA.create("Test CA")


@pytest.fixture(scope="module")
def trust(ca: DevelopmentCA) -> TrustStore:
    return ca.trust_store()


@pytest.fixture(scope="module")
def server(ca: DevelopmentCA) -> Issued:
    return ca.server("localhost")


@pytest.fixture(scope="module")
def client(ca: DevelopmentCA) -> Issued:
    return ca.client("billing")


def test_both_sides_see_each_other(server: Issued, client: Issued, trust: TrustStore) -> None:
    with tls_server(server_context(server.identity, trust=trust)) as running:
        answer, _ = call(running.port, client_context(client.identity, trust=trust))
        assert answer == b"ok"
        assert running.wait().certificate == client.certificate.der


@pytest.mark.parametrize("key", ["rsa", "p256", "p384", "p521", "ed25519", "ed448"])
def test_every_kind_of_key_reaches_openssl(ca: DevelopmentCA, server: Issued, trust: TrustStore, key: str) -> None:
    identity = ca.client("billing", key=key).identity
    with tls_server(server_context(server.identity, trust=trust, client_certs="required")) as running:
        assert call(running.port, client_context(identity, trust=trust))[0] == b"ok"
        assert running.wait().certificate == identity.certificate.der


def test_intermediates_are_sent(ca: DevelopmentCA, server: Issued, trust: TrustStore) -> None:
    issued = ca.intermediate("Issuing").client("billing")
    with tls_server(server_context(server.identity, trust=trust), sent_chain) as running:
        assert call(running.port, client_context(issued.identity, trust=trust))[0] == b"ok"
        chain = running.wait().result
    assert isinstance(chain, tuple)
    assert [Certificate.from_der(data).common_names for data in chain] == [("billing",), ("Issuing",)]


def test_the_sent_chain_is_empty_without_a_certificate(server: Issued, trust: TrustStore) -> None:
    with tls_server(server_context(server.identity, trust=trust), sent_chain) as running:
        assert call(running.port, client_context(None, trust=trust))[0] == b"ok"
        assert running.wait().result == ()


def test_the_verified_chain_ends_at_the_anchor(ca: DevelopmentCA, server: Issued, trust: TrustStore) -> None:
    """Public from Python 3.13 on, behind the socket before: the same answer on each."""
    issued = ca.intermediate("Issuing").client("billing")
    with tls_server(server_context(server.identity, trust=trust), verified_chain) as running:
        assert call(running.port, client_context(issued.identity, trust=trust))[0] == b"ok"
        chain = running.wait().result
    assert isinstance(chain, tuple)
    assert [certificate.common_names[0] for certificate in chain] == ["billing", "Issuing", "Test CA"]


def test_chains_are_empty_on_a_resumed_session(server: Issued, client: Issued, trust: TrustStore) -> None:
    context = client_context(client.identity, trust=trust)

    def chains(connection: ssl.SSLSocket) -> object:
        return connection.session_reused, sent_chain(connection), verified_chain(connection)

    with tls_server(server_context(server.identity, trust=trust), chains) as running:
        _, session = call(running.port, context)
        assert running.wait().result != (True, (), ())
        call(running.port, context, session=session)
        again = running.wait()
    assert again.result == (True, (), ())
    assert again.certificate == client.certificate.der


def test_required_ends_the_handshake_without_a_certificate(server: Issued, trust: TrustStore) -> None:
    with tls_server(server_context(server.identity, trust=trust, client_certs="required")) as running:
        with pytest.raises(OSError, match=r"."):
            call(running.port, client_context(None, trust=trust))
        assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in str(running.wait().error)


def test_off_asks_for_no_certificate(server: Issued, client: Issued, trust: TrustStore) -> None:
    with tls_server(server_context(server.identity, client_certs="off")) as running:
        assert call(running.port, client_context(client.identity, trust=trust))[0] == b"ok"
        assert running.wait().certificate is None


def test_on_demand_asks_when_the_application_does(server: Issued, client: Issued, trust: TrustStore) -> None:
    """Post-handshake authentication, TLS 1.3."""

    def ask(connection: ssl.SSLSocket) -> bytes | None:
        assert connection.getpeercert(True) is None
        connection.verify_client_post_handshake()
        connection.do_handshake()
        connection.settimeout(0.01)
        for _ in range(1000):
            try:
                connection.recv(1)
            except TimeoutError:
                if certificate := connection.getpeercert(True):
                    connection.settimeout(10)
                    return certificate
        return None

    context = server_context(server.identity, trust=trust, client_certs="on_demand", minimum_version="TLSv1.3")
    with tls_server(context, ask) as running:
        assert call(running.port, client_context(client.identity, trust=trust))[0] == b"ok"
        seen = running.wait()
    assert seen.certificate is None
    assert seen.result == client.certificate.der


@pytest.mark.parametrize("check_time", [True, False])
def test_dates_are_left_to_the_application_only_if_it_asks(
    ca: DevelopmentCA, server: Issued, trust: TrustStore, check_time: bool
) -> None:
    now = datetime.now(UTC)
    expired = ca.client("old", not_before=now - timedelta(days=2), not_after=now - timedelta(days=1))
    with tls_server(server_context(server.identity, trust=trust, check_time=check_time)) as running:
        context = client_context(expired.identity, trust=trust)
        if check_time:
            with pytest.raises(OSError, match=r"."):
                call(running.port, context)
            assert "certificate has expired" in str(running.wait().error)
        else:
            assert call(running.port, context)[0] == b"ok"
            assert running.wait().certificate == expired.certificate.der


def test_a_self_signed_certificate_passes_only_if_it_is_named(server: Issued, trust: TrustStore) -> None:
    known, stranger = self_signed("known"), self_signed("known")
    context = server_context(server.identity, trust=trust, self_signed=[known.certificate])
    with tls_server(context) as running:
        assert call(running.port, client_context(known.identity, trust=trust))[0] == b"ok"
        running.wait()
        with pytest.raises(OSError, match=r"."):
            call(running.port, client_context(stranger.identity, trust=trust))
        assert "self-signed certificate" in str(running.wait().error)


def test_a_server_of_another_ca_is_refused(server: Issued, client: Issued) -> None:
    other = DevelopmentCA.create("Other CA").trust_store()
    with tls_server(server_context(server.identity, client_certs="off")) as running:
        with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self-signed certificate"):
            call(running.port, client_context(client.identity, trust=other))
        running.wait()


def test_a_server_with_another_name_is_refused(server: Issued, client: Issued, trust: TrustStore) -> None:
    with tls_server(server_context(server.identity, client_certs="off")) as running:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            call(running.port, client_context(client.identity, trust=trust), name="orders.internal")
        running.wait()


def test_a_common_name_is_no_server_name(ca: DevelopmentCA, client: Issued, trust: TrustStore) -> None:
    nameless = ca.issue("localhost", usage=["server"])
    with tls_server(server_context(nameless.identity, client_certs="off")) as running:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            call(running.port, client_context(client.identity, trust=trust))
        running.wait()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_older_versions_are_refused(server: Issued, trust: TrustStore, version: str) -> None:
    context = server_context(server.identity, client_certs="off", minimum_version=version)  # type: ignore[arg-type]
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    older.load_verify_locations(cadata=trust.pem)
    older.minimum_version = ssl.TLSVersion.TLSv1_2
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with tls_server(context) as running:
        if version == "TLSv1.2":
            assert call(running.port, older)[0] == b"ok"
        else:
            with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
                call(running.port, older)
        running.wait()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_no_compression_and_no_renegotiation(server: Issued, trust: TrustStore) -> None:
    for context in (server_context(server.identity, client_certs="off"), client_context(None, trust=trust)):
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION


def test_session_secrets_are_written_only_if_asked_for(
    server: Issued, trust: TrustStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ambient, asked = tmp_path / "ambient", tmp_path / "asked"
    monkeypatch.setenv("SSLKEYLOGFILE", str(ambient))
    with tls_server(server_context(server.identity, client_certs="off")) as running:
        call(running.port, client_context(None, trust=trust))
        assert not ambient.exists()
        call(running.port, client_context(None, trust=trust, keylog=asked))
    assert "SECRET" in asked.read_text()
    assert not ambient.exists()


CHANGES: list[Change] = [
    lambda context: context.load_verify_locations(cadata=DevelopmentCA.create().pem),
    lambda context: context.load_default_certs(),
    lambda context: context.set_default_verify_paths(),
    lambda context: context.load_cert_chain("nowhere.pem"),
    lambda context: context.set_ciphers("ALL"),
    lambda context: context.set_alpn_protocols(["h2"]),
    lambda context: context.set_ecdh_curve("prime256v1"),
    lambda context: setattr(context, "check_hostname", not context.check_hostname),
    lambda context: setattr(context, "verify_mode", ssl.CERT_NONE),
    lambda context: setattr(context, "verify_flags", ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF),
    lambda context: setattr(context, "options", ssl.Options.OP_ALL),
    lambda context: setattr(context, "minimum_version", ssl.TLSVersion.MINIMUM_SUPPORTED),
    lambda context: setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_2),
    lambda context: setattr(context, "keylog_filename", "secrets"),
    lambda context: setattr(context, "sni_callback", lambda *arguments: None),
    lambda context: setattr(context, "post_handshake_auth", not context.post_handshake_auth),
    lambda context: setattr(context, "sealed", False),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_sealed_context_does_not_change(client: Issued, trust: TrustStore, change: Change) -> None:
    context = client_context(client.identity, trust=trust)
    before = _state(context)
    with pytest.raises(ConfigurationError, match="sealed"):
        change(context)
    assert _state(context) == before


def test_setting_what_is_set_is_no_change(client: Issued, trust: TrustStore) -> None:
    """urllib3 does so on every connection."""
    context = client_context(client.identity, trust=trust)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    context.set_alpn_protocols(["http/1.1"])
    assert _state(context) == _state(client_context(client.identity, trust=trust))


def _state(context: ssl.SSLContext) -> tuple[object, ...]:
    names = ("verify_mode", "check_hostname", "verify_flags", "options", "minimum_version", "maximum_version")
    return (*(getattr(context, name) for name in names), context.keylog_filename, len(context.get_ca_certs()))


@pytest.mark.parametrize(
    "arguments", [{"client_certs": "perhaps"}, {"minimum_version": "TLSv1.1"}, {"client_certs": "optional"}]
)
def test_a_context_that_cannot_be_right_is_not_built(server: Issued, arguments: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        server_context(server.identity, **arguments)  # type: ignore[arg-type]


def test_a_following_context_serves_with_the_newest(
    ca: DevelopmentCA, server: Issued, client: Issued, trust: TrustStore
) -> None:
    newer = ca.server("localhost")
    current = [server_context(server.identity, trust=trust)]
    context = following_context(lambda: current[0])
    calling = client_context(client.identity, trust=trust)
    seen: list[str] = []
    with tls_server(context) as running:
        for replacement in (server_context(newer.identity, trust=trust, client_certs="required"), None):
            with (
                _connect(running.port) as raw,
                calling.wrap_socket(raw, server_hostname="localhost") as connection,
            ):
                seen.append(Certificate.from_der(connection.getpeercert(True) or b"").thumbprint)
                connection.sendall(b"x")
                assert connection.recv(10) == b"ok"
            running.wait()
            if replacement:
                current[0] = replacement
        with pytest.raises(OSError, match=r"."):
            call(running.port, client_context(None, trust=trust))
    assert seen == [server.certificate.thumbprint, newer.certificate.thumbprint]


def _connect(port: int):  # type: ignore[no-untyped-def]
    import socket

    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_without_memfd_and_proc_the_key_file_is_encrypted_private_and_removed(
    client: Issued, trust: TrustStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bytes]] = []

    def no_memfd(*arguments: object) -> int:
        raise OSError("not here")

    def load(self: ssl.SSLContext, path: str, **options: object) -> None:
        seen.append((os.stat(path).st_mode & 0o777, Path(path).read_bytes()))

    monkeypatch.setattr(os, "memfd_create", no_memfd)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    from mtls_core.sealed import _sealable_class

    _sealable_class.cache_clear()
    try:
        client_context(client.identity, trust=trust)
    finally:
        monkeypatch.undo()
        _sealable_class.cache_clear()
    ((mode, content),) = seen
    assert mode == 0o600
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in content
    assert b"BEGIN PRIVATE KEY" not in content
    assert list(tmp_path.iterdir()) == []
