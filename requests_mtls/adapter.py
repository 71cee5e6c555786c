"""The transport adapter: an identity, the hosts it is meant for, and how they are recognised."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from requests import PreparedRequest, Response
from requests.adapters import DEFAULT_POOLBLOCK, DEFAULT_POOLSIZE, DEFAULT_RETRIES, HTTPAdapter
from urllib3 import PoolManager, ProxyManager, Retry, proxy_from_url

from mtls_core.contexts import MinimumVersion, client_context
from mtls_core.identity import Identity

from .connection import MTLSConnectionPool, Refused
from .errors import InsecureRequest, MTLSRequestError
from .generation import CASource, Generation, PinSource, read_trust
from .hosts import HostList, target_of

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


class MTLSAdapter(HTTPAdapter):
    """Shows an identity to the hosts it is meant for, after having made sure that it is them.

    .. code-block:: python

        session = requests.Session()
        session.mount("https://orders.internal/", MTLSAdapter(identity, hosts=["orders.internal"], ca="ca.pem"))

    The options hold for every request; one that asks for something else (``verify=False``, ``verify=path``, ``cert=``)
    is refused, and ``REQUESTS_CA_BUNDLE`` does not count. Proxies, timeouts, retries and streaming are those of
    :class:`requests.adapters.HTTPAdapter`; of proxies, those that tunnel (``http://`` and ``https://``). A server that
    is not who it should be, or that refuses the identity, is not asked again, whatever ``max_retries`` says.

    :param identity: Who calls.
    :param hosts: Whom: names, ``*.suffix`` for one label, addresses; each with a port, or without for any port.
    :param ca: Who may issue the servers' certificates: path(s), bytes, or a store. Left out: the system's CAs.
    :param pins: One of these must match a certificate of the server's verified chain, its own or a CA's.
    :param proxy_ca: Who may issue the certificate of an ``https://`` proxy; as ``ca``. A proxy never sees the identity.
    :param minimum_version: ``"TLSv1.2"`` or ``"TLSv1.3"``.
    :param clock: Tells the time, with its zone, by which the identity is valid or not.
    :param pool_connections: As for :class:`~requests.adapters.HTTPAdapter`, and so the following.
    :raises ConfigurationError: If an option is empty or cannot be used.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        hosts: str | Iterable[str],
        ca: CASource | None = None,
        pins: PinSource | None = None,
        proxy_ca: CASource | None = None,
        minimum_version: MinimumVersion = "TLSv1.2",
        clock: Clock = utc_now,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int | Retry = DEFAULT_RETRIES,
        pool_block: bool = DEFAULT_POOLBLOCK,
    ) -> None:
        self._generation = Generation.make(identity, hosts=hosts, ca=ca, pins=pins, minimum_version=minimum_version)
        self._proxy_trust = read_trust("proxy_ca", proxy_ca)
        self._minimum_version = minimum_version
        self._clock = clock
        self._pool_options: dict[str, Any] = {}
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)
        _ADAPTERS.add(self)

    @property
    def identity(self) -> Identity:
        """Who calls."""
        return self._generation.identity

    @property
    def hosts(self) -> HostList:
        """Whom."""
        return self._generation.hosts

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """Send a request; the parameters are those of :meth:`requests.adapters.HTTPAdapter.send`.

        :raises InsecureRequest: If it is not ``https``, or ``verify`` or ``cert`` would undo what the adapter is for.
        :raises HostNotAllowed: If the identity is not meant for the host.
        :raises IdentityExpired: If the identity is expired or not yet valid.
        :raises ServerVerificationError: If the server is not who it should be.
        :raises PinMismatch: If it is, but none of its certificates is pinned.
        :raises IdentityRejected: If the server refuses the identity.
        """
        try:
            self._admit(request, verify, cert)
            return super().send(request, stream=stream, timeout=timeout, verify=True, proxies=proxies)
        except Refused as refused:
            refused.error.request = request
            raise refused.error from refused.__cause__
        except MTLSRequestError as error:
            error.request = request
            raise

    def _admit(self, request: PreparedRequest, verify: object, cert: object) -> None:
        """All that can be said before a name is resolved."""
        target = target_of(request.url)
        if target.scheme != "https":
            raise InsecureRequest(f"{target.scheme}://{target} has no TLS: an identity can only be shown over https://")
        self._generation.check_host(target)
        _refuse_other_terms(verify, cert)
        self._generation.check_identity(self._clock())

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Which pool serves a request: the host as it was checked, and the adapter's own context."""
        target = target_of(request.url)
        host = {"scheme": target.scheme, "host": target.dial, "port": target.port}
        return host, {"ssl_context": self._generation.context, "cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: requests would add the public CAs, or a bundle of the environment, to the pool."""

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = DEFAULT_POOLBLOCK, **pool_kwargs: Any
    ) -> None:
        """Start with no connections."""
        self._pool_options = {"num_pools": connections, "maxsize": maxsize, "block": block, **pool_kwargs}
        super().init_poolmanager(connections, maxsize, block=block, **pool_kwargs)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> ProxyManager:
        """The manager of connections through a proxy.

        :raises InsecureRequest: If it is a SOCKS proxy.
        """
        manager = self.proxy_manager.get(proxy)
        if manager is None:
            # Bound before another thread can see it: the pools that urllib3 gives it check nothing.
            manager = self.proxy_manager.setdefault(proxy, self._new_proxy_manager(proxy, **proxy_kwargs))
        return cast(ProxyManager, manager)

    def _new_proxy_manager(self, proxy: str, **proxy_kwargs: Any) -> ProxyManager:
        scheme = proxy.partition("://")[0].lower()
        if scheme.startswith("socks"):
            raise InsecureRequest(f"{scheme}:// proxies are not supported: use an http:// or https:// proxy")
        if scheme == "https":
            context = client_context(None, trust=self._proxy_trust, minimum_version=self._minimum_version)
            proxy_kwargs.setdefault("proxy_ssl_context", context)
        options = self._pool_options | proxy_kwargs
        manager = proxy_from_url(proxy, proxy_headers=self.proxy_headers(proxy), **options)
        self._bind(manager)
        return manager

    def _bind(self, manager: PoolManager) -> None:
        """Let a manager make pools of ours, and none for ``http://``."""
        pool_class = cast(Any, functools.partial(MTLSConnectionPool, generation=self._generation))
        manager.pool_classes_by_scheme = {"https": pool_class}
        manager.key_fn_by_scheme = {"https": manager.key_fn_by_scheme["https"]}

    def _forget_connections(self) -> None:
        self.proxy_manager = {}
        options = dict(self._pool_options)
        self.init_poolmanager(options.pop("num_pools"), **options)

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "an MTLSAdapter cannot be copied or pickled: it holds a private key."
            " Build one where it is needed, from the identity's file."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.identity.certificate.describe()} for {self._generation.hosts}>"


def _refuse_other_terms(verify: object, cert: object) -> None:
    if cert is not None:
        raise InsecureRequest("cert= is refused: the adapter shows its own identity, and no other; use another adapter")
    if verify is True or (verify and verify == _bundle_of_environment()):
        return
    if isinstance(verify, str | os.PathLike):
        raise InsecureRequest(
            f"verify={str(verify)!r} is refused: the adapter's ca= says whom to trust, for all requests"
        )
    raise InsecureRequest(f"verify={verify!r} is refused: servers are always verified; name a private CA with ca=")


def _bundle_of_environment() -> str | None:
    """What a session puts into ``verify`` by itself, meant for whoever has said nothing."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")


_ADAPTERS: weakref.WeakSet[MTLSAdapter] = weakref.WeakSet()


def _after_fork() -> None:
    """Two processes that write into one TLS connection break it for both; the parent keeps the connections."""
    for adapter in tuple(_ADAPTERS):
        adapter._forget_connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
