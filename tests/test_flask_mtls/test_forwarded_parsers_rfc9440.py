"""``Client-Cert`` and ``Client-Cert-Chain``, and an independent reader of structured fields as oracle."""

from __future__ import annotations

import base64
from typing import Any

import http_sf
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from flask_mtls.sources import MOST_CERTIFICATES, MalformedHeader
from flask_mtls.sources.rfc9440 import certificate, certificates
from mtls_core import ber, der
from mtls_core.certificate import Certificate
from mtls_core.devca import Issued

from .forwarded_values import Parser, b64, client_cert, mutants, refusal

#: Appendix A.
EXAMPLE = (
    ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0"
    "ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnM"
    "tOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjL"
    "a38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoG"
    "CCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:"
)
SEQUENCES = [ber.encode(der.SEQUENCE, bytes(size)) for size in (0, 1, 2, 200)]
EITHER = pytest.mark.parametrize(("parse", "kind"), [(certificate, "item"), (certificates, "list")])
#: Why the oracle may read what is refused here.
DIFFERENCES = {
    "parameters",
    "another type than a byte sequence",
    "an inner list",
    "not canonical base64",
    "not one whole SEQUENCE",
    "an empty list",
    "too many",
}


def test_example_of_the_rfc_is_read() -> None:
    (leaf,) = certificate(EXAMPLE)
    assert Certificate.from_der(leaf).emails == ("bdc@example.com",)


def test_chain_has_one_or_several(stock: Issued) -> None:
    intermediate = stock.chain[0].der
    assert certificates(client_cert(intermediate)) == (intermediate,)
    assert certificates(client_cert(intermediate, intermediate)) == (intermediate, intermediate)


@pytest.mark.parametrize("comma", [",", ", ", " ,", "\t,\t", "  ,   "])
def test_white_space_around_commas_is_optional(comma: str) -> None:
    """RFC 9651, section 4.2.1. Servers that join several lines write a comma, with or without a space."""
    first, second = SEQUENCES[:2]
    assert certificates(f":{b64(first)}:{comma}:{b64(second)}:") == (first, second)


@pytest.mark.parametrize("parse", [certificate, certificates])
def test_spaces_around_the_whole_are_passed_over_and_tabs_are_not(parse: Parser) -> None:
    """RFC 9651, section 4.2: spaces, where around commas it says optional white space."""
    value = client_cert(SEQUENCES[3])
    assert parse(f"  {value} ") == (SEQUENCES[3],)
    assert refusal(parse, f"\t{value}")
    assert refusal(parse, f"{value}\t")


@pytest.mark.parametrize("parse", [certificate, certificates])
@pytest.mark.parametrize(
    "change",
    [
        lambda value: value[1:],
        lambda value: value[:-1],
        lambda value: value[1:-1],
        lambda value: value.replace(":", '"'),
        lambda value: f'"{value[1:]}',
        lambda value: f'{value[:-1]}"',
        lambda value: f":{value}",
        lambda value: f"{value}:",
        lambda value: f":{value}:",
        lambda value: f"{value};verified",
        lambda value: f"({value})",
        lambda value: f'"{value}"',
        lambda value: f"{value},",
        lambda value: f",{value}",
        lambda value: f"{value},,{value}",
        lambda value: f"{value},({value[1:-1]}),{value}",
        lambda value: f"{value} {value}",
        lambda value: f": {value[1:]}",
        lambda value: value.replace("MII", "MII\n"),
    ],
)
def test_anything_but_byte_sequences_is_refused(parse: Parser, change: Any, billing: Issued) -> None:
    value = client_cert(billing.certificate.der)
    assert refusal(parse, change(value))
    assert parse(value) == (billing.certificate.der,)


@pytest.mark.parametrize("value", ["", ":", "::", ":,:", ": :"])
def test_nothing_between_colons_is_refused(value: str) -> None:
    assert refusal(certificate, value)
    assert refusal(certificates, value)


def test_item_is_not_a_list() -> None:
    value = client_cert(*SEQUENCES[:2])
    assert refusal(certificate, value)
    assert certificates(value) == tuple(SEQUENCES[:2])


@EITHER
@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_agrees_with_the_oracle(parse: Parser, kind: str, data: st.DataObject) -> None:
    """What is read here is read there, to the same bytes; what is read only there differs in a way that has a name."""
    most = 3 if kind == "list" else 1
    good = client_cert(*data.draw(st.lists(st.sampled_from(SEQUENCES), min_size=1, max_size=most)))
    value = data.draw(st.one_of(mutants(good), _LOOKS_LIKE_ONE))
    theirs = _oracle(value, kind)
    try:
        ours = parse(value)
    except MalformedHeader:
        difference = None if theirs is None else _difference(theirs, value)
        event(f"refused; the oracle: {difference or 'too'}")
        assert theirs is None or difference in DIFFERENCES
    else:
        event("read")
        assert theirs == [(item, {}) for item in ours]


@pytest.mark.parametrize(
    ("value", "difference"),
    [
        (":MAA=:;a", "parameters"),
        (":MAA=:;a=1, :MAA=:", "parameters"),
        ("MAA", "another type than a byte sequence"),
        ('"MAA="', "another type than a byte sequence"),
        ("?1", "another type than a byte sequence"),
        ("(:MAA=:)", "an inner list"),
        (":MAA:", "not canonical base64"),
        (":MAB=:", "not canonical base64"),
        (":BQA=:", "not one whole SEQUENCE"),
        (":MAAw:", "not one whole SEQUENCE"),
        ("::", "not one whole SEQUENCE"),
        ("", "an empty list"),
        (", ".join([":MAA=:"] * 11), "too many"),
    ],
)
def test_each_difference_is_one(value: str, difference: str) -> None:
    theirs = _oracle(value, "list")
    assert theirs is not None
    assert _difference(theirs, value) == difference
    assert refusal(certificates, value)
    assert certificates(":MAA=:") == (b"\x30\x00",)


#: Structured fields of other kinds, by chance well-formed.
_LOOKS_LIKE_ONE = st.lists(
    st.sampled_from((":MAA=:", ":MAA:", ":MAB=:", "::", ":BQA=:", "(:MAA=:)", "a", "?1", '"a"', "1.5", ";a=1", ";b"))
    | st.sampled_from((", ", ",", " ")),
    max_size=6,
).map("".join)


def _oracle(value: str, kind: str) -> list[Any] | None:
    """The members with their parameters, an item's as that of a list; ``None`` if the oracle refuses it."""
    try:
        found: Any = http_sf.parse(value.encode("utf-8", "surrogatepass"), tltype=kind)
    except http_sf.StructuredFieldError:
        return None
    return list(found) if kind == "list" else [found]


def _difference(members: list[Any], value: str) -> str:
    if not members:
        return "an empty list"
    if any(isinstance(content, list) for content, _parameters in members):
        return "an inner list"
    if any(parameters for _content, parameters in members):
        return "parameters"
    if not all(isinstance(content, bytes) for content, _parameters in members):
        return "another type than a byte sequence"
    contents = [content for content, _parameters in members]
    written = [":" + base64.b64encode(content).decode("ascii") + ":" for content in contents]
    if written != [member.strip(" \t") for member in value.split(",")]:
        return "not canonical base64"
    if not all(map(_is_sequence, contents)):
        return "not one whole SEQUENCE"
    return "too many" if len(contents) > MOST_CERTIFICATES else "none that is known"


def _is_sequence(content: bytes) -> bool:
    try:
        return der.read_all(content).tag == der.SEQUENCE
    except der.DerError:
        return False
