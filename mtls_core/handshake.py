"""What is known about a handshake that failed.

OpenSSL forgets the peer's certificates as soon as a handshake fails, and :class:`ssl.SSLSocket` forgets OpenSSL. A
person who has to mend it wants to know which certificate it was; so it is read at the last moment.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .certificate import Certificate
from .errors import MalformedCertificate

ReadChain = Callable[[Any], tuple[Certificate, ...]]

_ATTRIBUTE = "mtls_failed_handshake"


@dataclass(frozen=True, slots=True)
class FailedHandshake:
    """The circumstances of an :class:`ssl.SSLError` that a handshake raised."""

    #: The context whose handshake it was; in TLS within TLS it tells the inner one from the outer one.
    context: ssl.SSLContext
    #: The peer's chain as far as it could be built, leaf first. Nothing in it is to be believed.
    chain: tuple[Certificate, ...]


def failed_handshake(error: BaseException) -> FailedHandshake | None:
    """The circumstances, or ``None`` if the error is not from a handshake of :func:`record_failures`."""
    found: FailedHandshake | None = getattr(error, _ATTRIBUTE, None)
    return found


def record_failures(context: ssl.SSLContext, read_chain: ReadChain) -> None:
    """Let every handshake of a client's context that fails leave its circumstances on the error.

    :param context: Not sealed yet.
    :param read_chain: Tells the chain that was verified on a connection, as far as that went.
    """
    for name in ("sslsocket_class", "sslobject_class"):
        setattr(context, name, _recording(getattr(context, name), read_chain))


class _Recording:
    """Mixed in before ``ssl.SSLSocket`` and ``ssl.SSLObject``."""

    context: ssl.SSLContext
    read_chain: ReadChain

    def do_handshake(self, *args: Any, **options: Any) -> None:
        try:
            super().do_handshake(*args, **options)  # type: ignore[misc]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise  # not a failure: the other side has not answered yet
        except ssl.SSLError as error:
            setattr(error, _ATTRIBUTE, FailedHandshake(self.context, self._chain_so_far()))
            raise

    def _chain_so_far(self) -> tuple[Certificate, ...]:
        try:
            return self.read_chain(self)
        except MalformedCertificate:
            return ()


@functools.cache
def _recording(base: Any, read_chain: ReadChain) -> Any:
    # On the class that the context has, not on the one of the ssl module: gevent brings its own.
    return type(f"Recording{base.__name__}", (_Recording, base), {"read_chain": staticmethod(read_chain)})
