"""BER turned into DER, and DER written: the part of X.690 that PKCS#12 files need.

PFX files may be BER (RFC 7292, section 4): some programs write indefinite lengths and strings in pieces. The strict
reader in :mod:`mtls_core.der` is kept strict; what is not DER becomes it here first.
"""

from __future__ import annotations

from . import der

_CONSTRUCTED = 0x20
_INDEFINITE = 0x80
_MAX_DEPTH = 32


def encode(tag: int, *parts: bytes) -> bytes:
    """One element of DER.

    :param tag: The identifier octet.
    :param parts: The value, in pieces that are joined.
    """
    value = b"".join(parts)
    if len(value) < 0x80:
        return bytes((tag, len(value))) + value
    length = len(value).to_bytes((len(value).bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + value


def to_der(data: bytes) -> bytes:
    """The first element of ``data`` with definite, shortest lengths and octet strings in one piece.

    What follows that element is dropped.

    :raises DerError: If it is not BER, or nested more than 32 deep.
    """
    converted, _end = _convert(data, 0, len(data), _MAX_DEPTH)
    return converted


def _convert(data: bytes, offset: int, limit: int, depth: int) -> tuple[bytes, int]:
    if depth == 0:
        raise der.DerError(f"elements are nested more than {_MAX_DEPTH} deep")
    tag, start, end = _header(data, offset, limit)
    if not tag & _CONSTRUCTED:
        if end is None:
            raise der.DerError(f"a primitive element at offset {offset} has no length")
        return encode(tag, data[start:end]), end
    children, end = _children(data, start, limit if end is None else end, depth, indefinite=end is None)
    if tag == der.OCTET_STRING | _CONSTRUCTED:
        return encode(der.OCTET_STRING, *(der.read_all(child).value for child in children)), end
    return encode(tag, *children), end


def _children(data: bytes, offset: int, limit: int, depth: int, *, indefinite: bool) -> tuple[list[bytes], int]:
    children: list[bytes] = []
    while offset < limit:
        if indefinite and data[offset : offset + 2] == b"\x00\x00":
            return children, offset + 2
        child, offset = _convert(data, offset, limit, depth - 1)
        children.append(child)
    if indefinite:
        raise der.DerError("bytes end within an element of indefinite length")
    return children, offset


def _header(data: bytes, offset: int, limit: int) -> tuple[int, int, int | None]:
    """Tag, where the value starts, where it ends; ``None`` for an indefinite length."""
    if limit - offset < 2:
        raise der.DerError(f"bytes end where an element should start (offset {offset})")
    tag, length = data[offset], data[offset + 1]
    if tag & 0x1F == 0x1F:
        raise der.DerError(f"multi-byte tag at offset {offset}")
    start = offset + 2
    if length == _INDEFINITE:
        return tag, start, None
    if length > _INDEFINITE:
        count = length & 0x7F
        length = int.from_bytes(data[start : start + count])
        start += count
    if start + length > limit:
        raise der.DerError(f"element at offset {offset} ends {start + length - limit} bytes behind its container")
    return tag, start, start + length
