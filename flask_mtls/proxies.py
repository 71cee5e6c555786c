"""Which hop may speak for a client: whoever connected to this service itself, and is on the list.

The hop is the other end of the socket. What headers say of addresses, and what middleware makes of them, does not
count: a client writes headers.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from mtls_core.certificate import Certificate
from mtls_core.errors import InvalidName, PinError
from mtls_core.names import SpiffeId, parse_spiffe_id
from mtls_core.pins import Pin

from .sources.tls import SOCKET, socket_of

#: Set in the environ by servers of ours in which one header's name cannot pass for another's.
STRICT_HEADERS = "flask_mtls.strict_headers"

_UNIX = "unix"
_SPIFFE = "spiffe://"
#: As long as a SHA-1 at least, to which Pin.parse knows an answer; no address is.
_DIGEST = re.compile(r"(pin-)?sha.*|[0-9A-Fa-f:]{40,}", re.IGNORECASE)

#: Prefixes of the widest networks that are anybody's own: 10.0.0.0/8 and fc00::/7.
_WIDEST = {4: 8, 6: 7}

__all__ = ["SOCKET", "STRICT_HEADERS", "Hop", "TrustedProxies", "UnusableProxy", "forgeable_by", "hop_of"]


@dataclass(frozen=True, slots=True)
class Hop:
    """Whoever sent this request to this service."""

    #: ``None`` for a unix socket, and where the server does not tell.
    address: IPv4Address | IPv6Address | None = None
    is_unix: bool = False

    def __str__(self) -> str:
        if self.is_unix:
            return "a unix socket"
        return str(self.address) if self.address else "an unknown address"


def hop_of(environ: Mapping[str, Any]) -> Hop:
    """The other end of the connection that carries a request.

    Where the server does not tell its socket, that is what it says in ``REMOTE_ADDR``.

    :param environ: A WSGI environ, also one that ``ProxyFix`` has been at.
    """
    connection = socket_of(environ)
    if connection is not None:
        if connection.family == socket.AF_UNIX:
            return Hop(is_unix=True)
        try:
            return _at(connection.getpeername()[0])
        except OSError:
            return Hop()  # it is gone
    # Werkzeug's ProxyFix keeps what it replaces.
    original = environ.get("werkzeug.proxy_fix.orig")
    return _at((original if isinstance(original, Mapping) else environ).get("REMOTE_ADDR"))


def _at(text: Any) -> Hop:
    try:
        address = ipaddress.ip_address(text) if isinstance(text, str) else None
    except ValueError:
        return Hop()
    # What a socket for both families calls an IPv4 peer.
    return Hop(address=getattr(address, "ipv4_mapped", None) or address)


def forgeable_by(environ: Mapping[str, Any]) -> str | None:
    """The name of the server, if it lets ``X_Client_Cert`` replace ``X-Client-Cert``.

    :param environ: A WSGI environ.
    """
    if environ.get(STRICT_HEADERS) is True:
        return None
    stream = type(environ.get("wsgi.input")).__module__
    software = str(environ.get("SERVER_SOFTWARE", ""))
    if software.startswith("Cheroot") or stream.partition(".")[0] == "cheroot":
        return "cheroot"
    return "wsgiref" if software.startswith("WSGIServer/") else None


class UnusableProxy(ValueError):
    """Raised if an entry names no proxy. Its message continues a sentence that begins with the setting's name."""


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The hops that may speak for a client.

    Where places and certificates are both named, a hop needs one of each.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False
    pins: tuple[Pin, ...] = ()
    #: SPIFFE IDs, matched whole.
    spiffe_ids: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> TrustedProxies:
        """Read a list of addresses, networks, ``"unix"``, pins and SPIFFE IDs.

        :raises UnusableProxy: For the first entry that is none of these, or stands for everybody.
        """
        parsed = [_parse(entry) for entry in entries]
        found = cls(
            networks=tuple(each for each in parsed if isinstance(each, (IPv4Network, IPv6Network))),
            unix=_UNIX in parsed,
            pins=tuple(each for each in parsed if isinstance(each, Pin)),
            spiffe_ids=frozenset(str(each) for each in parsed if isinstance(each, SpiffeId)),
        )
        for network in found.networks:
            if network.prefixlen < _WIDEST[network.version] and not found.by_certificate:
                raise UnusableProxy(
                    f"has {str(network)!r}, which is half the world: anyone could then speak for any client; name the"
                    " addresses of your proxies, or a pin of the certificate they show"
                )
        return found

    @property
    def by_certificate(self) -> bool:
        """Whether a proxy must show a certificate of its own."""
        return bool(self.pins or self.spiffe_ids)

    @property
    def by_place(self) -> bool:
        """Whether it matters where a proxy is."""
        return bool(self.networks or self.unix)

    def has_place(self, hop: Hop) -> bool:
        """Whether the hop is where a trusted proxy is."""
        if hop.is_unix:
            return self.unix
        return any(hop.address in network for network in self.networks) if hop.address is not None else False

    def has_certificate(self, certificate: Certificate) -> bool:
        """Whether a certificate, verified already, is a trusted proxy's."""
        return certificate.spiffe_id in self.spiffe_ids or any(pin.matches(certificate) for pin in self.pins)

    def __str__(self) -> str:
        single = (str(each.network_address) if each.num_addresses == 1 else str(each) for each in self.networks)
        places = [*single, *([_UNIX] if self.unix else ())]
        return ", ".join([*places, *map(str, self.pins), *sorted(self.spiffe_ids)])


def _parse(entry: str) -> IPv4Network | IPv6Network | Pin | SpiffeId | str:
    if entry == _UNIX:
        return entry
    try:
        if entry.startswith(_SPIFFE):
            return parse_spiffe_id(entry)
        if _DIGEST.fullmatch(entry):
            return Pin.parse(entry)
        network = ipaddress.ip_network(entry)
    except (InvalidName, PinError) as error:
        raise UnusableProxy(f"has {entry!r}: {error}") from error
    except ValueError as error:
        raise UnusableProxy(
            f"has {entry!r}, which is no address, network, {_UNIX!r}, pin (sha256/…) or SPIFFE ID: {error}"
        ) from error
    if "%" in entry:
        raise UnusableProxy(f"has {entry!r}; leave the zone out: it is not compared")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise UnusableProxy(f"has {entry!r}; write the IPv4 address itself")
    return network
