"""Envoy's ``X-Forwarded-Client-Cert``: who is believed, and by which tricks one does not become another."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_mtls.sources import MOST_CERTIFICATES, MalformedHeader
from flask_mtls.sources.xfcc import Element, client
from mtls_core import ber, der
from mtls_core.devca import DevelopmentCA, Issued

from .forwarded_values import aws, envoy, envoy_names, nginx, refusal

SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(scope="session")
def leaf(billing: Issued) -> bytes:
    return billing.certificate.der


@pytest.fixture(scope="session")
def other(ca: DevelopmentCA) -> bytes:
    return ca.client("other", uris=["spiffe://example.org/other"]).certificate.der


@pytest.fixture(scope="session")
def edge(ca: DevelopmentCA) -> bytes:
    """An Envoy in front, as the Envoy behind it sees it."""
    return ca.client("edge", uris=["spiffe://example.org/edge"]).certificate.der


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Reading


def test_bytes_of_envoy(stock: Issued) -> None:
    """``By`` where the server's certificate has URIs; the chain as the client sent it; the subject as in RFC 2253."""
    leaf, intermediate = stock.certificate.der, stock.chain[0].der
    value = (
        f'By=spiffe://example.org/edge;Hash={digest(leaf)};Cert="{nginx(leaf)}";Chain="{nginx(leaf, intermediate)}"'
        r';Subject="CN=ali\C3\A7e,O=Acme\, Inc\; \"Q\"=1";URI=spiffe://example.org/stock;DNS=stock.internal'
    )
    assert client(value, 1) == Element(leaf, (intermediate,))


def test_chain_without_the_leaf_is_the_same(stock: Issued) -> None:
    leaf, intermediate = stock.certificate.der, stock.chain[0].der
    assert client(envoy(leaf, Chain=f'"{nginx(intermediate)}"'), 1) == Element(leaf, (intermediate,))


@pytest.mark.parametrize("chain", [None, "", '""'])
def test_chain_need_not_be_there(chain: str | None, leaf: bytes) -> None:
    assert client(envoy(leaf, Chain=chain), 1) == Element(leaf, ())


def test_leaf_does_not_come_twice(stock: Issued) -> None:
    """Wherever it stands in the chain, and however it is escaped there."""
    leaf, intermediate = stock.certificate.der, stock.chain[0].der
    assert client(envoy(leaf, Chain=f'"{nginx(leaf, leaf, intermediate, leaf)}"'), 1) == Element(leaf, (intermediate,))
    assert client(envoy(leaf, Chain=f'"{aws(leaf, intermediate)}"'), 1) == Element(leaf, (intermediate,))


@pytest.mark.parametrize("end", ["", ";URI=", ";URI=a;URI=b=c;DNS=d;DNS=e", ";By=a;By=b", ';Subject=""', ";Later=1"])
def test_other_pairs_do_not_matter(end: str, leaf: bytes) -> None:
    assert client(envoy(leaf, end=end), 1) == Element(leaf, ())


@pytest.mark.parametrize("change", [str.lower, str.upper, str.swapcase])
def test_keys_have_any_case(change: Any, leaf: bytes) -> None:
    value = envoy(leaf)
    for key in ("Hash=", "Cert=", "Chain=", "Subject="):
        value = value.replace(key, change(key))
    assert client(value, 1) == Element(leaf, ())


def test_hash_has_any_case(leaf: bytes) -> None:
    assert client(envoy(leaf, Hash=digest(leaf).upper()), 1) == Element(leaf, ())


@pytest.mark.parametrize(
    "subject", [r"\"", r"\\", r"a\\\"", r"\",Hash=1;Cert=\"", "a,b;c=d", r"O=Acme\, Inc\; \"Q\"=1", r"\C3\A7"]
)
def test_quoted_value_holds_anything(subject: str, leaf: bytes, edge: bytes) -> None:
    first = envoy(leaf, end=f';Subject="{subject}"')
    assert client(first, 1) == Element(leaf, ())
    assert client(f"{first},{envoy(edge)}", 2) == Element(leaf, ())


# Which element


def test_elements_are_counted_from_the_right(leaf: bytes, edge: bytes, other: bytes) -> None:
    value = ",".join(map(envoy, (other, leaf, edge)))
    assert [client(value, hops) for hops in (1, 2, 3)] == [Element(edge, ()), Element(leaf, ()), Element(other, ())]


