"""A connection that keeps to a deadline and to an amount of data, whatever the other side does."""

from __future__ import annotations

import io
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

from .deadlines import time_left


class Endpoint(NamedTuple):
    """An address as :func:`socket.getaddrinfo` gives it and ``connect`` takes it."""

    family: int
    address: tuple[Any, ...]

    @classmethod
    def of(cls, address: IPv4Address | IPv6Address, port: int) -> Endpoint:
        """The endpoint that needs no look-up."""
        return cls(socket.AF_INET if address.version == 4 else socket.AF_INET6, (str(address), port))

    @property
    def host(self) -> str:
        """The numeric address alone."""
        return str(self.address[0]).partition("%")[0]


def look_up(host: str, port: int) -> tuple[Endpoint, ...]:
    """The addresses of a host. Takes as long as it takes.

    :raises OSError: If it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(Endpoint(family, address) for family, _, _, _, address in found))


def connect(endpoints: Sequence[Endpoint], *, deadline: float) -> socket.socket:
    """Connect to the first endpoint that accepts.

    :param deadline: Monotonic seconds. Each endpoint gets an equal share of the time that is left when its turn comes,
        so one that swallows everything does not keep the next from being tried.
    :raises OSError: What the last one failed with.
    """
    failure: OSError | None = None
    for position, endpoint in enumerate(endpoints):
        share = time_left(deadline) / (len(endpoints) - position)
        try:
            return _connect(endpoint, share)
        except OSError as error:
            failure = error
    raise failure or OSError("there is no address to connect to")


def _connect(endpoint: Endpoint, seconds: float) -> socket.socket:
    # Through the module: gevent, where it is used, has put its own class there since this was imported.
    connecting = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        connecting.settimeout(seconds)
        connecting.connect(endpoint.address)
    except BaseException:
        connecting.close()
        raise
    return connecting


class TooMuchData(Exception):
    """Raised if more comes in than is allowed."""


class Channel:
    """A connected socket, as :mod:`http.client` uses one.

    A socket's own timeout begins anew with every byte that comes, and a header of one byte a second never ends. Here
    each single read and write gets what is left of the whole time.

    :param connected: Closed by whoever opened it.
    :param deadline: Monotonic seconds.
    :param allowance: How many bytes may come in, until :meth:`allow` says otherwise.
    """

    def __init__(self, connected: socket.socket, *, deadline: float, allowance: int) -> None:
        self._connected = connected
        self._deadline = deadline
        self._allowance = allowance

    def allow(self, size: int) -> None:
        """From now on that many bytes may come in."""
        self._allowance = size

    def sendall(self, data: bytes) -> None:
        """Send everything.

        :raises TimeoutError: If that does not succeed in time.
        """
        self._connected.settimeout(time_left(self._deadline))
        self._connected.sendall(data)

    def receive_into(self, buffer: bytearray | memoryview) -> int:
        """What has come, or at the end 0.

        :raises TimeoutError: If nothing comes in time.
        :raises TooMuchData: If more has come than is allowed.
        """
        self._connected.settimeout(time_left(self._deadline))
        received = self._connected.recv_into(buffer)
        self._allowance -= received
        if self._allowance < 0:
            raise TooMuchData
        return received

    def makefile(self, mode: str) -> io.BufferedReader:
        """What :class:`http.client.HTTPResponse` reads from."""
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        """Nothing: http.client lets go of a connection while the body is still to be read."""


class _Incoming(io.RawIOBase):
    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._channel.receive_into(buffer)
