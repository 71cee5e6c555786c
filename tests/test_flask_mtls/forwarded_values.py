"""Headers as proxies write them, written here by other means than they are read with, and ways to damage them."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import strategies as st

from flask_mtls.sources import MalformedHeader, der_header, pem_header, rfc9440, traefik, xfcc

Parser = Callable[[str], tuple[bytes, ...]]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def pem(*certificates: bytes) -> str:
    """PEM as OpenSSL writes it."""
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in certificates)


def nginx(*certificates: bytes) -> str:
    """``$ssl_client_escaped_cert``; the same within Envoy's header, and of several certificates."""
    return quote(pem(*certificates), safe="")


def aws(*certificates: bytes) -> str:
    return quote(pem(*certificates), safe="+/=")


def apache(*certificates: bytes) -> str:
    return pem(*certificates).replace("\n", " ")


def haproxy_chain(*certificates: bytes) -> str:
    return b64(b"".join(certificates))


def traefik_list(*certificates: bytes) -> str:
    return ",".join(map(b64, certificates))


def client_cert(*certificates: bytes) -> str:
    """A header of RFC 9440, either."""
    return ", ".join(f":{b64(der)}:" for der in certificates)


def envoy(leaf: bytes, *chain: bytes, end: str = ';Subject="CN=caller";URI=', **changes: str | None) -> str:
    """One element of Envoy's header; ``Chain`` repeats the leaf.

    :param end: What stands behind ``Chain``.
    :param changes: Other values for ``Hash``, ``Cert``, ``Chain``, quotes included; ``None`` leaves the pair out.
    """
    pairs: dict[str, str | None] = {
        "Hash": hashlib.sha256(leaf).hexdigest(),
        "Cert": f'"{nginx(leaf)}"',
        "Chain": f'"{nginx(leaf, *chain)}"',
    }
    return ";".join(f"{key}={value}" for key, value in (pairs | changes).items() if value is not None) + end


def envoy_names(leaf: bytes, *, uris: Iterable[str] = (), dns: Iterable[str] = ()) -> str:
    """As :func:`envoy`, with the names of the certificate as Envoy copies them."""
    names = [f"URI={name}" for name in uris] + [f"DNS={name}" for name in dns]
    return envoy(leaf, end=";" + ";".join(['Subject="CN=caller"', *names]))


def read_envoy(value: str) -> tuple[bytes, ...]:
    element = xfcc.client(value, 1)
    return () if element is None else (element.leaf, *element.chain)


@dataclass(frozen=True)
class Encoding:
    """An encoding: how it is read, how a proxy writes it, and what of a text does not matter."""

    name: str
    parse: Parser
    write: Callable[..., str]
    #: How many certificates it can carry.
    most: int = 10
    #: Texts that are equal after this may mean the same.
    essence: Callable[[str], str] = str


def _without_breaks(text: str) -> str:
    return re.sub(r"[\r\n]", "", unquote(text))


ENCODINGS = (
    Encoding("rfc9440", rfc9440.certificate, client_cert, most=1, essence=lambda text: text.strip(" ")),
    Encoding("rfc9440-list", rfc9440.certificates, client_cert, essence=lambda text: re.sub(r"[ \t]", "", text)),
    Encoding("nginx", pem_header.urlencoded, nginx, essence=_without_breaks),
    Encoding("aws", pem_header.urlencoded, aws, essence=_without_breaks),
    Encoding("apache", pem_header.spaced, apache, essence=lambda text: text.replace(" ", "")),
    Encoding("der", der_header.base64, b64, most=1, essence=lambda text: re.sub('^"(.*)"$', r"\1", text)),
    Encoding("haproxy", der_header.concatenated, haproxy_chain, essence=lambda text: re.sub('^"(.*)"$', r"\1", text)),
    Encoding("traefik", traefik.certificates, traefik_list),
)
ENVOY = Encoding("envoy", read_envoy, envoy)


def refusal(parse: Callable[..., Any], *arguments: Any) -> str:
    """What a parser says of a header that it must refuse."""
    with pytest.raises(MalformedHeader) as caught:
        parse(*arguments)
    return str(caught.value)


@st.composite
def mutants(draw: st.DrawFn, value: str) -> str:
    """A good value with one to three small damages: what proxies, clients and broken lines do to headers."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, min(len(value), start + draw(st.sampled_from((1, 2, 4, 70, 10_000))))))
        before, piece, after = value[:start], value[start:end], value[end:]
        value = draw(
            st.sampled_from(
                (
                    before + draw(_SNIPPETS) + piece + after,
                    before + after,
                    before + draw(_SNIPPETS) + after,
                    before + piece + piece + after,
                    before + piece[::-1] + after,
                    before + piece.swapcase() + after,
                    before,
                    after,
                )
            )
        )
    return value


_SNIPPETS = st.one_of(
    st.text("ABab01+/=%:,;\"\\ \t\r\n-_'&\x00\x7f", min_size=1, max_size=3),
    st.sampled_from(("%0A", "%0a", "%0D%0A", "%2B", "%3D", "%25", "%%", "\\\\", '\\"', "=A", ";a=1", ', "', ",Hash=")),
    st.text(st.characters(), min_size=1, max_size=2),
)