def test_chain_is_that_of_the_element(stock: Issued, edge: bytes) -> None:
    leaf, intermediate = stock.certificate.der, stock.chain[0].der
    value = f"{envoy(leaf, intermediate)},{envoy(edge)}"
    assert [client(value, hops) for hops in (1, 2)] == [Element(edge, ()), Element(leaf, (intermediate,))]


def test_fewer_elements_than_proxies_mean_no_certificate(leaf: bytes) -> None:
    """The first proxy adds an element only for a client that showed a certificate."""
    assert client(envoy(leaf), 2) is None
    assert client(envoy(leaf), 1) == Element(leaf, ())


def test_fewer_elements_than_proxies_are_checked_all_the_same(leaf: bytes) -> None:
    assert refusal(client, envoy(leaf, Cert=None), 2)


def test_elements_in_front_are_not_believed(leaf: bytes, other: bytes) -> None:
    """APPEND_FORWARD keeps what the client sent."""
    assert client(f"{envoy(other)},{envoy(leaf)}", 1) == Element(leaf, ())


def test_ten_elements_are_read_and_eleven_are_not(leaf: bytes) -> None:
    short = envoy(leaf, Chain=None, end="")
    assert client(",".join([short] * MOST_CERTIFICATES), 1) == Element(leaf, ())
    assert refusal(client, ",".join([short] * (MOST_CERTIFICATES + 1)), 1) == "has more than 10 elements"


def test_five_hundred_pairs_are_read_and_no_more(leaf: bytes) -> None:
    """Of all elements; each pair costs its microsecond."""
    two = envoy(leaf, Chain=None, end="")
    value = f"{two},{two}{';URI=a' * 496}"
    assert client(value, 1) == Element(leaf, ())
    assert refusal(client, f"{value};URI=a", 1) == "has more than 500 pairs"


# Every element, believed or not, is what Envoy writes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Cert": None}, "cert: true"),
        ({"Hash": None}, "without a Hash"),
        ({"Hash": ""}, "without a Hash"),
        ({"Hash": "0" * 63}, "without a Hash"),
        ({"Hash": "0" * 65}, "without a Hash"),
        ({"Hash": "g" * 64}, "without a Hash"),
        ({"Hash": f'"{"٣" * 64}"'}, "without a Hash"),
        ({"Hash": "0" * 64}, "of another certificate"),
        ({"Hash": SHA256_OF_NOTHING}, "Hash of nothing"),
        ({"Hash": SHA256_OF_NOTHING.upper(), "Cert": '""'}, "Hash of nothing"),
        ({"Hash": SHA256_OF_NOTHING, "Cert": None}, "Hash of nothing"),
        ({"Cert": '""'}, "Cert that does not begin with -----BEGIN CERTIFICATE-----"),
        ({"Cert": '"MIIB"'}, "Cert that does not begin with -----BEGIN CERTIFICATE-----"),
    ],
)
@pytest.mark.parametrize("place", ["{0}", "{0},{1}", "{1},{0}", "{1},{0},{1}"])
def test_hash_and_cert_belong_together(changes: dict[str, Any], message: str, place: str, leaf: bytes) -> None:
    assert message in refusal(client, place.format(envoy(leaf, **changes), envoy(leaf)), 1)
    assert client(place.format(envoy(leaf), envoy(leaf)), 1) == Element(leaf, ())


@pytest.mark.parametrize("place", ["{0},{1}", "{1},{0}"])
def test_cert_of_somebody_else_is_refused(place: str, leaf: bytes, other: bytes) -> None:
    swapped = envoy(leaf, Cert=f'"{nginx(other)}"')
    assert "of another certificate" in refusal(client, place.format(swapped, envoy(leaf)), 1)
    assert client(place.format(envoy(other), envoy(leaf)), 1) is not None


@pytest.mark.parametrize("at", [0, 31, 32, 63])
def test_hash_is_compared_to_its_end(at: int, leaf: bytes) -> None:
    right = digest(leaf)
    wrong = right[:at] + ("0" if right[at] != "0" else "1") + right[at + 1 :]
    assert "of another certificate" in refusal(client, envoy(leaf, Hash=wrong), 1)
    assert client(envoy(leaf, Hash=right), 1) == Element(leaf, ())


def test_cert_holds_one_certificate(leaf: bytes, other: bytes) -> None:
    assert refusal(client, envoy(leaf, Cert=f'"{nginx(leaf, other)}"'), 1) == "has a Cert with several certificates"
    assert client(envoy(leaf, Cert=f'"{nginx(leaf)}"'), 1) == Element(leaf, ())


