"""Real proxies in front of the example's application, and clients that come to them."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued

from ..processes import Process, serving, wait_for_port

EXAMPLES = Path(__file__).parents[2] / "examples" / "proxies"

#: Where the application is, and whence the proxies call it.
TRUSTED = "127.0.0.1"
#: Whence others call it.
UNTRUSTED = "127.0.0.2"

Version = Literal["TLSv1.2", "TLSv1.3"]
Headers = Sequence[tuple[str, str]]

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, eq=False)
class Parties:
    """Everybody's certificates, in files.

    Clients are named ``orders`` and ``billing`` (good, both of the same issuing CA), ``rsa`` (RSA-4096 throughout, of a
    root of its own), ``expired``, ``revoked``, ``stranger`` (of a CA that nobody trusts, with the SPIFFE ID of
    ``orders``) and ``proxy``. Each has a file ``NAME.pem`` with its certificate and intermediates, and
    ``NAME.key.pem``.
    """

    folder: Path
    issued: Mapping[str, Issued]

    @property
    def roots(self) -> Path:
        """The CAs that may issue clients, and the server."""
        return self.folder / "roots.pem"

    @property
    def authorities(self) -> Path:
        """The same with the intermediates, for formats that carry none."""
        return self.folder / "authorities.pem"

    @property
    def revoked(self) -> Path:
        """A list that has ``revoked``."""
        return self.folder / "revoked.crl"

    def certificate(self, name: str) -> Path:
        """A party's certificate and intermediates; ``server`` is one, too."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """A party's private key, not encrypted."""
        return self.folder / f"{name}.key.pem"

    def both(self, name: str) -> Path:
        """A party's certificate, intermediates and key in one file."""
        path = self.folder / f"{name}-and-key.pem"
        path.write_bytes(self.certificate(name).read_bytes() + self.key(name).read_bytes())
        return path

    def leaf(self, name: str) -> Certificate:
        """A party's certificate."""
        return self.issued[name].certificate

    @functools.cache  # noqa: B019 - a session can be resumed only under the context that began it
    def context(self, name: str | None = None, version: Version | None = None) -> ssl.SSLContext:
        """How a client connects.

        :param name: Whose certificate it shows; ``None``: none.
        :param version: The only TLS version it speaks; ``None``: the best there is.
        """
        context = ssl.create_default_context(cafile=str(self.roots))
        if name is not None:
            context.load_cert_chain(self.certificate(name), self.key(name))
        if version is not None:
            context.minimum_version = context.maximum_version = _VERSIONS[version]
        return context


def make_parties(folder: Path) -> Parties:
    """Issue everybody's certificates."""
    root = DevelopmentCA.create("Proxies CA")
    rsa_root = DevelopmentCA.create("Proxies RSA CA", key="rsa4096")
    issuing, rsa_issuing = root.intermediate("Issuing CA"), rsa_root.intermediate("RSA issuing CA", key="rsa4096")
    other = DevelopmentCA.create("Another CA").intermediate("Another issuing CA")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    issued = {
        "orders": issuing.client("orders", uris=[spiffe_id("orders")]),
        "billing": issuing.client("billing", uris=[spiffe_id("billing")]),
        "rsa": rsa_issuing.client("rsa", uris=[spiffe_id("rsa")], key="rsa4096"),
        "expired": issuing.client("expired", uris=[spiffe_id("expired")], not_after=yesterday),
        "revoked": issuing.client("revoked", uris=[spiffe_id("revoked")]),
        "stranger": other.client("orders", uris=[spiffe_id("orders")]),
        "proxy": issuing.client("proxy", uris=[spiffe_id("proxy")]),
        "server": root.server("localhost"),
    }
    parties = Parties(folder, issued)
    for name, each in issued.items():
        each.write(folder, name)
    parties.roots.write_text(root.pem + rsa_root.pem)
    parties.authorities.write_text(root.pem + rsa_root.pem + issuing.pem + rsa_issuing.pem)
    parties.revoked.write_bytes(issuing.crl([issued["revoked"].certificate]))
    return parties


def spiffe_id(name: str) -> str:
    """The SPIFFE ID of a party."""
    return f"spiffe://example.org/{name}"


def base64_der(certificate: Certificate) -> str:
    """A certificate as most proxies send it."""
    return base64.b64encode(certificate.der).decode()


def rfc9440(issued: Issued) -> Headers:
    """A certificate with its chain as RFC 9440 has it."""
    chain = ", ".join(f":{base64_der(each)}:" for each in issued.chain)
    return [("Client-Cert", f":{base64_der(issued.certificate)}:"), ("Client-Cert-Chain", chain)]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    #: The JSON document; empty if a proxy answered by itself.
    body: Mapping[str, Any] = field(default_factory=dict)
    #: Their names in small letters.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Whether the TLS session was resumed, and what it takes to resume it.
    resumed: bool = False
    session: ssl.SSLSession | None = field(default=None, repr=False)

    @property
    def caller(self) -> str | None:
        """Who the application believes to have called."""
        return self.body.get("spiffe_id")

    @property
    def outcome(self) -> str | int | None:
        """The caller's SPIFFE ID, or why there is none: a reason, or the status if a proxy answered by itself."""
        return self.caller or self.body.get("reason") or self.status


