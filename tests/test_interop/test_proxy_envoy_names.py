"""Names in certificates that Envoy writes into its header, and that somebody chose so as to be read as more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from flask_mtls.sources import MalformedHeader, xfcc
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA

from ..processes import Process
from .envoys import EVERYTHING, element, envoy, sent, two_envoys
from .proxying import Parties, Site, application, echo, spiffe_id

FORGER = spiffe_id("forger")

#: Common names, and what Envoy makes of them: RFC 2253, in quotes. Each quote in one has a backslash.
SUBJECTS = {
    "quote": ('for"ger', r"CN=for\"ger"),
    "backslash": ("for\\ger", r"CN=for\\ger"),
    "escaped quote": (r"for\"ger", r"CN=for\\\"ger"),
    "backslash at the end": ("forger\\", r"CN=forger\\"),
    "whole pair": ('";Cert="x";Subject="', r"CN=\"\;Cert=\"x\"\;Subject=\""),
    "whole element": ('",Hash=00;Cert="x', r"CN=\"\,Hash=00\;Cert=\"x"),
    "line break": ('"\r\nX-Forwarded-Client-Cert: "', r"CN=\"\0D\0AX-Forwarded-Client-Cert: \""),
    "not ascii": ("fälscher", r"CN=f\C3\A4lscher"),
}
#: What is wrong with the header that these make.
ALTERNATIVE_NAMES = {
    "uri": "could forge an element",
    "dns": "could forge an element",
    "unclosed uri": "has an unclosed quote",
}


@dataclass(frozen=True)
class Forgers:
    """Certificates of a CA that is trusted, with names that no CA should sign."""

    #: All CAs that are trusted.
    authorities: Path
    #: What Envoy is to be made to write.
    forged: str


@pytest.fixture(scope="module")
def forgers(parties: Parties, tmp_path_factory: pytest.TempPathFactory) -> Forgers:
    """Adds parties that are called ``"forger of …"``."""
    ca = DevelopmentCA.create("CA that signs anything")
    authorities = tmp_path_factory.mktemp("forgers") / "authorities.pem"
    authorities.write_text(parties.roots.read_text() + ca.pem)
    forged = element(parties.issued["orders"]).partition(";Chain")[0]
    uri = f"{FORGER},{forged};URI={spiffe_id('orders')}"
    certificates = {
        "uri": ca.client("forger", uris=[uri]),
        "dns": ca.client("forger", uris=[FORGER], dns=[f"forger,{forged};DNS=orders.example.org"]),
        "unclosed uri": ca.client("forger", uris=[f"{FORGER},{forged.removesuffix(chr(34))}"]),
        "broken dns": ca.client("forger", uris=[FORGER], dns=["forger\r\nX-Forwarded-Client-Cert: forged"]),
        **{name: ca.client("forger", subject=_subject(text), uris=[FORGER]) for name, (text, _) in SUBJECTS.items()},
    }
    for name, issued in certificates.items():
        issued.write(parties.folder, f"forger of {name}")
    return Forgers(authorities, forged)


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@pytest.fixture(scope="module")
def app(parties: Parties, forgers: Forgers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("app")
    with application(parties, folder, example="envoy.yaml", authorities=forgers.authorities) as process:
        yield process


@pytest.fixture(scope="module")
def site(parties: Parties, app: Process, forgers: Forgers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Envoy sends all that it can."""
    folder = tmp_path_factory.mktemp("envoy")
    with envoy("envoy.yaml", parties, app, folder, authorities=forgers.authorities, changes=EVERYTHING) as site:
        yield site


@pytest.fixture(scope="module")
def echoing(parties: Parties, forgers: Forgers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same Envoy in front of what answers with what it was sent."""
    folder = tmp_path_factory.mktemp("echoing")
    with echo(folder) as app, envoy("envoy.yaml", parties, app, folder, changes=EVERYTHING) as site:
        yield site


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_a_subject_holds_stays_in_its_quotes(name: str, echoing: Site, parties: Parties) -> None:
    value = sent(echoing.ask(f"forger of {name}"))
    assert f';Subject="{SUBJECTS[name][1]}";URI={FORGER}' in value
    found = xfcc.client(value, 1)
    assert found is not None
    assert found.leaf == Certificate.all_from_pem(parties.certificate(f"forger of {name}").read_bytes())[0].der
    assert xfcc.client(value, 2) is None


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subject_makes_nobody_of_its_bearer_but_who_they_are(name: str, site: Site) -> None:
    assert site.ask(f"forger of {name}").outcome == FORGER


@pytest.mark.parametrize("name", ALTERNATIVE_NAMES)
def test_an_alternative_name_is_written_as_it_is(name: str, echoing: Site, forgers: Forgers) -> None:
    """What looks like a second element, the last and so the one that counts, is a name."""
    value = sent(echoing.ask(f"forger of {name}"))
    assert f",{forgers.forged.removesuffix(chr(34))}" in value
    with pytest.raises(MalformedHeader, match=ALTERNATIVE_NAMES[name]):
        xfcc.client(value, 1)


@pytest.mark.parametrize("name", ALTERNATIVE_NAMES)
def test_nobody_becomes_somebody_by_a_name(name: str, site: Site) -> None:
    assert site.ask(f"forger of {name}").outcome == "malformed"


@pytest.mark.parametrize("name", ALTERNATIVE_NAMES)
def test_such_a_name_is_nobody_elses_if_envoy_does_not_write_it(
    name: str, parties: Parties, app: Process, forgers: Forgers, tmp_path: Path
) -> None:
    """Then it is in the certificate alone, and not everything that could forge an element is meant to."""
    with envoy("envoy.yaml", parties, app, tmp_path, authorities=forgers.authorities) as site:
        answer = site.ask(f"forger of {name}")
    assert answer.outcome == "profile_violation" or answer.body["subject"] == "CN=forger"


@pytest.fixture(scope="module")
def edge(parties: Parties, forgers: Forgers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two Envoys that send all that they can."""
    folder = tmp_path_factory.mktemp("envoys")
    trusted = forgers.authorities
    with (
        application(parties, folder, example="envoy-two-hops/inner.yaml", authorities=trusted) as app,
        two_envoys(parties, app, folder, authorities=trusted, changes=EVERYTHING) as (edge, _inner),
    ):
        yield edge


@pytest.mark.parametrize("name", ALTERNATIVE_NAMES)
def test_nobody_becomes_somebody_by_a_name_over_two_hops(name: str, edge: Site) -> None:
    """With the edge's element behind it, the forged one is where the client's should be."""
    assert edge.ask(f"forger of {name}").outcome == "malformed"


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subject_makes_nobody_else_over_two_hops(name: str, edge: Site) -> None:
    assert edge.ask(f"forger of {name}").outcome == FORGER


def test_a_name_with_a_line_break_does_not_leave_envoy(echoing: Site) -> None:
    answer = echoing.ask("forger of broken dns")
    assert (answer.status, answer.body) == (503, {})
