"""PEM made fit for a header: percent-encoded (nginx, AWS, within Envoy's header), or with spaces (Apache)."""

from __future__ import annotations

import binascii

from . import MalformedHeader, encoded

# Other labels stand for other things: "TRUSTED CERTIFICATE" has settings of OpenSSL behind the certificate.
_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"


def urlencoded(value: str) -> tuple[bytes, ...]:
    """Certificates in percent-encoded PEM (RFC 3986, section 2.1), one or several.

    A plus is a plus and no space: AWS leaves ``+``, ``/`` and ``=`` as they are.

    :raises MalformedHeader: If it is not that. White space must be escaped; line breaks are LF or CRLF.
    """
    text = unquoted(value)
    return _certificates(text.replace("\r\n", "\n") if "\r" in text else text, "\n")


def spaced(value: str) -> tuple[bytes, ...]:
    """Certificates in PEM with a space in the place of each line break, as Apache's mod_headers writes them.

    :raises MalformedHeader: If it is not that.
    """
    return _certificates(value, " ")


def unquoted(value: str) -> str:
    """What :func:`urllib.parse.unquote` returns for text in ASCII, in a tenth of its time, and errors for bad escapes.

    Quoted-printable (RFC 2045, section 6.7) has the same escapes behind another sign, and a decoder in C.
    """
    # Without white space, quoted-printable has no soft line breaks.
    if any(character in value for character in " \t\r\n"):
        raise MalformedHeader("has white space that is not percent-encoded")
    if "=" in value:
        value = value.replace("=", "%3D")
    try:
        text = binascii.a2b_qp(value.replace("%", "=")).decode("ascii")
    except ValueError as error:
        raise MalformedHeader("is not ASCII") from error
    # An escape is three characters that become one. The decoder lets pass what is none.
    if len(value) - len(text) != 2 * value.count("%"):
        raise MalformedHeader("has a percent sign without two hexadecimal digits behind it")
    return text


def _certificates(text: str, line_break: str) -> tuple[bytes, ...]:
    before, *blocks = text.split(_BEGIN)
    if before.strip(line_break) or not blocks:
        raise MalformedHeader(f"does not begin with {_BEGIN}")
    encoded.refuse_too_many(len(blocks))
    return tuple(_certificate(block, line_break) for block in blocks)


def _certificate(block: str, line_break: str) -> bytes:
    """The certificate of what stands behind a BEGIN, up to the next one (RFC 7468, section 3)."""
    body, end, after = block.partition(_END)
    if not end:
        raise MalformedHeader(f"has no {_END}")
    if after.strip(line_break):
        raise MalformedHeader(f"has text behind {_END}")
    if not body.startswith(line_break) or not body.endswith(line_break):
        raise MalformedHeader("has base64 on the line of a BEGIN or END")
    return encoded.certificate(body.replace(line_break, ""))
