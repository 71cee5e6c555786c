"""Name constraints: for each type of name, what lies within and what does not."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from mtls_core import ber, der
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.errors import Reason

from .crafting import AT, DNS, EMAIL, URI, make_root, problems_of, raw_names, reasons_of, refusal, verifier, verify

VIOLATED = (Reason.NAME_CONSTRAINT_VIOLATED, 0)
SMTP_UTF8_MAILBOX = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9")
UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")


@pytest.fixture(scope="module")
def root() -> DevelopmentCA:
    return make_root()


def _limited(ca: DevelopmentCA, permitted: Any = None, excluded: Any = None, *, name: Any = "Limited") -> DevelopmentCA:
    return ca.intermediate(name, extensions=[(x509.NameConstraints(permitted, excluded), True)])


def _is_within(ca: DevelopmentCA, issued: Issued) -> bool:
    """Whether the engine lets a leaf pass; what it lets pass must be good to OpenSSL too."""
    reasons = reasons_of(ca.root, issued.certificate, *issued.chain)
    if not reasons:
        assert verify(verifier(ca.root), issued)
    assert {reason for reason, _ in reasons} <= {Reason.NAME_CONSTRAINT_VIOLATED}
    return not reasons


def _name(**parts: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(getattr(NameOID, oid), value) for oid, value in parts.items()])


class TestDns:
    @pytest.mark.parametrize(
        ("base", "name", "within"),
        [
            ("example.org", "example.org", True),
            ("example.org", "a.b.example.org", True),
            ("EXAMPLE.org", "a.example.ORG", True),
            ("example.org", "badexample.org", False),
            ("example.org", "example.org.evil", False),
            ("example.org", "org", False),
            (".example.org", "a.example.org", True),
            (".example.org", "example.org", False),
            ("example.org", "*.example.org", True),
            ("a.example.org", "*.example.org", False),
            ("example.org", "*.org", False),
            ("", "anything.at.all", True),
        ],
    )
    def test_permitted(self, root: DevelopmentCA, base: str, name: str, within: bool) -> None:
        """CVE-2025-61727, CVE-2026-33810, RUSTSEC-2026-0099, GHSA-m2h6-j472-rp4c: case and wildcards."""
        ca = _limited(root, permitted=[x509.DNSName(base)])
        assert _is_within(ca, ca.client("x", dns=[name])) is within

    @pytest.mark.parametrize(
        ("base", "name", "outside"),
        [
            ("evil.org", "example.org", True),
            ("evil.org", "evil.org", False),
            ("evil.org", "a.evil.org", False),
            ("evil.org", "A.EVIL.org", False),
            ("evil.org", "*.evil.org", False),
            ("a.example.org", "*.example.org", False),
            ("a.b.example.org", "*.example.org", True),
            (".evil.org", "evil.org", True),
            ("", "anything.at.all", False),
        ],
    )
    def test_excluded(self, root: DevelopmentCA, base: str, name: str, outside: bool) -> None:
        """CVE-2025-61727: a wildcard stands for what is excluded too."""
        ca = _limited(root, excluded=[x509.DNSName(base)])
        assert _is_within(ca, ca.client("x", dns=[name])) is outside

    @pytest.mark.parametrize("name", [b"", b"a..b", b"example.org.", b"a b", b"x\0.example.org", b".example.org"])
    @pytest.mark.parametrize("side", ["permitted", "excluded"])
    def test_what_is_no_name_is_within_nothing_and_outside_of_nothing(
        self, root: DevelopmentCA, name: bytes, side: str
    ) -> None:
        """CVE-2026-27138: an empty DNS name with excluded subtrees."""
        base = "example.org" if side == "permitted" else "evil.org"
        ca = _limited(root, **{side: [x509.DNSName(base)]})
        leaf = ca.client("x", extensions=[raw_names((DNS, name))])
        assert VIOLATED in reasons_of(root, leaf.certificate, *leaf.chain)

    def test_a_base_that_is_no_name_permits_nothing(self, root: DevelopmentCA) -> None:
        ca = _limited(root, permitted=[x509.DNSName("a b.example.org")])
        assert not _is_within(ca, ca.client("x", dns=["b.example.org"]))
        assert _is_within(ca, ca.client("x", emails=["a@example.org"]))

    def test_a_common_name_that_looks_like_a_host(self, root: DevelopmentCA) -> None:
        """Somebody authorises by common name; so does OpenSSL judge it."""
        ca = _limited(root, permitted=[x509.DNSName("example.org")])
        assert _is_within(ca, ca.client("billing.example.org"))
        assert not _is_within(ca, ca.client("billing.evil.org"))

    def test_a_common_name_that_is_none(self, root: DevelopmentCA) -> None:
        ca = _limited(root, permitted=[x509.DNSName("example.org")])
        assert _is_within(ca, ca.client("billing"))
        assert _is_within(ca, ca.client("Jane Q. Public"))
        assert _is_within(ca, ca.client("billing.evil.org", dns=["billing.example.org"]))


class TestIpAddress:
    @pytest.mark.parametrize(
        ("base", "address", "within"),
        [
            ("10.0.0.0/8", "10.1.2.3", True),
            ("10.0.0.0/8", "11.1.2.3", False),
            ("10.1.2.3/32", "10.1.2.3", True),
            ("2001:db8::/32", "2001:db8::1", True),
            ("2001:db8::/32", "2001:db9::1", False),
            ("10.0.0.0/8", "2001:db8::1", False),
            ("0.0.0.0/0", "::1", False),
        ],
    )
    def test_permitted_and_excluded(self, root: DevelopmentCA, base: str, address: str, within: bool) -> None:
        network = [x509.IPAddress(ipaddress.ip_network(base))]
        only, without = _limited(root, permitted=network), _limited(root, excluded=network)
        assert _is_within(only, only.client("x", ips=[address])) is within
        assert _is_within(without, without.client("x", ips=[address])) is not within


class TestEmail:
    @pytest.mark.parametrize(
        ("base", "address", "within"),
        [
            ("example.org", "a@example.org", True),
            ("example.org", "a@EXAMPLE.org", True),
            ("example.org", "a@mail.example.org", False),
            (".example.org", "a@mail.example.org", True),
            (".example.org", "a@example.org", False),
            ("jane@example.org", "jane@example.org", True),
            ("jane@example.org", "jane@EXAMPLE.ORG", True),
            ("jane@example.org", "joe@example.org", False),
            ("example.org", "a@badexample.org", False),
        ],
    )
    def test_permitted_and_excluded(self, root: DevelopmentCA, base: str, address: str, within: bool) -> None:
        subtree = [x509.RFC822Name(base)]
        only, without = _limited(root, permitted=subtree), _limited(root, excluded=subtree)
        assert _is_within(only, only.client("x", emails=[address])) is within
        assert _is_within(without, without.client("x", emails=[address])) is not within

    def test_the_case_of_a_local_part_is_no_way_out(self, root: DevelopmentCA) -> None:
        subtree = [x509.RFC822Name("jane@example.org")]
        only, without = _limited(root, permitted=subtree), _limited(root, excluded=subtree)
        assert not _is_within(only, only.client("x", emails=["JANE@example.org"]))
        assert not _is_within(without, without.client("x", emails=["JANE@example.org"]))

    def test_every_one_of_several_constraints_counts(self, root: DevelopmentCA) -> None:
        """CVE-2026-27137: the last one alone was looked at."""
        hosts = [x509.RFC822Name(f"{letter}.example") for letter in "abc"]
        only, without = _limited(root, permitted=hosts), _limited(root, excluded=hosts)
        for letter in "abc":
            assert _is_within(only, only.client("x", emails=[f"x@{letter}.example"]))
            assert not _is_within(without, without.client("x", emails=[f"x@{letter}.example"]))
        assert not _is_within(only, only.client("x", emails=["x@d.example"]))
        assert _is_within(without, without.client("x", emails=["x@d.example"]))

    def test_every_address_counts(self, root: DevelopmentCA) -> None:
        ca = _limited(root, permitted=[x509.RFC822Name("example.org")])
        assert not _is_within(ca, ca.client("x", emails=["a@example.org", "a@evil.org"]))

    def test_the_address_in_the_subject_counts(self, root: DevelopmentCA) -> None:
        ca = _limited(root, permitted=[x509.RFC822Name("example.org")])
        for address, within in (("a@example.org", True), ("a@evil.org", False)):
            subject = _name(COMMON_NAME="x", EMAIL_ADDRESS=address)
            assert _is_within(ca, ca.client("x", subject=subject)) is within

    def test_what_is_no_address(self, root: DevelopmentCA) -> None:
        ca = _limited(root, excluded=[x509.RFC822Name("evil.org")])
        leaf = ca.client("x", extensions=[raw_names((EMAIL, b"example.org"))])
        assert VIOLATED in reasons_of(root, leaf.certificate, *leaf.chain)

    def test_a_mailbox_with_other_letters_is_never_permitted(self, root: DevelopmentCA) -> None:
        """RFC 9598: the same constraints are meant for it; it is not compared here."""
        mailbox = x509.OtherName(SMTP_UTF8_MAILBOX, ber.encode(0x0C, "jürgen@example.org".encode()))
        names = [(x509.SubjectAlternativeName([mailbox]), False)]
        ca = _limited(root, permitted=[x509.RFC822Name("example.org")])
        assert not _is_within(ca, ca.client("x", extensions=names))
        free = _limited(root, permitted=[x509.DNSName("example.org")])
        assert _is_within(free, free.client("x", extensions=names))


class TestUri:
    """RUSTSEC-2026-0098: they were ignored."""

    @pytest.mark.parametrize(
        ("base", "uri", "within"),
        [
            ("example.org", "spiffe://example.org/billing", True),
            ("example.org", "https://EXAMPLE.org:8443/a", True),
            ("example.org", "spiffe://a.example.org/billing", False),
            (".example.org", "spiffe://a.example.org/billing", True),
            (".example.org", "spiffe://example.org/billing", False),
            ("example.org", "spiffe://evil.org/example.org", False),
            ("example.org", "https://evil.org?example.org", False),
            ("example.org", "https://evil.org#example.org", False),
        ],
    )
    def test_permitted_and_excluded(self, root: DevelopmentCA, base: str, uri: str, within: bool) -> None:
        subtree = [x509.UniformResourceIdentifier(base)]
        only, without = _limited(root, permitted=subtree), _limited(root, excluded=subtree)
        assert _is_within(only, only.client("x", uris=[uri])) is within
        assert _is_within(without, without.client("x", uris=[uri])) is not within

    @pytest.mark.parametrize(
        "uri",
        [
            b"urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            b"https://192.0.2.1/",
            b"https://[2001:db8::1]/",
            b"https://[fe80::1%25eth0]/",
            b"https://[fe80::1%25.example.org]/",
            b"https://example.org@evil.org/",
            b"https://example.org:x@evil.org/",
            b"https://example.org\\@evil.org/",
            b"https://exam%70le.org/",
            b"https:///path",
            b"https://",
        ],
    )
    @pytest.mark.parametrize("side", ["permitted", "excluded"])
    def test_a_host_that_cannot_be_compared(self, root: DevelopmentCA, uri: bytes, side: str) -> None:
        """RFC 5280, section 4.2.1.10 wants these rejected. CVE-2024-45341: IPv6 zones."""
        base = "example.org" if side == "permitted" else "other.org"
        ca = _limited(root, **{side: [x509.UniformResourceIdentifier(base)]})
        leaf = ca.client("x", extensions=[raw_names((URI, uri))])
        assert VIOLATED in reasons_of(root, leaf.certificate, *leaf.chain)

    @pytest.mark.parametrize("base", ["", "https://example.org", "example.org/a", "*.example.org"])
    @pytest.mark.parametrize("side", ["permitted", "excluded"])
    def test_a_base_that_cannot_be_compared(self, root: DevelopmentCA, base: str, side: str) -> None:
        ca = _limited(root, **{side: [x509.UniformResourceIdentifier(base)]})
        assert not _is_within(ca, ca.client("x", uris=["spiffe://example.org/billing"]))


class TestDirectoryName:
    ORG = _name(COUNTRY_NAME="DE", ORGANIZATION_NAME="Example GmbH")

    @pytest.mark.parametrize(
        ("subject", "within"),
        [
            (_name(COUNTRY_NAME="DE", ORGANIZATION_NAME="Example GmbH", COMMON_NAME="billing"), True),
            (_name(COUNTRY_NAME="DE", ORGANIZATION_NAME="EXAMPLE  gmbh", COMMON_NAME="billing"), True),
            (_name(COUNTRY_NAME="DE", ORGANIZATION_NAME="Example", COMMON_NAME="billing"), False),
            (_name(ORGANIZATION_NAME="Example GmbH", COUNTRY_NAME="DE", COMMON_NAME="billing"), False),
            (_name(COUNTRY_NAME="DE"), False),
            (_name(COMMON_NAME="billing"), False),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("critical", [True, False])
    def test_the_subject(self, root: DevelopmentCA, subject: x509.Name, within: bool, critical: bool) -> None:
        """Also where the extension is not critical, which some take as leave to ignore it."""
        for permitted in (True, False):
            subtree = [x509.DirectoryName(self.ORG)]
            constraints = x509.NameConstraints(subtree if permitted else None, None if permitted else subtree)
            ca = root.intermediate(extensions=[(constraints, critical)])
            assert _is_within(ca, ca.client("x", subject=subject)) is (within is permitted)

    def test_alternative_names_count_too(self, root: DevelopmentCA) -> None:
        ca = _limited(root, excluded=[x509.DirectoryName(self.ORG)])
        names = x509.SubjectAlternativeName([x509.DirectoryName(self.ORG)])
        assert not _is_within(ca, ca.client("x", extensions=[(names, False)]))
        assert _is_within(ca, ca.client("x"))

    def test_an_empty_subject_is_not_constrained(self, root: DevelopmentCA) -> None:
        ca = _limited(root, permitted=[x509.DirectoryName(self.ORG)])
        assert _is_within(ca, ca.issue(None, dns=["billing.internal"]))


class TestOtherTypes:
    """What is not evaluated here is refused where such a name is present."""

    @pytest.mark.parametrize("side", ["permitted", "excluded"])
    @pytest.mark.parametrize("critical", [True, False])
    def test_a_type_that_is_not_known(self, root: DevelopmentCA, side: str, critical: bool) -> None:
        base = [x509.OtherName(UPN, ber.encode(0x0C, b"@example.org"))]
        constraints = x509.NameConstraints(
            **{"permitted_subtrees": None, "excluded_subtrees": None, f"{side}_subtrees": base}
        )
        ca = root.intermediate(extensions=[(constraints, critical)])
        jane = x509.SubjectAlternativeName([x509.OtherName(UPN, ber.encode(0x0C, b"jane@example.org"))])
        assert not _is_within(ca, ca.client("x", extensions=[(jane, False)]))
        assert _is_within(ca, ca.client("x", dns=["x.example.org"]))

    def test_registered_ids(self, root: DevelopmentCA) -> None:
        ca = _limited(root, permitted=[x509.RegisteredID(UPN)])
        names = x509.SubjectAlternativeName([x509.RegisteredID(UPN)])
        assert not _is_within(ca, ca.client("x", extensions=[(names, False)]))

    def test_types_are_not_mixed_up(self, root: DevelopmentCA) -> None:
        """CVE-2022-21656: an e-mail address or URI is no DNS name."""
        ca = _limited(root, excluded=[x509.DNSName("example.org")])
        assert _is_within(ca, ca.client("x", emails=["a@example.org"], uris=["spiffe://example.org/a"]))

    @pytest.mark.parametrize("distance", ["800101", "810101"])
    def test_distances_are_not_evaluated(self, root: DevelopmentCA, distance: str) -> None:
        """A minimum or maximum, which RFC 5280 does not want and cryptography does not show."""
        plain = ber.encode(DNS, b"example.org")
        for extra in (b"", bytes.fromhex(distance)):
            subtree = ber.encode(der.SEQUENCE, plain, extra)
            value = ber.encode(der.SEQUENCE, ber.encode(0xA0, subtree))
            extension = x509.UnrecognizedExtension(x509.NameConstraints.oid, value)
            ca = root.intermediate(extensions=[(extension, True)])
            leaf = ca.client("x", dns=["x.example.org"])
            reasons = reasons_of(root, leaf.certificate, *leaf.chain)
            assert reasons == ([(Reason.NAME_CONSTRAINT_VIOLATED, 1)] if extra else [])


class TestAlongThePath:
    def test_permitted_subtrees_are_intersected(self, root: DevelopmentCA) -> None:
        """A CA cannot widen what the one above it may certify."""
        upper = _limited(root, permitted=[x509.DNSName("example.org")], name="Upper")
        lower = _limited(upper, permitted=[x509.DNSName("a.example.org"), x509.DNSName("evil.org")], name="Lower")
        assert _is_within(lower, lower.client("x", dns=["x.a.example.org"]))
        assert not _is_within(lower, lower.client("x", dns=["x.example.org"]))
        assert not _is_within(lower, lower.client("x", dns=["evil.org"]))

    def test_excluded_subtrees_add_up(self, root: DevelopmentCA) -> None:
        upper = _limited(root, excluded=[x509.DNSName("evil.org")], name="Upper")
        lower = _limited(upper, excluded=[x509.DNSName("bad.org")], name="Lower")
        assert _is_within(lower, lower.client("x", dns=["good.org"]))
        assert not _is_within(lower, lower.client("x", dns=["evil.org"]))
        assert not _is_within(lower, lower.client("x", dns=["bad.org"]))

    def test_excluded_holds_over_permitted(self, root: DevelopmentCA) -> None:
        ca = _limited(root, [x509.DNSName("example.org")], [x509.DNSName("secret.example.org")])
        assert _is_within(ca, ca.client("x", dns=["a.example.org"]))
        assert not _is_within(ca, ca.client("x", dns=["a.secret.example.org"]))

    def test_every_name_counts(self, root: DevelopmentCA) -> None:
        ca = _limited(root, permitted=[x509.DNSName("example.org")])
        issued = ca.client("x", dns=["a.example.org", "evil.org", "bad.org"])
        problems = problems_of(root, issued.certificate, *issued.chain)
        assert ["'evil.org'" in problems[0].detail, "'bad.org'" in problems[1].detail] == [True, True]

    def test_names_of_intermediates_count(self, root: DevelopmentCA) -> None:
        org = x509.DirectoryName(_name(ORGANIZATION_NAME="Example"))
        issued = (
            _limited(root, permitted=[org]).intermediate("Sub").client("x", subject=_name(ORGANIZATION_NAME="Example"))
        )
        assert reasons_of(root, issued.certificate, *issued.chain) == [(Reason.NAME_CONSTRAINT_VIOLATED, 1)]

    def test_names_of_key_rollovers_do_not(self, root: DevelopmentCA) -> None:
        org = x509.DirectoryName(_name(ORGANIZATION_NAME="Example"))
        ca = _limited(root, permitted=[org], name="Same").intermediate("Same")
        assert _is_within(ca, ca.client("x", subject=_name(ORGANIZATION_NAME="Example")))

    def test_the_leaf_counts_also_if_self_issued(self, root: DevelopmentCA) -> None:
        ca = _limited(root, permitted=[x509.DirectoryName(_name(ORGANIZATION_NAME="Example"))], name="Same")
        assert not _is_within(ca, ca.client("Same"))

    def test_the_anchors_constraints_hold(self) -> None:
        anchor = make_root(extensions=[(x509.NameConstraints([x509.DNSName("example.org")], None), True)])
        assert _is_within(anchor, anchor.client("x", dns=["a.example.org"]))
        assert not _is_within(anchor, anchor.client("x", dns=["evil.org"]))

    def test_the_constrained_ca_itself_is_not_concerned(self, root: DevelopmentCA) -> None:
        ca = _limited(root, excluded=[x509.DirectoryName(_name(COMMON_NAME="Limited"))])
        assert _is_within(ca, ca.client("x"))


class TestWork:
    """P18, CVE-2025-58187: names times constraints."""

    def _crowd(self, root: DevelopmentCA, names: int, subtrees: int) -> Issued:
        ca = _limited(root, excluded=[x509.DNSName(f"e{n}.example") for n in range(subtrees)])
        return ca.client("x", dns=[f"n{n}.example" for n in range(names)])

    def test_within_the_budget(self, root: DevelopmentCA) -> None:
        assert verify(verifier(root), self._crowd(root, 200, 100))

    def test_past_the_budget(self, root: DevelopmentCA) -> None:
        error = refusal(verifier(root), self._crowd(root, 201, 100))
        assert error.reason is Reason.WORK_LIMIT_EXCEEDED
        assert "20000 comparisons" in error.detail

    def test_two_thousand_times_two_thousand(self, root: DevelopmentCA) -> None:
        """75 ms of CPU are what P18 allows; three times that, for a slow machine."""
        issued = self._crowd(root, 2000, 2000)
        judge = verifier(root, intermediates=issued.chain)
        start = time.process_time()
        assert "20000 comparisons" in refusal(judge, issued.certificate).detail
        assert time.process_time() - start < 0.225

    def test_the_budget_is_for_all_candidates_together(self, root: DevelopmentCA) -> None:
        """A second path of the same cost does not get a second budget."""
        constraints = (x509.NameConstraints(None, [x509.DNSName(f"e{n}.example") for n in range(100)]), True)
        ca = root.intermediate(extensions=[constraints])
        renewed = root.intermediate(key=ca.private_key, extensions=[constraints])
        expired = ca.client("x", dns=[f"n{n}.example" for n in range(150)], not_after=AT.replace(year=2025))
        reasons = [reason for reason, _ in reasons_of(root, expired.certificate, ca.certificate, renewed.certificate)]
        assert reasons == [Reason.EXPIRED, Reason.WORK_LIMIT_EXCEEDED]
