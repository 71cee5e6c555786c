"""Envoy in front, as the examples set it up and as it should not be set up; and one Envoy behind another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from flask_mtls.sources.formats import LARGEST
from mtls_core.devca import DevelopmentCA, Issued

from ..processes import Process
from .envoys import EVERYTHING, NAME, element, envoy, sent, two_envoys
from .proxy_scenarios import ProxyScenarios
from .proxying import Headers, Parties, Site, Version, application, echo, spiffe_id

#: Envoy answers these itself; see headers_with_underscores_action in the example.
UNDERSCORES = {"underscores": 400, "one underscore": 400}

ORDERS, BILLING = spiffe_id("orders"), spiffe_id("billing")


@pytest.fixture(scope="module")
def app(parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Behind one Envoy."""
    with application(parties, tmp_path_factory.mktemp("app"), example="envoy.yaml") as process:
        yield process


@pytest.fixture(scope="module")
def app_of_two(parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Behind one Envoy behind another."""
    folder = tmp_path_factory.mktemp("app-of-two")
    with application(parties, folder, example="envoy-two-hops/inner.yaml") as process:
        yield process


class TestEnvoy(ProxyScenarios):
    source = "envoy"
    forged_by_nobody = UNDERSCORES
    forged_by_another = UNDERSCORES

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls, parties: Parties, app: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
        with envoy("envoy.yaml", parties, app, tmp_path_factory.mktemp("envoy")) as site:
            yield site

    def headers(self, issued: Issued) -> Headers:
        return [(NAME, element(issued))]


class TestTwoEnvoys(ProxyScenarios):
    source = "envoy"
    forged_by_nobody = UNDERSCORES
    forged_by_another = UNDERSCORES

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls, parties: Parties, app_of_two: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
        with two_envoys(parties, app_of_two, tmp_path_factory.mktemp("envoys")) as (edge, _inner):
            yield edge

    def headers(self, issued: Issued) -> Headers:
        return [(NAME, f"{element(issued)},{element(self.proxy)}")]

    @pytest.fixture(autouse=True)
    def _proxy(self, parties: Parties) -> None:
        self.proxy = parties.issued["proxy"]


@pytest.mark.parametrize("client", [None, "orders"])
def test_with_one_hop_announced_the_edge_is_the_caller(
    client: str | None, parties: Parties, app: Process, tmp_path: Path
) -> None:
    """MTLS_FORWARDED_HOPS must be as many as there are: of two, the last one's client is an Envoy."""
    with two_envoys(parties, app, tmp_path) as (edge, _inner):
        assert edge.ask(client).outcome == spiffe_id("proxy")


@pytest.mark.parametrize("client", ["orders", "stranger"])
def test_nobody_but_the_edge_comes_to_the_inner_envoy(
    client: str, parties: Parties, app_of_two: Process, tmp_path: Path
) -> None:
    with two_envoys(parties, app_of_two, tmp_path) as (_edge, inner):
        assert inner.alert(client, "TLSv1.3") in {"certificate_unknown", "unknown_ca"}
        assert inner.ask("proxy").outcome == "certificate_required"


def test_the_inner_envoy_sends_the_edges_element_alone_for_a_client_without_certificate(
    parties: Parties, tmp_path: Path
) -> None:
    proxy, orders = element(parties.issued["proxy"]), element(parties.issued["orders"])
    with echo(tmp_path) as app, two_envoys(parties, app, tmp_path) as (edge, _inner):
        assert sent(edge.ask()) == proxy
        assert sent(edge.ask("orders")) == f"{orders},{proxy}"


def test_envoy_may_look_at_certificates_itself(parties: Parties, app: Process, tmp_path: Path) -> None:
    strict = {"trust_chain_verification: ACCEPT_UNTRUSTED": "", "allow_expired_certificate: true": ""}
    with envoy("envoy.yaml", parties, app, tmp_path, changes=strict) as site:
        assert site.alert("stranger", "TLSv1.3") == "unknown_ca"
        assert site.alert("expired", "TLSv1.3") == "certificate_expired"
        assert site.ask("revoked").outcome == "revoked"
        assert site.ask("orders").outcome == ORDERS


def test_names_that_envoy_sends_besides_are_no_concern(parties: Parties, app: Process, tmp_path: Path) -> None:
    with envoy("envoy.yaml", parties, app, tmp_path, changes=EVERYTHING) as site:
        assert site.ask("orders").outcome == ORDERS
        assert site.ask("stranger").outcome == "issuer_not_found"


def test_an_envoy_that_sends_no_certificate_is_told_apart_from_a_client_without(
    parties: Parties, app: Process, tmp_path: Path
) -> None:
    with envoy("envoy.yaml", parties, app, tmp_path, changes={"{cert: true, chain: true}": "{subject: true}"}) as site:
        assert site.ask("orders").outcome == "malformed"
        assert site.ask().outcome == "certificate_required"
    assert "set `cert: true`" in app.log.read_text()


def test_underscores_do_not_help_where_envoy_lets_them_pass(parties: Parties, app: Process, tmp_path: Path) -> None:
    headers = [("x_forwarded_client_cert", element(parties.issued["orders"]))]
    with envoy("envoy.yaml", parties, app, tmp_path, changes={"REJECT_REQUEST": "ALLOW"}) as site:
        assert site.ask("billing", headers=headers).outcome == BILLING
        assert site.ask(headers=headers).outcome == "certificate_required"


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_resumed_session_brings_the_chain_again(version: Version, parties: Parties, tmp_path: Path) -> None:
    with echo(tmp_path) as app, envoy("envoy.yaml", parties, app, tmp_path) as site:
        first = site.ask("orders", version=version)
        again = site.ask("orders", version=version, session=first.session)
    assert again.resumed
    assert sent(first) == sent(again) == element(parties.issued["orders"])


def test_a_long_chain_of_rsa_4096_fits(parties: Parties, tmp_path: Path) -> None:
    """gunicorn's own limit for a header is 8190 bytes."""
    key = parties.issued["rsa"].private_key
    root = DevelopmentCA.create("Long RSA CA", key=key)
    policy = root.intermediate("Long policy CA", key=key)
    issuing = policy.intermediate("Long region CA", key=key).intermediate("Long issuing CA", key=key)
    long = issuing.client("long", uris=[spiffe_id("long")], key=key)
    assert 8190 < len(element(long)) < LARGEST
    long.write(parties.folder, "long")
    authorities = tmp_path / "long-root.pem"
    authorities.write_text(root.pem)
    with (
        application(parties, tmp_path, example="envoy.yaml", authorities=authorities) as app,
        envoy("envoy.yaml", parties, app, tmp_path, authorities=authorities) as site,
    ):
        assert site.ask("long").outcome == spiffe_id("long")


def _spoofed(parties: Parties) -> Mapping[str, Headers]:
    """What clients send to be taken for ``orders``."""
    whole = element(parties.issued["orders"])
    return {
        "whole": [(NAME, whole)],
        "twice": [(NAME, whole), (NAME.lower(), whole)],
        "hash alone": [(NAME, whole.partition(";")[0])],
        "unclosed quote": [(NAME, whole.rstrip('"'))],
        "quote that swallows": [(NAME, f'{whole};Subject="')],
        "escape that swallows": [(NAME, f'{whole};Subject="\\')],
        "no element": [(NAME, "nobody")],
    }


WELL_FORMED = ("whole", "twice")
SPOOFS = (*WELL_FORMED, "hash alone", "unclosed quote", "quote that swallows", "escape that swallows", "no element")


@pytest.mark.parametrize("mode", ["SANITIZE", "SANITIZE_SET", "APPEND_FORWARD", "FORWARD_ONLY"])
def test_without_a_certificate_nothing_that_is_sent_passes(
    mode: str, parties: Parties, app: Process, tmp_path: Path
) -> None:
    with _in_mode(mode, parties, app, tmp_path) as site:
        outcomes = {name: site.ask(headers=headers).outcome for name, headers in _spoofed(parties).items()}
    assert outcomes == dict.fromkeys(SPOOFS, "certificate_required")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("SANITIZE", dict.fromkeys(SPOOFS, "certificate_required")),
        ("SANITIZE_SET", dict.fromkeys(SPOOFS, BILLING)),
        # What comes first is the client's own work: not believed, and not overlooked.
        ("APPEND_FORWARD", dict.fromkeys(SPOOFS, "malformed") | dict.fromkeys(WELL_FORMED, BILLING)),
    ],
)
def test_with_a_certificate_nobody_becomes_somebody_else(
    mode: str, expected: Mapping[str, str], parties: Parties, app: Process, tmp_path: Path
) -> None:
    with _in_mode(mode, parties, app, tmp_path) as site:
        outcomes = {name: site.ask("billing", headers=headers).outcome for name, headers in _spoofed(parties).items()}
    assert outcomes == expected


@pytest.mark.parametrize(("mode", "client"), [("FORWARD_ONLY", "billing"), ("ALWAYS_FORWARD_ONLY", None)])
def test_behind_an_envoy_that_passes_headers_on_a_forgery_is_the_truth(
    mode: str, client: str | None, parties: Parties, app: Process, tmp_path: Path
) -> None:
    """No application can notice: a trusted proxy sent what one that is set up well sends. Hence the warning in the
    example. What is less than perfect is refused here, too.
    """
    with _in_mode(mode, parties, app, tmp_path) as site:
        outcomes = {name: site.ask(client, headers=headers).outcome for name, headers in _spoofed(parties).items()}
    assert outcomes == dict.fromkeys(SPOOFS, "malformed") | dict.fromkeys(WELL_FORMED, ORDERS)


@contextlib.contextmanager
def _in_mode(mode: str, parties: Parties, app: Process, folder: Path) -> Iterator[Site]:
    with envoy("envoy.yaml", parties, app, folder, changes={"SANITIZE_SET": mode}) as site:
        yield site
