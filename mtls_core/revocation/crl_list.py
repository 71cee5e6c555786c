"""One certificate revocation list, read (RFC 5280, section 5).

Reading a list says nothing about whether to believe it: that is :func:`mtls_core.revocation.crl.judge`'s.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from .. import ber
from .. import der as asn1
from ..certificate import Certificate
from ..keyfiles.panic import without_panic
from ..path.algorithms import is_signed_as_allowed, key_restricts
from ..path.distinguished_names import CanonicalName, canonical
from ..path.problems import printable
from ..signatures import verifies
from .crl_body import Body
from .crl_body import MalformedCRL as MalformedCRL
from .crl_entries import Entry, entry_at, read_extensions, read_time, serial_bytes
from .crl_scope import DistributionPoint, Scope, read_points
from .index_file import IndexFolder

#: Longest list that is looked at, in bytes of DER: about three million entries.
MAX_CRL_SIZE = 128 * 1024 * 1024

_PEM = re.compile(rb"-----BEGIN X509 CRL-----(.*?)-----END X509 CRL-----", re.DOTALL)
_BEGIN = b"-----BEGIN X509 CRL-----"
_VERSION_2 = bytes.fromhex("020101")
#: Critical extensions of lists that are evaluated here.
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.ISSUING_DISTRIBUTION_POINT,
        ExtensionOID.DELTA_CRL_INDICATOR,
        ExtensionOID.CRL_NUMBER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
)
_Extensions = dict[x509.ObjectIdentifier, x509.Extension[Any]]
#: By how many keys a list's signature is tried and remembered.
_MAX_KEYS = 64


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CertificateList:
    """A frozen view of one list. Made by :meth:`from_der`."""

    #: Where it came from, for messages.
    source: str
    #: The list without its entries, as an object of cryptography.
    parsed: x509.CertificateRevocationList
    #: As RFC 4514 writes it; for people and logs, never to be parsed.
    issuer: str
    issuer_name: x509.Name
    issuer_der: bytes
    #: The issuer, comparable as RFC 5280 compares names.
    issuer_key: CanonicalName
    #: The CRL number; ``None`` if it has none.
    number: int | None
    #: The number of the list that this one, a delta, brings up to date; ``None`` for complete lists.
    base_number: int | None
    #: UTC.
    this_update: datetime
    next_update: datetime | None
    scope: Scope
    #: The whole extension, ``None`` if it is absent.
    authority_key_identifier: x509.AuthorityKeyIdentifier | None
    #: OIDs of critical extensions that are not evaluated here.
    unknown_critical: tuple[str, ...]
    #: Where deltas to it are.
    delta_points: tuple[DistributionPoint, ...]
    outer_algorithm_der: bytes
    signature_algorithm_oid: str
    #: SHA-256 of the list, 64 lower-case hex digits.
    thumbprint: str
    _body: Body = field(kw_only=True)

    @classmethod
    def from_der(
        cls,
        data: bytes,
        *,
        source: str = "<bytes>",
        max_size: int = MAX_CRL_SIZE,
        folder: IndexFolder | None = None,
    ) -> CertificateList:
        """Read a list.

        :param data: DER, nothing before or behind it.
        :param source: A file name or URL, for messages.
        :param max_size: Longer data are not looked at.
        :param folder: Where the table of a long list is kept; the user's own cache folder, if left out.
        :raises MalformedCRL: If any part of it is not what RFC 5280 describes.
        """
        if not isinstance(data, bytes):
            raise MalformedCRL(f"a revocation list is bytes of DER, not {type(data).__name__}", source)
        if len(data) > max_size:
            raise MalformedCRL(f"the list has {len(data)} bytes; {max_size} are read at most", source)
        try:
            return _parse(cls, data, source, folder)
        except MalformedCRL:
            raise
        except Exception as error:
            # Hostile bytes decide which of a dozen types comes out of the parser; all of them mean the same.
            first_line = (str(error).splitlines() or [""])[0][:200]
            raise MalformedCRL(
                f"the revocation list cannot be read: {type(error).__name__}: {first_line}", source
            ) from error

    @classmethod
    def all_from_pem(
        cls, data: bytes, *, source: str = "<bytes>", max_size: int = MAX_CRL_SIZE, folder: IndexFolder | None = None
    ) -> tuple[CertificateList, ...]:
        """Read all lists of a PEM text, in order; other text and other blocks are passed over.

        :raises MalformedCRL: If a block that says it is a list cannot be read, or does not end.
        """
        blocks = _PEM.findall(data)
        if data.count(_BEGIN) != len(blocks):
            raise MalformedCRL("a -----BEGIN X509 CRL----- block has no end", source)
        try:
            lists = [base64.b64decode(b"".join(block.split()), validate=True) for block in blocks]
        except binascii.Error as error:
            raise MalformedCRL(f"a -----BEGIN X509 CRL----- block is damaged: {error}", source) from error
        return tuple(cls.from_der(der, source=source, max_size=max_size, folder=folder) for der in lists)

    @property
    def authority_key_id(self) -> bytes | None:
        """The identifier of the key that signed it, if it says."""
        identifier = self.authority_key_identifier
        return identifier.key_identifier if identifier else None

    @property
    def is_delta(self) -> bool:
        """Whether it has but the changes since another list."""
        return self.base_number is not None

    @property
    def age_key(self) -> tuple[datetime, int]:
        """Greater for the newer one of two lists of an issuer and scope."""
        return self.this_update, -1 if self.number is None else self.number

    @property
    def entry_count(self) -> int:
        """How many entries there are."""
        return len(self._body.table.words)

    @property
    def names_other_issuers(self) -> bool:
        """Whether entries say that they are about certificates of other issuers than the list's."""
        return bool(self._body.table.issuer_offsets)

    @property
    def unknown_critical_entry(self) -> str | None:
        """OID of a critical extension of some entry that is not evaluated here."""
        offset = self._body.table.unknown_critical_offset
        return read_extensions(entry_at(self._body.data, offset)[2]).unknown_critical if offset else None

    def is_signed_by(self, issuer: Certificate) -> bool:
        """Whether the list verifies with the key of a certificate, by an algorithm that is allowed. Computed once for
        each key.

        .. note::
            Whether that certificate may sign lists is another question.
        """
        known = self._body.verified
        if issuer.spki_der not in known:
            if len(known) >= _MAX_KEYS:
                known.clear()
            known[issuer.spki_der] = (
                is_signed_as_allowed(self)
                and not key_restricts(issuer, self)
                and verifies(issuer.public_key, self.parsed, self._body.tbs)
            )
        return known[issuer.spki_der]

    def prepare(self) -> None:
        """Make the list ready for look-ups, which for a million entries takes some seconds; else the first one does it.

        To be called where nobody waits, after the signature was found good: until then its length is anybody's.

        :raises MalformedCRL: If an entry is not what RFC 5280 describes.
        """
        self._body.prepare()

    def entry(self, serial_number: int, certificate_issuer: x509.Name) -> Entry | None:
        """What the list says about a certificate; ``None`` if it does not list it.

        :param certificate_issuer: Who issued the certificate. Looked at in indirect lists alone: in others all entries
            are about certificates of the list's issuer, and the caller has seen to it that this is one.
        :raises MalformedCRL: As :meth:`prepare`.
        """
        body, wanted = self._body, serial_bytes(serial_number)
        found = None
        for offset in body.table.offsets(wanted):
            serial, date, extensions = entry_at(body.data, offset)
            if serial != wanted or (self.scope.indirect and not self._is_about(offset, certificate_issuer)):
                continue
            meaning = read_extensions(extensions)
            found = Entry(serial_number, read_time(date), meaning.reason, meaning.unknown_critical)
            if found.reason is not x509.ReasonFlags.remove_from_crl:
                break  # Listed twice, once to be removed: it stays.
        return found

    def _is_about(self, offset: int, certificate_issuer: x509.Name) -> bool:
        """Whether the entry at ``offset`` is about a certificate of that issuer (RFC 5280, section 5.3.3)."""
        named = self._body.table.issuer_offset(offset)
        if named is None:
            return canonical(certificate_issuer) == self.issuer_key
        issuers = read_extensions(entry_at(self._body.data, named)[2]).issuers or frozenset()
        return canonical(certificate_issuer) in issuers

    def describe(self) -> str:
        """For sentences: which list, by whom, of when."""
        kind = "delta" if self.is_delta else "CRL"
        number = "" if self.number is None else f" number {self.number}"
        issuer = printable(self.issuer) or "an issuer without a name"
        return f"{kind}{number} of {issuer} from {self.this_update:%Y-%m-%dT%H:%M:%SZ} ({printable(self.source)})"

    def __repr__(self) -> str:
        return f"<CertificateList {self.describe()}>"


