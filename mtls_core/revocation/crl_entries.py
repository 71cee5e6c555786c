"""One entry of a revocation list, and a table of where in the list each entry is (RFC 5280, section 5.3).

A list may have a million entries. Reading all of them into objects would take seconds, and a hundred megabytes in every
worker, so a list stays the bytes that it is. The table holds a number for each entry, sorted: what is looked up is
found in it by bisection, and that one entry is read.
"""

from __future__ import annotations

import mmap
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, pairwise
from zlib import crc32

from cryptography import x509

from .. import ber, der
from ..keyfiles.panic import LibraryPanic, without_panic
from ..path.distinguished_names import CanonicalName, canonical

#: RFC 5280, section 5.3 allows 20 bytes; some CAs have used more.
MAX_SERIAL_NUMBER_BYTES = 64

_UNDERSTOOD = (x509.CRLReason, x509.CertificateIssuer, x509.InvalidityDate)
#: What an extension contains that has to be read before a list is believed: critical TRUE, or the OID of
#: certificateIssuer.
_CRITICAL = b"\x01\x01\xff"
_CERTIFICATE_ISSUER = bytes.fromhex("0603551d1d")

_OFFSET_BITS = 32
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_WORD = 8
#: Tags, lengths, a serial number of one byte, a UTCTime.
_SHORTEST_ENTRY = 20
#: As much of an entry as is read at once.
_USUAL_LENGTH = 128
#: Parts that a table is sorted in, by the first bits of the checksums.
_PARTS = 64
_PART_SHIFT = 26

# The parts of a list around the extensions of one entry, for the parser that reads lists alone.
_ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")
_TIME = ber.encode(0x17, b"700101000000Z")
_HEAD = bytes.fromhex("020101") + _ALGORITHM + bytes.fromhex("3000") + _TIME
_SERIAL_NUMBER = bytes.fromhex("020101")
_NO_SIGNATURE = bytes.fromhex("030100")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a list says about one serial number."""

    serial_number: int
    #: UTC.
    revoked_at: datetime
    #: ``None`` if it gives none, or one that cannot be read.
    reason: x509.ReasonFlags | None
    #: OID of a critical extension that is not evaluated here.
    unknown_critical: str | None = None


@dataclass(frozen=True, slots=True)
class EntryExtensions:
    """The extensions of one entry, as far as they mean something here."""

    reason: x509.ReasonFlags | None = None
    #: Who issued the certificates of this entry and of those that follow; ``None`` if it does not say.
    issuers: frozenset[CanonicalName] | None = None
    #: OID of a critical extension that is not understood.
    unknown_critical: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Where in a list its entries are. Offsets count from the beginning of the list."""

    #: For each entry the CRC-32 of its serial number above its offset, ascending.
    words: memoryview
    #: Offsets of the entries that name an issuer, ascending.
    issuer_offsets: memoryview
    #: Offset of the first entry with a critical extension that is not understood; 0 if there is none.
    unknown_critical_offset: int

    def offsets(self, serial: bytes) -> Iterator[int]:
        """Offsets of the entries that may have a serial number; others may be among them."""
        words, checksum = self.words, crc32(serial)
        place = bisect_left(words, checksum << _OFFSET_BITS)
        while place < len(words) and words[place] >> _OFFSET_BITS == checksum:
            yield words[place] & _OFFSET_MASK
            place += 1

    def issuer_offset(self, offset: int) -> int | None:
        """Offset of the entry that says who issued the certificate of the entry at ``offset``: itself or the last one
        before it that names an issuer. ``None``: whoever issued the list.
        """
        place = bisect_right(self.issuer_offsets, offset)
        return self.issuer_offsets[place - 1] if place else None


