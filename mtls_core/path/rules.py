"""What a path is validated for: a purpose, a time, and how strictly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

#: ``"strict"`` demands the extension, ``True`` takes its absence for permission, as OpenSSL and ASP.NET do.
UsageCheck = bool | Literal["strict"]


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a leaf is to be used for."""

    #: For sentences.
    name: str
    #: Dotted OID of the extended key usage.
    extended_key_usage: str
    #: If the leaf has a key usage, one of these must be in it.
    key_usages: frozenset[str]


#: RFC 5280, section 4.2.1.12 lists keyAgreement too, for fixed Diffie-Hellman client certificates, which TLS 1.2 with
#: ECDHE and TLS 1.3 do not have: a client signs, and RFC 8446, section 4.4.2.2 demands digitalSignature.
CLIENT_AUTHENTICATION = Purpose("client authentication", "1.3.6.1.5.5.7.3.2", frozenset({"digital_signature"}))
#: Without digitalSignature only for key exchange by encryption, which no context of this project offers.
SERVER_AUTHENTICATION = Purpose("server authentication", "1.3.6.1.5.5.7.3.1", frozenset({"digital_signature"}))


@dataclass(frozen=True, slots=True)
class Rules:
    """The inputs of RFC 5280, section 6.1.1 that are not certificates."""

    purpose: Purpose
    #: UTC, whole seconds. ``None``: dates are not looked at.
    at: datetime | None
    #: How far the clock that gave :attr:`at` may be wrong, either way.
    clock_skew: timedelta = timedelta(0)
    check_usage: UsageCheck = True
