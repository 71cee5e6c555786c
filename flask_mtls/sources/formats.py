"""How each proxy writes a client's certificate into headers, and how to describe one that is not known here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from . import der_header, pem_header, rfc9440, traefik

#: What a header may hold at most, in bytes; for Envoy's, as much for each proxy on the way.
LARGEST = 16 * 1024

#: A header's text, to DER, the leaf first where the encoding has one.
Parser = Callable[[str], tuple[bytes, ...]]

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+\Z")


class Encoding(NamedTuple):
    """One way to write certificates as text."""

    #: The header of the client's certificate; ``None`` for :mod:`~flask_mtls.sources.xfcc`, which counts proxies too.
    leaf: Parser | None
    #: The header of those above it.
    chain: Parser | None
    #: Whether the header may hold several, the client's first.
    with_chain: bool = False
    #: Whether a comma belongs to it. Anywhere else it is the seam of two headers that a server joined.
    has_commas: bool = False


ENCODINGS: Mapping[str, Encoding] = {
    "rfc9440": Encoding(rfc9440.certificate, rfc9440.certificates),
    "pem-urlencoded": Encoding(pem_header.urlencoded, pem_header.urlencoded, with_chain=True),
    "pem-spaced": Encoding(pem_header.spaced, pem_header.spaced, with_chain=True),
    "der-base64": Encoding(der_header.base64, der_header.concatenated),
    "der-base64-list": Encoding(traefik.certificates, traefik.certificates, with_chain=True, has_commas=True),
    "xfcc": Encoding(None, None, has_commas=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Which headers a proxy sets, and what they mean."""

    #: What ``current_cert.source`` says.
    name: str
    #: Holds the client's certificate.
    header: str
    encoding: str
    #: Holds those above it. At its end, ``*`` stands for the numbers from 0.
    chain_header: str | None = None
    #: As the other, if left out.
    chain_encoding: str | None = None
    #: Whether the chain may stand behind the certificate in one header.
    with_chain: bool = False
    #: Says whether the proxy verified the certificate.
    verify_header: str | None = None
    #: Its words for yes. Any other, with a certificate, means no.
    verify_success: frozenset[str] = frozenset({"SUCCESS"})
    #: Its words for a request without certificate.
    verify_none: frozenset[str] = frozenset({"NONE"})
    #: Whether a certificate without it is refused.
    verify_required: bool = False
    #: Says, as ``1`` or ``true``, whether there is a certificate.
    present_header: str | None = None
    #: Says, as ``1`` or ``true``, whether it is revoked.
    revoked_header: str | None = None

    @property
    def chain_headers(self) -> tuple[str, ...]:
        """The headers of the chain, in their order."""
        if self.chain_header is None:
            return ()
        if not self.chain_header.endswith("*"):
            return (self.chain_header,)
        return tuple(f"{self.chain_header[:-1]}{number}" for number in range(10))

    @property
    def headers(self) -> tuple[str, ...]:
        """All headers that only a trusted proxy may set, the certificate's first."""
        others = (self.verify_header, self.present_header, self.revoked_header)
        return (self.header, *self.chain_headers, *(name for name in others if name is not None))

    @property
    def singletons(self) -> tuple[str, ...]:
        """Those that come once at most. RFC 9440, section 2.3, lets a chain come as several headers."""
        divided = self.chain_headers if (self.chain_encoding or self.encoding) == "rfc9440" else ()
        return tuple(name for name in self.headers if name not in divided)

    def largest(self, hops: int) -> int:
        """Bytes that a header may hold.

        :param hops: How many proxies add to it.
        """
        return LARGEST * hops if self.encoding == "xfcc" else LARGEST


_YES = frozenset({"true", "1"})
_NO = frozenset({"false", "0"})

PRESETS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format(name="rfc9440", header="Client-Cert", encoding="rfc9440", chain_header="Client-Cert-Chain"),
        Format(
            name="nginx",
            header="X-SSL-Client-Cert",
            encoding="pem-urlencoded",
            verify_header="X-SSL-Client-Verify",
        ),
        Format(
            name="haproxy",
            header="X-SSL-Client-Cert",
            encoding="der-base64",
            chain_header="X-SSL-Client-Chain",
            verify_header="X-SSL-Client-Verify",
            # OpenSSL's number: 0 is "verified" and, without a certificate, nothing at all.
            verify_success=frozenset({"0"}),
            verify_none=frozenset({"0"}),
            present_header="X-SSL-Client-Used",
        ),
        Format(
            name="apache",
            header="X-SSL-Client-Cert",
            encoding="pem-spaced",
            chain_header="X-SSL-Client-Chain-*",
            verify_header="X-SSL-Client-Verify",
            # GENEROUS: optional_no_ca, and nobody looked.
            verify_success=frozenset({"SUCCESS", "GENEROUS"}),
        ),
        Format(name="caddy", header="X-SSL-Client-Cert", encoding="der-base64"),
        Format(name="envoy", header="X-Forwarded-Client-Cert", encoding="xfcc"),
        Format(
            name="traefik",
            header="X-Forwarded-Tls-Client-Cert",
            encoding="der-base64-list",
            with_chain=True,
        ),
        Format(name="aws-alb", header="X-Amzn-Mtls-Clientcert-Leaf", encoding="pem-urlencoded"),
        Format(
            name="aws-alb-passthrough",
            header="X-Amzn-Mtls-Clientcert",
            encoding="pem-urlencoded",
            with_chain=True,
        ),
        Format(name="azure", header="X-ARR-ClientCert", encoding="der-base64"),
        Format(
            name="gcp",
            header="X-Client-Cert-Leaf",
            encoding="rfc9440",
            chain_header="X-Client-Cert-Chain",
            verify_header="X-Client-Cert-Chain-Verified",
            present_header="X-Client-Cert-Present",
            verify_success=_YES,
            verify_none=_NO,
        ),
        Format(
            name="cloudflare",
            header="Client-Cert",
            encoding="rfc9440",
            chain_header="Client-Cert-Chain",
            verify_header="Cf-Cert-Verified",
            present_header="Cf-Cert-Presented",
            revoked_header="Cf-Cert-Revoked",
            verify_success=_YES,
            verify_none=_NO,
        ),
        Format(name="iis", header="MS-ASPNETCORE-CLIENTCERT", encoding="der-base64"),
    )
}

