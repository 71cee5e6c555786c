"""What holds behind every proxy. Each proxy's module says what differs, and what it does by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

import pytest

from mtls_core.devca import Issued

from .proxying import TRUSTED, Headers, Site, Version, base64_der, spiffe_id

#: Every way to write headers that might get past a proxy that means to replace them.
SPELLINGS = (
    "as they are",
    "twice",
    "mixed case",
    "underscores",
    "one underscore",
    "connection",
    "only connection",
    "of other formats",
)


class ProxyScenarios:
    """Inherited by each proxy's tests, which have a fixture ``site``: the proxy in front of the application."""

    #: The format, as the application names it.
    source: ClassVar[str]
    #: What a client who is refused gets: a reason if the application decides, a status if the proxy does, and
    #: ``"alert …"`` if the proxy ends the handshake.
    refusals: ClassVar[Mapping[str, str | int]] = {
        "expired": "expired",
        "revoked": "revoked",
        "stranger": "issuer_not_found",
    }
    #: What one without a certificate gets for forged headers, where it is not what they get without.
    forged_by_nobody: ClassVar[Mapping[str, str | int]] = {}
    #: What one with another certificate gets, where it is not let in as who they are.
    forged_by_another: ClassVar[Mapping[str, str | int]] = {}

    def headers(self, issued: Issued) -> Headers:
        """All headers of the format, as the proxy would send them for a certificate."""
        raise NotImplementedError

    def test_a_caller_is_known_by_name(self, site: Site) -> None:
        answer = site.ask("orders")
        assert (answer.outcome, answer.body.get("source")) == (spiffe_id("orders"), self.source)

    def test_another_caller_is_known_by_another_name(self, site: Site) -> None:
        assert site.ask("billing").outcome == spiffe_id("billing")

    def test_an_rsa_4096_certificate_comes_with_its_chain(self, site: Site) -> None:
        answer = site.ask("rsa")
        assert (answer.outcome, answer.body.get("chain")) == (spiffe_id("rsa"), 3)

    @pytest.mark.parametrize("client", ["orders", None])
    def test_what_depends_on_the_caller_is_not_for_caches_to_share(self, site: Site, client: str | None) -> None:
        """RFC 9440, section 2.4: and what came in the header does not go back."""
        names = {name.lower() for name, _ in self.headers(site.parties.issued["orders"])}
        received = site.ask(client).headers
        assert names & set(re.split(", *", received.get("vary", "").lower()))
        assert not names & set(received)

    @pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
    @pytest.mark.parametrize("client", ["expired", "revoked", "stranger"])
    def test_a_certificate_that_is_not_good_is_refused(self, site: Site, client: str, version: Version) -> None:
        expected = self.refusals[client]
        if isinstance(expected, str) and expected.startswith("alert "):
            assert f"alert {site.alert(client, version)}" == expected
        else:
            assert site.ask(client, version=version).outcome == expected

    def test_a_caller_without_a_certificate_is_asked_for_one(self, site: Site) -> None:
        answer = site.ask()
        assert (answer.status, answer.outcome) == (403, "certificate_required")

    def test_what_is_public_is_open_to_all(self, site: Site) -> None:
        answer = site.ask(path="/health")
        assert (answer.status, answer.body) == (200, {"status": "up"})

    @pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
    def test_a_resumed_session_is_still_its_callers(self, site: Site, version: Version) -> None:
        """Several proxies send no chain then."""
        first = site.ask("orders", version=version)
        again = site.ask("orders", version=version, session=first.session)
        assert (first.resumed, first.outcome) == (False, spiffe_id("orders"))
        assert (again.resumed, again.outcome) == (site.resumes, spiffe_id("orders"))

    @pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
    def test_a_resumed_session_without_a_certificate_has_none(self, site: Site, version: Version) -> None:
        first = site.ask(version=version)
        again = site.ask(version=version, session=first.session, headers=self.forgery(site, "as they are"))
        assert (again.resumed, again.outcome) == (site.resumes, "certificate_required")

    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_nobody_becomes_somebody_by_headers(self, site: Site, spelling: str) -> None:
        answer = site.ask(headers=self.forgery(site, spelling))
        assert answer.outcome == self.forged_by_nobody.get(spelling, "certificate_required")

    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_somebody_becomes_nobody_else_by_headers(self, site: Site, spelling: str) -> None:
        answer = site.ask("billing", headers=self.forgery(site, spelling))
        assert answer.outcome == self.forged_by_another.get(spelling, spiffe_id("billing"))

    @pytest.mark.parametrize("path", ["/whoami", "/health"])
    def test_headers_that_come_past_the_proxy_are_refused(self, site: Site, path: str) -> None:
        answer = site.ask_app(path, headers=self.headers(site.parties.issued["orders"]))
        assert (answer.status, answer.outcome) == (403, "untrusted_proxy")

    def test_the_same_headers_from_the_proxys_address_are_believed(self, site: Site) -> None:
        answer = site.ask_app(headers=self.headers(site.parties.issued["orders"]), source=TRUSTED)
        assert answer.outcome == spiffe_id("orders")

    def test_who_comes_past_the_proxy_without_headers_is_nobody(self, site: Site) -> None:
        assert site.ask_app().outcome == "certificate_required"
        assert site.ask_app("/health").status == 200

    def forgery(self, site: Site, spelling: str) -> Headers:
        """Headers by which a client pretends to be ``orders``."""
        issued = site.parties.issued["orders"]
        headers = self.headers(issued)
        names = ", ".join(["close", *(name for name, _ in headers)])
        match spelling:
            case "twice":
                return [each for each in headers for _ in range(2)]
            case "mixed case":
                return [(name.swapcase(), value) for name, value in headers]
            case "underscores":
                return [(name.replace("-", "_"), value) for name, value in headers]
            case "one underscore":
                return [(name[::-1].replace("-", "_", 1)[::-1], value) for name, value in headers]
            case "connection":
                return [*headers, ("Connection", names)]
            case "only connection":
                # Headers that Connection names are for one hop (RFC 9110, section 7.6.1), and a proxy that takes them
                # away last takes away its own.
                return [("Connection", names)]
            case "of other formats":
                return [each for each in _every_format(issued) if each[0] not in dict(headers)]
        return headers