def test_cert_is_a_certificate(leaf: bytes) -> None:
    sequence = ber.encode(der.SEQUENCE, bytes(40))
    assert refusal(client, envoy(sequence), 1) == "has a Cert that is not a certificate"
    assert client(envoy(leaf), 1) == Element(leaf, ())


def test_chain_of_the_client_is_read_strictly(leaf: bytes, other: bytes) -> None:
    damaged = f'"{nginx(leaf)}x"'
    assert "has a Chain that" in refusal(client, envoy(leaf, Chain=damaged), 1)
    assert "has a Chain that" in refusal(client, envoy(leaf, Chain='"x"'), 1)
    in_front = envoy(other, Chain=damaged)
    assert client(f"{in_front},{envoy(leaf)}", 1) == Element(leaf, ()), "not believed, and not read"


@pytest.mark.parametrize("key", ["Hash", "hash", "Cert", "CERT", "Chain", "Subject"])
@pytest.mark.parametrize("where", ["in front", "behind"])
def test_what_envoy_writes_once_stands_there_once(key: str, where: str, leaf: bytes) -> None:
    """Of two, the reader behind may take the other one."""
    values = {"hash": digest(leaf), "cert": f'"{nginx(leaf)}"', "chain": f'"{nginx(leaf)}"', "subject": '"CN=a"'}
    pair = f"{key}={values[key.lower()]}"
    value = envoy(leaf)
    twice = f"{pair};{value}" if where == "in front" else f"{value};{pair}"
    assert refusal(client, twice, 1) == f"has an element with more than one {key.capitalize()}"
    assert client(twice.replace(key, "By", 1) if where == "in front" else f"{value};By=x", 1) == Element(leaf, ())


# Quotes and separators


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (';Subject="', "unclosed quote"),
        (';Subject="a', "unclosed quote"),
        (';Subject="a\\"', "unclosed quote"),
        (';Subject="a\\\\\\"', "unclosed quote"),
        (';Subject="\\', "unclosed quote"),
        (';Subject="a"b', "behind a closing quote"),
        (';Subject="a""', "behind a closing quote"),
        (';Subject="a" ', "behind a closing quote"),
        (';Subject="a"\n', "behind a closing quote"),
        (';Subject="a\\\\"b"', "behind a closing quote"),
        (';Subject=a"b"', "should be in quotes"),
        (';URI=a"', "should be in quotes"),
        (";URI=a\\b", "should be in quotes"),
        (";URI=a b", "should be in quotes"),
        (";URI=a\x7f", "should be in quotes"),
        (";URI=é", "should be in quotes"),
        (";", "no key=value"),
        (",", "no key=value"),
        (";;URI=a", "no key=value"),
        (", URI=a", "no key=value"),
        (";URI", "no key=value"),
        (";=a", "no key=value"),
        ("; URI=a", "no key=value"),
        (";URI =a", "no key=value"),
        (';"URI"=a', "no key=value"),
        (";X-Y=a", "no key=value"),
        (";URÍ=a", "no key=value"),
    ],
)
def test_grammar(end: str, message: str, leaf: bytes) -> None:
    assert message in refusal(client, envoy(leaf, end=end), 1)
    assert client(envoy(leaf, end=';Subject="a";URI=b'), 1) == Element(leaf, ())


def test_empty_value_is_malformed() -> None:
    assert "no key=value" in refusal(client, "", 1)


@pytest.mark.parametrize("joint", [", ", ",,", ";,", " ,", "\n", ""])
def test_elements_have_one_comma_between(joint: str, leaf: bytes, edge: bytes) -> None:
    assert refusal(client, f"{envoy(leaf)}{joint}{envoy(edge)}", 2)
    assert client(f"{envoy(leaf)},{envoy(edge)}", 2) == Element(leaf, ())


