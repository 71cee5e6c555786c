"""Copies, forks, and where the key does not go."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.identity import Identity
from requests_mtls import MTLSAdapter, MTLSRequestError, MTLSSession, Pin

from .peers import Server

PASSWORD = "correct horse battery staple"

COPIES = pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy], ids=["pickle", "deepcopy"])


@COPIES
def test_a_session_with_an_identity_is_not_copied(billing: Identity, duplicate: Callable[[object], object]) -> None:
    """P28: it says what to do instead."""
    with MTLSSession(billing, hosts=["orders.internal"]) as session, pytest.raises(TypeError, match="Build one"):
        duplicate(session)


@COPIES
def test_an_adapter_is_not_copied(billing: Identity, duplicate: Callable[[object], object]) -> None:
    """P28: requests' own adapter comes back without its context, and with it goes the identity."""
    with pytest.raises(TypeError, match="Build one"):
        duplicate(MTLSAdapter(billing, hosts=["orders.internal"]))


@COPIES
def test_an_ordinary_session_with_the_adapter_is_not_copied(
    billing: Identity, duplicate: Callable[[object], object]
) -> None:
    """P28."""
    with requests.Session() as session:
        session.mount("https://orders.internal/", MTLSAdapter(billing, hosts=["orders.internal"]))
        with pytest.raises(TypeError, match="Build one"):
            duplicate(session)


@COPIES
def test_an_ordinary_session_without_it_is_copied(duplicate: Callable[[object], object]) -> None:
    """The twin."""
    with requests.Session() as session:
        assert duplicate(session)


def test_a_shallow_copy_of_an_ordinary_session_keeps_the_identity(
    billing: Identity, ca: DevelopmentCA, server: Server
) -> None:
    """P28: it shares the adapter."""
    with requests.Session() as session:
        session.mount("https://", MTLSAdapter(billing, hosts=["127.0.0.1"], ca=ca.trust_store()))
        assert copy.copy(session).get(server.url()).ok

    assert server.certificates == [billing.certificate]


FORKING = """
import os, sys
from requests_mtls import Identity, MTLSSession

url, pfx, password, ca = sys.argv[1:]
identity = Identity.from_pfx(pfx, password)
with MTLSSession(identity, hosts=["127.0.0.1"], ca=ca) as session:
    assert session.get(url + "parent").ok
    child = os.fork()
    if child == 0:
        ok = session.get(url + "child").ok
        os._exit(0 if ok else 1)
    status = os.waitpid(child, 0)[1]
    assert session.get(url + "parent-again").ok
sys.exit(status)
"""


def test_a_child_process_has_connections_of_its_own(ca: DevelopmentCA, server: Server, tmp_path: Path) -> None:
    """P21: after a fork, and the parent's connection lives on."""
    files = ca.client("forking").write(tmp_path, "forking", password=PASSWORD)
    run_client(FORKING, server.url(), files.pfx, ca, tmp_path)

    assert [seen.line.split()[1] for seen in server.requests] == ["/parent", "/child", "/parent-again"]
    assert server.connections == 2


GREEN = """
from gevent import monkey
monkey.patch_all()

import gevent, sys
from requests_mtls import Identity, MTLSSession, ServerVerificationError

url, pfx, password, ca = sys.argv[1:]
identity = Identity.from_pfx(pfx, password)
with MTLSSession(identity, hosts=["127.0.0.1"], ca=ca) as session:
    jobs = [gevent.spawn(session.get, url) for _ in range(10)]
    gevent.joinall(jobs, raise_error=True)
    assert all(job.value.ok for job in jobs)
with MTLSSession(identity, hosts=["127.0.0.1"]) as session:
    try:
        session.get(url)
    except ServerVerificationError as error:
        assert error.certificate is not None
"""


