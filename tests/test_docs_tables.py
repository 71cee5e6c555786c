"""What the tables of the documentation say is complete, and happens."""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from flask import Flask

import requests_mtls
from flask_mtls import MTLS, Reason, cert_required, rules
from flask_mtls.config import KEYS
from flask_mtls.serving.handshake import explain
from flask_mtls.serving.werkzeug import create_server
from flask_mtls.testing import MTLSClient
from mtls_core.certificate import MAX_CERTIFICATE_SIZE, Certificate
from mtls_core.contexts import ClientCertificates
from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.devca.responder import Mode, Responder
from mtls_core.errors import IdentityProblem
from mtls_core.keyfiles.pbe import MAX_ROUNDS
from mtls_core.keyfiles.pfx_structure import MAX_KEYS
from mtls_core.keyfiles.source import MAX_SIZE
from mtls_core.path import work
from mtls_core.path.algorithms import MAX_RSA_BITS
from mtls_core.revocation import cache, crl, ocsp, ocsp_signer
from mtls_core.trust import MAX_BUNDLE_SIZE, TrustStore
from requests_mtls.failures import alert_in

from .broken_identities import failures
from .pages import blocks, read_page, table

NOW, DAY = datetime.now(UTC), timedelta(days=1)


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return DevelopmentCA.create()


@pytest.fixture(scope="module")
def orders(ca: DevelopmentCA) -> Issued:
    return ca.server("localhost")


# config.rst


def test_every_setting_has_its_entry_with_its_default() -> None:
    entries = re.findall(r"^\.\. data:: (MTLS_\w+)\n\n   :Type: .+\n   :Default: ``(.+)``$", read_page("config"), re.M)
    assert {name: ast.literal_eval(default) for name, default in entries} == {n: k.default for n, k in KEYS.items()}
    assert read_page("config").count(".. data::") == len(entries)


def test_every_setting_has_an_example() -> None:
    examples = "".join(block.text for block in blocks("config"))
    assert [name for name in KEYS if name not in examples] == []


# reasons.rst


def test_every_reason_has_its_section() -> None:
    sections = re.findall(
        r"^``(\w+)``\n~+\n\n:Meaning: .+?^:Caller sees: .+?^:What to do: .", read_page("reasons"), re.M | re.S
    )
    assert sorted(sections) == sorted(Reason)


def test_the_alerts_are_those_that_clients_see(ca: DevelopmentCA, orders: Issued, tmp_path: Path) -> None:
    rows = table("reasons", "alerts")
    shown = {_plain(cause).removesuffix(', under "required"'): f"alert {_plain(alert)}" for alert, cause, _log in rows}
    callers = callers_with_alerts(ca)
    assert shown.keys() == callers.keys()
    with serving(app_for(callers, ca, orders, "required")) as port:
        happened = {cause: ask(port, careless_context(ca, caller, tmp_path)) for cause, caller in callers.items()}
    assert happened == shown


def callers_with_alerts(ca: DevelopmentCA) -> dict[str, Issued | None]:
    """Somebody for every row of the table of alerts."""
    issuing = ca.intermediate()
    old = ca.intermediate("Old", not_before=NOW - 9 * DAY, not_after=NOW - DAY)
    only_stock = x509.NameConstraints([x509.DNSName("stock.internal")], None)
    not_a_ca = ca.client("not a CA")
    no_signature = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    return {
        "no certificate": None,
        "a key that TLS does not use (P-224)": ca.client("billing", key="p224"),
        "expired": ca.client("billing", not_after=NOW - DAY),
        "of a CA that has expired": old.client("billing"),
        "not yet valid": ca.client("billing", not_before=NOW + DAY),
        "an RSA key of 1024 bits": ca.client("billing", key="rsa1024"),
        "signed with SHA-1": ca.client("billing", hash="sha1"),
        "of another CA": DevelopmentCA.create("Somebody else").client("billing"),
        "of another CA of the same name": DevelopmentCA.create().client("billing"),
        "of an intermediate that is not sent along": _alone(issuing.client("billing")),
        "self-signed": self_signed("billing", usage=["client"]),
        "issued by something that is not a CA": DevelopmentCA(
            not_a_ca.certificate, not_a_ca.private_key, ca.at, ca
        ).client("billing"),
        "more CAs than one of them allows": ca.intermediate(path_length=0).intermediate("Below").client("billing"),
        "for servers only": ca.issue("billing", usage=["server"]),
        "key usage without digitalSignature": ca.client("billing", extensions=[(no_signature, True)]),
        "a name that its CA may not certify": ca.intermediate(extensions=[(only_stock, True)]).client(
            "billing", dns=["billing.internal"]
        ),
        "an unknown critical extension": ca.client("billing", extensions=[(unknown, True)]),
        "changed after it was signed": _changed(ca.client("billing")),
    }


