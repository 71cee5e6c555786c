"""Running Envoy, and what it sends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from mtls_core.devca import Issued

from ..processes import Process, free_port
from ..programs import require_program
from .proxying import Answer, Parties, Site, configuration, proxy

NAME = "X-Forwarded-Client-Cert"
#: A change that has Envoy send all that it can.
EVERYTHING = {"{cert: true, chain: true}": "{subject: true, cert: true, chain: true, dns: true, uri: true}"}


@contextlib.contextmanager
def envoy(
    example: str,
    parties: Parties,
    app: Process,
    folder: Path,
    *,
    behind: int | None = None,
    authorities: Path | None = None,
    changes: Mapping[str, str] | None = None,
) -> Iterator[Site]:
    """Envoy in front of an application until the block ends.

    :param example: The configuration.
    :param behind: The port of another Envoy, if the application is behind that.
    :param authorities: The CAs of the clients; the roots if left out.
    :param changes: Further replacements in the configuration.
    """
    port = free_port()
    replacements = {**_replacements(example, parties, port, behind or app.port), **(changes or {})}
    if authorities is not None:
        replacements["/etc/mtls/client-ca.pem"] = authorities
    path = folder / "envoy.yaml"
    path.write_text(configuration(example, replacements))
    options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")
    with proxy([require_program("envoy"), "-c", path, *options], port, folder) as log:
        yield Site(parties, port, app, (log, app.log))


@contextlib.contextmanager
def two_envoys(
    parties: Parties,
    app: Process,
    folder: Path,
    *,
    authorities: Path | None = None,
    changes: Mapping[str, str] | None = None,
) -> Iterator[tuple[Site, Site]]:
    """One Envoy behind another, and an application behind both; the parameters are those of :func:`envoy`.

    :returns: The edge, and the inner Envoy as those see it who come to it past the edge.
    """
    (folder / "inner").mkdir()
    with (
        envoy("envoy-two-hops/inner.yaml", parties, app, folder / "inner", changes=changes) as inner,
        envoy(
            *("envoy-two-hops/edge.yaml", parties, app, folder),
            behind=inner.port,
            authorities=authorities,
            changes=changes,
        ) as edge,
    ):
        yield Site(parties, edge.port, app, (*edge.logs, *inner.logs)), inner


def _replacements(example: str, parties: Parties, port: int, upstream: int) -> dict[str, object]:
    listener, server, hop = {
        "envoy.yaml": ("443", "server", "127.0.0.1, port_value: 8000"),
        "envoy-two-hops/edge.yaml": ("443", "server", "10.0.0.2, port_value: 9443"),
        "envoy-two-hops/inner.yaml": ("9443", "inner", "127.0.0.1, port_value: 8000"),
    }[example]
    replacements: dict[str, object] = {
        f"0.0.0.0, port_value: {listener}": f"127.0.0.1, port_value: {port}",
        hop: f"127.0.0.1, port_value: {upstream}",
        f"/etc/mtls/{server}.pem": parties.certificate("server"),
        f"/etc/mtls/{server}.key": parties.key("server"),
    }
    if server == "server":
        replacements["/etc/mtls/client-ca.pem"] = parties.roots
    if example != "envoy.yaml":
        replacements["/etc/mtls/proxies-ca.pem"] = parties.roots
    if example == "envoy-two-hops/edge.yaml":
        replacements["/etc/mtls/proxy.pem"] = parties.certificate("proxy")
        replacements["/etc/mtls/proxy.key"] = parties.key("proxy")
        replacements["inner.internal"] = "localhost"
    return replacements


def element(issued: Issued) -> str:
    """What Envoy writes of a client, with Cert and Chain asked for."""
    chain = quote(issued.certificate_pem.decode(), safe="")
    leaf = quote(issued.certificate.pem, safe="")
    return f'Hash={issued.certificate.thumbprint};Cert="{leaf}";Chain="{chain}"'


def sent(answer: Answer) -> str:
    """What Envoy sent to an :func:`~tests.test_interop.proxying.echo`."""
    (value,) = [value for name, value in answer.body["headers"] if name == NAME.lower()]
    assert isinstance(value, str)
    return value