def test_greenlets_share_a_session(ca: DevelopmentCA, server: Server, tmp_path: Path) -> None:
    """P22: gevent replaces the classes of the ssl module; certificates of a failed handshake are read there as well."""
    pytest.importorskip("gevent")
    files = ca.client("green").write(tmp_path, "green", password=PASSWORD)
    run_client(GREEN, server.url(), files.pfx, ca, tmp_path)

    assert len(server.requests) == 10


WATCHED = """
import json, logging, os, sys
opened = []

def watch(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        opened.append(str(arguments[0]))

url, pfx, password, ca = sys.argv[1:]
from requests_mtls import Identity, MTLSSession
sys.addaudithook(watch)
identity = Identity.from_pfx(pfx, password)
with MTLSSession(identity, hosts=["127.0.0.1"], ca=ca) as session:
    assert session.get(url).ok
print(json.dumps(opened))
"""


def test_no_file_is_written(ca: DevelopmentCA, server: Server, tmp_path: Path) -> None:
    """Loading a PFX and making a request opens no file for writing, not even one that is gone at once."""
    issued = ca.client("watched")
    files = issued.write(tmp_path, "watched", password=PASSWORD)
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    printed = run_client(WATCHED, server.url(), files.pfx, ca, tmp_path, TMPDIR=str(temporary))

    # The file in memory is opened by its descriptor, a number.
    assert [name for name in json.loads(printed) if not name.isdigit()] == []
    assert list(temporary.rglob("*")) == []


def test_the_key_shows_nowhere(ca: DevelopmentCA, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Not in ``repr``, logs, errors and their pickles, nor in what a debugger prints of an adapter."""
    caplog.set_level(logging.DEBUG)
    issued = ca.client("discreet")
    identity = Identity.from_pfx(issued.pfx(PASSWORD), PASSWORD)
    wrong = Pin("public_key", bytes(32))
    adapter = MTLSAdapter(identity, hosts=["127.0.0.1"], ca=ca.trust_store())
    with MTLSSession(identity, hosts=["127.0.0.1"], ca=ca.trust_store(), pins=wrong) as session:
        errors = [error_of(session, url) for url in (server.url(), "https://evil.example/", "http://127.0.0.1/")]
        told = [repr(thing) for thing in (identity, session, adapter, vars(session), vars(adapter), *errors)]
    told += [record.getMessage() for record in caplog.records]
    told += ["".join(traceback.format_exception(error)) for error in errors]
    told += [pickle.dumps(error).decode("latin-1") for error in errors]

    assert len(caplog.records) > 0
    for secret in secrets_of(issued):
        assert not any(secret in text for text in told)


def test_the_search_for_the_key_finds_it(ca: DevelopmentCA) -> None:
    """The twin of the two above: the secrets that are searched for are in a file of the key."""
    issued = ca.client("careless")
    der = base64.b64decode("".join(issued.key_pem().decode("ascii").splitlines()[1:-1]))

    assert any(secret in der.decode("latin-1") for secret in secrets_of(issued))
    assert any(secret in issued.key_pem().decode("ascii") for secret in secrets_of(issued))


def secrets_of(issued: Issued) -> list[str]:
    """The private key in the forms in which it could turn up, and the password."""
    number = issued.private_key.private_numbers().private_value  # type: ignore[union-attr]
    pem_lines = issued.key_pem().decode("ascii").splitlines()[1:-1]
    return [PASSWORD, str(number), f"{number:x}", number.to_bytes(32, "big").decode("latin-1"), *pem_lines]


def error_of(session: MTLSSession, url: str) -> MTLSRequestError:
    with pytest.raises(MTLSRequestError) as caught:
        session.get(url)
    return caught.value


def run_client(program: str, url: str, pfx: Path, ca: DevelopmentCA, folder: Path, **environment: str) -> str:
    """What a program prints that calls a URL from a process of its own."""
    trusted = folder / "ca.pem"
    trusted.write_text(ca.pem)
    arguments: list[Any] = [sys.executable, "-W", "error", "-c", program, url, pfx, PASSWORD, trusted]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(root), **environment}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
