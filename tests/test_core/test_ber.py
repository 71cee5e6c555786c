"""BER becomes DER, DER stays as it is, anything else is refused."""

from __future__ import annotations

import pytest

from mtls_core.ber import encode, to_der
from mtls_core.der import OCTET_STRING, SEQUENCE, DerError, read_all


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_encoded_elements_are_der(size: int) -> None:
    assert read_all(encode(OCTET_STRING, bytes(size))).value == bytes(size)


def test_parts_are_joined() -> None:
    assert encode(OCTET_STRING, b"a", b"bc") == b"\x04\x03abc"


@pytest.mark.parametrize(
    ("ber", "expected"),
    [
        ("3003020105", "3003020105"),
        ("30800201050000", "3003020105"),
        ("308030800000020105" + "0000", "30053000020105"),
        ("3081030201" + "05", "3003020105"),
        ("24800401410401420000", "04024142"),
        ("2406040141040142", "04024142"),
        ("2480248004014100000401420000", "04024142"),
        ("a080020105" + "0000", "a003020105"),
        ("0500ffff", "0500"),
    ],
    ids=[
        "der",
        "indefinite",
        "nested",
        "long length",
        "pieces",
        "definite pieces",
        "pieces of pieces",
        "explicit tag",
        "bytes behind",
    ],
)
def test_becomes_der(ber: str, expected: str) -> None:
    assert to_der(bytes.fromhex(ber)).hex() == expected


@pytest.mark.parametrize(
    ("ber", "sentence"),
    [
        ("", "bytes end"),
        ("30", "bytes end"),
        ("3080020105", "indefinite length"),
        ("308002", "bytes end"),
        ("0480414200", "no length"),
        ("3004020105", "behind its container"),
        ("3f8101020000", "multi-byte tag"),
        ("30ff" + "ff" * 20, "behind its container"),
    ],
)
def test_is_refused(ber: str, sentence: str) -> None:
    with pytest.raises(DerError, match=sentence):
        to_der(bytes.fromhex(ber))


def test_endless_nesting_is_refused() -> None:
    with pytest.raises(DerError, match="nested more than"):
        to_der(b"\x30\x80" * 10_000)
    assert to_der(b"\x30\x80" * 30 + b"\x00\x00" * 30)[0] == SEQUENCE
