"""Base64 of DER, as HAProxy, Caddy, Azure App Service and IIS forward certificates."""

from __future__ import annotations

from . import encoded


def base64(value: str) -> tuple[bytes, ...]:
    """One certificate, which may stand in double quotes: HAProxy's ``%{+Q}`` adds them or not, by version.

    :raises MalformedHeader: If it is not one certificate in base64.
    """
    return (encoded.certificate(_unquoted(value)),)


def concatenated(value: str) -> tuple[bytes, ...]:
    """Certificates one behind the other and in base64 as a whole: HAProxy's ``ssl_c_chain_der``, without the leaf.

    :raises MalformedHeader: If it is not that, or nothing at all.
    """
    data = encoded.from_base64(_unquoted(value))
    found: list[bytes] = []
    offset = 0
    while offset < len(data) or not found:
        encoded.refuse_too_many(len(found) + 1)
        found.append(encoded.next_certificate(data, offset))
        offset += len(found[-1])
    return tuple(found)


def _unquoted(value: str) -> str:
    if value.startswith('"') and value.endswith('"'):
        return value[1:-1]
    return value