class ExampleScenarios(ProxyScenarios):
    """What holds for a configuration that strips by itself, whatever stands behind it. There is a fixture ``echoing``
    as well: the proxy in front of a server that answers with the headers it got.
    """

    @pytest.mark.parametrize("client", [None, "billing"])
    def test_nothing_that_a_client_sent_in_their_place_arrives(self, echoing: Site, client: str | None) -> None:
        assert "forged" in dict(echoing.ask(client, headers=[("Another", "forged")]).body["headers"]).values()
        arrived = set()
        for name, _ in self.headers(echoing.parties.issued["orders"]):
            for spelling in _spellings(name):
                answer = echoing.ask(client, headers=[(spelling, "forged")] * 2)
                arrived |= {each for each, value in answer.body.get("headers", ()) if "forged" in value}
        assert arrived == set()


def _spellings(name: str) -> list[str]:
    """All that is the same name to somebody: in other letters, and with underscores in the place of dashes."""
    twins = [""]
    for part in re.split("(-)", name):
        twins = [begun + each for begun in twins for each in (("-", "_") if part == "-" else (part,))]
    return [*twins, name.lower(), name.swapcase()]


def _every_format(issued: Issued) -> Headers:
    """The headers that other proxies send."""
    encoded = base64_der(issued.certificate)
    return [
        ("Client-Cert", f":{encoded}:"),
        ("X-SSL-Client-Cert", encoded),
        ("X-SSL-Client-Verify", "SUCCESS"),
        ("X-ARR-ClientCert", encoded),
        ("X-Forwarded-Tls-Client-Cert", encoded),
        ("X-Forwarded-Client-Cert", f"Hash={issued.certificate.thumbprint}"),
    ]