def scan(data: bytes, start: int, end: int) -> Table:
    """Make the table of a list whose structure was checked.

    :param start: Where its first entry is.
    :param end: Where its entries end.
    :raises DerError: If a serial number is longer than any CA makes them.
    """
    words = _words((end - start) // _SHORTEST_ENTRY)
    counts = [0] * _PARTS
    issuer_offsets, unknown_critical_offset = array("Q"), 0
    offset = start
    # A pass of a million rounds: nothing is called in it that need not be.
    for count in range(len(words)):
        if offset >= end:
            words = words[:count]
            break
        body, following = offset + 2, offset + 2 + data[offset + 1]
        if data[offset + 1] >= 0x80:
            element = der.read(data, offset, end)
            body, following = element.value_start, element.end
        serial_end = body + 2 + data[body + 1]
        if serial_end - body - 2 > MAX_SERIAL_NUMBER_BYTES:
            raise der.DerError(f"the serial number at offset {body} is longer than {MAX_SERIAL_NUMBER_BYTES} bytes")
        checksum = crc32(data[body + 2 : serial_end])
        counts[checksum >> _PART_SHIFT] += 1
        words[count] = checksum << _OFFSET_BITS | offset
        date_end = serial_end + 2 + data[serial_end + 1]
        if date_end < following:
            extensions = data[date_end:following]
            if _CRITICAL in extensions or _CERTIFICATE_ISSUER in extensions:
                found = read_extensions(extensions)
                if found.issuers is not None:
                    issuer_offsets.append(offset)
                if found.unknown_critical is not None:
                    unknown_critical_offset = unknown_critical_offset or offset
        offset = following
    return Table(_sorted(words, counts), memoryview(issuer_offsets), unknown_critical_offset)


def _words(count: int) -> memoryview:
    """Room for so many words, which goes back to the system when it is dropped; the heap would keep it."""
    return memoryview(mmap.mmap(-1, _WORD * max(count, 1))).cast("Q")[:count]


def _sorted(words: memoryview, counts: Sequence[int]) -> memoryview:
    """Words in ascending order, sorted in parts: a million integers at once would grow the process for good.

    :param counts: How many words are in each part.
    """
    result = _words(len(words))
    places = list(accumulate(counts, initial=0))
    bounds = tuple(places)
    for word in words:
        part = word >> _OFFSET_BITS + _PART_SHIFT
        result[places[part]] = word
        places[part] += 1
    for start, end in pairwise(bounds):
        result[start:end] = array("Q", sorted(result[start:end]))
    return result


def serial_bytes(serial_number: int) -> bytes:
    """A serial number as the value of a DER integer, the shortest form."""
    magnitude = serial_number if serial_number >= 0 else ~serial_number
    return serial_number.to_bytes(magnitude.bit_length() // 8 + 1, signed=True)


def entry_at(data: bytes | memoryview, offset: int) -> tuple[bytes, bytes, bytes]:
    """The value of the serial number, the date as an element, and the extensions as an element or nothing."""
    raw = bytes(data[offset : offset + _USUAL_LENGTH])
    body, end = 2, 2 + raw[1]
    if raw[1] >= 0x80:
        body += raw[1] & 0x7F
        end = body + int.from_bytes(raw[2:body])
    if end > len(raw):
        raw = bytes(data[offset : offset + end])
    serial_end = body + 2 + raw[body + 1]
    date_end = serial_end + 2 + raw[serial_end + 1]
    return raw[body + 2 : serial_end], raw[serial_end:date_end], raw[date_end:end]


def read_time(element: bytes) -> datetime:
    """A UTCTime or GeneralizedTime whose form was checked, as RFC 5280, section 4.1.2.5 reads them."""
    digits = element[2:-1].decode("ascii")
    if len(digits) == 12:
        digits = ("19" if digits >= "5" else "20") + digits
    return datetime.fromisoformat(f"{digits[:8]}T{digits[8:]}Z")


@lru_cache(maxsize=1024)
def read_extensions(element: bytes) -> EntryExtensions:
    """The extensions of an entry, from their DER. Most entries of a list have the same few.

    What cannot be read counts as critical and unknown: whoever wrote it may have meant anything.
    """
    if not element:
        return EntryExtensions()
    try:
        extensions = without_panic(_parse, element)
    except (ValueError, TypeError, KeyError, x509.DuplicateExtension, LibraryPanic):
        return EntryExtensions(unknown_critical="that cannot be read")
    reason, issuers, unknown = None, None, None
    for extension in extensions:
        match extension.value:
            case x509.CRLReason() as value:
                reason = value.reason
            case x509.CertificateIssuer() as value:
                names = value.get_values_for_type(x509.DirectoryName)
                issuers = frozenset(canonical(name) for name in names)
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            unknown = extension.oid.dotted_string
    return EntryExtensions(reason, issuers, unknown)


def _parse(element: bytes) -> x509.Extensions:
    entry = ber.encode(der.SEQUENCE, _SERIAL_NUMBER, _TIME, element)
    signed = ber.encode(der.SEQUENCE, _HEAD, ber.encode(der.SEQUENCE, entry))
    wrapped = ber.encode(der.SEQUENCE, signed, _ALGORITHM, _NO_SIGNATURE)
    extensions = x509.load_der_x509_crl(wrapped)[0].extensions
    # Some values raise only when they are looked at.
    for extension in extensions:
        repr(extension.value)
    return extensions
