"""Tables of long revocation lists as files, made once per host and mapped into every process that needs them.

The file holds the list too, so a process that has it open keeps neither of them in memory of its own. It lies in a
folder that belongs to the user who runs the process and that nobody else can write to; what is not so is not opened:
whoever could put a file there could make a revoked certificate good. What is opened is checked whole: that it is about
this list, byte for byte, and that nothing in it was damaged.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import secrets
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .crl_entries import Table

_MAGIC = b"mtlsCRL1"
#: Magic, SHA-256 of the list, SHA-256 of the table; then how many words, how many offsets of issuers, the offset of an
#: unknown critical extension, the length of the list. Native byte order: the file never leaves the host.
_HEADER = struct.Struct("=8s32s32sQQQQ")
_WORD = 8
#: Files that nobody opened for so long are deleted.
_UNUSED_SECONDS = 2 * 24 * 3600
#: How long to wait for another process that makes the same file.
_LOCK_SECONDS = 60.0

Mapped = tuple[memoryview, Table]


class IndexUnavailable(Exception):
    """Raised if there is no folder for tables, or what lies in it cannot be trusted or is damaged."""


class IndexFolder:
    """A private folder of tables.

    :param path: Where it is. If it does not exist it is made, when it is first needed.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @classmethod
    def default(cls) -> IndexFolder:
        """The one in the user's cache folder; for users without a home, one of their own below the temporary folder.

        :raises IndexUnavailable: If neither can be used.
        """
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        own = Path(tempfile.gettempdir()) / f"mtls_core-{os.geteuid()}"
        paths = (Path(cache) / "mtls_core" / "crl", own) if os.path.isabs(cache) else (own,)
        objections: list[str] = []
        for path in paths:
            try:
                os.close(cls(path)._open())
            except IndexUnavailable as error:
                objections.append(str(error))
            else:
                return cls(path)
        raise IndexUnavailable("; ".join(objections))

    def map(self, data: bytes, digest: bytes, make: Callable[[], Table]) -> Mapped:
        """The list and its table, from the file that there is or that is made now.

        :param data: The list.
        :param digest: Its SHA-256.
        :param make: Makes the table. Not called while another process makes the same file.
        :raises IndexUnavailable: If the folder cannot be used.
        """
        name = f"{digest.hex()}.index"
        folder = self._open()
        try:
            with _locked(folder, f"{digest.hex()}.lock"):
                # One that is not there, or not to be trusted, is replaced.
                with suppress(IndexUnavailable, OSError):
                    return _map(folder, name, digest)
                _write(folder, name, data, digest, make())
                _delete_unused(folder)
                return _map(folder, name, digest)
        except OSError as error:
            raise IndexUnavailable(f"{self.path / name}: {error.strerror or error}") from error
        finally:
            os.close(folder)

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise IndexUnavailable(f"{self.path}: {error.strerror}") from error
        try:
            _check_private(os.fstat(folder), str(self.path))
        except IndexUnavailable:
            os.close(folder)
            raise
        return folder


def _check_private(status: os.stat_result, name: str) -> None:
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise IndexUnavailable(
            f"{name}: belongs to another user, or is open to others; it must be this user's own, with mode"
            f" {'0700' if stat.S_ISDIR(status.st_mode) else '0600'}"
        )


@contextmanager
def _locked(folder: int, name: str) -> Iterator[None]:
    """Alone with one list, among all processes of the host. The kernel ends it when the process dies."""
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # Past the deadline the file is made twice, which does no harm: it is put in its place as a whole.
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
        yield
    finally:
        os.close(lock)


def _write(folder: int, name: str, data: bytes, digest: bytes, table: Table) -> None:
    words, issuers = table.words, table.issuer_offsets
    counts = (len(words), len(issuers), table.unknown_critical_offset, len(data))
    header = _HEADER.pack(_MAGIC, digest, _table_digest(counts, words, issuers), *counts)
    temporary = f"{name}.{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:
            for part in (header, words, issuers, data):
                file.write(part)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _map(folder: int, name: str, digest: bytes) -> Mapped:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        _check_private(status, name)
        if not stat.S_ISREG(status.st_mode) or status.st_size < _HEADER.size:
            raise IndexUnavailable(f"{name}: is not a table")
        mapped = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
        os.utime(descriptor)  # it is in use
    finally:
        os.close(descriptor)
    return _checked(mapped, name, digest)


def _checked(mapped: mmap.mmap, name: str, digest: bytes) -> Mapped:
    magic, found_digest, table_digest, *counts = _HEADER.unpack_from(mapped)
    word_count, issuer_count, unknown_critical_offset, length = counts
    words_end = _HEADER.size + word_count * _WORD
    issuers_end = words_end + issuer_count * _WORD
    if (magic, found_digest, issuers_end + length) != (_MAGIC, digest, len(mapped)):
        raise IndexUnavailable(f"{name}: is damaged, or about another list")
    view = memoryview(mapped)
    words, issuers, data = view[_HEADER.size : words_end], view[words_end:issuers_end], view[issuers_end:]
    if _table_digest(counts, words, issuers) != table_digest or hashlib.sha256(data).digest() != digest:
        raise IndexUnavailable(f"{name}: is damaged")
    # What was read to check it need not stay in this process; a look-up maps the few pages that it needs.
    mapped.madvise(mmap.MADV_DONTNEED)
    return data, Table(words.cast("Q"), issuers.cast("Q"), unknown_critical_offset)


def _table_digest(counts: Iterable[int], *parts: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(repr(tuple(counts)).encode("ascii"))
    for part in parts:
        digest.update(part)
    return digest.digest()


def _delete_unused(folder: int) -> None:
    """Files of lists that were replaced. Whoever still has one mapped keeps it."""
    limit = time.time() - _UNUSED_SECONDS
    for name in os.listdir(folder):
        with suppress(OSError):
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < limit:
                os.unlink(name, dir_fd=folder)