def test_the_lines_about_handshakes_are_those_of_the_log() -> None:
    lines = [_plain(line) for line, _cause in table("reasons", "handshakes")]
    reasons = [
        "TLSV1_ALERT_UNKNOWN_CA",
        "HTTP_REQUEST",
        "WRONG_VERSION_NUMBER",
        "UNSUPPORTED_PROTOCOL",
        "NO_SHARED_CIPHER",
    ]
    errors: list[OSError] = [ConnectionResetError(), TimeoutError(), *map(_ssl_error, reasons)]
    assert sorted(lines) == sorted(map(explain, errors))


# server.rst


def test_who_refuses_whom(ca: DevelopmentCA, orders: Issued, tmp_path: Path) -> None:
    callers = callers_at_an_app(ca)
    shown = {_plain(row[0]): [_plain(cell) for cell in row[1:]] for row in table("server", "who-refuses")}
    assert shown.keys() == callers.keys()
    modes: list[ClientCertificates] = ["optional", "required", "on_demand"]
    happened: dict[str, list[str]] = {name: [] for name in callers}
    for mode in modes:
        with serving(app_for(callers, ca, orders, mode)) as port:
            for name, caller in callers.items():
                happened[name].append(ask(port, careless_context(ca, caller, tmp_path)))
    assert happened == shown


def callers_at_an_app(ca: DevelopmentCA) -> dict[str, Issued | None]:
    """Somebody for every row of the table of who refuses whom."""
    issuing = ca.intermediate()
    return {
        "good": ca.client("billing"),
        "good, of an intermediate that is sent along": issuing.client("billing"),
        "none": None,
        "expired": ca.client("billing", not_after=NOW - DAY),
        "not yet valid": ca.client("billing", not_before=NOW + DAY),
        "of another CA": DevelopmentCA.create("Somebody else").client("billing"),
        "self-signed": self_signed("billing", usage=["client"]),
        "of an intermediate that is not sent along": _alone(issuing.client("billing")),
        "for servers only": ca.issue("billing", usage=["server"]),
        "a CA's": ca.issue("billing", usage=["client"], ca=True),
        "not the one of MTLS_ALLOWED": ca.client("unexpected"),
        "good, and the view's rule says no": ca.client("stock"),
    }


def app_for(callers: dict[str, Issued | None], ca: DevelopmentCA, orders: Issued, mode: ClientCertificates) -> Flask:
    """An app that expects all callers but one, and lets all but one of these see its orders."""
    expected = [c.certificate for c in callers.values() if c and c.certificate.common_names != ("unexpected",)]
    settings = {"MTLS_IDENTITY": orders.identity, "MTLS_CLIENT_CA": ca.trust_store(), "MTLS_ALLOWED": expected}
    return protected({**settings, "MTLS_CLIENT_CERTS": mode})


def protected(settings: dict[str, Any]) -> Flask:
    """An app with orders for billing."""
    app = Flask(__name__)
    app.config.from_mapping(settings)
    MTLS(app)

    @app.get("/orders")
    @cert_required(rules.common_name("billing"))
    def view() -> dict[str, str]:
        return {}

    return app


@contextlib.contextmanager
def serving(app: Flask) -> Iterator[int]:
    """The port of a server that runs until the block ends."""
    server = create_server(app)
    # It looks that often whether it shall end.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def test_all_rules_are_listed() -> None:
    listed = [_plain(rule).partition("(")[0] for rule, _holds in table("server", "rules")]
    made = [name for name, value in vars(rules).items() if getattr(value, "__module__", "") == rules.__name__]
    assert sorted(listed) == sorted(name for name in made if name.islower() and name[0] != "_" and name != "answer_of")


# client.rst and identities.rst


def test_all_errors_of_requests_are_listed() -> None:
    listed = [row[0].partition("~requests_mtls.")[2].rstrip("`") for row in table("client", "errors")]
    assert sorted(listed) == sorted(error.__name__ for error in requests_mtls.MTLSRequestError.__subclasses__())


def test_every_problem_of_an_identity_is_listed() -> None:
    assert {_plain(problem) for problem, _sentence in table("identities", "problems")} == set(IdentityProblem)


