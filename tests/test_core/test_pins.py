"""Pins in every usual spelling, and the sentence for those that are not pins."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA
from mtls_core.errors import PinError
from mtls_core.pins import Pin, PinSet

from ..programs import require_program
from ..run import run

DIGEST = hashlib.sha256(b"x").digest()
BASE64 = base64.b64encode(DIGEST).decode()
HEX = DIGEST.hex()
COLONS = ":".join(HEX[i : i + 2] for i in range(0, 64, 2)).upper()


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return DevelopmentCA.create().client("billing").certificate


@pytest.mark.parametrize(
    "text",
    [f"sha256/{BASE64}", f"sha256//{BASE64}", f'pin-sha256="{BASE64}"', f"SHA256/{BASE64}", f" sha256/{BASE64}\n"],
)
def test_a_public_key_pin_is_read_in_every_usual_spelling(text: str) -> None:
    assert Pin.parse(text) == Pin("public_key", DIGEST)


@pytest.mark.parametrize(
    "text",
    [
        HEX,
        HEX.upper(),
        COLONS,
        COLONS.replace(":", " "),
        f"SHA256 Fingerprint={COLONS}",
        f"sha256 fingerprint={COLONS}",
    ],
)
def test_a_thumbprint_is_read_in_every_usual_spelling(text: str) -> None:
    assert Pin.parse(text) == Pin("certificate", DIGEST)


@given(st.binary(min_size=32, max_size=32), st.sampled_from(["certificate", "public_key"]))
def test_what_a_pin_prints_reads_back_as_the_same_pin(digest: bytes, kind: str) -> None:
    pin = Pin(kind, digest)  # type: ignore[arg-type]
    assert Pin.parse(str(pin)) == pin


@pytest.mark.parametrize("text", ["0123456789abcdef0123456789abcdef01234567", ":".join(["AB"] * 20)])
def test_a_sha1_thumbprint_is_refused_with_the_way_to_the_sha256(text: str) -> None:
    with pytest.raises(PinError, match=r"SHA-1.*openssl x509 -noout -fingerprint -sha256"):
        Pin.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256/",
        "sha256/AAAA",
        f"sha256/{BASE64[:-1]}",
        f"sha256/{BASE64}=",
        f"sha1/{BASE64}",
        HEX[:-2],
        HEX + "00",
        "x" * 64,
        BASE64,
    ],
)
def test_what_is_not_a_pin_is_refused(text: str) -> None:
    with pytest.raises(PinError, match="is not a pin"):
        Pin.parse(text)


def test_a_pin_that_is_not_text_is_refused() -> None:
    with pytest.raises(PinError, match="not bytes"):
        Pin.parse(b"x")  # type: ignore[arg-type]


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(PinError, match="at least one pin"):
        PinSet()


def test_pins_of_a_certificate_match_it_and_no_other(certificate: Certificate) -> None:
    other = DevelopmentCA.create().client("billing").certificate
    for pin in (Pin.for_certificate(certificate), Pin.for_public_key(certificate)):
        assert pin.matches(certificate)
        assert not pin.matches(other)
        assert PinSet(str(pin)).matches(certificate)
        assert not PinSet(pin).matches(other)


def test_a_set_says_which_pin_matched(certificate: Certificate) -> None:
    pins = PinSet(HEX, Pin.for_public_key(certificate))
    assert pins.match([certificate]) == Pin.for_public_key(certificate)
    assert pins.match([]) is None
    assert len(pins) == 2
    assert Pin.parse(HEX) in pins


def test_openssl_prints_the_same_pin(certificate: Certificate, tmp_path: Path) -> None:
    openssl = require_program("openssl")
    file = tmp_path / "cert.pem"
    file.write_text(certificate.pem)
    key = run(openssl, "x509", "-in", str(file), "-noout", "-pubkey")
    der = run(openssl, "pkey", "-pubin", "-outform", "DER", stdin=key.encode(), text=False)
    assert Pin.parse("sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()).matches(certificate)
    printed = run(openssl, "x509", "-in", str(file), "-noout", "-fingerprint", "-sha256")
    assert Pin.parse(printed).matches(certificate)
