"""``python -m mtls_core.devca``: identities that name a responder, revoking them, and the responder itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA
from mtls_core.devca.__main__ import main
from mtls_core.identity import Identity
from mtls_core.revocation.crl import distribution_points
from mtls_core.revocation.ocsp import build_request, judge, responder_urls
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Answer, Status

PASSWORD = "geheim"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def pki(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a CA and an identity of it."""
    monkeypatch.setenv("MTLS_DEVCA_PASSWORD", PASSWORD)
    folder = tmp_path / "pki"
    assert main([str(folder), "--client", "billing"]) == 0
    return folder


def certificate(folder: Path, name: str) -> Certificate:
    return Identity.from_pfx(folder / f"{name}.pfx", PASSWORD).certificate


def revoked(folder: Path) -> dict[str, str | None]:
    """The reasons of what is revoked, by serial number in hex."""
    entries = json.loads((folder / "index.json").read_bytes())["certificates"]
    return {number: entry["reason"] for number, entry in entries.items() if entry["revoked"]}


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[str]:
    """Run the responder as a person does; gives its address."""
    command = (sys.executable, "-m", "mtls_core.devca", "serve", str(folder), "--port", "0", *options)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().split()[0]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=15) == 0


def fetch(url: str, body: bytes | None = None) -> bytes:
    """By GET, or by POST if there is a body."""
    with urllib.request.urlopen(url, body, timeout=10) as reply:  # noqa: S310 - the address is our own
        content: bytes = reply.read()
    return content


def ask(url: str, folder: Path, name: str) -> Answer:
    """What the responder says about an identity."""
    leaf, ca = certificate(folder, name), Certificate.from_pem((folder / "ca.pem").read_bytes())
    body = fetch(f"{url}/ocsp", build_request(leaf, ca))
    return judge(body, (leaf, ca), 0, at=datetime.now(UTC), policy=RevocationPolicy(), nonce=None, source=url)


# Identities that say where they can be asked about.


def test_identities_name_the_responder(pki: Path) -> None:
    assert main([str(pki), "--client", "stock", "--responder", "http://127.0.0.1:8889/"]) == 0
    stock = certificate(pki, "stock")
    assert responder_urls(stock) == ("http://127.0.0.1:8889/ocsp",)
    assert [point.urls for point in distribution_points(stock)] == [("http://127.0.0.1:8889/ca.crl",)]


def test_identities_name_none_unless_told(pki: Path) -> None:
    assert responder_urls(certificate(pki, "billing")) == ()
    assert distribution_points(certificate(pki, "billing")) == ()


def test_each_list_is_a_distribution_point_of_its_own() -> None:
    urls = ("http://one.example/ca.crl", "http://two.example/ca.crl")
    issued = DevelopmentCA.create().client("billing", crl_urls=urls)
    assert [point.urls for point in distribution_points(issued.certificate)] == [(url,) for url in urls]


# Revoking.


def test_revoke(pki: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["revoke", str(pki), "billing", "--reason", "keyCompromise"]) == 0
    number = f"{certificate(pki, 'billing').serial_number:x}"
    assert f"revoked billing  serial {number}" in capsys.readouterr().out
    assert revoked(pki) == {number: "keyCompromise"}


def test_revoke_without_a_reason(pki: Path) -> None:
    assert main(["revoke", str(pki), "billing"]) == 0
    assert list(revoked(pki).values()) == [None]


def test_everything_of_that_name_is_revoked(pki: Path) -> None:
    first = certificate(pki, "billing")
    assert main([str(pki), "--client", "billing", "--client", "stock"]) == 0
    assert main(["revoke", str(pki), "billing"]) == 0
    both = {first.serial_number, certificate(pki, "billing").serial_number}
    assert {int(number, 16) for number in revoked(pki)} == both


def test_what_is_issued_again_is_not_revoked(pki: Path) -> None:
    assert main(["revoke", str(pki), "billing"]) == 0
    assert main([str(pki), "--client", "billing"]) == 0
    assert f"{certificate(pki, 'billing').serial_number:x}" not in revoked(pki)


def test_nobody_of_that_name(pki: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["revoke", str(pki), "nobody"]) == 1
    assert "no certificate of 'nobody' is left to revoke" in capsys.readouterr().err


def test_revoking_twice(pki: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["revoke", str(pki), "billing"]) == 0
    assert main(["revoke", str(pki), "billing"]) == 1
    assert "left to revoke" in capsys.readouterr().err


def test_an_identity_that_is_older_than_the_index(pki: Path) -> None:
    (pki / "index.json").unlink()
    assert main(["revoke", str(pki), "billing"]) == 0
    assert revoked(pki) == {f"{certificate(pki, 'billing').serial_number:x}": None}


def test_files_of_others_are_no_identities_of_this_ca(pki: Path) -> None:
    other = DevelopmentCA.create("Another CA").client("stranger")
    (pki / "stranger.pfx").write_bytes(other.pfx(PASSWORD))
    (pki / "locked.pfx").write_bytes(other.pfx("another password"))
    assert main(["revoke", str(pki), "stranger"]) == 1
    assert main(["revoke", str(pki), "locked"]) == 1
    assert main(["revoke", str(pki), "ca"]) == 1
    assert revoked(pki) == {}


def test_the_index_is_private(pki: Path) -> None:
    assert stat.S_IMODE((pki / "index.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'"text"'])
def test_a_damaged_index(pki: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    """It is not taken for an empty one: revocations would be forgotten."""
    (pki / "index.json").write_bytes(content)
    assert main(["revoke", str(pki), "billing"]) == 1
    assert "index.json is damaged" in capsys.readouterr().err
    assert (pki / "index.json").read_bytes() == content


@pytest.mark.parametrize("command", [["revoke", "{folder}", "billing"], ["serve", "{folder}", "--port", "0"]])
def test_a_folder_without_a_ca(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("MTLS_DEVCA_PASSWORD", PASSWORD)
    assert main([part.format(folder=tmp_path) for part in command]) == 1
    assert "holds no CA" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["revoke"],
        ["revoke", "pki"],
        ["serve", "pki", "--mode", "sideways"],
        ["revoke", "a", "b", "--reason", "x"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


# Serving.


def test_the_responder_knows_at_once_what_is_revoked(pki: Path) -> None:
    with serving(pki) as url:
        assert ask(url, pki, "billing").status is Status.GOOD
        assert main(["revoke", str(pki), "billing", "--reason", "keyCompromise"]) == 0
        said = ask(url, pki, "billing")
        crl = x509.load_der_x509_crl(fetch(f"{url}/ca.crl"))
        counts = json.loads(fetch(f"{url}/__count"))
    assert (said.status, said.revocation_reason) == (Status.REVOKED, "keyCompromise")
    assert crl.get_revoked_certificate_by_serial_number(certificate(pki, "billing").serial_number) is not None
    assert counts == {"ocsp": 2, "crl": 1}


def test_the_responder_does_not_know_what_was_not_issued(pki: Path) -> None:
    ca = DevelopmentCA.from_pfx(pki / "ca.pfx", PASSWORD)
    with serving(pki) as url:
        # After it looked through the folder.
        (pki / "forged.pfx").write_bytes(ca.client("forged").pfx(PASSWORD))
        said = ask(url, pki, "forged")
    assert said.status is Status.UNKNOWN
    assert "does not know it (unknown)" in said.detail


def test_the_responder_can_be_told_to_be_at_fault(pki: Path) -> None:
    with serving(pki, "--mode", "try_later") as url:
        assert "(tryLater)" in ask(url, pki, "billing").detail