def test_the_sentences_about_identities_are_those_of_the_errors(tmp_path: Path) -> None:
    rows = [(_plain(problem), _pattern(_plain(sentence))) for problem, sentence in table("identities", "problems")]
    happened = [(error.problem.value, error.detail) for error in failures(tmp_path)]
    assert [error for error in happened if not any(_fits(row, error) for row in rows)] == []
    assert [row for row in rows if not any(_fits(row, error) for error in happened)] == []


def _fits(row: tuple[str, re.Pattern[str]], error: tuple[str, str]) -> bool:
    return row[0] == error[0] and row[1].fullmatch(error[1]) is not None


def _pattern(sentence: str) -> re.Pattern[str]:
    return re.compile(re.escape(sentence).replace(re.escape("..."), ".+"), re.DOTALL)


# validation.rst


def test_the_limits_are_those_of_the_code() -> None:
    assert [int(limit) for _what, limit in table("validation", "limits")] == [
        MAX_CERTIFICATE_SIZE,
        work.MAX_CERTIFICATES_SENT,
        work.MAX_PATH_LENGTH,
        work.MAX_SIGNATURE_CHECKS,
        work.MAX_NAME_COMPARISONS,
        MAX_RSA_BITS,
    ]
    assert [int(limit) for _what, limit in table("validation", "file-limits")] == [
        MAX_SIZE,
        MAX_ROUNDS,
        MAX_KEYS,
        MAX_BUNDLE_SIZE,
    ]
    assert [int(limit) for _what, limit in table("validation", "revocation-limits")] == [
        ocsp.MAX_RESPONSE_SIZE,
        ocsp_signer.MAX_CERTIFICATES,
        crl.MAX_CRL_SIZE,
        crl.MAX_SIGNATURE_CHECKS,
        cache.LARGEST_VALUE,
    ]


# revocation.rst


def test_every_mode_of_the_responder_has_its_row() -> None:
    listed = [mode for row in table("revocation", "ocsp-faults") for mode in _words(row[1])]
    assert sorted(listed) == sorted(set(Mode) - {Mode.GOOD})


def test_the_faults_of_responders_end_as_listed(ca: DevelopmentCA) -> None:
    shown, happened = {}, {}
    with Responder(ca) as responder:
        for row in table("revocation", "ocsp-faults"):
            for mode, (nonce, outcome) in itertools.product(_words(row[1]), _outcomes_by_nonce(row[-1])):
                responder.mode = Mode(mode)
                caller = ca.client("billing", ocsp_urls=[responder.ocsp_url])
                shown[mode, nonce] = outcome
                happened[mode, nonce] = ask_without_tls(caller, {**asking(ca), "MTLS_OCSP_NONCE": nonce})
    assert happened == shown


def test_the_policies_about_revocation_decide_as_listed(ca: DevelopmentCA) -> None:
    names = ["good", "revoked", "there is a source, and it does not answer", "there is no source"]
    policies = [("available", "reject"), ("available", "accept"), ("required", "reject")]
    happened = {}
    with Responder(ca) as responder:
        good, revoked = (ca.client("billing", ocsp_urls=[responder.ocsp_url]) for _ in range(2))
        responder.revoke(revoked)
        silent = ca.client("billing", ocsp_urls=["http://127.0.0.1:9/"])  # nobody listens there
        for name, caller in zip(names, [good, revoked, silent, ca.client("billing")], strict=True):
            settings = [{"MTLS_REVOCATION": mode, "MTLS_REVOCATION_UNREACHABLE": then} for mode, then in policies]
            happened[name] = [ask_without_tls(caller, {**asking(ca), **each}) for each in settings]
    assert happened == {_plain(row[0]): [_plain(cell) for cell in row[1:]] for row in table("revocation", "policies")}


def asking(ca: DevelopmentCA) -> dict[str, Any]:
    """The settings of a service that may ask a responder on this machine, and has little time."""
    return {
        "MTLS_CLIENT_CA": ca.trust_store(),
        "MTLS_REVOCATION_HOSTS": ["127.0.0.1"],
        "MTLS_REVOCATION_TIMEOUT": 0.5,
    }


def ask_without_tls(caller: Issued, settings: dict[str, Any]) -> str:
    """What a caller gets: the status with its reason."""
    answer = MTLSClient(protected(settings), cert=caller).get("/orders")
    return f"{answer.status_code} {answer.get_json().get('reason', '')}".strip()


# aspnet.rst