@dataclass(frozen=True)
class Site:
    """A proxy that runs, and the application behind it."""

    parties: Parties
    port: int
    app: Process
    logs: tuple[Path, ...]
    #: Whether the proxy resumes sessions.
    resumes: bool = True

    def ask(
        self,
        client: str | None = None,
        path: str = "/whoami",
        *,
        headers: Headers = (),
        version: Version | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Answer:
        """Ask through the proxy.

        :param client: Whose certificate is shown.
        :param headers: Sent as they are, in this order and spelling.
        """
        context = self.parties.context(client, version)
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=15) as raw,
            context.wrap_socket(raw, server_hostname="localhost", session=session) as connection,
        ):
            status, body, received = _exchange(connection, path, headers)
            return Answer(status, body, received, bool(connection.session_reused), connection.session)

    def alert(self, client: str, version: Version) -> str:
        """With which alert the proxy ends the handshake; fails if it does not.

        Nothing is sent after the handshake: a request that is under way when the proxy closes could have the
        connection reset before the alert is read.
        """
        context = self.parties.context(client, version)
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=5) as raw,
                context.wrap_socket(raw, server_hostname="localhost") as connection,
            ):
                connection.recv(1)
        except ssl.SSLError as error:
            return str(error.reason).partition("_ALERT_")[2].lower()
        raise AssertionError("the proxy ended the connection without an alert")

    def ask_app(self, path: str = "/whoami", *, headers: Headers = (), source: str = UNTRUSTED) -> Answer:
        """Ask the application itself, over plain HTTP, from an address."""
        with socket.create_connection((TRUSTED, self.app.port), timeout=15, source_address=(source, 0)) as raw:
            return Answer(*_exchange(raw, path, headers))


def _exchange(connection: socket.socket, path: str, headers: Headers) -> tuple[int, Any, Mapping[str, str]]:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
    with http.client.HTTPResponse(connection, method="GET") as response:
        response.begin()
        content = response.read()
        is_json = "json" in response.headers.get_content_type()
        received = {name.lower(): value for name, value in response.headers.items()}
        return response.status, json.loads(content) if is_json else {}, received


def configuration(example: str, replacements: Mapping[str, object]) -> str:
    """An example's text with its constants replaced.

    :param replacements: Each must be in the example, so that no constant stays behind when the example changes.
    """
    return replaced((EXAMPLES / example).read_text(), replacements)


def replaced(text: str, replacements: Mapping[str, object]) -> str:
    """A text with its constants replaced, each of which it must have."""
    missing = [constant for constant in replacements if constant not in text]
    assert not missing, f"{missing} are not in:\n{text}"
    # All at once: what was put in is not looked at again. The longest first, where one begins like another.
    pattern = "|".join(re.escape(constant) for constant in sorted(replacements, key=len, reverse=True))
    return re.sub(pattern, lambda found: str(replacements[found[0]]), text)


def settings_in(example: str) -> dict[str, str]:
    """The settings of the application that an example's first comment has, as environment variables."""
    found = re.findall(r"^#     (MTLS_\w+) = (.+)$", (EXAMPLES / example).read_text(), re.MULTILINE)
    return {f"FLASK_{name}": value for name, value in found}


@contextlib.contextmanager
def echo(folder: Path) -> Iterator[Process]:
    """In the place of an application: it answers with the headers it got, name by name, until the block ends."""
    log = folder / "echo.log"
    log.touch()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield Process(server.server_port, os.getpid(), log)
        finally:
            server.shutdown()
            thread.join(timeout=10)


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = json.dumps({"headers": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what came is in the answer."""


@contextlib.contextmanager
def application(
    parties: Parties,
    folder: Path,
    *,
    example: str | None = None,
    forwarded: str | Mapping[str, object] | None = None,
    trusted: Iterable[str] = (TRUSTED,),
    authorities: Path | None = None,
    settings: Mapping[str, str] | None = None,
    more: Sequence[str] = (),
) -> Iterator[Process]:
    """The example's application under gunicorn, until the block ends.

    :param example: The proxy's configuration, in which a comment has the application's.
    :param forwarded: ``MTLS_FORWARDED``, if no example has it.
    :param trusted: ``MTLS_TRUSTED_PROXIES``.
    :param authorities: ``MTLS_CLIENT_CA``; the roots if left out.
    :param settings: Further environment variables.
    :param more: Further options of gunicorn.
    """
    environment = {
        "FLASK_MTLS_CLIENT_CA": str(authorities or parties.roots),
        "FLASK_MTLS_CRLS": str(parties.revoked),
        "FLASK_MTLS_FORWARDED": json.dumps(forwarded),
        "FLASK_MTLS_TRUSTED_PROXIES": json.dumps(list(trusted)),
        **(settings_in(example) if example is not None else {}),
        **(settings or {}),
    }
    options = ("--threads", "4", *more)
    with serving("gthread", "examples.proxies.app", environment, folder, more=options) as process:
        yield process


@contextlib.contextmanager
def proxy(command: Sequence[str | Path], port: int, folder: Path) -> Iterator[Path]:
    """Run a proxy in the foreground until the block ends; yields its log.

    :param port: Where it will accept connections.
    :param folder: Its home, where it may leave what it likes.
    """
    log = folder / "proxy.log"
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_for_port(port, process, log)
            yield log
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=10)