def _parse(cls: type[CertificateList], data: bytes, source: str, folder: IndexFolder | None) -> CertificateList:
    # The whole list once, for its form alone: what cryptography has read is right to the last entry.
    without_panic(x509.load_der_x509_crl, data)
    tbs, outer, signature = asn1.read_all(data).children()
    fields = list(tbs.children())
    entries = _entries(fields)
    # And once without its entries, to keep: of a long list that is a thousandth.
    head = ber.encode(asn1.SEQUENCE, *(field.raw for field in fields if field is not entries))
    parsed = without_panic(x509.load_der_x509_crl, ber.encode(asn1.SEQUENCE, head, outer.raw, signature.raw))
    extensions = _extensions(parsed, fields[0])
    issuer = parsed.issuer
    span = (entries.value_start, entries.end) if entries else (0, 0)
    body = Body(data, slice(tbs.start, tbs.end), span, source, folder)
    return cls(
        source=source,
        parsed=parsed,
        issuer=issuer.rfc4514_string(),
        issuer_name=issuer,
        issuer_der=issuer.public_bytes(),
        issuer_key=canonical(issuer),
        number=_value(extensions, ExtensionOID.CRL_NUMBER, "crl_number"),
        base_number=_value(extensions, ExtensionOID.DELTA_CRL_INDICATOR, "crl_number"),
        this_update=parsed.last_update_utc,
        next_update=parsed.next_update_utc,
        scope=_scope(extensions, issuer),
        authority_key_identifier=_value(extensions, ExtensionOID.AUTHORITY_KEY_IDENTIFIER),
        unknown_critical=tuple(
            oid.dotted_string for oid, e in extensions.items() if e.critical and oid not in _UNDERSTOOD
        ),
        delta_points=read_points(_value(extensions, ExtensionOID.FRESHEST_CRL) or (), issuer),
        outer_algorithm_der=outer.raw,
        signature_algorithm_oid=parsed.signature_algorithm_oid.dotted_string,
        thumbprint=body.digest.hex(),
        _body=body,
    )


def _entries(fields: list[asn1.Element]) -> asn1.Element | None:
    """The field of a TBSCertList that holds the entries: a SEQUENCE behind the dates (RFC 5280, section 5.1)."""
    times = [place for place, element in enumerate(fields) if element.tag in (0x17, 0x18)]
    following = fields[times[-1] + 1 :]
    return following[0] if following and following[0].tag == asn1.SEQUENCE else None


def _extensions(parsed: x509.CertificateRevocationList, first_field: asn1.Element) -> _Extensions:
    extensions: list[x509.Extension[Any]] = without_panic(lambda: list(parsed.extensions))
    if extensions and first_field.raw != _VERSION_2:
        raise ValueError("a list of version 1 has extensions")
    return {extension.oid: extension for extension in extensions}


def _value(extensions: _Extensions, oid: x509.ObjectIdentifier, attribute: str = "") -> Any:
    if oid not in extensions:
        return None
    value = extensions[oid].value
    return getattr(value, attribute) if attribute else value


def _scope(extensions: _Extensions, issuer: x509.Name) -> Scope:
    value = _value(extensions, ExtensionOID.ISSUING_DISTRIBUTION_POINT)
    return Scope() if value is None else Scope.from_extension(value, issuer)