def test_every_behaviour_of_the_other_side_has_its_row() -> None:
    cases = [row[0] for row in table("aspnet", "cases")]
    assert cases == [f"{letter}{n:02}" for letter, last in (("A", 30), ("F", 7), ("K", 16)) for n in range(1, last + 1)]


def test_the_cases_of_the_other_side_end_as_listed(ca: DevelopmentCA, orders: Issued, tmp_path: Path) -> None:
    shown = {case: _outcome(here) for case, _there, here in table("aspnet", "cases")}
    happened = {}
    for case, (caller, settings) in cases_of_the_other_side(ca).items():
        trust = {"MTLS_IDENTITY": orders.identity, "MTLS_CLIENT_CA": ca.trust_store()}
        with serving(protected(trust | settings)) as port:
            happened[case] = ask(port, careless_context(ca, caller, tmp_path))
    assert happened == {case: shown[case] for case in happened}


def cases_of_the_other_side(ca: DevelopmentCA) -> dict[str, tuple[Issued | None, dict[str, Any]]]:
    """Callers and settings."""
    client = self_signed("billing", usage=["client"])
    unspecified = self_signed("billing", usage=None)
    server = self_signed("billing", usage=["server"])
    expired = self_signed("billing", usage=["client"], not_after=NOW - DAY)
    early = self_signed("billing", usage=["client"], not_before=NOW + DAY)
    issuing = ca.intermediate()
    below = issuing.client("billing")
    both = TrustStore.from_certificates([ca.certificate, issuing.certificate])

    def listed(caller: Issued, **more: Any) -> tuple[Issued, dict[str, Any]]:
        return caller, {"MTLS_CERTIFICATE_TYPES": "self_signed", "MTLS_ALLOWED": caller.certificate, **more}

    return {
        "A03": listed(client),
        "A04": listed(unspecified),
        "A05": (client, {}),
        "A06": (unspecified, {}),
        "A07": listed(server),
        "A08": listed(server, MTLS_CHECK_USAGE=False),
        "A09": (server, {"MTLS_CHECK_USAGE": False}),
        "A10": listed(expired),
        "A11": listed(expired, MTLS_CHECK_VALIDITY=False),
        "A12": listed(early),
        "A13": listed(early, MTLS_CHECK_VALIDITY=False),
        "A15": (ca.client("billing"), {}),
        "A16": (None, {}),
        "A17": (DevelopmentCA.create("Somebody else").client("billing"), {}),
        "A20": (_alone(below), {"MTLS_CLIENT_CA": both}),
        "A21": (_alone(below), {"MTLS_CLIENT_CA": both}),
        "A22": (_alone(below), {}),
    }


# What the tests above call with.


def _plain(cell: str) -> str:
    return re.sub(r"[`*]", "", cell)


def _words(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"``(\w+)``", cell)


def _outcomes_by_nonce(cell: str) -> list[tuple[str, str]]:
    """What a cell says of each nonce policy that it names, first of the default."""
    found = re.findall(r"(?:with ``\"(\w+)\"`` )?``(200|403 \w+)``", cell)
    return [(policy or "off", outcome) for policy, outcome in found]


def _outcome(cell: str) -> str:
    """The beginning of a cell that says what happens."""
    found = re.match(r"200|403 \w+|alert (unknown ca|unsupported certificate)", _plain(cell))
    return found[0] if found else ""


def _ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "something")
    error.reason = reason
    return error


def _alone(issued: Issued) -> Issued:
    return Issued(issued.certificate, (), issued.private_key)


def _changed(issued: Issued) -> Issued:
    data = bytearray(issued.certificate.der)
    data[-3] ^= 1
    return Issued(Certificate.from_der(bytes(data)), (), issued.private_key)


def careless_context(ca: DevelopmentCA, caller: Issued | None, folder: Path) -> ssl.SSLContext:
    """That of a client who does not look at its own certificate before it shows it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_verify_locations(cadata=ca.pem)
    context.post_handshake_auth = True
    if caller is not None:
        files = caller.write(folder, "caller")
        context.load_cert_chain(files.certificate, files.key)
    return context


def ask(port: int, context: ssl.SSLContext) -> str:
    """What a client gets: the status with its reason, or an alert."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as connection,
        ):
            connection.sendall(b"GET /orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except ssl.SSLError as error:
        return f"alert {alert_in(error)}"
    head, _, body = answer.partition(b"\r\n\r\n")
    return f"{head.split()[1].decode()} {json.loads(body).get('reason', '')}".strip()
