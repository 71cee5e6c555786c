"""What a PFX (PKCS#12, RFC 7292) shows without its password: how it is built, not the keys and certificates in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .. import ber, der
from ..errors import IdentityError, IdentityProblem
from .mac import Mac, read_mac
from .pbe import MAX_ROUNDS, Protection, dotted, read_protection

#: More private keys than this in one file are not looked at.
MAX_KEYS = 32

_DATA = "1.2.840.113549.1.7.1"
_ENCRYPTED_DATA = "1.2.840.113549.1.7.6"
_OID_DATA = ber.encode(der.OBJECT_IDENTIFIER, bytes.fromhex("2a864886f70d010701"))
_VERSION_3 = ber.encode(der.INTEGER, b"\x03")
_EXPLICIT_0 = 0xA0


@dataclass(frozen=True, slots=True)
class KeyBag:
    """A SafeBag that holds a private key."""

    #: As it stands in the file.
    der: bytes
    #: ``None`` if the key is not encrypted.
    protection: Protection | None


@dataclass(frozen=True, slots=True)
class PfxStructure:
    """What a PFX shows without its password."""

    #: The file as DER, also if it came as BER, and without anything behind it.
    der: bytes
    #: AuthenticatedSafe: what the MAC covers.
    content: bytes
    mac: Mac | None
    #: Those within encrypted parts do not show.
    key_bags: tuple[KeyBag, ...]
    #: How the encrypted parts are protected.
    encrypted_parts: tuple[Protection, ...]

    @property
    def protections(self) -> tuple[Protection, ...]:
        """Everything that is encrypted: parts, and keys outside of them."""
        return self.encrypted_parts + tuple(bag.protection for bag in self.key_bags if bag.protection is not None)

    @property
    def rounds(self) -> int:
        """Rounds of key derivation that opening it takes."""
        return sum(p.rounds for p in self.protections) + (self.mac.rounds if self.mac else 0)

    @property
    def unusual_algorithms(self) -> tuple[str, ...]:
        """Names of the algorithms that not every build of cryptography offers."""
        return tuple(dict.fromkeys(name for protection in self.protections for name in protection.unusual))


def read_structure(data: bytes, *, source: str) -> PfxStructure:
    """Read what is not encrypted.

    :raises IdentityError: ``damaged``, also if opening it would take too much work.
    """
    try:
        structure = _read_structure(data)
    except ValueError as error:  # DerError is one; the others come from too few or too many elements
        detail = f"is damaged: its structure is not that of PKCS#12 ({error}); copy or export it again"
        raise IdentityError(IdentityProblem.DAMAGED, detail, source=source) from error
    if structure.rounds > MAX_ROUNDS:
        detail = (
            f"asks for {structure.rounds} rounds of key derivation, {MAX_ROUNDS} are allowed;"
            " it is damaged, or made to keep this process busy"
        )
        raise IdentityError(IdentityProblem.DAMAGED, detail, source=source)
    if len(structure.key_bags) > MAX_KEYS:
        detail = f"holds {len(structure.key_bags)} private keys, {MAX_KEYS} are allowed; export one identity alone"
        raise IdentityError(IdentityProblem.SEVERAL_IDENTITIES, detail, source=source)
    return structure


def _read_structure(data: bytes) -> PfxStructure:
    outer = der.read_all(ber.to_der(data))
    version, safe, *mac = outer.children()
    if version.raw != _VERSION_3:
        raise der.DerError("its version is not 3")
    content = _content(safe, _DATA)
    bags: list[KeyBag] = []
    encrypted_parts: list[Protection] = []
    for part in der.read_all(ber.to_der(content)).children():
        kind_oid, *_rest = part.children()
        kind = dotted(kind_oid)
        if kind == _DATA:
            bags.extend(_key_bags(der.read_all(ber.to_der(_content(part, _DATA)))))
        elif kind == _ENCRYPTED_DATA:
            encrypted_parts.append(_encrypted_data_protection(part))
    return PfxStructure(outer.raw, content, read_mac(mac[0]) if mac else None, tuple(bags), tuple(encrypted_parts))


def _content(info: der.Element, kind: str) -> bytes:
    """The octets in a ContentInfo of that kind (RFC 5652, section 3)."""
    oid, wrapped = info.children()
    if dotted(oid) != kind:
        raise der.DerError(f"content of the kind {dotted(oid)} where {kind} is expected")
    (octets,) = wrapped.children()
    if octets.tag != der.OCTET_STRING:
        raise der.DerError("content is not an OCTET STRING")
    return octets.value


def _encrypted_data_protection(info: der.Element) -> Protection:
    _oid, wrapped = info.children()
    (encrypted,) = wrapped.children()
    _version, content_info, *_attributes = encrypted.children()
    _kind, algorithm, *_content = content_info.children()
    return read_protection(algorithm)


def _key_bags(safe_contents: der.Element) -> Iterator[KeyBag]:
    for bag in safe_contents.children():
        oid, value, *_attributes = bag.children()
        match dotted(oid):
            case "1.2.840.113549.1.12.10.1.1":  # keyBag
                yield KeyBag(bag.raw, None)
            case "1.2.840.113549.1.12.10.1.2":  # pkcs8ShroudedKeyBag
                (encrypted,) = value.children()
                algorithm, _ciphertext = encrypted.children()
                yield KeyBag(bag.raw, read_protection(algorithm))
            case "1.2.840.113549.1.12.10.1.6":  # safeContentsBag
                for nested in value.children():
                    yield from _key_bags(nested)


def repack(bag: KeyBag) -> bytes:
    """A PFX without MAC that holds nothing but one bag: cryptography hands out the first key of a file only."""
    safe_contents = ber.encode(der.SEQUENCE, bag.der)
    authenticated_safe = ber.encode(der.SEQUENCE, _content_info(safe_contents))
    return ber.encode(der.SEQUENCE, _VERSION_3, _content_info(authenticated_safe))


def _content_info(octets: bytes) -> bytes:
    return ber.encode(der.SEQUENCE, _OID_DATA, ber.encode(_EXPLICIT_0, ber.encode(der.OCTET_STRING, octets)))
