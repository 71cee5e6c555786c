"""``X-Forwarded-Tls-Client-Cert``, as Traefik's PassTLSClientCert writes it with ``pem: true``.

It is the body of PEM without its first and last line and without line breaks, which is base64 of DER, certificate after
certificate with commas between: the leaf, then what the client sent along.
"""

from __future__ import annotations

from . import MalformedHeader, encoded


def certificates(value: str) -> tuple[bytes, ...]:
    """The certificates, leaf first.

    :raises MalformedHeader: If it is not that, or escaped as by Traefik before 2.9: in that form a comma between
        certificates cannot be told from one that somebody else put there.
    """
    if "%" in value:
        raise MalformedHeader("is percent-encoded, as Traefik wrote it before version 2.9; update Traefik")
    members = value.split(",")
    encoded.refuse_too_many(len(members))
    return tuple(encoded.certificate(member) for member in members)
