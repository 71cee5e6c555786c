"""``Client-Cert`` and ``Client-Cert-Chain`` (RFC 9440).

Both are structured fields (RFC 9651): an Item and a List whose members are Byte Sequences, base64 between colons.
RFC 9440 defines no parameters, hence none are taken.
"""

from __future__ import annotations

from . import MalformedHeader, encoded

#: Around the commas of a List (RFC 9651, section 4.2.1).
_OPTIONAL_WHITESPACE = " \t"


def certificate(value: str) -> tuple[bytes, ...]:
    """The certificate of ``Client-Cert`` (section 2.2).

    :raises MalformedHeader: If it is not one Byte Sequence with one certificate.
    """
    return (_member(value.strip(" ")),)


def certificates(value: str) -> tuple[bytes, ...]:
    """The certificates of ``Client-Cert-Chain`` (section 2.3), which has them without the leaf.

    :raises MalformedHeader: If it is not a List of Byte Sequences, or an empty one.
    """
    text = value.strip(" ")
    # White space is optional around commas only. What begins and ends in a colon has none elsewhere.
    _refuse_unless_delimited(text)
    members = text.split(",")
    encoded.refuse_too_many(len(members))
    return tuple(_member(member.strip(_OPTIONAL_WHITESPACE)) for member in members)


def _member(text: str) -> bytes:
    _refuse_unless_delimited(text)
    return encoded.certificate(text[1:-1])


def _refuse_unless_delimited(text: str) -> None:
    if not text.startswith(":") or not text.endswith(":"):
        raise MalformedHeader("is not base64 between colons, as RFC 9440 has it")
