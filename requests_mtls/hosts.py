"""To whom an identity is shown: hosts, as URLs name them and as a configuration lists them."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from requests.exceptions import InvalidURL
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from mtls_core.errors import ConfigurationError, InvalidName
from mtls_core.names import normalize_dns

#: What cannot be part of a host, and shows that something else was meant.
_NOT_IN_A_HOST = frozenset("/\\@?# \t\r\n")
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads."""

    scheme: str
    #: Lower case, A-labels, no brackets, no trailing dot; addresses in their shortest form.
    host: str
    port: int
    #: The host as it is to be looked up: with its trailing dot, which keeps search domains out.
    dial: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _HTTPS else f"{host}:{self.port}"


def target_of(url: str | None) -> Target:
    """Where a URL leads, read once and for all: the host that is checked is the host that is connected to.

    requests splits a URL with :mod:`urllib.parse`, urllib3 by itself, and they differ about ``https://a\\@b``. The
    authority is what the one finds, its parts are what the other reads in that, and what then is left over is refused.

    :raises InvalidURL: If there is no host, or more than one can be read in it.
    """
    try:
        parts = urlsplit(url or "")
    except ValueError as error:
        raise InvalidURL(f"{url!r} is not a URL: {error}") from error
    # Without the user information: passwords are not to lie in a cache.
    return _target(parts.scheme, parts.netloc.rpartition("@")[2], "\\" in parts.netloc)


@functools.lru_cache(maxsize=512)
def _target(scheme: str, authority: str, ambiguous: bool) -> Target:
    try:
        parsed = parse_url(f"{scheme}://{authority}")
    except LocationParseError as error:
        raise InvalidURL(f"{authority!r} is not a host: {error}") from error
    if ambiguous or not authority.isprintable() or not parsed.host or _has_more_than_a_host(parsed):
        raise InvalidURL(f"{authority!r} is not a host that every program reads alike")
    default = _HTTPS if scheme == "https" else 80
    dial = parsed.host.strip("[]")
    return Target(scheme, _canonical(dial), default if parsed.port is None else parsed.port, dial)


def _has_more_than_a_host(parsed: Url) -> bool:
    return any(part is not None for part in (parsed.auth, parsed.path, parsed.query, parsed.fragment))


def _canonical(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")


@dataclass(frozen=True, slots=True)
class HostList:
    """The hosts that an identity is meant for. Anything that is not on the list is not meant.

    >>> hosts = HostList.parse(["orders.internal", "*.stock.internal:8443", "[::1]"])
    >>> hosts.allows(target_of("https://orders.internal:9000/"))
    True
    >>> hosts.allows(target_of("https://a.b.stock.internal:8443/"))
    False
    """

    #: Host and port; a port of ``None`` stands for any.
    exact: frozenset[tuple[str, int | None]]
    #: The same for names of which the first label is left open.
    below: frozenset[tuple[str, int | None]]

    @classmethod
    def parse(cls, hosts: str | Iterable[str]) -> HostList:
        """Read host names and addresses, each with or without a port.

        :param hosts: ``orders.internal``, ``*.stock.internal`` (one label, as in a certificate), ``10.0.0.7``,
            ``[2001:db8::7]``; each may be followed by a port (``:8443``), and without one any port will do.
        :raises ConfigurationError: If there is none, or one is not a host.
        """
        patterns = [_parse_pattern(host) for host in ([hosts] if isinstance(hosts, str) else hosts)]
        if not patterns:
            raise ConfigurationError("hosts is empty: name the hosts that the identity is meant for")
        return cls(
            frozenset((host, port) for host, port, wildcard in patterns if not wildcard),
            frozenset((host, port) for host, port, wildcard in patterns if wildcard),
        )

    def allows(self, target: Target) -> bool:
        """Whether the target is on the list."""
        first_label, _, parent = target.host.partition(".")
        return _listed(self.exact, target.host, target.port) or (
            first_label != "" and _listed(self.below, parent, target.port)
        )

    def __str__(self) -> str:
        entries = [*self.exact, *((f"*.{host}", port) for host, port in self.below)]
        return ", ".join(sorted(host if port is None else _joined(host, port) for host, port in entries))


def _listed(entries: frozenset[tuple[str, int | None]], host: str, port: int) -> bool:
    return (host, port) in entries or (host, None) in entries


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parse_pattern(text: object) -> tuple[str, int | None, bool]:
    """Host, port and whether the first label is left open."""
    if not isinstance(text, str) or not text:
        raise ConfigurationError(f"{text!r} is not a host name")
    if not _NOT_IN_A_HOST.isdisjoint(text):
        raise ConfigurationError(f"{text!r} is not a host: write the host alone, such as orders.internal")
    wildcard = text.startswith("*.")
    host, port = _split_port(text.removeprefix("*."), text)
    if _is_address(host):
        if wildcard:
            raise ConfigurationError(f"{text!r}: a wildcard stands for a label of a name, not for part of an address")
        return _canonical(host), port, False
    return _name(host, text, wildcard=wildcard), port, wildcard


def _split_port(host: str, text: str) -> tuple[str, int | None]:
    if _is_address(host):
        return host, None
    try:
        parsed = parse_url(f"https://{host}")
    except LocationParseError as error:
        raise ConfigurationError(f"{text!r} is not a host: {error}") from error
    return (parsed.host or "").strip("[]"), parsed.port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _name(host: str, text: str, *, wildcard: bool) -> str:
    try:
        name = normalize_dns(host.removesuffix("."))
    except InvalidName as error:
        raise ConfigurationError(
            f"{text!r} is not a host: a name, with '*.' before it or not, or an address, with a port or not"
        ) from error
    if wildcard and name.rpartition(".")[2].isdigit():
        raise ConfigurationError(f"{text!r}: a wildcard stands for a label of a name, not for part of an address")
    return name
