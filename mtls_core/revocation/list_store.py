"""Revocation lists by the address they come from, parsed once a version."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from .crl import MAX_CRL_SIZE, CertificateList, DistributionPoint, IndexFolder, MalformedCRL
from .downloads import Downloads, Wanted
from .fetch import FetchError

#: Lists of so many addresses are held.
_MAX_LISTS = 256
_ACCEPT = "application/pkix-crl, application/octet-stream"


@dataclass(frozen=True, slots=True)
class _Held:
    crl: CertificateList
    etag: str
    fetched_at: datetime


class FetchedLists(NamedTuple):
    """What some addresses had."""

    lists: tuple[CertificateList, ...]
    #: A sentence for each address that gave none.
    notes: tuple[str, ...]
    #: When the oldest of the lists was fetched; now, if there is none.
    fetched_at: datetime


class ListStore:
    """Fetches lists; a broken one leaves the last good one in force.

    :param refresh: How long a list is held before its address is asked again.
    :param keep: How long it is held while its address fails.
    :param folder: Where the tables of long lists are kept.
    """

    def __init__(
        self, downloads: Downloads, *, refresh: timedelta, keep: timedelta, folder: IndexFolder | None = None
    ) -> None:
        self._downloads = downloads
        self._refresh = refresh
        self._keep = keep
        self._folder = folder
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = threading.Lock()
        # As many as can be asked at once without one waiting for another, nearly always.
        self._busy = tuple(threading.Lock() for _ in range(64))

    def fetch(self, points: Iterable[DistributionPoint], *, at: datetime, timeout: float) -> FetchedLists:
        """The lists of some distribution points, of each point the first that can be had.

        :param timeout: Seconds for each address.
        """
        found: list[_Held] = []
        notes: list[str] = []
        for point in points:
            for url in point.urls:
                try:
                    found.append(self._get(url, at=at, timeout=timeout))
                    break
                except (FetchError, MalformedCRL) as error:
                    notes.append(str(error))
        oldest = min((each.fetched_at for each in found), default=at)
        return FetchedLists(tuple(each.crl for each in found), tuple(notes), oldest)

    def _get(self, url: str, *, at: datetime, timeout: float) -> _Held:
        """The list at an address, asked for once however many threads want it.

        :raises FetchError: If it cannot be had.
        :raises MalformedCRL: If what is there is none, and none was held.
        """
        with self._lock_of(url):
            held = self._held.get(url)
            if held is not None and abs(at - held.fetched_at) < self._refresh and _in_force(held.crl, at):
                return held
            try:
                loaded = self._load(url, held, at, timeout)
            except (FetchError, MalformedCRL):
                if held is None or at - held.fetched_at > self._keep:
                    raise
                return held
            self._hold(url, loaded)
            return loaded

    def held(self, points: Iterable[DistributionPoint]) -> list[CertificateList]:
        """What is at hand of some distribution points, without asking for any."""
        with self._lock:
            return [self._held[url].crl for point in points for url in point.urls if url in self._held]

    def _load(self, url: str, held: _Held | None, at: datetime, timeout: float) -> _Held:
        def is_good(data: bytes) -> bool:
            try:
                return _in_force(self._read(data, url, held), at)
            except MalformedCRL:  # what lay in the cache; what is fetched is another matter
                return False

        wanted = Wanted(f"crl:{url}", url, MAX_CRL_SIZE, _ACCEPT)
        etag = held.etag if held else ""
        download = self._downloads.get(wanted, at=at, timeout=timeout, is_good=is_good, etag=etag)
        return _Held(self._read(download.data, url, held), download.etag, download.fetched_at)

    def _read(self, data: bytes, url: str, held: _Held | None) -> CertificateList:
        if held is not None and (not data or held.crl.thumbprint == sha256(data).hexdigest()):
            return held.crl
        return CertificateList.from_der(data, source=url, folder=self._folder)

    def _hold(self, url: str, held: _Held) -> None:
        with self._lock:
            self._held[url] = held
            self._held.move_to_end(url)
            if len(self._held) > _MAX_LISTS:
                self._held.popitem(last=False)

    def _lock_of(self, url: str) -> threading.Lock:
        return self._busy[hash(url) % len(self._busy)]


def _in_force(crl: CertificateList, at: datetime) -> bool:
    return crl.next_update is not None and at < crl.next_update