@pytest.mark.parametrize(
    "spoofed",
    [
        '{other};Subject="',
        '{other};Subject="\\',
        '{other};Subject="a\\"',
        '{other};Subject="a\\\\\\"',
        'Subject="',
        'Subject="x\\',
        '{other};Subject="a";By="',
        '{other},{other};By="',
    ],
)
def test_unclosed_quote_in_front_does_not_swallow_an_element(spoofed: str, leaf: bytes, other: bytes) -> None:
    """The proxy appends its element to what the client sent; the quotes of the rest are turned inside out."""
    front = spoofed.format(other=envoy(other, end=""))
    assert refusal(client, f"{front},{envoy(leaf)}", 1)
    assert client(f"{envoy(other, end='')},{envoy(leaf)}", 1) == Element(leaf, ())


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_no_spoofed_front_replaces_the_element_behind_it(
    data: st.DataObject, leaf: bytes, other: bytes, edge: bytes
) -> None:
    """Whatever a client writes, it is refused or stays the client that its own proxy saw."""
    separators = ('"', "\\", ";", ",", "=", 'Subject="', 'URI="a', 'x\\"', "By=", "URI=a", "URI=", " ")
    pieces = (envoy(other), envoy(edge, end=""), f"Hash={digest(other)}", f'Cert="{nginx(other)}"', *separators)
    front = "".join(data.draw(st.lists(st.sampled_from(pieces), max_size=6)))
    try:
        found = client(f"{front},{envoy(leaf)}", 1)
    except MalformedHeader:
        return
    assert found == Element(leaf, ())


# Names that are copied as they are


@pytest.mark.parametrize("kind", ["URI", "DNS"])
def test_name_that_forges_an_element_is_refused(kind: str, ca: DevelopmentCA, billing: Issued) -> None:
    """The text is well-formed, and its last element names somebody else; what gives it away is the certificate."""
    victim = billing.certificate.der
    name = f'a,Hash={digest(victim)};Cert="{nginx(victim)}"'
    evil = ca.client("evil", uris=[name]) if kind == "URI" else ca.client("evil", dns=[name])
    honest = ca.client("evil", uris=["spiffe://example.org/a"]).certificate
    forged = envoy_names(evil.certificate.der, uris=evil.certificate.uris, dns=evil.certificate.dns_names)
    assert "which could forge an element" in refusal(client, forged, 1)
    assert client(envoy(honest.der, end=f";{kind}={name}"), 1) == Element(victim, ()), "else it is good"


@pytest.mark.parametrize("kind", ["URI", "DNS"])
@pytest.mark.parametrize("character", [",", ";", '"', "\\", " ", "\t", "\n", "\r", "\x00", "\x1f", "\x7f"])
@pytest.mark.parametrize("place", ["{0},{1}", "{1},{0}", "{1},{0},{1}"])
def test_name_with_a_separator_is_refused(
    kind: str, character: str, place: str, ca: DevelopmentCA, leaf: bytes
) -> None:
    """In any place of the list, in any place among the names, and if another element is the one with names."""
    evil = _with_names(ca, kind, "a.example", f"b{character}c", "d.example")
    honest = _with_names(ca, kind, "a.example", "b-c", "d.example")
    copied = envoy(leaf, end=f";{kind}=billing.internal")
    assert "could forge" in refusal(client, place.format(envoy(evil, end=""), copied), 1)
    assert client(place.format(envoy(honest, end=""), copied), 1) is not None


def test_names_that_are_not_copied_forge_nothing(ca: DevelopmentCA, leaf: bytes) -> None:
    evil = _with_names(ca, "URI", "a,b")
    assert client(f"{envoy(evil, end='')},{envoy(leaf, end='')}", 2) == Element(evil, ())
    assert "could forge" in refusal(client, f"{envoy(evil, end='')},{envoy(leaf, end=';URI=')}", 2)


def test_usual_names_are_good(ca: DevelopmentCA) -> None:
    issued = ca.client(
        'O=Acme, "Inc"; \\',  # the subject is quoted and escaped
        uris=["spiffe://example.org/ns/a/sa/b", "https://user:pw@[2001:db8::1]:8443/a%2Cb?c=d&e#f~g!h$i'(j)*k+l@m"],
        dns=["*.example.org", "_service.example.org"],
        emails=['"a,b"@example.org'],  # not copied
    )
    assert client(envoy(issued.certificate.der), 1) == Element(issued.certificate.der, ())


def test_refused_name_is_refused_again(ca: DevelopmentCA, leaf: bytes) -> None:
    """Certificates that were looked at are remembered; refusals are not taken for that."""
    evil = _with_names(ca, "URI", "a,b")
    assert refusal(client, envoy(evil), 1) == refusal(client, envoy(evil), 1)
    assert client(envoy(leaf), 1) == client(envoy(leaf), 1) == Element(leaf, ())


def _with_names(ca: DevelopmentCA, kind: str, *names: str) -> bytes:
    uris, dns = (names, ()) if kind == "URI" else ((), names)
    return ca.client("evil", uris=uris, dns=dns, key=ca.private_key).certificate.der
