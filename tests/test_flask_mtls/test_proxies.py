"""Which hop a request came from, and whether that may speak for a client."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_mtls.proxies import SOCKET, STRICT_HEADERS, Hop, TrustedProxies, UnusableProxy, forgeable_by, hop_of
from mtls_core.devca import DevelopmentCA, Issued

HEX = "ab" * 32
PIN = "sha256/" + "A" * 43 + "="


def at(address: str) -> Hop:
    return Hop(address=ip_address(address))


# The hop


def test_the_socket_says_it_whatever_the_server_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert hop_of({SOCKET: connection, "REMOTE_ADDR": "10.0.0.1"}) == at("127.0.0.1")


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket", "gunicorn.sock"])
def test_sockets_of_servers_are_looked_at(key: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert hop_of({key: ours, "REMOTE_ADDR": "10.0.0.1"}) == Hop(is_unix=True)


def test_a_connection_that_is_gone_is_nobodys() -> None:
    with socket.socket() as unconnected:
        assert hop_of({SOCKET: unconnected, "REMOTE_ADDR": "127.0.0.1"}) == Hop()


def test_without_a_socket_it_is_what_the_server_says() -> None:
    assert hop_of({"REMOTE_ADDR": "10.0.0.1"}) == at("10.0.0.1")


@pytest.mark.parametrize("address", ["", "localhost", "unix", "10.0.0", None, b"10.0.0.1", 167772161])
def test_what_is_no_address_is_nobodys(address: Any) -> None:
    assert hop_of({"REMOTE_ADDR": address}) == Hop()


def test_an_ipv4_address_in_ipv6_is_that_address() -> None:
    assert hop_of({"REMOTE_ADDR": "::ffff:10.0.0.1"}) == at("10.0.0.1")


def hop_behind_proxy_fix(environ: dict[str, Any], *, layers: int) -> Hop:
    seen: list[Hop] = []

    def app(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
        seen.append(hop_of(environ))
        return []

    wrapped: Any = app
    for _ in range(layers):
        wrapped = ProxyFix(wrapped, x_for=1)
    wrapped(environ | {"HTTP_X_FORWARDED_FOR": "127.0.0.1, 127.0.0.1"}, None)
    return seen[0]


def test_proxy_fix_does_not_move_it() -> None:
    assert hop_behind_proxy_fix({"REMOTE_ADDR": "10.0.0.1"}, layers=1) == at("10.0.0.1")


def test_no_middleware_moves_a_socket() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert hop_behind_proxy_fix({SOCKET: ours, "REMOTE_ADDR": ""}, layers=2) == Hop(is_unix=True)


@pytest.mark.parametrize(
    ("hop", "text"),
    [(at("10.0.0.1"), "10.0.0.1"), (Hop(is_unix=True), "a unix socket"), (Hop(), "an unknown address")],
)
def test_a_hop_in_logs(hop: Hop, text: str) -> None:
    assert str(hop) == text


# Trust by place


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ("10.0.0.1", at("10.0.0.1"), at("10.0.0.2")),
        ("10.0.0.0/24", at("10.0.0.255"), at("10.0.1.0")),
        ("::1", at("::1"), at("::2")),
        ("fd00::/8", at("fd12::1"), at("fe80::1")),
        ("127.0.0.1", at("127.0.0.1"), at("::1")),
        ("unix", Hop(is_unix=True), at("127.0.0.1")),
        ("127.0.0.1", at("127.0.0.1"), Hop(is_unix=True)),
        ("127.0.0.1", at("127.0.0.1"), Hop()),
    ],
)
def test_places(entry: str, inside: Hop, outside: Hop) -> None:
    trusted = TrustedProxies.parse([entry])
    assert trusted.has_place(inside)
    assert not trusted.has_place(outside)
    assert trusted.by_place
    assert not trusted.by_certificate


def test_link_local_addresses_have_a_zone() -> None:
    assert TrustedProxies.parse(["fe80::/64"]).has_place(hop_of({"REMOTE_ADDR": "fe80::1%eth0"}))


# Trust by certificate


@pytest.fixture(scope="module")
def edge(ca: DevelopmentCA) -> Issued:
    return ca.client("edge", uris=["spiffe://example.org/edge"])


@pytest.mark.parametrize(
    "entry",
    [
        lambda edge: "sha256/" + edge.certificate.spki_pin,
        lambda edge: edge.certificate.thumbprint,
        lambda edge: edge.certificate.thumbprint.upper(),
        lambda edge: "spiffe://example.org/edge",
    ],
)
def test_certificates(entry: Callable[[Issued], str], edge: Issued, billing: Issued) -> None:
    trusted = TrustedProxies.parse([entry(edge)])
    assert trusted.has_certificate(edge.certificate)
    assert not trusted.has_certificate(billing.certificate)
    assert trusted.by_certificate
    assert not trusted.by_place


def test_a_certificate_without_spiffe_id_is_no_spiffe_id(stock: Issued) -> None:
    assert not TrustedProxies.parse([PIN]).has_certificate(stock.certificate)


# What cannot be read


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ("proxy.internal", "no address, network"),
        ("*", "no address, network"),
        ("", "no address, network"),
        ("10.0.0.1/8", "host bits"),
        ("::ffff:10.0.0.1", "the IPv4 address itself"),
        ("sha256/short", "44 characters"),
        ("ab" * 20, "SHA-1"),
        (":".join(["ab"] * 20), "SHA-1"),
        ("spiffe://example.org/edge/*", "path segment"),
        ("spiffe://", "trust domain"),
        ("UNIX", "no address, network"),
        ("0.0.0.0/0", "half the world"),
        ("::/0", "half the world"),
        ("128.0.0.0/1", "half the world"),
        ("2000::/3", "half the world"),
        ("fe80::1%eth0", "zone"),
    ],
)
def test_what_names_no_proxy(entry: str, advice: str) -> None:
    with pytest.raises(UnusableProxy, match=advice):
        TrustedProxies.parse([entry])


def test_all_kinds_in_one_list() -> None:
    entries = ["10.0.0.0/8", "192.168.0.1", "unix", PIN, HEX, "spiffe://example.org/edge"]
    assert str(TrustedProxies.parse(entries)) == ", ".join(entries)


# Servers that let names be forged


class CherootInput(io.BytesIO):
    __module__ = "cheroot.server"


@pytest.mark.parametrize(
    ("environ", "server"),
    [
        ({"SERVER_SOFTWARE": "Cheroot/11.1.2 WSGI Server"}, "cheroot"),
        ({"SERVER_SOFTWARE": "renamed", "wsgi.input": CherootInput()}, "cheroot"),
        ({"SERVER_SOFTWARE": "Cheroot/11.1.2", STRICT_HEADERS: True}, None),
        ({"SERVER_SOFTWARE": "Cheroot/11.1.2", "HTTP_FLASK_MTLS_STRICT_HEADERS": "True"}, "cheroot"),
        ({"SERVER_SOFTWARE": "Werkzeug/3.1", "wsgi.input": io.BytesIO()}, None),
        ({"SERVER_SOFTWARE": "WSGIServer/0.2"}, "wsgiref"),
        ({}, None),
    ],
)
def test_cheroot_as_it_comes_is_recognised(environ: dict[str, Any], server: str | None) -> None:
    assert forgeable_by(environ) == server


def test_a_path_is_not_a_place(tmp_path: Path) -> None:
    with pytest.raises(UnusableProxy, match="'unix'"):
        TrustedProxies.parse([str(tmp_path / "proxy.sock")])