_NAMES = ("header", "chain_header", "verify_header", "present_header", "revoked_header")
_WORDS = ("verify_success", "verify_none")
_OPTIONS = ("format", *(each.name for each in fields(Format) if each.name != "name"))


#: Headers that are never a certificate's, in lower case.
_NOT_THEIRS = frozenset(
    "accept authorization cache-control connection content-encoding content-length content-type cookie date expect"
    " forwarded host keep-alive location origin proxy-authorization referer set-cookie te trailer transfer-encoding"
    " upgrade user-agent vary via x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix"
    " x-forwarded-proto".split()
)


class UnknownFormat(ValueError):
    """Raised if a format cannot be made out. Its message continues a sentence that begins with the setting's name."""


def read_format(value: str | Mapping[str, Any]) -> Format:
    """The format of that name, or the one that is described.

    :param value: One of :data:`PRESETS`, or the fields of a :class:`Format`, ``"format"`` naming the preset whose
        other fields hold.
    :raises UnknownFormat: If it is neither.
    """
    if isinstance(value, str):
        return _preset(value)
    unknown = [str(name) for name in value if name not in _OPTIONS]
    if unknown:
        raise UnknownFormat(f"has {', '.join(map(repr, unknown))}; what it may have is {', '.join(_OPTIONS)}")
    given = {name: _option(name, value[name]) for name in value if name != "format"}
    if given.get("verify_header") is not None:
        # Whoever describes it says that it is sent; then its absence means that it got lost.
        given.setdefault("verify_required", True)
    if "format" in value:
        found = replace(_preset(value["format"]), **given)
    else:
        missing = [name for name in ("header", "encoding") if name not in given]
        if missing:
            raise UnknownFormat(f"lacks {' and '.join(map(repr, missing))}, and names no 'format' to take them from")
        found = Format(name="header", **given)
    _check(found)
    return found


def _preset(name: Any) -> Format:
    if isinstance(name, str) and name in PRESETS:
        return PRESETS[name]
    raise UnknownFormat(f"is {name!r}; write one of {', '.join(map(repr, PRESETS))}, or describe your own header")


def _option(name: str, value: Any) -> Any:
    if name in _NAMES:
        if value is None and name != "header":
            return None
        bare = value[:-1] if name == "chain_header" and isinstance(value, str) and value.endswith("*") else value
        if isinstance(bare, str) and _TOKEN.match(bare):
            return value
        raise UnknownFormat(
            f"has {name} = {value!r}, which is no header's name (RFC 9110, section 5.1); an underscore in one cannot be"
            " told from a dash by the time that it gets here"
        )
    if name in _WORDS:
        words = [value] if isinstance(value, str) else value
        if (
            isinstance(words, (list, tuple, set, frozenset))
            and words
            and all(each and isinstance(each, str) for each in words)
        ):
            return frozenset(words)
        raise UnknownFormat(f"has {name} = {value!r}; write a list of words")
    if name in ("with_chain", "verify_required"):
        if isinstance(value, bool):
            return value
        raise UnknownFormat(f"has {name} = {value!r}; write True or False")
    if isinstance(value, str) and value in ENCODINGS:
        return value
    raise UnknownFormat(f"has {name} = {value!r}; write one of {', '.join(map(repr, ENCODINGS))}")


def _check(found: Format) -> None:
    """What no field shows by itself."""
    names = [name.lower() for name in found.headers]
    taken = sorted({*names} & _NOT_THEIRS)
    if taken:
        raise UnknownFormat(f"names {taken[0]}, which has a meaning of its own; let the proxy set another header")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UnknownFormat(f"names {', '.join(sorted(twice))} for two things")
    encoding = ENCODINGS[found.encoding]
    if found.with_chain and not encoding.with_chain:
        raise UnknownFormat(f"has with_chain, but a header of {found.encoding!r} holds one certificate")
    chain = ENCODINGS[found.chain_encoding or found.encoding]
    if found.chain_header is not None and chain.chain is None:
        raise UnknownFormat("has a chain_header of 'xfcc', which carries its chain itself")
