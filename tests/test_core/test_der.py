"""The DER reader takes the one encoding that X.690 allows, and nothing behind it."""

from __future__ import annotations

import pytest

from mtls_core import der


def test_children_fill_their_container() -> None:
    outer = der.read_all(bytes.fromhex("3006020101020102"))
    assert outer.tag == der.SEQUENCE
    assert [child.value for child in outer.children()] == [b"\x01", b"\x02"]
    assert [child.raw for child in outer.children()] == [b"\x02\x01\x01", b"\x02\x01\x02"]


def test_a_long_length_is_read() -> None:
    assert der.read_all(b"\x04\x81\x80" + bytes(128)).value == bytes(128)
    assert der.read_all(b"\x04\x82\x01\x00" + bytes(256)).value == bytes(256)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "30",
        "3080",  # indefinite length
        "308000000000",
        "3081",
        "30817f" + "00" * 127,  # could be written in one byte
        "308200ff" + "00" * 255,  # could be written in two
        "3085000000000100",
        "30050201",
        "1f0101",  # multi-byte tag
        "02010100",  # a byte behind it
    ],
)
def test_anything_else_is_refused(data: str) -> None:
    with pytest.raises(der.DerError):
        der.read_all(bytes.fromhex(data))


def test_a_child_that_ends_behind_its_container_is_refused() -> None:
    with pytest.raises(der.DerError, match="behind its container"):
        list(der.read(bytes.fromhex("3003020201ff")).children())
