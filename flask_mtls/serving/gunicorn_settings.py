"""gunicorn's own settings, as far as the headers of a proxy, or its absence of TLS, depend on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

from mtls_core.errors import ConfigurationError

from ..config import Settings
from .head import largest_field

#: What ``limit_request_field_size = 0``, no limit, becomes: gunicorn 27 takes it for its default of 8190.
_NO_LIMIT = 64 * 1024


def fit_for_headers(worker: Any, settings: Settings) -> None:
    """See to it that what the app believes arrives whole, and as the proxy wrote it.

    :param worker: gunicorn's worker, before it serves.
    :raises ConfigurationError: If a client could write what passes for the proxy's.
    """
    for objection in _objections(worker, settings):
        raise ConfigurationError(f"MTLS_FORWARDED cannot be relied on with gunicorn's {objection}")
    limit = worker.cfg.limit_request_field_size or _NO_LIMIT
    worker.cfg.set("limit_request_field_size", max(limit, largest_field(settings)))


def without_tls(cfg: Any) -> None:
    """Let gunicorn speak plain HTTP, though this package's configuration made it ready for TLS.

    :raises ConfigurationError: If it was given a certificate, and so somebody expects TLS.
    """
    given = cfg.keyfile or (cfg.certfile if cfg.certfile != os.devnull else None)
    if given:
        raise ConfigurationError(
            f"gunicorn was given {given!r} to speak TLS with, which this configuration does not use; put it into"
            " MTLS_IDENTITY, or leave it out to speak plain HTTP with the proxies in MTLS_TRUSTED_PROXIES"
        )
    cfg.set("certfile", None)  # what gunicorn looks at when it accepts a connection


def _objections(worker: Any, settings: Settings) -> Iterator[str]:
    """What gunicorn's own parser refuses, if nobody told it otherwise, and others do not."""
    # gevent's, Tornado's and uvicorn's read a bare line break, or an underscore, in ways of their own.
    own = isinstance(worker, (SyncWorker, ThreadWorker, AsyncWorker)) and getattr(worker, "server_class", None) is None
    if not own:
        yield (
            f"worker class {type(worker).__name__}: it does not read headers with gunicorn's own parser; use sync,"
            " gthread or gevent"
        )
    protocol = worker.cfg.settings.get("protocol")  # older ones have none
    if protocol is not None and protocol.get() != "http":
        yield f"protocol = {protocol.get()!r}: in it a header's underscore cannot be told from a dash; use 'http'"
    yield from _about_names(worker.cfg, settings)


def _about_names(cfg: Any, settings: Settings) -> Iterator[str]:
    if cfg.header_map == "dangerous":
        yield "header_map = 'dangerous': a client's X_Client_Cert would pass for the proxy's X-Client-Cert; use 'drop'"
    if cfg.strip_header_spaces:
        yield "strip_header_spaces: a client's 'X-Client-Cert :', no header to a proxy, would pass for the proxy's"
    believed = {name.upper().replace("-", "_") for name in settings.forwarded.headers} if settings.forwarded else set()
    # A name with dashes has no effect in that list.
    let_through = [name for name in cfg.forwarder_headers if name == "*" or ("_" in name and name.upper() in believed)]
    if let_through:
        yield f"forwarder_headers: with an underscore, a client's {let_through[0]} passes for the proxy's; remove it"
