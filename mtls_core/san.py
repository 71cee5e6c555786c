"""Subject alternative names, sorted by kind (RFC 5280, section 4.2.1.6)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from . import der as asn1

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: User principal name, as Active Directory puts it into an otherName.
_UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
_UTF8_STRING = 0x0C


@dataclass(frozen=True, slots=True)
class SubjectAlternativeNames:
    """All names of the extension, by kind, in the order in which they stand there."""

    dns: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    ip_addresses: tuple[IPAddress, ...] = ()
    #: User principal names (otherName 1.3.6.1.4.1.311.20.2.3).
    upns: tuple[str, ...] = ()
    #: RFC 4514 text.
    directory_names: tuple[str, ...] = ()
    #: OID and raw DER of every other otherName.
    other: tuple[tuple[str, bytes], ...] = ()
    #: Dotted OIDs.
    registered_ids: tuple[str, ...] = ()

    @classmethod
    def from_extension(cls, extension: x509.SubjectAlternativeName | None) -> SubjectAlternativeNames:
        """Sort the names of a parsed extension.

        :raises ValueError: If an IP address is a network, or a user principal name is not UTF-8 text; the
            caller makes it ``malformed``.
        """
        if extension is None:
            return cls()
        upns, other = _other_names(extension)
        return cls(
            dns=tuple(extension.get_values_for_type(x509.DNSName)),
            uris=tuple(extension.get_values_for_type(x509.UniformResourceIdentifier)),
            emails=tuple(extension.get_values_for_type(x509.RFC822Name)),
            ip_addresses=tuple(_address(value) for value in extension.get_values_for_type(x509.IPAddress)),
            upns=upns,
            directory_names=tuple(name.rfc4514_string() for name in extension.get_values_for_type(x509.DirectoryName)),
            other=other,
            registered_ids=tuple(oid.dotted_string for oid in extension.get_values_for_type(x509.RegisteredID)),
        )

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


def _address(value: Any) -> IPAddress:
    if not isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        raise ValueError(f"the IP address SAN {value} is a network")
    return value


def _other_names(
    extension: x509.SubjectAlternativeName,
) -> tuple[tuple[str, ...], tuple[tuple[str, bytes], ...]]:
    upns: list[str] = []
    other: list[tuple[str, bytes]] = []
    for name in extension.get_values_for_type(x509.OtherName):
        if name.type_id == _UPN:
            element = asn1.read_all(name.value)
            if element.tag != _UTF8_STRING:
                raise ValueError("a user principal name is not a UTF8String")
            upns.append(element.value.decode("utf-8"))
        else:
            other.append((name.type_id.dotted_string, name.value))
    return tuple(upns), tuple(other)
