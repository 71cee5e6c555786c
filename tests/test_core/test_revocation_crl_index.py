"""Tables of long lists in files: made once, shared, and opened only if they can be trusted."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest

from mtls_core.devca import DevelopmentCA
from mtls_core.revocation import crl_body, index_file
from mtls_core.revocation.crl import CertificateList, IndexFolder
from mtls_core.revocation.crl_entries import Table, scan
from mtls_core.revocation.index_file import IndexUnavailable

from .crafting import make_root

LISTED = 1_000_000
COUNT = 300


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def data(ca: DevelopmentCA) -> bytes:
    return ca.crl(range(LISTED, LISTED + COUNT))


@pytest.fixture(autouse=True)
def _all_lists_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crl_body, "SHARED_FROM_BYTES", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tables"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets an item whenever a table is made."""
    calls: list[int] = []

    def counted(data: bytes, start: int, end: int) -> Table:
        calls.append(start)
        return scan(data, start, end)

    monkeypatch.setattr(crl_body, "scan", counted)
    return calls


def _open(data: bytes, folder: Path) -> CertificateList:
    crl = CertificateList.from_der(data, source="ca.crl", folder=IndexFolder(folder))
    crl.prepare()
    return crl


def _is_right(crl: CertificateList) -> bool:
    found = [serial for serial in range(LISTED - 5, LISTED + COUNT + 5) if crl.entry(serial, crl.issuer_name)]
    return found == list(range(LISTED, LISTED + COUNT))


