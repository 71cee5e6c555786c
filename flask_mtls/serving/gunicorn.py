"""gunicorn over mutual TLS, by its own hooks, or behind a proxy that ends it.

gunicorn asks ``ssl_context`` for a context once a connection (sync, gthread) or once a worker (gevent); it gets
the same object each time, made once a worker.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

from flask import Flask
from gunicorn.errors import AppImportError
from gunicorn.workers.base_async import AsyncWorker

from mtls_core.errors import ConfigurationError, MTLSError

from ..decisions import Decisions, decisions_of
from ..decorators import check_stacking
from .gunicorn_settings import fit_for_headers, without_tls
from .handshake import DeferringContext
from .plain import announcement, serves_plain
from .unchecked import note_checked

#: How many layers of middleware, and how many objects within them, are looked through.
_DEEPEST = 12
_MOST = 10_000


class _Serving:
    """What this worker process serves with; each has its own copy after the fork."""

    context: DeferringContext | None = None


def post_worker_init(worker: Any) -> None:
    """Hook: prepare what this worker serves with, once its app is loaded.

    :param worker: gunicorn's worker.
    :raises AppImportError: If it cannot be prepared; gunicorn then prints the message and stops.
    """
    try:
        app = find_app(worker.wsgi)
        decisions = decisions_of(app)
        check_stacking(app)
        if decisions.settings.forwarded is not None:
            fit_for_headers(worker, decisions.settings)
        if serves_plain(decisions.settings):
            without_tls(worker.cfg)
            worker.log.info("flask_mtls: %s", announcement(decisions.settings))
        else:
            _Serving.context = _context_for(decisions, at_once=isinstance(worker, AsyncWorker))
        decisions.watched.current().warm()
        note_checked(app)
    except MTLSError as error:
        raise AppImportError(f"flask_mtls: {error}") from error


def ssl_context(config: Any, default_ssl_context_factory: Any) -> DeferringContext:
    """Hook: what connections are wrapped with.

    :raises ConfigurationError: If :func:`post_worker_init` was not called.
    """
    if _Serving.context is None:
        raise ConfigurationError(
            "flask_mtls.gunicorn_conf.post_worker_init was not called; if your configuration has a post_worker_init"
            " of its own, call it from there: gunicorn_conf.post_worker_init(worker)"
        )
    return _Serving.context


def find_app(wsgi: Any) -> Flask:
    """The Flask app with MTLS that a WSGI callable is, or has within.

    :param wsgi: A Flask app, or middleware around one.
    :raises ConfigurationError: If there is none, or several.
    """
    found = list(dict.fromkeys(_apps_within(wsgi, set(), _DEEPEST)))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigurationError(
            f"no Flask app with MTLS found in {type(wsgi).__name__};"
            " give gunicorn the app itself, and put middleware around app.wsgi_app"
        )
    names = ", ".join(sorted(app.name for app in found))
    raise ConfigurationError(
        f"several apps with MTLS share this port ({names}), and TLS has one set of settings a port; give gunicorn the"
        " app whose settings they are, and mount the others: app.wsgi_app = DispatcherMiddleware(app.wsgi_app, …)"
    )


def _context_for(decisions: Decisions, *, at_once: bool) -> DeferringContext:
    decisions.tls_context()  # built now; from here on connections find it ready
    return DeferringContext(decisions.tls_context, timeout=decisions.settings.handshake_timeout, at_once=at_once)


def _apps_within(candidate: Any, seen: set[int], depth: int) -> Iterator[Flask]:
    if isinstance(candidate, Flask):
        if "mtls" in candidate.extensions:
            yield candidate
        return  # an app mounted within this one's wsgi_app is served by this one's settings
    if id(candidate) in seen or not depth or len(seen) > _MOST:
        return
    seen.add(id(candidate))
    for part in _parts(candidate):
        yield from _apps_within(part, seen, depth - 1)


def _parts(candidate: Any) -> list[Any]:
    """What middleware holds: attributes, a closure, arguments, the mounts of a dispatcher."""
    match candidate:
        case dict():
            return list(candidate.values())
        case list() | tuple():
            return list(candidate)
        case functools.partial():
            return [candidate.func, *candidate.args, *candidate.keywords.values()]
        case types.FunctionType():
            # An empty cell, of a name that is not assigned yet, raises when it is read.
            return [cell.cell_contents for cell in candidate.__closure__ or () if cell != types.CellType()]
        case types.MethodType():
            return [candidate.__self__]
        case str() | bytes() | int() | type() | types.ModuleType():
            return []
    return list(getattr(candidate, "__dict__", {}).values())
