"""``X-Forwarded-Client-Cert``, as Envoy writes it.

The header is a list of elements, one for each hop, the original client's first; an element is a list of pairs::

    Hash=<SHA-256>;Cert="<percent-encoded PEM>";Chain="<the same>";Subject="…";URI=…;DNS=…,Hash=…

Only ``Hash`` and ``Cert`` say who it is. Every name comes from the certificate: Envoy writes ``URI`` and ``DNS`` as
they stand in it, neither quoted nor escaped, so that a name with a comma begins what looks like another element.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass

from mtls_core.errors import MalformedCertificate

from . import MOST_CERTIFICATES, MalformedHeader, encoded, parsed, pem_header

_KEY = re.compile(r"[A-Za-z]++=")
#: What stands in quotes, where a backslash takes its meaning from the character behind it. It is left as it is: the
#: values that are read have none.
_QUOTED = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+(?=")', re.DOTALL)
_BARE = re.compile(r'[^",;\\\x00-\x20\x7f-\U0010ffff]*+')
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
#: Of all elements together. Each has nine at most, but for names: a certificate of a service has few.
_MOST_PAIRS = 500
_SHA256_OF_NOTHING = hashlib.sha256().hexdigest()
#: By, URI and DNS may stand there several times, and names of keys that are not known here are no concern.
_ONCE = frozenset({"hash", "cert", "chain", "subject"})
#: What ends a value, or could, and what is not printable.
_FORGES = re.compile(r'[^\x21-\x7e]|[,;"\\]')


@dataclass(frozen=True, slots=True)
class Element:
    """What a hop said about its client."""

    #: DER.
    leaf: bytes
    #: DER of what the client sent along.
    chain: tuple[bytes, ...]


def client(value: str, hops: int) -> Element | None:
    """What the first of the trusted proxies said about its client.

    Elements are counted from the right, since those on the left may have come with the request. They are not
    believed; but what is wrong with one of them means that the others may not be what they seem.

    :param hops: How many proxies are trusted, each of which adds an element.
    :returns: ``None`` if there are fewer elements: the first trusted proxy saw no certificate.
    :raises MalformedHeader: If any element is not what Envoy writes, or could be the work of a client.
    """
    elements = _elements(value)
    # What a client's names can forge begins behind one of them.
    copied = any("uri" in element or "dns" in element for element in elements)
    leaves = [_leaf(element, names_are_copied=copied) for element in elements]
    if len(elements) < hops:
        return None
    return Element(leaves[-hops], _chain(elements[-hops], leaves[-hops]))


def _elements(value: str) -> list[dict[str, str]]:
    """The pairs of each element, keys in lower case; of a key that is repeated, the last."""
    elements: list[dict[str, str]] = [{}]
    position = pairs = 0
    while True:
        position = _read_pair(value, position, elements[-1])
        if position == len(value):
            return elements
        pairs += 1
        if pairs == _MOST_PAIRS:
            raise MalformedHeader(f"has more than {_MOST_PAIRS} pairs")
        if value[position] == ",":
            if len(elements) == MOST_CERTIFICATES:
                raise MalformedHeader(f"has more than {MOST_CERTIFICATES} elements")
            elements.append({})
        position += 1


def _read_pair(value: str, start: int, element: dict[str, str]) -> int:
    """Read the pair at ``start`` into ``element``.

    :returns: Where its separator stands, or the end of the value.
    """
    key = _KEY.match(value, start)
    if key is None:
        raise MalformedHeader("has no key=value pair where there should be one")
    name = key[0][:-1].lower()
    if name in _ONCE and name in element:
        raise MalformedHeader(f"has an element with more than one {name.capitalize()}")
    element[name], end = _read_value(value, key.end())
    return end


def _read_value(value: str, start: int) -> tuple[str, int]:
    """What stands behind a key, without its quotes, and where it ends."""
    if not value.startswith('"', start):
        bare = _BARE.match(value, start)
        content = bare[0] if bare else ""
        end = start + len(content)
        complaint = "has a value that should be in quotes"
    else:
        content = _quoted(value, start + 1)
        end = start + len(content) + 2
        complaint = "has text behind a closing quote"
    if end < len(value) and value[end] not in ",;":
        raise MalformedHeader(complaint)
    return content, end


def _quoted(value: str, start: int) -> str:
    """What stands from ``start`` up to the closing quote."""
    end = value.find('"', start)
    if value.find("\\", start, end) < 0 <= end:
        return value[start:end]  # a certificate, and much faster than the pattern
    content = _QUOTED.match(value, start)
    if content is None:
        raise MalformedHeader("has an unclosed quote")
    return content[0]


def _leaf(element: dict[str, str], *, names_are_copied: bool) -> bytes:
    """The certificate of an element, which must be the one that its hash is of."""
    digest = element.get("hash", "")
    if not _SHA256.fullmatch(digest):
        raise MalformedHeader("has an element without a Hash that is SHA-256")
    if digest.lower() == _SHA256_OF_NOTHING:
        raise MalformedHeader("has an element with a Hash of nothing")
    if "cert" not in element:
        raise MalformedHeader(
            "has an element with a Hash but no Cert; set `cert: true` in Envoy's set_current_client_cert_details"
        )
    certificates = _certificates("Cert", element["cert"])
    if len(certificates) != 1:
        raise MalformedHeader("has a Cert with several certificates")
    if hashlib.sha256(certificates[0]).hexdigest() != digest.lower():
        raise MalformedHeader("has an element whose Hash is of another certificate than its Cert")
    if names_are_copied:
        refuse_forging_names(certificates[0])
    return certificates[0]


def _chain(element: dict[str, str], leaf: bytes) -> tuple[bytes, ...]:
    """What the client sent besides its own certificate."""
    # Envoy begins with that one, which need not be decoded twice.
    rest = element.get("chain", "").removeprefix(element["cert"])
    if not rest:
        return ()
    chain = _certificates("Chain", rest)
    encoded.refuse_too_many(1 + len(chain))
    return tuple(certificate for certificate in chain if certificate != leaf)


def _certificates(key: str, text: str) -> tuple[bytes, ...]:
    try:
        return pem_header.urlencoded(text)
    except MalformedHeader as error:
        raise MalformedHeader(f"has a {key} that {error}") from error


@functools.lru_cache(maxsize=256)
def refuse_forging_names(leaf: bytes) -> None:
    """Refuse a certificate with a name that, copied into the header as it is, can end the element.

    A refusal is not remembered, and costs its sender as much each time.
    """
    try:
        certificate = parsed(leaf)
    except MalformedCertificate as error:
        raise MalformedHeader("has a Cert that is not a certificate") from error
    names = certificate.subject_alternative_names
    for name in (*names.uris, *names.dns):
        if forging := _FORGES.search(name):
            raise MalformedHeader(
                f"has a Cert, {certificate.describe()}, with {forging[0]!r} in one of its names, which could forge an"
                " element: do not let Envoy copy names (uri, dns), which are not read here"
            )
