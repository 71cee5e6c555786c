"""Base64 of DER: HAProxy, Caddy, Azure, IIS, and Traefik's list."""

from __future__ import annotations

import base64
import binascii
import itertools
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_mtls.sources import MalformedHeader, der_header, traefik
from flask_mtls.sources.encoded import from_base64
from mtls_core import ber, der
from mtls_core.devca import DevelopmentCA, Issued

from .forwarded_values import Parser, b64, haproxy_chain, refusal, traefik_list

QUOTABLE = pytest.mark.parametrize("parse", [der_header.base64, der_header.concatenated])


@QUOTABLE
def test_one_pair_of_quotes_is_taken_off(parse: Parser, billing: Issued) -> None:
    """HAProxy's ``%{+Q}[ssl_c_der,base64]``."""
    leaf = billing.certificate.der
    assert parse(f'"{b64(leaf)}"') == (leaf,)


@QUOTABLE
@pytest.mark.parametrize("quoted", ['"{}', '{}"', '""{}""', "'{}'", 'x{}"', '"{}x', '"{}" ', '"', '""', '"" {}'])
def test_other_quotes_are_refused(parse: Parser, quoted: str, billing: Issued) -> None:
    assert refusal(parse, quoted.format(b64(billing.certificate.der)))


@pytest.mark.parametrize("parse", [der_header.base64, der_header.concatenated, traefik.certificates])
@pytest.mark.parametrize("gap", [" ", "\n", "\r\n", "\n\t", "=", ""])
def test_nothing_stands_within_base64(parse: Parser, gap: str, billing: Issued) -> None:
    value = b64(billing.certificate.der)
    broken = f"{value[:64]}{gap}{value[64:]}"
    if gap:
        assert refusal(parse, broken) == "is not base64"
    else:
        assert parse(broken) == (billing.certificate.der,)


def test_leaf_header_holds_one_certificate(stock: Issued) -> None:
    """A second one behind it must not be passed over."""
    both = haproxy_chain(stock.certificate.der, stock.chain[0].der)
    assert refusal(der_header.base64, both) == "has bytes behind a certificate"
    assert der_header.concatenated(both) == (stock.certificate.der, stock.chain[0].der)


def test_chain_of_haproxy_is_one_text() -> None:
    """Padding in the middle means that somebody put two together."""
    first, second = ber.encode(der.SEQUENCE, bytes(41)), ber.encode(der.SEQUENCE, bytes(43))
    assert refusal(der_header.concatenated, b64(first) + b64(second)) == "is not base64"
    assert refusal(der_header.concatenated, f"{b64(first)},{b64(second)}") == "is not base64"
    assert der_header.concatenated(haproxy_chain(first, second)) == (first, second)


def test_bytes_between_certificates_are_refused(stock: Issued, ca: DevelopmentCA) -> None:
    first, second = stock.chain[0].der, ca.certificate.der
    assert refusal(der_header.concatenated, b64(first + b"\x00" + second))
    assert der_header.concatenated(b64(first + second)) == (first, second)


def test_last_certificate_of_a_chain_is_whole(stock: Issued, ca: DevelopmentCA) -> None:
    first, second = stock.chain[0].der, ca.certificate.der
    assert refusal(der_header.concatenated, b64(first + second[:-1])) == "does not hold whole certificates"
    assert der_header.concatenated(b64(first + second)) == (first, second)


@pytest.mark.parametrize("change", [",{}", "{},", "{},,{}", "{}, {}", "{} ,{}", "{};{}", '"{}"'])
def test_list_of_traefik_has_single_commas_only(change: str, billing: Issued) -> None:
    value = b64(billing.certificate.der)
    assert refusal(traefik.certificates, change.format(value, value))
    assert traefik.certificates(f"{value},{value}") == (billing.certificate.der,) * 2


def test_old_traefik_is_named(stock: Issued) -> None:
    """It escaped the whole value, commas as well."""
    value = traefik_list(stock.certificate.der, stock.chain[0].der)
    assert "update Traefik" in refusal(traefik.certificates, quote(value, safe=""))
    assert traefik.certificates(value) == (stock.certificate.der, stock.chain[0].der)


@pytest.mark.parametrize("length", range(9))
def test_base64_is_accepted_in_the_one_form_that_an_encoder_writes(length: int) -> None:
    """Every text of two groups at most. Python's own strict mode lets ``AAAA=`` and ``AB==`` pass."""
    for characters in itertools.product("AB=", repeat=length):
        _check_canonical("".join(characters))


@settings(deadline=None, max_examples=300)
@given(text=st.text("AQgw+/=-_ \n", max_size=12) | st.binary(max_size=40).map(b64) | st.text(max_size=8))
def test_longer_base64_as_well(text: str) -> None:
    _check_canonical(text)


def _check_canonical(text: str) -> None:
    try:
        data = from_base64(text)
    except MalformedHeader:
        assert not _is_canonical(text)
    else:
        assert base64.b64encode(data).decode("ascii") == text


def _is_canonical(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text)).decode("ascii") == text
    except (binascii.Error, ValueError):
        return False