def _file(folder: Path) -> Path:
    (path,) = folder.glob("*.index")
    return path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestSharing:
    def test_the_file_and_its_folder_are_private(self, data: bytes, folder: Path) -> None:
        old = os.umask(0)
        try:
            _open(data, folder)
        finally:
            os.umask(old)
        assert (_mode(folder), _mode(_file(folder))) == (0o700, 0o600)

    def test_it_is_named_for_the_list(self, data: bytes, folder: Path) -> None:
        assert _open(data, folder).thumbprint == _file(folder).stem

    def test_the_next_process_finds_it(self, data: bytes, folder: Path, made: list[int]) -> None:
        assert _is_right(_open(data, folder))
        assert _is_right(_open(data, folder))
        assert len(made) == 1

    def test_the_list_is_no_longer_in_the_memory_of_the_process(self, data: bytes, folder: Path) -> None:
        crl = CertificateList.from_der(data, folder=IndexFolder(folder))
        assert isinstance(crl._body.data, bytes)
        crl.prepare()
        assert isinstance(crl._body.data, memoryview)

    def test_its_signature_can_still_be_verified(self, data: bytes, folder: Path, ca: DevelopmentCA) -> None:
        crl = _open(data, folder)
        assert crl.is_signed_by(ca.certificate)
        assert not crl.is_signed_by(make_root().certificate)

    def test_it_is_made_when_it_is_first_needed(self, data: bytes, folder: Path, made: list[int]) -> None:
        crl = CertificateList.from_der(data, folder=IndexFolder(folder))
        assert (made, folder.exists()) == ([], False)
        assert _is_right(crl)
        assert len(made) == 1

    def test_a_short_list_needs_none(
        self, data: bytes, folder: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(crl_body, "SHARED_FROM_BYTES", len(data) + 1)
        assert _is_right(_open(data, folder))
        assert (len(made), folder.exists()) == (1, False)

    def test_several_lists_do_not_mix(self, ca: DevelopmentCA, data: bytes, folder: Path) -> None:
        other = _open(ca.crl([5]), folder)
        assert _is_right(_open(data, folder))
        assert (other.entry_count, len(list(folder.glob("*.index")))) == (1, 2)

    def test_of_many_at_once_one_makes_it(self, data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lists = [CertificateList.from_der(data, folder=IndexFolder(folder)) for _ in range(4)]
        alone: list[bool] = []
        second = threading.Barrier(2)

        def slow(data: bytes, start: int, end: int) -> Table:
            try:
                second.wait(timeout=0.3)  # for another one that makes it at the same time
                alone.append(False)
            except threading.BrokenBarrierError:
                alone.append(True)
            return scan(data, start, end)

        monkeypatch.setattr(crl_body, "scan", slow)
        threads = [threading.Thread(target=crl.prepare) for crl in lists]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert alone == [True]
        assert all(_is_right(crl) for crl in lists)

    def test_one_that_makes_it_for_ever_does_not_stop_the_others(
        self, data: bytes, folder: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(index_file, "_LOCK_SECONDS", 0.05)
        crl = CertificateList.from_der(data, folder=IndexFolder(folder))
        folder.mkdir(parents=True, mode=0o700)
        with open(folder / f"{crl.thumbprint}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert _is_right(crl)

    def test_files_of_lists_that_nobody_uses_any_more_are_deleted(
        self, ca: DevelopmentCA, data: bytes, folder: Path
    ) -> None:
        other = ca.crl([5])
        _open(other, folder)
        used, unused = _file(folder), folder / "old.index"
        unused.write_bytes(b"")
        long_ago = time.time() - 3 * 24 * 3600
        for path in (used, unused):
            os.utime(path, (long_ago, long_ago))
        _open(other, folder)  # which is a use
        _open(data, folder)
        assert (used.exists(), unused.exists()) == (True, False)


class TestDistrust:
    @pytest.mark.parametrize("place", [0, 10, 45, 80, 104, 1000, -1000, -1])
    def test_a_damaged_file_is_made_again(self, data: bytes, folder: Path, made: list[int], place: int) -> None:
        _open(data, folder)
        path = _file(folder)
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)
        assert _is_right(_open(data, folder))
        assert len(made) == 2

    @pytest.mark.parametrize("length", [0, 50, 104, 1000])
    def test_a_file_that_is_cut_off_is_made_again(
        self, data: bytes, folder: Path, made: list[int], length: int
    ) -> None:
        _open(data, folder)
        path = _file(folder)
        path.write_bytes(path.read_bytes()[:length])
        assert _is_right(_open(data, folder))
        assert len(made) == 2

    def test_a_whole_file_about_another_list(
        self, ca: DevelopmentCA, data: bytes, folder: Path, made: list[int]
    ) -> None:
        _open(ca.crl(), folder)
        planted = _file(folder).read_bytes()
        crl = CertificateList.from_der(data, folder=IndexFolder(folder))
        path = folder / f"{crl.thumbprint}.index"
        path.touch(mode=0o600)
        path.write_bytes(planted)
        assert _is_right(crl)
        assert len(made) == 2

    @pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
    def test_a_file_that_is_open_to_others(self, data: bytes, folder: Path, made: list[int], mode: int) -> None:
        _open(data, folder)
        _file(folder).chmod(mode)
        assert _is_right(_open(data, folder))
        assert (len(made), _mode(_file(folder))) == (2, 0o600)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_a_file_that_belongs_to_somebody_else(self, data: bytes, folder: Path, made: list[int]) -> None:
        _open(data, folder)
        os.chown(_file(folder), 12345, 12345)
        assert _is_right(_open(data, folder))
        assert (len(made), _file(folder).stat().st_uid) == (2, 0)

    def test_a_link_in_the_place_of_the_file(self, data: bytes, folder: Path, tmp_path: Path, made: list[int]) -> None:
        _open(data, folder)
        path = _file(folder)
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        assert _is_right(_open(data, folder))
        assert (len(made), path.is_symlink()) == (2, False)

    def test_a_folder_in_the_place_of_the_file(
        self, data: bytes, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        crl = CertificateList.from_der(data, folder=IndexFolder(folder))
        (folder / f"{crl.thumbprint}.index").mkdir(parents=True)
        folder.chmod(0o700)
        assert _is_right(crl)
        assert "cannot be shared" in caplog.text


class TestNoFolder:
    """Then the table is kept in memory, and a warning says why."""

    def _refused(self, data: bytes, folder: Path, caplog: pytest.LogCaptureFixture) -> str:
        with caplog.at_level(logging.WARNING, "mtls_core"):
            crl = _open(data, folder)
        assert _is_right(crl)
        assert isinstance(crl._body.data, bytes)
        return caplog.text

    @pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
    def test_one_that_is_open_to_others(
        self, data: bytes, folder: Path, caplog: pytest.LogCaptureFixture, mode: int
    ) -> None:
        folder.mkdir(parents=True)
        folder.chmod(mode)
        assert "open to others; it must be this user's own, with mode 0700" in self._refused(data, folder, caplog)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    def test_one_that_belongs_to_somebody_else(
        self, data: bytes, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder.mkdir(parents=True, mode=0o700)
        os.chown(folder, 12345, 12345)
        assert "belongs to another user" in self._refused(data, folder, caplog)

    def test_a_link(self, data: bytes, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.parent.mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
        assert "cannot be shared" in self._refused(data, folder, caplog)
        assert not list((tmp_path / "elsewhere").iterdir())

    def test_one_below_a_file(self, data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "file").touch()
        assert "cannot be shared" in self._refused(data, tmp_path / "file" / "tables", caplog)

    def test_one_that_is_full(
        self, data: bytes, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_args: object, **_options: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "rename", full)
        assert "No space left on device" in self._refused(data, folder, caplog)
        assert [path.suffix for path in folder.iterdir()] == [".lock"]


class TestDefault:
    def test_in_the_users_cache_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        crl = CertificateList.from_der(data)
        assert _is_right(crl)
        assert _file(tmp_path / "mtls_core" / "crl").stem == crl.thumbprint

    def test_below_the_temporary_folder_for_users_without_a_home(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        for home in (str(tmp_path / "file"), "relative"):
            monkeypatch.setenv("XDG_CACHE_HOME", home)
            assert IndexFolder.default().path == tmp_path / f"mtls_core-{os.geteuid()}"

    def test_neither(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        with pytest.raises(IndexUnavailable, match="Not a directory"):
            IndexFolder.default()
