"""Which URLs, and which addresses, may be asked about a certificate. Nothing here resolves or connects.

The URLs stand in certificates. Without these rules, whoever has a certificate issued could make this service send
requests into its own network (server-side request forgery).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit

from ..errors import ConfigurationError, InvalidName
from ..names import match_dns, normalize_dns
from .fetch_error import FetchError, FetchErrorKind, shown

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: The setting that lists hosts which may be asked although their addresses are not public.
SETTING = "MTLS_REVOCATION_HOSTS"

_LONGEST_URL = 2048
_DEFAULT_PORT = 80

#: The characters of RFC 3986, section 2. :func:`urllib.parse.urlsplit` would drop line ends without a word.
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_AUTHORITY = re.compile(r"(?:\[(?P<address>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{0,5}))?")
#: What ``getaddrinfo`` takes for a number: 2130706433, 0x7f000001 and 127.1 all are 127.0.0.1 to it.
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.IGNORECASE)


def _networks(**named: str) -> tuple[tuple[Network, str], ...]:
    return tuple(
        (ipaddress.ip_network(network), what.replace("_", " "))
        for what, networks in named.items()
        for network in networks.split()
    )


#: IANA's special-purpose registries (RFC 6890), here because :mod:`ipaddress` judges some of them differently in each
#: version of Python.
_SPECIAL = _networks(
    loopback="127.0.0.0/8 ::1/128",
    private="10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
    # 169.254.169.254 and 168.63.129.16 answer with the machine's own credentials in many clouds.
    link_local_or_cloud_metadata="169.254.0.0/16 168.63.129.16/32 fe80::/10",
    shared_by_a_carrier="100.64.0.0/10",
    unspecified="0.0.0.0/8 ::/128",
    multicast="224.0.0.0/4 ff00::/8",
    for_documentation="192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
    an_IPv4_address_in_IPv6_form="::ffff:0:0/96 2002::/16",
    reserved="192.0.0.0/24 192.88.99.0/24 198.18.0.0/15 240.0.0.0/4 2001::/23",
)
#: All that has been given out of IPv6 (RFC 4291, section 2.4).
_GLOBAL_UNICAST = IPv6Network("2000::/3")
#: How an IPv6-only network reaches IPv4 (RFC 6052, section 2.1).
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads."""

    url: str
    #: Lower case, without brackets and without a trailing dot.
    host: str
    #: The host, if it is an address.
    address: Address | None
    port: int
    #: Path and query, as they stand in the request line.
    path: str

    @property
    def authority(self) -> str:
        """Host and port as the ``Host`` field has them (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORT else f"{host}:{self.port}"


def parse_url(url: str) -> Target:
    """Where a URL leads, if every program reads it alike.

    :raises FetchError: ``bad_url``, if it is not an ``http`` URL, holds user information, names its host by a number
        that is not an address, or is longer than 2,048 characters.
    """
    if len(url) > _LONGEST_URL:
        raise _bad(url, f"a URL of {len(url)} characters is not asked; {_LONGEST_URL} is the most")
    if not _URL.fullmatch(url):
        raise _bad(url, "it holds characters that a URL cannot hold (RFC 3986, section 2)")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _bad(url, f"it is not a URL: {error}") from error
    if parts.scheme != "http":
        # RFC 5280, section 8: to check the certificate of an https server would need the same question answered.
        raise _bad(url, f"{parts.scheme or 'no scheme'} is not asked, only http")
    host, address, port = _split_authority(url, parts.netloc)
    query = f"?{parts.query}" if parts.query else ""
    return Target(url, host, address, port, (parts.path or "/") + query)


def _split_authority(url: str, authority: str) -> tuple[str, Address | None, int]:
    if "@" in authority:
        raise _bad(url, "it holds a user name or password")
    found = _AUTHORITY.fullmatch(authority)
    port = int(found["port"] or _DEFAULT_PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise _bad(url, f"{shown(authority)!r} is not a host with a port")
    try:
        return *_read_host(found["name"], found["address"]), port
    except (InvalidName, ValueError) as error:
        raise _bad(url, shown(str(error))) from error


def _read_host(name: str | None, bracketed: str | None) -> tuple[str, Address | None]:
    """Host and, if it is one, address.

    :raises ValueError: If it is neither a name nor an address.
    """
    if name is None:
        address: Address = _ipv6(bracketed or "")
        return str(address), address
    host = name.removesuffix(".")
    if _NUMERIC.fullmatch(host):
        address = _ipv4(host)
        return str(address), address
    return normalize_dns(host), None


def _ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise ValueError(f"{text!r} is a number, and not an IPv4 address in four decimal parts") from None


def _ipv6(text: str) -> IPv6Address:
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, which means something on one machine only")
    try:
        return IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address") from None


def _bad(url: str, detail: str) -> FetchError:
    return FetchError(FetchErrorKind.BAD_URL, f"{detail}; nothing was sent", url)


def why_not_public(address: Address) -> str | None:
    """What an address is, if it is not one that anybody on the Internet can reach."""
    if address in _NAT64:
        # RFC 6052, section 3.1: the prefix stands before public addresses only, and a gateway may not keep to that.
        return why_not_public(IPv4Address(int(address) & 0xFFFFFFFF))
    for network, what in _SPECIAL:
        if address in network:
            return f"{what} ({network})"
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return f"outside of what is in use ({_GLOBAL_UNICAST})"
    return None


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The hosts that an operator allows although their addresses are not public.

    >>> allowed = AllowedHosts.parse(["ocsp.corp.example", "10.1.0.0/16"])
    >>> allowed.check(parse_url("http://10.1.2.3/ca.crl"))
    """

    #: DNS names; one may begin with ``*.``.
    names: tuple[str, ...]
    networks: tuple[Network, ...]

    @classmethod
    def parse(cls, hosts: str | Iterable[str | Address | Network]) -> AllowedHosts:
        """Read names, addresses and networks.

        :param hosts: ``ocsp.corp.example``, ``*.corp.example`` (one label), ``10.1.2.3``, ``10.1.0.0/16``,
            ``fd00::/8``.
        :raises ConfigurationError: If one is none of these.
        """
        entries = [_parse_entry(host) for host in ([hosts] if isinstance(hosts, str) else hosts)]
        return cls(
            tuple(entry for entry in entries if isinstance(entry, str)),
            tuple(entry for entry in entries if not isinstance(entry, str)),
        )

    def check(self, target: Target, addresses: Iterable[Address] = ()) -> None:
        """Let a target pass, or not.

        :param addresses: What its name resolves to. All must be allowed: which of them answers is up to whoever
            runs the name server.
        :raises FetchError: ``refused_address``.
        """
        if any(match_dns(name, target.host) for name in self.names):
            return
        if target.host == "localhost" or target.host.endswith(".localhost"):
            # RFC 6761, section 6.3: loopback, whoever is asked.
            raise _refused(target, f"{target.host} is this machine itself")
        for address in addresses if target.address is None else (target.address,):
            self._check_address(target, address)

    def _check_address(self, target: Target, address: Address) -> None:
        what = why_not_public(address)
        if what is None or any(address in network for network in self.networks):
            return
        subject = str(address) if target.address else f"{target.host} resolves to {address}, which"
        raise _refused(target, f"{subject} is {what}, not a public address")


