"""Whether one name lies within one subtree, for each type of name that RFC 5280, section 4.2.1.10 defines this for.

Names and bases are read first, each once, then compared. What cannot be read is ``None`` and never certainly within
anything, and never certainly outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from ..errors import InvalidName
from ..names import normalize_dns
from .distinguished_names import canonical

_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.IGNORECASE)
_PORT = re.compile(r":[0-9]*\Z")


@dataclass(frozen=True, slots=True)
class NameType:
    """How names of one type are read and compared."""

    #: From the value of a general name; ``None`` if it is not what its type says.
    read_name: Callable[[Any], Any]
    read_base: Callable[[Any], Any]
    #: Whether a name that was read is within a base that was read.
    compare: Callable[[Any, Any], bool]
    #: Whether somebody could take the name for one within the base.
    touches: Callable[[Any, Any], bool]

    def is_within(self, name: Any, base: Any) -> bool:
        """For permitted subtrees: certainly within."""
        return name is not None and base is not None and self.compare(name, base)

    def may_be_within(self, name: Any, base: Any) -> bool:
        """For excluded subtrees: not certainly outside."""
        return name is None or base is None or self.compare(name, base) or self.touches(name, base)


def is_host_name(text: str) -> bool:
    """Whether a text is a DNS name, perhaps with a wildcard as its first label."""
    return _read_dns(text) is not None


def _read_dns(text: str) -> str | None:
    wildcard = text[:2] == "*."
    try:
        host = normalize_dns(text[2:] if wildcard else text)
    except InvalidName:
        return None
    return "*." + host if wildcard else host


def _read_host(text: str) -> str | None:
    host = _read_dns(text)
    return None if host is None or host.startswith("*") else host


def _read_dns_base(text: str) -> str | None:
    return text and _read_domain(text)


def _read_domain(text: str) -> str | None:
    """A host, or with a leading dot everything below it; RFC 5280 does not say what an empty one is."""
    host = _read_host(text.removeprefix("."))
    return host and ("." + host if text.startswith(".") else host)


def _is_dns_below(name: str, base: str) -> bool:
    """Zero or more labels before the base; an empty base has all names."""
    return not base or _is_in_domain(name, base) or name.endswith("." + base)


def _wildcard_reaches(name: str, base: str) -> bool:
    """A wildcard stands for every label, also for the one that is excluded (CVE-2025-61727)."""
    return name.startswith("*.") and base.partition(".")[2] == name[2:]


def _is_in_domain(host: str, domain: str) -> bool:
    return host.endswith(domain) if domain.startswith(".") else host == domain


@dataclass(frozen=True, slots=True)
class _Mailbox:
    #: ``None`` in a base that is a host or a domain.
    local: str | None
    host: str


def _read_mailbox(text: str) -> _Mailbox | None:
    local, _, domain = text.rpartition("@")
    host = _read_host(domain)
    return _Mailbox(local, host) if local and host else None


def _read_mailbox_base(text: str) -> _Mailbox | None:
    if "@" in text:
        return _read_mailbox(text)
    domain = _read_domain(text)
    return _Mailbox(None, domain) if domain else None


def _is_mailbox_within(name: _Mailbox, base: _Mailbox) -> bool:
    if base.local is None:
        return _is_in_domain(name.host, base.host)
    return name == base


def _is_same_mailbox_to_somebody(name: _Mailbox, base: _Mailbox) -> bool:
    """Local parts differ by case (RFC 5321, section 2.4), but hardly any mail server lets them."""
    same_local = name.local is not None and base.local is not None and name.local.casefold() == base.local.casefold()
    return same_local and name.host == base.host


def _read_uri_host(uri: str) -> str | None:
    """The host of a URI; none if it is an IP address or absent, which RFC 5280 wants rejected (CVE-2024-45341)."""
    authority = _AUTHORITY.match(uri)
    # User information is refused rather than skipped: two readers may disagree about where it ends.
    if authority is None or "@" in authority[1]:
        return None
    host = _read_host(_PORT.sub("", authority[1]))
    return None if host is None or host.rpartition(".")[2].isdecimal() else host


def _nothing_more(name: Any, base: Any) -> bool:
    return False


#: The types of name that constraints are evaluated for.
NAME_TYPES: dict[Any, NameType] = {
    x509.DNSName: NameType(_read_dns, _read_dns_base, _is_dns_below, _wildcard_reaches),
    x509.RFC822Name: NameType(_read_mailbox, _read_mailbox_base, _is_mailbox_within, _is_same_mailbox_to_somebody),
    x509.UniformResourceIdentifier: NameType(_read_uri_host, _read_domain, _is_in_domain, _nothing_more),
    x509.IPAddress: NameType(lambda ip: ip, lambda network: network, lambda ip, network: ip in network, _nothing_more),
    x509.DirectoryName: NameType(canonical, canonical, lambda name, base: name[: len(base)] == base, _nothing_more),
}
#: For every other type: such a name meets no constraint of its type.
NEVER_COMPARED = NameType(lambda name: None, lambda base: None, _nothing_more, _nothing_more)
