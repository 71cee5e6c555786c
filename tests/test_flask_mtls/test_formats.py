"""What a proxy's format may be said to be."""

from __future__ import annotations

from typing import Any

import pytest

from flask_mtls.sources.formats import ENCODINGS, LARGEST, PRESETS, Format, UnknownFormat, read_format

OWN = {"header": "X-Caller", "encoding": "der-base64"}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_by_their_name(name: str) -> None:
    assert read_format(name).name == name


@pytest.mark.parametrize("form", PRESETS.values(), ids=PRESETS)
def test_presets_are_as_sound_as_descriptions(form: Format) -> None:
    described = read_format({"format": form.name})
    assert described == form


def test_a_preset_with_headers_of_other_names() -> None:
    form = read_format({"format": "nginx", "header": "ssl-client-cert", "verify_header": "ssl-client-verify"})
    assert form.headers == ("ssl-client-cert", "ssl-client-verify")
    assert form.encoding == "pem-urlencoded"
    assert form.name == "nginx"


def test_a_preset_without_one_of_its_headers() -> None:
    assert read_format({"format": "nginx", "verify_header": None}).headers == ("X-SSL-Client-Cert",)


def test_a_header_of_ones_own() -> None:
    form = read_format(OWN | {"chain_header": "X-Caller-Chain", "verify_success": "yes"})
    assert form.headers == ("X-Caller", "X-Caller-Chain")
    assert form.verify_success == {"yes"}
    assert form.name == "header"


def test_numbered_chain_headers() -> None:
    form = read_format(OWN | {"chain_header": "X-Caller-Chain-*"})
    assert form.chain_headers == tuple(f"X-Caller-Chain-{number}" for number in range(10))


def test_a_verdict_that_is_named_must_come() -> None:
    assert read_format(OWN | {"verify_header": "X-Caller-Verified"}).verify_required
    assert not read_format(OWN | {"verify_header": "X-Caller-Verified", "verify_required": False}).verify_required
    assert not read_format(OWN).verify_required


def test_envoy_may_say_more_the_more_proxies_there_are() -> None:
    assert read_format("envoy").largest(2) == 2 * LARGEST
    assert read_format("rfc9440").largest(1) == LARGEST


@pytest.mark.parametrize(
    ("described", "advice"),
    [
        ("", "'rfc9440'"),
        ("Nginx", "'nginx'"),
        ({}, "lacks 'header' and 'encoding'"),
        ({"header": "X-Caller"}, "lacks 'encoding'"),
        ({"format": "ngnix"}, "'nginx'"),
        ({"format": None}, "'nginx'"),
        (OWN | {"headers": "X-Caller"}, "'headers'; what it may have is"),
        (OWN | {1: "X-Caller"}, "what it may have is"),
        (OWN | {"header": ""}, "no header's name"),
        (OWN | {"header": None}, "no header's name"),
        (OWN | {"header": "X Caller"}, "no header's name"),
        (OWN | {"header": "X-Caller\n"}, "no header's name"),
        (OWN | {"header": "X_Caller"}, "an underscore"),
        (OWN | {"header": "X-Caller:"}, "no header's name"),
        (OWN | {"chain_header": "*"}, "no header's name"),
        (OWN | {"encoding": "pem"}, "'pem-spaced'"),
        (OWN | {"encoding": ["der-base64"]}, "'pem-spaced'"),
        (OWN | {"chain_header": "X-Chain", "chain_encoding": "xfcc"}, "carries its chain itself"),
        (OWN | {"verify_header": "X-Verify", "verify_success": []}, "a list of words"),
        (OWN | {"verify_header": "X-Verify", "verify_success": [0]}, "a list of words"),
        (OWN | {"verify_header": "X-Verify", "verify_success": [""]}, "a list of words"),
        (OWN | {"header": "Content-Type"}, "a meaning of its own"),
        (OWN | {"verify_header": "cookie"}, "a meaning of its own"),
        (OWN | {"with_chain": 1}, "True or False"),
        (OWN | {"with_chain": True}, "holds one certificate"),
        (OWN | {"chain_header": "x-caller"}, "for two things"),
    ],
)
def test_what_is_no_format(described: Any, advice: str) -> None:
    with pytest.raises(UnknownFormat, match=advice):
        read_format(described)


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_can_be_had_by_name(name: str) -> None:
    assert read_format({"header": "X-Caller", "encoding": name}).encoding == name
