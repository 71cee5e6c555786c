"""What the encodings of forwarded certificates have in common: strict base64, and whole certificates within."""

from __future__ import annotations

import binascii

from mtls_core import der

from . import MOST_CERTIFICATES, MalformedHeader


def from_base64(text: str) -> bytes:
    """What one base64 text stands for (RFC 4648, section 4).

    :raises MalformedHeader: If it is not the one way to write these bytes: no padding, bits set in what padding
        leaves over (section 3.5), line breaks, the URL-safe alphabet.
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # also if it is not ASCII
        raise MalformedHeader("is not base64") from error
    # strict_mode looks neither for padding behind whole groups nor at the bits that the last group leaves over. To
    # encode all of it again would find both, at a quarter more time.
    rest = len(data) % 3
    is_whole = len(text) == (len(data) + 2) // 3 * 4
    if not is_whole or (rest and binascii.b2a_base64(data[-rest:], newline=False).decode("ascii") != text[-4:]):
        raise MalformedHeader("is not base64 as an encoder writes it")
    return data


def certificate(text: str) -> bytes:
    """The DER of one certificate in base64.

    :raises MalformedHeader: If it is something else, or more than one.
    """
    data = from_base64(text)
    if next_certificate(data, 0) != data:
        raise MalformedHeader("has bytes behind a certificate")
    return data


def next_certificate(data: bytes, offset: int) -> bytes:
    """The certificate that begins at ``offset``.

    Only its outermost element is looked at, so that cut or foreign bytes end here; the rest is read by
    :class:`~mtls_core.certificate.Certificate`.

    :raises MalformedHeader: If no whole SEQUENCE begins there.
    """
    try:
        element = der.read(data, offset)
    except der.DerError as error:
        raise MalformedHeader("does not hold whole certificates") from error
    if element.tag != der.SEQUENCE:
        raise MalformedHeader("holds something that is not a certificate")
    return element.raw


def refuse_too_many(count: int) -> None:
    """Stop before decoding what no client needs.

    :raises MalformedHeader: If there are more than :data:`~flask_mtls.sources.MOST_CERTIFICATES`.
    """
    if count > MOST_CERTIFICATES:
        raise MalformedHeader(f"holds more than {MOST_CERTIFICATES} certificates")
