"""Names that certificates carry, compared exactly.

Pure functions over text. DNS names and trust domains are compared without regard to case (RFC 4343),
everything else byte for byte; nothing here is a regular expression over a distinguished name.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from .errors import InvalidName

_DOMAIN = frozenset(string.ascii_lowercase + string.digits + "-._")
_SEGMENT = frozenset(string.ascii_letters + string.digits + "-._")
_LABEL = frozenset(string.ascii_lowercase + string.digits + "-_")
_SCHEME = "spiffe://"


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """A SPIFFE ID (SPIFFE-ID, section 2).

    >>> parse_spiffe_id("spiffe://example.org/billing")
    SpiffeId(trust_domain='example.org', path='/billing')
    """

    trust_domain: str
    #: With its leading slash; empty for the trust domain itself.
    path: str

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}{self.path}"


def parse_spiffe_id(text: str) -> SpiffeId:
    """Parse a SPIFFE ID, strictly.

    :param text: Such as ``spiffe://example.org/billing``; 2048 bytes at most.
    :raises InvalidName: If it is not one: wrong scheme, upper-case trust domain, port, query,
        percent-encoding, empty or dotted segments, trailing slash.
    """
    if not text.startswith(_SCHEME):
        raise InvalidName(f"{text!r} is not a SPIFFE ID: it does not start with {_SCHEME!r}")
    if len(text.encode(errors="surrogatepass")) > 2048:
        raise InvalidName("a SPIFFE ID has 2048 bytes at most")
    trust_domain, slash, rest = text.removeprefix(_SCHEME).partition("/")
    if not trust_domain or len(trust_domain) > 255 or not _DOMAIN.issuperset(trust_domain):
        raise InvalidName(f"{text!r} is not a SPIFFE ID: its trust domain must be 1 to 255 of a-z, 0-9, '-', '.', '_'")
    if slash:
        for segment in rest.split("/"):
            if segment in {"", ".", ".."} or not _SEGMENT.issuperset(segment):
                raise InvalidName(f"{text!r} is not a SPIFFE ID: {segment!r} cannot be a path segment")
    return SpiffeId(trust_domain, slash + rest)


def match_spiffe(pattern: str, spiffe_id: str | None) -> bool:
    """Whether a SPIFFE ID is the one of a pattern.

    :param pattern: A SPIFFE ID, or one whose last segment is ``*``: any ID below it, by whole segments, the
        ID itself not.
    :raises InvalidName: If the pattern is neither.
    """
    exact = pattern.removesuffix("/*")
    parse_spiffe_id(exact)
    if spiffe_id is None:
        return False
    if exact == pattern:
        return spiffe_id == pattern
    return spiffe_id.startswith(exact + "/")


def normalize_dns(name: str) -> str:
    """A DNS name in the form in which names are compared: lower case, A-labels.

    :raises InvalidName: If it is not a host name (RFC 1123, underscores allowed).
    """
    lowered = name.lower()
    labels = lowered.split(".")
    if len(lowered) > 253 or not all(_is_label(label) for label in labels):
        raise InvalidName(
            f"{name!r} is not a DNS name: labels of 1 to 63 letters, digits, '-' or '_', joined by single dots"
            " (a name with other letters is written in its xn-- form)"
        )
    return lowered


def match_dns(pattern: str, name: str) -> bool:
    """Whether a DNS name is the one of a pattern.

    :param pattern: A DNS name, or one with a leading ``*.``, which stands for exactly one label.
    :param name: A name from a certificate. One that is not a host name, or is itself a wildcard, matches nothing.
    :raises InvalidName: If the pattern is not a DNS name.
    """
    wildcard = pattern.startswith("*.")
    wanted = normalize_dns(pattern.removeprefix("*."))
    try:
        found = normalize_dns(name)
    except InvalidName:
        return False
    if not wildcard:
        return found == wanted
    first, dot, rest = found.partition(".")
    return bool(first and dot) and rest == wanted


def _is_label(label: str) -> bool:
    return 0 < len(label) <= 63 and _LABEL.issuperset(label) and not label.startswith("-") and not label.endswith("-")
