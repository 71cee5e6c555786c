"""A session that shows its identity to the right hosts, whatever a URL looks like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NoReturn, get_args

import requests
from requests.adapters import DEFAULT_POOLBLOCK, DEFAULT_POOLSIZE, DEFAULT_RETRIES, BaseAdapter
from urllib3 import Retry

from mtls_core.contexts import MinimumVersion
from mtls_core.errors import ConfigurationError
from mtls_core.identity import Identity

from .adapter import Clock, MTLSAdapter, utc_now
from .errors import HostNotAllowed
from .generation import CASource, PinSource
from .hosts import target_of

OtherHosts = Literal["refuse", "plain"]


class MTLSSession(requests.Session):
    """A :class:`requests.Session` with an identity.

    Requests are routed by the host that they will connect to, not by how the URL begins: a mount prefix such as ``https://h``
    also serves ``https://h.evil.example/``, and ``https://h/`` misses ``https://h:443/``.

    The parameters are those of :class:`MTLSAdapter`, and one more.

    :param other_hosts: What becomes of requests to hosts that are not in ``hosts``, redirects among them. ``"refuse"``
        raises :exc:`HostNotAllowed`. ``"plain"`` sends them as an ordinary session would, through the mounted
        adapters: without the identity, and verified by requests' own rules.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        hosts: str | Iterable[str],
        ca: CASource | None = None,
        pins: PinSource | None = None,
        other_hosts: OtherHosts = "refuse",
        proxy_ca: CASource | None = None,
        minimum_version: MinimumVersion = "TLSv1.2",
        clock: Clock = utc_now,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int | Retry = DEFAULT_RETRIES,
        pool_block: bool = DEFAULT_POOLBLOCK,
    ) -> None:
        super().__init__()
        if other_hosts not in get_args(OtherHosts):
            raise ConfigurationError(f"other_hosts is {other_hosts!r}; it must be 'refuse' or 'plain'")
        self._other_hosts = other_hosts
        self._mtls = MTLSAdapter(
            identity,
            hosts=hosts,
            ca=ca,
            pins=pins,
            proxy_ca=proxy_ca,
            minimum_version=minimum_version,
            clock=clock,
            pool_connections=pool_connections,
            pool_maxsize=pool_maxsize,
            max_retries=max_retries,
            pool_block=pool_block,
        )

    @property
    def identity(self) -> Identity:
        """Who calls."""
        return self._mtls.identity

    def get_adapter(self, url: str | bytes) -> BaseAdapter:
        """The adapter for a URL.

        :raises HostNotAllowed: If its host is not one of ``hosts``, and ``other_hosts`` is ``"refuse"``.
        """
        text = url.decode("utf-8") if isinstance(url, bytes) else url
        target = target_of(text)
        if self._mtls.hosts.allows(target):
            return self._mtls
        if self._other_hosts == "plain":
            return super().get_adapter(text)
        raise HostNotAllowed(
            f"{target} is not one of the hosts of this session ({self._mtls.hosts}); nothing was sent to it."
            " If the identity is meant for it, add it to hosts; to call it as an ordinary session would,"
            ' without the identity, say other_hosts="plain".',
            host=target.host,
            port=target.port,
        )

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._mtls.close()

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "an MTLSSession cannot be copied or pickled: it holds a private key."
            " Build one where it is needed, from the identity's file."
        )
