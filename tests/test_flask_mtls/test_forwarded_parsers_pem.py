"""PEM in headers: percent-encoded by nginx and AWS, with spaces by Apache."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_mtls.sources import MalformedHeader
from flask_mtls.sources.pem_header import spaced, unquoted, urlencoded
from mtls_core.devca import DevelopmentCA, Issued

from .forwarded_values import Parser, apache, aws, b64, nginx, pem, refusal

#: Each with the line break that it stands for, and how it is written.
BOTH = pytest.mark.parametrize(
    ("parse", "write"),
    [
        pytest.param(urlencoded, lambda text: quote(text, safe=""), id="urlencoded"),
        pytest.param(spaced, lambda text: text.replace("\n", " "), id="spaced"),
    ],
)
Write = Callable[[str], str]


def test_bytes_of_nginx(billing: Issued) -> None:
    """Everything but ``-._~`` and alphanumerics is escaped, in upper case; the last line break as well."""
    value = nginx(billing.certificate.der)
    assert re.fullmatch(
        r"-----BEGIN%20CERTIFICATE-----%0AMII([A-Za-z0-9]|%2B|%2F|%3D|%0A)+%0A-----END%20CERTIFICATE-----%0A", value
    )
    assert urlencoded(value) == (billing.certificate.der,)


def test_bytes_of_aws(ca: DevelopmentCA) -> None:
    """A plus stands as it is; who reads it as a space damages about every certificate."""
    leaf = next(der for der in (ca.client("x").certificate.der for _ in range(100)) if "+" in b64(der))
    value = aws(leaf)
    assert "+" in value
    assert "%0A" in value
    assert urlencoded(value) == (leaf,)


def test_bytes_of_apache(billing: Issued) -> None:
    """Its trailing space is not always there: servers strip the values of headers."""
    value = apache(billing.certificate.der)
    assert value.startswith("-----BEGIN CERTIFICATE----- MII")
    assert value.endswith(" -----END CERTIFICATE----- ")
    assert spaced(value) == spaced(value.rstrip()) == (billing.certificate.der,)


@pytest.mark.parametrize("escape", [str.lower, str.upper])
def test_hexadecimal_digits_have_any_case(escape: Callable[[str], str], billing: Issued) -> None:
    value = re.sub("%..", lambda found: escape(found[0]), nginx(billing.certificate.der))
    assert urlencoded(value) == (billing.certificate.der,)


def test_more_may_be_escaped_than_must_be(billing: Issued) -> None:
    value = "".join(f"%{ord(character):02X}" for character in pem(billing.certificate.der))
    assert urlencoded(value) == (billing.certificate.der,)


def test_line_breaks_may_be_those_of_windows(billing: Issued) -> None:
    value = quote(pem(billing.certificate.der).replace("\n", "\r\n"), safe="")
    assert urlencoded(value) == (billing.certificate.der,)


def test_lone_carriage_return_is_no_line_break(billing: Issued) -> None:
    assert refusal(urlencoded, nginx(billing.certificate.der).replace("%0A", "%0D"))


def test_form_encoding_is_refused(billing: Issued) -> None:
    """There a space is a plus; a parser that reads both has to guess at every plus."""
    text = pem(billing.certificate.der)
    assert refusal(urlencoded, quote_plus(text)) == "does not begin with -----BEGIN CERTIFICATE-----"
    assert urlencoded(quote(text)) == (billing.certificate.der,)


def test_escaping_is_undone_once(billing: Issued) -> None:
    value = nginx(billing.certificate.der)
    assert refusal(urlencoded, quote(value, safe=""))
    assert urlencoded(value) == (billing.certificate.der,)


@pytest.mark.parametrize("escape", ["%", "%%", "%4", "%G1", "% 4", "%0x", "%-1", "%u0041"])
def test_percent_sign_begins_an_escape(escape: str, billing: Issued) -> None:
    """Also where what comes out would pass."""
    value = nginx(billing.certificate.der)
    assert refusal(urlencoded, value + escape)
    assert refusal(urlencoded, escape + value)
    assert urlencoded(value + "%0A") == (billing.certificate.der,)


@pytest.mark.parametrize("literal", [" ", "\n", "\r", "\r\n", "\t"])
def test_white_space_is_escaped(literal: str, billing: Issued) -> None:
    value = nginx(billing.certificate.der)
    for escaped in ("%20", "%0A"):
        assert refusal(urlencoded, value.replace(escaped, literal)) == "has white space that is not percent-encoded"
    assert refusal(urlencoded, value + literal) == "has white space that is not percent-encoded"
    assert urlencoded(value) == (billing.certificate.der,)


def test_folded_pem_is_refused(billing: Issued) -> None:
    """``$ssl_client_cert`` of nginx, whose lines are folded with tabs."""
    assert refusal(urlencoded, pem(billing.certificate.der).rstrip().replace("\n", "\n\t"))


def test_encodings_are_not_mixed(billing: Issued) -> None:
    leaf = billing.certificate.der
    assert refusal(spaced, nginx(leaf))
    assert refusal(urlencoded, apache(leaf))
    assert refusal(urlencoded, b64(leaf))
    assert refusal(spaced, b64(leaf))
    assert refusal(spaced, pem(leaf))


@BOTH
@pytest.mark.parametrize("label", ["TRUSTED CERTIFICATE", "X509 CERTIFICATE", "CMS", "certificate", "CERTIFICATE "])
def test_label_is_certificate(parse: Parser, write: Write, label: str, billing: Issued) -> None:
    text = pem(billing.certificate.der)
    assert refusal(parse, write(text.replace("CERTIFICATE", label)))
    assert refusal(parse, write(text.replace("END CERTIFICATE", f"END {label}")))
    assert parse(write(text)) == (billing.certificate.der,)


@BOTH
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "x" + text, "does not begin with"),
        (lambda text: "subject=CN=billing\n" + text, "does not begin with"),
        (lambda text: "\t" + text, "does not begin with"),
        (lambda text: text + "\t", "text behind"),
        (lambda text: text + "x", "text behind"),
        (lambda text: text + "x\n" + text, "text behind"),
        (lambda text: text.replace("-----END CERTIFICATE-----", ""), "has no -----END"),
        (lambda text: text.replace("-----END CERTIFICATE-----\n", "") + text, "has no -----END"),
        (lambda text: text.replace("-----\nMII", "-----MII"), "base64 on the line of"),
        (lambda text: text.replace("\n-----END", "-----END"), "base64 on the line of"),
        (lambda text: text.replace("-----\nMII", "-----\nProc-Type: 4,ENCRYPTED\n\nMII"), "is not base64"),
        (lambda text: text.replace("MII", "MII\t"), "is not base64"),
        (lambda text: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "does not hold whole"),
        (lambda text: "-----END CERTIFICATE-----\n" + text, "does not begin with"),
    ],
)
def test_only_blocks_of_certificates_are_read(
    parse: Parser, write: Write, change: Callable[[str], str], message: str, billing: Issued
) -> None:
    text = pem(billing.certificate.der)
    assert message in refusal(parse, write(change(text)))
    assert parse(write(text)) == (billing.certificate.der,)


@BOTH
def test_empty_lines_between_certificates_are_passed_over(parse: Parser, write: Write, stock: Issued) -> None:
    first, second = stock.certificate.der, stock.chain[0].der
    assert parse(write(f"\n{pem(first)}\n\n{pem(second)}\n")) == (first, second)


@settings(deadline=None, max_examples=300)
@given(text=st.text("AZaz09+/=%-", max_size=20) | st.text(max_size=10).map(quote) | st.text(max_size=10))
def test_unquoting_is_that_of_the_standard_library(text: str) -> None:
    """With errors where that one keeps what is not an escape."""
    try:
        found = unquoted(text)
    except MalformedHeader:
        assert re.search(r"%(?![0-9A-Fa-f]{2})|[ \t\r\n]|[^\x00-\x7f]", text + unquote(text))
    else:
        assert found == unquote(text)
