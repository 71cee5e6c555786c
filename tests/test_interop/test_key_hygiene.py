"""The private key is on no disk, in no text, in no pickle."""

from __future__ import annotations

import copy
import os
import pickle
import re
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from mtls_core.devca import DevelopmentCA
from requests_mtls import Identity, MTLSAdapter, MTLSSession

from ..processes import Process
from ..programs import require_program
from ..run import run
from .conftest import PASSWORD, Files

#: Loads a PFX, makes a request, and prints the status.
PROGRAM = """
import sys
from requests_mtls import Identity, MTLSSession

pfx, password, ca, url = sys.argv[1:]
identity = Identity.from_pfx(pfx, password)
with MTLSSession(identity, hosts=["localhost"], ca=ca) as session:
    print(session.get(url).status_code)
"""


def test_no_file_is_written_that_holds_the_key(service: Process, files: Files, tmp_path: Path) -> None:
    """Every file that the process opens for writing, or creates, as the kernel saw it."""
    strace = require_program("strace")
    trace = tmp_path / "trace"
    printed = run(
        *(
            strace,
            "-f",
            "-qq",
            "-s",
            "100000",
            "-x",
            "-e",
            "trace=openat,open,creat,memfd_create,write,pwrite64,writev",
        ),
        *("-o", str(trace), sys.executable, "-B", "-c", PROGRAM),
        *(files.pfx, PASSWORD, files.ca, f"{service.url}/caller"),
    )
    assert printed.strip() == "200"
    calls = trace.read_text()
    written = re.findall(r'(?:openat|open|creat)\([^"]*"([^"]+)"[^)]*O_(?:WRONLY|RDWR|CREAT)[^)]*\)\s+= \d', calls)
    assert [path for path in written if not path.startswith(("/dev/", "/proc/self/fd/"))] == []
    assert "memfd_create" in calls
    for secret in _secrets(files):
        assert secret not in calls.encode()


def test_no_file_is_left_in_the_temporary_folder(service: Process, files: Files, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = (sys.executable, "-B", "-c", PROGRAM, files.pfx, PASSWORD, files.ca, f"{service.url}/caller")
    assert run("env", *(f"{key}={value}" for key, value in environment.items()), *command).strip() == "200"
    assert list(tmp_path.iterdir()) == []


def test_no_text_holds_the_key(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        identity = Identity.from_pfx(files.pfx, PASSWORD)
        adapter = MTLSAdapter(identity, hosts=["localhost"], ca=files.ca)
        session = MTLSSession(identity, hosts=["localhost"], ca=files.ca)
    texts = [repr(identity), str(identity), repr(adapter), repr(session), repr(vars(session)), caplog.text]
    for secret in _secrets(files):
        assert all(secret not in text.encode("utf-8", "surrogateescape") for text in texts)
    assert all(PASSWORD not in text for text in texts)


def test_no_pickle_holds_the_key(files: Files) -> None:
    """P28: a session with an identity refuses to be pickled or copied; so do its parts."""
    identity = Identity.from_pfx(files.pfx, PASSWORD)
    adapter = MTLSAdapter(identity, hosts=["localhost"], ca=files.ca)
    session = MTLSSession(identity, hosts=["localhost"], ca=files.ca)
    for holder in (identity, adapter, session):
        with pytest.raises(TypeError, match="private key"):
            pickle.dumps(holder)
    for holder in (adapter, session):
        with pytest.raises(TypeError, match="private key"):
            copy.deepcopy(holder)


def test_what_the_tests_above_look_for_is_the_key(files: Files) -> None:
    """A clear PKCS#8 file of the same key holds it; else the tests above could not fail."""
    key, _, _ = pkcs12.load_key_and_certificates(Path(files.pfx).read_bytes(), PASSWORD.encode())
    assert key is not None
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    raw = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    pem, hexadecimal, _ = _secrets(files)
    assert pem in clear
    assert bytes.fromhex(hexadecimal.replace(b"\\x", b"").decode()) in raw


def test_a_development_ca_does_not_print_its_key() -> None:
    ca = DevelopmentCA.create()
    for text in (repr(ca), repr(ca.client("billing"))):
        assert "PRIVATE" not in text
        assert "private_key" not in text


def _secrets(files: Files) -> tuple[bytes, bytes, bytes]:
    """The clear key as it would show: a line of its PEM, its number as strace prints bytes, its number in decimal."""
    key, _, _ = pkcs12.load_key_and_certificates(Path(files.pfx).read_bytes(), PASSWORD.encode())
    assert key is not None
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).splitlines()[1]
    number: int = key.private_numbers().private_value  # type: ignore[union-attr]
    as_strace = "".join(f"\\x{byte:02x}" for byte in number.to_bytes(32))
    return pem, as_strace.encode(), str(number).encode()
