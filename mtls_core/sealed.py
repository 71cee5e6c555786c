"""Contexts that cannot be changed once they are built, and one that hands each connection to the newest of them.

A live :class:`ssl.SSLContext` must not be changed: OpenSSL keeps one key per type, so that a new EC key does
not displace an old RSA key; CAs can be added and never removed; and libraries that share a context switch its
checks off for one another.

The classes are made on the *current* :class:`ssl.SSLContext` when one is needed, not when this module is
imported: gevent replaces that class, and one derived from the class it replaced recurses without end in its
property setters.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable
from typing import Any, NoReturn

from .errors import ConfigurationError


class _Sealable:
    """Mixed in before ``ssl.SSLContext``."""

    #: Set last; from then on nothing changes.
    sealed = False
    #: Leave the handshake of accepted connections to whoever reads from them first.
    defer_handshake = False
    alpn_protocols: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: object) -> None:
        if not self.sealed:
            super().__setattr__(name, value)
        elif getattr(self, name, None) != value:
            _refuse(f"setting {name}")
        # Setting what is already set changes nothing: urllib3 does that with verify_mode on every connection.

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """As :meth:`ssl.SSLContext.set_alpn_protocols`, but only until the context is sealed."""
        if not self.sealed:
            super().set_alpn_protocols(alpn_protocols)  # type: ignore[misc]
            self.alpn_protocols = tuple(alpn_protocols)
        elif tuple(alpn_protocols) != self.alpn_protocols:
            _refuse("set_alpn_protocols()")

    def wrap_socket(
        self, sock: socket.socket, server_side: bool = False, do_handshake_on_connect: bool = True, **options: Any
    ) -> ssl.SSLSocket:
        """As :meth:`ssl.SSLContext.wrap_socket`."""
        at_once = do_handshake_on_connect and not (server_side and self.defer_handshake)
        wrapped: ssl.SSLSocket = super().wrap_socket(  # type: ignore[misc]
            sock, server_side=server_side, do_handshake_on_connect=at_once, **options
        )
        return wrapped


class _Following:
    """Mixed in before ``ssl.SSLContext``: a context that only hands on."""

    current: Callable[[], ssl.SSLContext]

    def wrap_socket(self, sock: socket.socket, server_side: bool = False, **options: Any) -> ssl.SSLSocket:
        """Wrap a listening socket in this context, and what it accepts in the newest one."""
        if server_side and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            # An SSLSocket accepts through the context it was wrapped with; that has to stay this one.
            listener: ssl.SSLSocket = super().wrap_socket(sock, server_side=True, **options)  # type: ignore[misc]
            return listener
        return self.current().wrap_socket(sock, server_side=server_side, **options)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """As :meth:`ssl.SSLContext.wrap_bio`, of the newest context."""
        return self.current().wrap_bio(*args, **options)


def unsealed_context(protocol: int) -> Any:
    """A context to be filled and then sealed with ``context.sealed = True``.

    :param protocol: ``ssl.PROTOCOL_TLS_CLIENT`` or ``ssl.PROTOCOL_TLS_SERVER``.
    """
    return _sealable_class(ssl.SSLContext)(protocol)


def following_context(current: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """A server context that hands each new connection to the context that ``current`` returns at that moment.

    Swapping contexts in ``sni_callback`` instead would keep the old one's ``verify_mode``, flags and minimum version.

    :param current: Called once a connection; must be cheap.
    """
    context = _following_class(ssl.SSLContext)(ssl.PROTOCOL_TLS_SERVER)
    context.current = current
    following: ssl.SSLContext = context
    return following


@functools.cache
def _sealable_class(base: type[ssl.SSLContext]) -> Any:
    def refuse(name: str) -> Callable[..., Any]:
        original = getattr(base, name)

        @functools.wraps(original)
        def changer(self: Any, *args: Any, **options: Any) -> Any:
            if self.sealed:
                _refuse(f"{name}()")
            return original(self, *args, **options)

        return changer

    changers = {
        name: refuse(name) for name in dir(base) if name.startswith(("load_", "set_")) and name not in vars(_Sealable)
    }
    return type("SealedSSLContext", (_Sealable, base), changers)


@functools.cache
def _following_class(base: type[ssl.SSLContext]) -> Any:
    return type("FollowingSSLContext", (_Following, base), {})


def _refuse(change: str) -> NoReturn:
    raise ConfigurationError(
        f"{change} on a sealed TLS context; it is shared by connections and never changes."
        " Build another identity, trust store or adapter instead."
    )
