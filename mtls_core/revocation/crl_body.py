"""The bytes of a list, in memory or in a file that processes share, with the table of its entries."""

from __future__ import annotations

import hashlib
import logging
import threading

from .. import der
from ..errors import MTLSError
from .crl_entries import Table, scan
from .index_file import IndexFolder, IndexUnavailable

#: Longer lists (about 2,000 entries) have their table in a file that all processes share.
SHARED_FROM_BYTES = 80_000

_log = logging.getLogger("mtls_core")


class MalformedCRL(MTLSError):
    """Raised if bytes are not a certificate revocation list.

    :param detail: A sentence that says what is wrong.
    :param source: Where they came from.
    """

    def __init__(self, detail: str, source: str = "<bytes>") -> None:
        super().__init__(detail, source)
        self.detail = detail
        self.source = source

    def __str__(self) -> str:
        return f"{self.source}: {self.detail}"


class Body:
    """The bytes of a list and the table of its entries, which is made when it is first needed."""

    __slots__ = ("_end", "_folder", "_lock", "_source", "_start", "_table", "_tbs", "data", "digest", "verified")

    def __init__(
        self, data: bytes, tbs: slice, entries: tuple[int, int], source: str, folder: IndexFolder | None
    ) -> None:
        self.data: bytes | memoryview = data
        self.digest = hashlib.sha256(data).digest()
        #: By public keys, whether the list verifies with them.
        self.verified: dict[bytes, bool] = {}
        self._tbs = tbs
        self._start, self._end = entries
        self._source = source
        self._folder = folder
        self._lock = threading.Lock()
        self._table: Table | None = None
        if len(data) < SHARED_FROM_BYTES:
            self.prepare()

    @property
    def tbs(self) -> bytes:
        """What is signed."""
        return bytes(self.data[self._tbs])

    @property
    def table(self) -> Table:
        """Where the entries are."""
        return self._table or self.prepare()

    def prepare(self) -> Table:
        """Make the table, or map the one that another process made."""
        with self._lock:
            if self._table is None:
                try:
                    self._table = self._make() if len(self.data) < SHARED_FROM_BYTES else self._shared()
                except der.DerError as error:
                    raise MalformedCRL(str(error), self._source) from error
            return self._table

    def _make(self) -> Table:
        return scan(bytes(self.data), self._start, self._end)

    def _shared(self) -> Table:
        try:
            folder = self._folder or IndexFolder.default()
            self.data, table = folder.map(bytes(self.data), self.digest, self._make)
        except IndexUnavailable as error:
            _log.warning(
                "The revocation list %s is kept in the memory of this process, because its table cannot be shared: %s",
                self._source,
                error,
            )
            return self._make()
        return table
