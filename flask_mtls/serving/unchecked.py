"""Noticing that an app which believes headers is served without anybody having looked at the server's settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

from flask import Flask

from ..proxies import STRICT_HEADERS

_log = logging.getLogger("flask_mtls")

#: Apps of this process that need no further word. Each worker fills its own, after the fork.
_settled: WeakSet[Flask] = WeakSet()


def note_checked(app: Flask) -> None:
    """gunicorn's settings were looked at for this app."""
    _settled.add(app)


def warn_if_unchecked(app: Flask, environ: Mapping[str, Any]) -> None:
    """Say once a process that gunicorn serves an app without this package's configuration.

    :param app: One with ``MTLS_FORWARDED``.
    :param environ: Of a request to it.
    """
    if app in _settled:
        return
    objection = _objection(environ)
    if objection is not None:
        _settled.add(app)
        _log.warning("%s, which has MTLS_FORWARDED, is served by %s", app.name, objection)


def _objection(environ: Mapping[str, Any]) -> str | None:
    if "gunicorn.socket" in environ or "gunicorn.sock" in environ:
        return (
            "gunicorn without -c python:flask_mtls.gunicorn_conf; so nobody made sure that header_map,"
            " forwarder_headers, strip_header_spaces and the worker class let no client forge its proxy's headers, nor"
            " that limit_request_field_size is enough for them"
        )
    if "werkzeug.socket" in environ and environ.get(STRICT_HEADERS) is not True:
        return (
            "Werkzeug as it comes, to which a bare CR or LF within a header begins another; 'flask mtls run' and"
            " mtls.run() refuse such requests"
        )
    if type(environ.get("wsgi.input")).__module__.startswith("gevent."):
        return "gevent's own server, to which a bare CR or LF within a header begins another; gunicorn refuses these"
    return None
