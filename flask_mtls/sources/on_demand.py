"""Asking for the certificate when a protected view is reached.

This is post-handshake authentication (RFC 8446, section 4.6.2).
"""

from __future__ import annotations

import logging
import selectors
import ssl
import time
from typing import Any

from flask import request

from ..serving.handshake import explain, wait_for

_log = logging.getLogger("flask_mtls")

#: The largest body that is read, and kept for the view, before a client without a certificate is asked for one.
#: What a client sends after the question would be mixed up with its answer.
MAX_BODY = 1024 * 1024

#: A client that declines says so in a message that cannot be told from the beginning of a certificate; more of
#: it follows within this.
_SECONDS_FOR_THE_REST = 0.5


def ask(connection: Any, *, timeout: float) -> bool:
    """Ask the client of this request for its certificate.

    :param connection: Its TLS connection. A client in TLS 1.2, or one that did not offer to be asked, is not.
    :param timeout: Seconds to wait for the answer.
    :returns: Whether the connection has a certificate now.
    """
    if not hasattr(connection, "verify_client_post_handshake") or not _read_body():
        return False
    before = connection.gettimeout()
    try:
        connection.verify_client_post_handshake()
        connection.do_handshake()  # sends the question
        connection.settimeout(0)
        return _answered(connection, time.monotonic() + timeout)
    except OSError as error:
        _log.info("a client that was asked for its certificate did not show a good one: %s", explain(error))
        return False
    finally:
        connection.settimeout(before)


def _read_body() -> bool:
    length = request.content_length
    if length is None:
        return "chunked" not in request.headers.get("Transfer-Encoding", "").lower()
    if length > MAX_BODY:
        return False
    request.get_data()
    return True


def _answered(connection: Any, deadline: float) -> bool:
    """Let OpenSSL read until the certificate is there, the client has declined, or time is up."""
    while wait_for(connection, selectors.EVENT_READ, deadline=deadline):
        try:
            connection.recv(1)
        except ssl.SSLWantReadError:
            if connection.getpeercert(True):
                return True
            deadline = min(deadline, time.monotonic() + _SECONDS_FOR_THE_REST)
        else:
            # Either the end, or a byte of another request that cannot be put back.
            raise ConnectionAbortedError
    return False
