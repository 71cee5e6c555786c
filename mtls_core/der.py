"""A strict reader of DER (ITU-T X.690), for the few raw slices that parsed views do not show.

cryptography parses certificates; what it does not hand out are the bytes themselves of, say, the SubjectPublicKeyInfo,
and re-encoding a parsed key hides explicit curve parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
SET = 0x31


class DerError(ValueError):
    """Raised if bytes are not DER. Callers turn it into an error of their own."""


@dataclass(frozen=True, slots=True)
class Element:
    """One tag-length-value within :attr:`data`, which is shared, not copied."""

    data: bytes
    tag: int
    #: Offset of the tag.
    start: int
    #: Offset of the first byte of the value.
    value_start: int
    #: Offset behind the value.
    end: int

    @property
    def raw(self) -> bytes:
        """Tag, length and value."""
        return self.data[self.start : self.end]

    @property
    def value(self) -> bytes:
        """The value alone."""
        return self.data[self.value_start : self.end]

    def children(self) -> Iterator[Element]:
        """The elements within a constructed value.

        :raises DerError: If they do not fill it exactly.
        """
        offset = self.value_start
        while offset < self.end:
            child = read(self.data, offset, self.end)
            yield child
            offset = child.end


def read(data: bytes, offset: int = 0, limit: int | None = None) -> Element:
    """The element that starts at ``offset`` and must end at or before ``limit``.

    :raises DerError: If there is none: bytes run out, a length is indefinite or not the shortest, a tag has
        several bytes.
    """
    limit = len(data) if limit is None else limit
    if limit - offset < 2:
        raise DerError(f"bytes end where an element should start (offset {offset})")
    tag, first = data[offset], data[offset + 1]
    if tag & 0x1F == 0x1F:
        raise DerError(f"multi-byte tag at offset {offset}")
    value_start = offset + 2
    length = first
    if first & 0x80:
        count = first & 0x7F
        if not 1 <= count <= 4 or value_start + count > limit:
            raise DerError(f"length of {count} bytes at offset {offset + 1}")
        length = int.from_bytes(data[value_start : value_start + count])
        if length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise DerError(f"length at offset {offset + 1} is not in its shortest form")
        value_start += count
    end = value_start + length
    if end > limit:
        raise DerError(f"element at offset {offset} ends {end - limit} bytes behind its container")
    return Element(data, tag, offset, value_start, end)


def read_all(data: bytes) -> Element:
    """The one element that ``data`` consists of.

    :raises DerError: Also if bytes follow it.
    """
    element = read(data)
    if element.end != len(data):
        raise DerError(f"{len(data) - element.end} bytes follow the element")
    return element