def _refused(target: Target, detail: str) -> FetchError:
    advice = f'if this is a server of yours, add it to {SETTING}: {SETTING} = ["{target.host}"]'
    return FetchError(FetchErrorKind.REFUSED_ADDRESS, f"{detail}; nothing was sent; {advice}", target.url)


def _parse_entry(entry: object) -> str | Network:
    if isinstance(entry, IPv4Network | IPv6Network):
        return entry
    if not isinstance(entry, str | IPv4Address | IPv6Address):
        raise ConfigurationError(f"{SETTING}: {entry!r} is not a host, address or network")
    text = str(entry).strip()
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if _NUMERIC.fullmatch(bare) or "/" in bare or ":" in bare:
        return _parse_network(bare, text)
    name = bare.removesuffix(".").lower()
    try:
        normalize_dns(name.removeprefix("*."))
    except InvalidName as error:
        raise ConfigurationError(f"{SETTING}: {error}") from error
    return name


def _parse_network(bare: str, text: str) -> Network:
    try:
        if "%" in bare:
            raise ValueError("an address is listed without its zone")
        return ipaddress.ip_network(bare)
    except ValueError as error:
        raise ConfigurationError(
            f"{SETTING}: {text!r} is not a host, address or network: {error}."
            ' Write it alone, such as "ocsp.corp.example", "10.1.2.3" or "10.1.0.0/16"'
        ) from error
