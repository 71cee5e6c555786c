"""Names are matched exactly, by whole labels and segments."""

from __future__ import annotations

import pytest

from mtls_core.errors import InvalidName
from mtls_core.names import match_dns, match_spiffe, normalize_dns, parse_spiffe_id

GOOD_IDS = [
    "spiffe://example.org",
    "spiffe://example.org/billing",
    "spiffe://example.org/ns/Prod/sa/billing_1.2-x",
    "spiffe://1.2.3.4/x",
    "spiffe://" + "a" * 255 + "/x",
]

BAD_IDS = [
    "",
    "https://example.org/billing",
    "SPIFFE://example.org/billing",
    "spiffe://",
    "spiffe:///billing",
    "spiffe://Example.org/billing",
    "spiffe://example.org:8443/billing",
    "spiffe://user@example.org/billing",
    "spiffe://example.org/billing/",
    "spiffe://example.org//billing",
    "spiffe://example.org/./billing",
    "spiffe://example.org/../billing",
    "spiffe://example.org/bill%69ng",
    "spiffe://example.org/billing?x=1",
    "spiffe://example.org/billing#x",
    "spiffe://example.org/bill ing",
    "spiffe://example.org/billing\n",
    "spiffe://exämple.org/billing",
    "spiffe://" + "a" * 256 + "/x",
    "spiffe://example.org/" + "a" * 2048,
]


@pytest.mark.parametrize("text", GOOD_IDS)
def test_a_spiffe_id_survives_parsing(text: str) -> None:
    assert str(parse_spiffe_id(text)) == text


@pytest.mark.parametrize("text", BAD_IDS)
def test_what_is_not_a_spiffe_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_spiffe_id(text)


@pytest.mark.parametrize(
    ("pattern", "spiffe_id", "matches"),
    [
        ("spiffe://example.org/billing", "spiffe://example.org/billing", True),
        ("spiffe://example.org/billing", "spiffe://example.org/billing2", False),
        ("spiffe://example.org/billing", "spiffe://example.org/Billing", False),
        ("spiffe://example.org/billing", "spiffe://example.com/billing", False),
        ("spiffe://example.org/billing", None, False),
        ("spiffe://example.org/ns/*", "spiffe://example.org/ns/a", True),
        ("spiffe://example.org/ns/*", "spiffe://example.org/ns/a/b", True),
        ("spiffe://example.org/ns/*", "spiffe://example.org/ns", False),
        ("spiffe://example.org/ns/*", "spiffe://example.org/nsx/a", False),
        ("spiffe://example.org/*", "spiffe://example.org/ns", True),
        ("spiffe://example.org/*", "spiffe://example.org.evil/ns", False),
    ],
)
def test_spiffe_patterns_match_whole_segments(pattern: str, spiffe_id: str | None, matches: bool) -> None:
    assert match_spiffe(pattern, spiffe_id) is matches


@pytest.mark.parametrize("pattern", ["spiffe://example.org/a*", "*", "spiffe://*/a", "spiffe://example.org/*/a"])
def test_a_star_elsewhere_in_a_spiffe_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidName):
        match_spiffe(pattern, "spiffe://example.org/ab")


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("billing.internal", "billing.internal", True),
        ("billing.internal", "BILLING.internal", True),
        ("Billing.Internal", "billing.internal", True),
        ("billing.internal", "billing.internal.evil.example", False),
        ("billing.internal", "xbilling.internal", False),
        ("billing.internal", "billing.internal.", False),
        ("billing.internal", "billing.internal\x00.evil.example", False),
        ("billing.internal", "billing.internal, DNS:x", False),
        ("billing.internal", "*.internal", False),
        ("*.internal", "billing.internal", True),
        ("*.internal", "a.billing.internal", False),
        ("*.internal", "internal", False),
        ("*.internal", ".internal", False),
        ("*.internal", "*.internal", False),
        ("localhost", "localhost", True),
    ],
)
def test_dns_patterns_match_whole_labels(pattern: str, name: str, matches: bool) -> None:
    assert match_dns(pattern, name) is matches


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "*.", "a..b", ".a", "a.", "a b", "-a.b", "a-.b", "a.*.b", "bücher.example", "a" * 64, "x." * 127 + "x"],
)
def test_what_is_not_a_dns_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidName):
        match_dns(pattern, "billing.internal")


def test_the_error_for_other_letters_says_how_to_write_the_name() -> None:
    with pytest.raises(InvalidName, match="xn--"):
        normalize_dns("bücher.example")
