"""Revocation as a service sees it: its settings, its files, open connections, resumed sessions."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask

from flask_mtls import MTLS, ConfigurationError
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.devca.responder import Mode, Responder
from mtls_core.trust import TrustStore

from ..processes import serving
from .conftest import Clock, MakeApp, answer
from .serving import Caller, fetch, running

LOOPBACK = {"MTLS_REVOCATION_HOSTS": ["127.0.0.1"]}


@pytest.fixture(scope="session")
def trust(ca: DevelopmentCA) -> TrustStore:
    return ca.trust_store()


@pytest.fixture
def responder(ca: DevelopmentCA, clock: Clock) -> Iterator[Responder]:
    with Responder(ca, clock=clock) as started:
        yield started


@pytest.fixture
def shipping(ca: DevelopmentCA, responder: Responder) -> Issued:
    """A caller about whom the responder is asked."""
    return ca.client("shipping", ocsp_urls=[responder.ocsp_url])


@pytest.fixture
def serving_app(make_app: MakeApp, orders: Issued) -> MakeApp:
    def make(mtls: MTLS | None = None, **settings: Any) -> Flask:
        return make_app(mtls, **{"MTLS_IDENTITY": orders.identity} | settings)

    return make


class Lists:
    """A file with the list of the test CA.

    :param clock: Its lists are dated by.
    """

    def __init__(self, ca: DevelopmentCA, clock: Clock, file: Path) -> None:
        self._ca = ca
        self._clock = clock
        self.file = file

    def make(self, *revoked: Issued, number: int, age: float = 0, life: float = 24) -> bytes:
        """A list that was signed so many hours ago, for so many hours."""
        begins = self._clock() - timedelta(hours=age)
        return self._ca.crl(revoked, number=number, this_update=begins, next_update=begins + timedelta(hours=life))

    def put(self, *revoked: Issued, number: int = 1, **options: float) -> None:
        """Replace the file, whole."""
        new = self.file.with_suffix(".new")
        new.write_bytes(self.make(*revoked, number=number, **options))
        new.replace(self.file)


@pytest.fixture
def lists(ca: DevelopmentCA, clock: Clock, tmp_path: Path) -> Lists:
    return Lists(ca, clock, tmp_path / "test.crl")


@pytest.fixture(scope="session")
def other(ca: DevelopmentCA) -> Issued:
    """A caller whom nobody revokes."""
    return ca.client("other")


def until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def nothing_is_being_asked() -> bool:
    return not any(thread.name == "mtls-bounded-call" for thread in threading.enumerate())


@pytest.mark.parametrize("source", ["ocsp", "crl"])
@pytest.mark.parametrize("over_tls", [False, True], ids=["in-process", "tls"])
def test_source_that_the_certificate_names(
    source: str, over_tls: bool, ca: DevelopmentCA, responder: Responder, serving_app: MakeApp, trust: TrustStore
) -> None:
    names: dict[str, Any] = {"ocsp_urls" if source == "ocsp" else "crl_urls": [_url(responder, ca, source)]}
    revoked, good = ca.client("revoked", **names), ca.client("good", **names)
    responder.revoke(revoked)
    app = serving_app(**LOOPBACK)
    if not over_tls:
        assert [answer(app, revoked), answer(app, good)] == ["revoked", 200]
        return
    with running(app) as port:
        assert [fetch(port, one, trust).outcome for one in (revoked, good)] == ["revoked", 200]


def _url(responder: Responder, ca: DevelopmentCA, source: str) -> str:
    return responder.ocsp_url if source == "ocsp" else responder.crl_url(ca)


def test_responder_of_the_configuration(
    ca: DevelopmentCA, responder: Responder, make_app: MakeApp, other: Issued
) -> None:
    revoked = ca.client("revoked")
    responder.revoke(revoked)
    app = make_app(MTLS_OCSP_RESPONDER=responder.ocsp_url, **LOOPBACK)
    assert [answer(app, revoked), answer(app, other)] == ["revoked", 200]


@pytest.mark.parametrize("form", [Encoding.DER, Encoding.PEM], ids=["der", "pem"])
@pytest.mark.parametrize("named", ["file", "folder"])
def test_list_of_this_host(
    form: Encoding, named: str, make_app: MakeApp, lists: Lists, billing: Issued, other: Issued
) -> None:
    parsed = x509.load_der_x509_crl(lists.make(billing, number=1))
    lists.file.write_bytes(parsed.public_bytes(form))
    app = make_app(MTLS_CRLS=lists.file if named == "file" else [lists.file.parent])
    assert [answer(app, billing), answer(app, other)] == ["revoked", 200]


def test_list_of_this_host_over_tls(
    serving_app: MakeApp, lists: Lists, billing: Issued, other: Issued, trust: TrustStore
) -> None:
    lists.put(billing)
    with running(serving_app(MTLS_CRLS=lists.file)) as port:
        assert [fetch(port, one, trust).outcome for one in (billing, other)] == ["revoked", 200]


@pytest.mark.parametrize(("mode", "revoked"), [("off", 200), ("available", "revoked"), ("required", "revoked")])
def test_mode_and_a_revoked_certificate(
    mode: str, revoked: object, make_app: MakeApp, responder: Responder, shipping: Issued
) -> None:
    responder.revoke(shipping)
    assert answer(make_app(MTLS_REVOCATION=mode, **LOOPBACK), shipping) == revoked


@pytest.mark.parametrize(("mode", "outcome"), [("off", 200), ("available", 200), ("required", "revocation_unknown")])
def test_mode_and_a_certificate_without_a_source(
    mode: str, outcome: object, make_app: MakeApp, billing: Issued, shipping: Issued
) -> None:
    app = make_app(MTLS_REVOCATION=mode, **LOOPBACK)
    assert [answer(app, billing), answer(app, shipping)] == [outcome, 200]


@pytest.mark.parametrize(("unreachable", "outcome"), [("reject", "revocation_unknown"), ("accept", 200)])
def test_outage(
    unreachable: str, outcome: object, make_app: MakeApp, responder: Responder, shipping: Issued, ca: DevelopmentCA
) -> None:
    """P1: and what is known to be revoked is out, however outages are decided."""
    revoked = ca.client("revoked", ocsp_urls=[responder.ocsp_url])
    responder.revoke(revoked)
    app = make_app(MTLS_REVOCATION_UNREACHABLE=unreachable, **LOOPBACK)
    assert answer(app, revoked) == "revoked"
    responder.mode = Mode.RESET
    assert [answer(app, shipping), answer(app, revoked)] == [outcome, "revoked"]


@pytest.mark.parametrize(("scope", "outcome"), [("chain", "revoked"), ("leaf", 200)])
def test_scope(
    scope: str, outcome: object, make_app: MakeApp, lists: Lists, ca: DevelopmentCA, issuing_ca: DevelopmentCA
) -> None:
    """The issuing CA is revoked, and what it issued is not."""
    lists.file.write_bytes(ca.crl([issuing_ca.certificate]))
    app = make_app(MTLS_CRLS=lists.file, MTLS_REVOCATION_SCOPE=scope)
    assert answer(app, issuing_ca.client("stock")) == outcome


def test_timeout(make_app: MakeApp, responder: Responder, shipping: Issued) -> None:
    """P2."""
    responder.mode = Mode.SILENT
    app = make_app(MTLS_REVOCATION_TIMEOUT=0.3, **LOOPBACK)
    began = time.monotonic()
    assert answer(app, shipping) == "revocation_unknown"
    assert time.monotonic() - began < 0.3 + 0.2


def test_revoked_while_the_connection_is_open(
    serving_app: MakeApp, responder: Responder, shipping: Issued, trust: TrustStore, clock: Clock
) -> None:
    """P11: the first request after the background has found it out is refused."""
    with running(serving_app(**LOOPBACK)) as port, Caller(port, shipping, trust) as caller:
        assert caller.get().outcome == 200
        connection = caller.connection.sock
        responder.revoke(shipping)
        clock.move(minutes=6)
        assert caller.get().outcome == 200  # served by the old answer, and asks for the new one
        until(nothing_is_being_asked)
        assert responder.counts()["ocsp"] == 2
        assert caller.get().outcome == "revoked"
        assert caller.connection.sock is connection


def test_revoked_by_a_new_list_while_the_connection_is_open(
    serving_app: MakeApp, lists: Lists, billing: Issued, trust: TrustStore
) -> None:
    """P11: the first request after the list was loaded is refused."""
    lists.put()
    mtls = MTLS()
    app = serving_app(mtls, MTLS_CRLS=lists.file)
    with running(app) as port, Caller(port, billing, trust) as caller:
        assert caller.get().outcome == 200
        lists.put(billing, number=2)
        mtls.reload(app)
        assert caller.get().outcome == "revoked"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls1.2", "tls1.3"])
def test_resumed_session_of_a_revoked_certificate(
    version: ssl.TLSVersion,
    serving_app: MakeApp,
    responder: Responder,
    issuing_ca: DevelopmentCA,
    trust: TrustStore,
    clock: Clock,
    tmp_path: Path,
) -> None:
    """P11, P12: the session does not bring the intermediate along, and is decided all the same."""
    responder.add(issuing_ca)
    caller = issuing_ca.client("caller", ocsp_urls=[responder.ocsp_url])
    context = _context(version, caller, trust, tmp_path)
    with running(serving_app(**LOOPBACK)) as port:
        first, _, session = attempt(context, port, None)
        assert "200 OK" in first
        responder.revoke(caller)
        clock.move(minutes=6)
        second, resumed, _ = attempt(context, port, session)
        assert ("200 OK" in second, resumed) == (True, True)
        until(nothing_is_being_asked)
        third, resumed, _ = attempt(context, port, session)
        assert ('"reason":"revoked"' in third.replace(" ", ""), resumed) == (True, True)


def _context(version: ssl.TLSVersion, caller: Issued, trust: TrustStore, folder: Path) -> ssl.SSLContext:
    files = caller.write(folder, "caller")
    context = ssl.create_default_context(cadata=trust.pem)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(files.certificate, files.key)
    return context


def attempt(
    context: ssl.SSLContext, port: int, session: ssl.SSLSession | None
) -> tuple[str, bool | None, ssl.SSLSession | None]:
    """What one request is answered, whether its session was resumed, and the session."""
    with (
        socket.create_connection(("localhost", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost", session=session) as connection,
    ):
        connection.sendall(b"GET /protected HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while part := connection.recv(4096):
            received += part
        return received.decode(), connection.session_reused, connection.session


def test_list_is_read_again_when_it_changes(make_app: MakeApp, lists: Lists, billing: Issued, other: Issued) -> None:
    lists.put()
    app = make_app(MTLS_CRLS=lists.file, MTLS_RELOAD_INTERVAL=0.1)
    assert answer(app, billing) == 200
    lists.put(billing, number=2)
    until(lambda: bool(answer(app, billing) == "revoked"))
    assert answer(app, other) == 200


@pytest.mark.parametrize(("grace", "outcome"), [(0, "revocation_unknown"), (7200, 200)])
def test_list_that_has_expired(
    grace: float, outcome: object, make_app: MakeApp, lists: Lists, billing: Issued, other: Issued
) -> None:
    """P5: it clears nobody, unless that was asked for; whom it names is out in any case."""
    lists.put(billing, age=25)
    app = make_app(MTLS_CRLS=lists.file, MTLS_CRL_GRACE=grace)
    assert [answer(app, other), answer(app, billing)] == [outcome, "revoked"]


def test_list_that_expires_in_service(make_app: MakeApp, lists: Lists, other: Issued, clock: Clock) -> None:
    """P5."""
    lists.put()
    app = make_app(MTLS_CRLS=lists.file)
    clock.move(hours=23)
    assert answer(app, other) == 200
    clock.move(hours=2)
    assert answer(app, other) == "revocation_unknown"


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "damage", [lambda data: b"", _half, lambda data: b"garbage" * 100], ids=["empty", "half", "garbage"]
)
def test_broken_list_leaves_the_last_good_one_in_force(
    damage: Callable[[bytes], bytes],
    make_app: MakeApp,
    lists: Lists,
    billing: Issued,
    other: Issued,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """P6: and says so, once; the next good one counts."""
    lists.put(billing)
    app = make_app(MTLS_CRLS=lists.file, MTLS_RELOAD_INTERVAL=0.1)
    lists.file.write_bytes(damage(lists.make(number=2)))
    until(lambda: [answer(app, billing), answer(app, other)] == ["revoked", 200] and _complaints(caplog) == 1)
    assert str(lists.file) in caplog.text
    lists.put(billing, other, number=3)
    until(lambda: bool(answer(app, other) == "revoked"))


def _complaints(caplog: pytest.LogCaptureFixture) -> int:
    return sum("the last good one stays in force" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("damage", ["gone", "emptied"])
def test_list_that_is_taken_away_stays_in_force(
    damage: str,
    make_app: MakeApp,
    lists: Lists,
    foreign_ca: DevelopmentCA,
    billing: Issued,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """P6: deleting and writing anew is a way of replacing a file, and another list of the folder is there meanwhile."""
    lists.put(billing)
    if damage == "gone":
        (tmp_path / "foreign.crl").write_bytes(foreign_ca.crl())
    mtls = MTLS()
    app = make_app(mtls, MTLS_CRLS=tmp_path)
    lists.file.unlink()
    if damage == "gone":
        mtls.reload(app)
        assert "is not there any more" in caplog.text
    else:
        with pytest.raises(ConfigurationError, match=r"no \.crl, \.der or \.pem file"):
            mtls.reload(app)
    assert answer(app, billing) == "revoked"


def test_list_that_is_written_in_place_under_load(
    make_app: MakeApp, lists: Lists, billing: Issued, other: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    """P6: a writer truncates and fills the file all the time; no decision is wrong."""
    caplog.set_level("INFO")
    versions = [lists.make(billing, number=number) for number in range(1, 40)]
    lists.file.write_bytes(versions[0])
    app = make_app(MTLS_CRLS=lists.file, MTLS_RELOAD_INTERVAL=0.1)
    ended, decided = threading.Event(), []

    def ask() -> None:
        while not ended.is_set():
            decided.append((answer(app, billing), answer(app, other)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in versions[1:]:
        with lists.file.open("wb", buffering=0) as file:  # truncated
            file.write(_half(version))
            ended.wait(0.025)
            file.write(version[len(version) // 2 :])
        ended.wait(0.025)
    ended.set()
    for thread in threads:
        thread.join()
    assert set(decided) == {("revoked", 200)}
    assert _complaints(caplog)
    assert any("loaded anew" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(("number", "age"), [(1, 2), (3, 2), (1, 0)], ids=["older", "older date", "lower number"])
def test_list_that_is_rolled_back(
    number: int,
    age: float,
    make_app: MakeApp,
    lists: Lists,
    billing: Issued,
    other: Issued,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """P7: the newer one stays in force, and it is logged; one that is newer still counts."""
    lists.put(billing, number=2, age=1)
    app = make_app(MTLS_CRLS=lists.file, MTLS_RELOAD_INTERVAL=0.1)
    lists.put(number=number, age=age)
    until(lambda: [answer(app, billing), answer(app, other)] == ["revoked", 200] and _complaints(caplog) == 1)
    assert "is older than the one in force" in caplog.text
    lists.put(other, number=4)
    until(lambda: [answer(app, billing), answer(app, other)] == [200, "revoked"])


def test_folder_that_keeps_old_lists(make_app: MakeApp, lists: Lists, billing: Issued, tmp_path: Path) -> None:
    """P7: an old list beside the newer one is no step back."""
    mtls = MTLS()
    for number in (1, 2):
        (tmp_path / f"{number}.crl").write_bytes(lists.make(number=number, age=3 - number))
    app = make_app(mtls, MTLS_CRLS=tmp_path)
    (tmp_path / "3.crl").write_bytes(lists.make(billing, number=3))
    mtls.reload(app)
    assert answer(app, billing) == "revoked"


def test_list_that_somebody_else_signed(make_app: MakeApp, lists: Lists) -> None:
    lists.file.write_bytes(DevelopmentCA.create("Test CA").crl())
    with pytest.raises(ConfigurationError, match="its signature is not that of CN=Test CA"):
        make_app(MTLS_CRLS=lists.file)
    lists.put()
    assert make_app(MTLS_CRLS=lists.file)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("MTLS_REVOCATION", "on", "MTLS_REVOCATION is 'on'"),
        ("MTLS_REVOCATION_SCOPE", "root", "MTLS_REVOCATION_SCOPE"),
        ("MTLS_REVOCATION_UNREACHABLE", "allow", "MTLS_REVOCATION_UNREACHABLE"),
        ("MTLS_REVOCATION_HOSTS", ["http://a/b"], "MTLS_REVOCATION_HOSTS: 'http://a/b'"),
        ("MTLS_REVOCATION_HOSTS", ["*"], r"MTLS_REVOCATION_HOSTS: '\*'"),
        ("MTLS_REVOCATION_PROXY", "squid", "MTLS_REVOCATION.*proxy"),
        ("MTLS_REVOCATION_TIMEOUT", 0, "MTLS_REVOCATION_TIMEOUT"),
        ("MTLS_REVOCATION_REFRESH", 0, "MTLS_REVOCATION_REFRESH"),
        ("MTLS_REVOCATION_MAX_CACHE", -1, "MTLS_REVOCATION_MAX_CACHE"),
        ("MTLS_CRLS", "{folder}/missing.crl", r"MTLS_CRLS: .*missing\.crl"),
        ("MTLS_CRLS", "{folder}", r"MTLS_CRLS: .*no \.crl"),
        ("MTLS_CRLS", __file__, "MTLS_CRLS: "),
        ("MTLS_CRL_GRACE", -1, "MTLS_CRL_GRACE"),
        ("MTLS_CRL_MAX_AGE", "old", "MTLS_CRL_MAX_AGE"),
        ("MTLS_OCSP_RESPONDER", "ocsp.internal", "MTLS_OCSP_RESPONDER: "),
        ("MTLS_OCSP_RESPONDER", "ftp://ocsp.internal/", "MTLS_OCSP_RESPONDER: "),
        ("MTLS_OCSP_TRUSTED", __file__, "MTLS_OCSP_TRUSTED: "),
        ("MTLS_OCSP_TRUSTED", "{folder}/missing.pem", "MTLS_OCSP_TRUSTED: "),
        ("MTLS_OCSP_NONCE", "yes", "MTLS_OCSP_NONCE"),
        ("MTLS_OCSP_MAX_AGE", 0, "MTLS_OCSP_MAX_AGE"),
        ("MTLS_CACHE_URL", "http://cache.internal", "MTLS_CACHE_URL: "),
    ],
)
def test_setting_that_cannot_be_used(key: str, value: Any, message: str, make_app: MakeApp, tmp_path: Path) -> None:
    given = value.format(folder=tmp_path) if isinstance(value, str) else value
    with pytest.raises(ConfigurationError, match=message):
        make_app(**{key: given})


def test_worker_in_the_place_of_a_killed_one_has_the_lists(
    ca: DevelopmentCA, orders: Issued, billing: Issued, other: Issued, lists: Lists, trust: TrustStore, tmp_path: Path
) -> None:
    """P16: from its first request on."""
    lists.put(billing)
    (tmp_path / "ca.pem").write_text(ca.pem)
    settings = {
        "FLASK_MTLS_IDENTITY": str(orders.write(tmp_path, "orders").pfx),
        "FLASK_MTLS_CLIENT_CA": str(tmp_path / "ca.pem"),
        "FLASK_MTLS_CRLS": str(lists.file),
    }
    with serving("gthread", "tests.test_flask_mtls.wsgi", settings, tmp_path) as server:
        killed = fetch(server.port, other, trust).document["pid"]
        os.kill(killed, signal.SIGKILL)
        until(lambda: _outcome(server.port, billing, trust) is not None)
        assert _outcome(server.port, billing, trust) == "revoked"
        assert fetch(server.port, other, trust).document["pid"] != killed


def _outcome(port: int, caller: Issued, trust: TrustStore) -> Any:
    """``None`` where the worker is not there."""
    try:
        return fetch(port, caller, trust).outcome
    except OSError:
        return None
