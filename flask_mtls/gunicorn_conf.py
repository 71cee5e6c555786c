"""gunicorn's configuration for an app with MTLS::

    gunicorn -c python:flask_mtls.gunicorn_conf "orders:create_app()"

All there is to set is set by the app's ``MTLS_*`` keys. A configuration of one's own begins with
``from flask_mtls.gunicorn_conf import *``; if it has a ``post_worker_init``, that calls the one here.

An app with ``MTLS_FORWARDED`` and without ``MTLS_IDENTITY`` is served over plain HTTP, for the proxies that speak TLS
in its place. gunicorn does not know that yet when it writes "Listening at: https://"; the workers say so.
"""

from __future__ import annotations

import os

from .serving.gunicorn import post_worker_init as post_worker_init
from .serving.gunicorn import ssl_context as ssl_context

__all__ = ["certfile", "post_worker_init", "ssl_context"]

#: gunicorn speaks TLS only if this names a file that is there. Which one does not matter: it is never read, since
#: ``ssl_context`` above makes the context. Should another configuration put its own ``ssl_context`` in the
#: place of that one, an empty file makes gunicorn fail, where a real certificate would make it serve without
#: asking callers for theirs. Where the app is behind a proxy that ends TLS, each worker takes it back.
certfile = os.devnull
