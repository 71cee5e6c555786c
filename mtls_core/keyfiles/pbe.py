"""How a part of a file is encrypted under a password: which algorithms, and how much work.

Nothing is decrypted here. What is read serves to refuse a file that would keep the processor busy for hours, and to say
which algorithm is missing if a file does not open although its password is right.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import der

#: Rounds of key derivation that one file may ask for in all its parts; about two seconds. Programs write 1 to 600,000.
MAX_ROUNDS = 5_000_000

_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_SCRYPT = "1.3.6.1.4.1.11591.4.11"
_PKCS12_PBE = "1.2.840.113549.1.12.1."
_PKCS5_PBE = "1.2.840.113549.1.5."
_HMAC = "1.2.840.113549.2."
#: Four Salsa20 cores for each block of scrypt's table cost about as much as two rounds of HMAC-SHA256.
_SCRYPT_ROUNDS = 2

_NAMES = {
    "1.2.840.113549.1.12.1.1": "RC4-128",
    "1.2.840.113549.1.12.1.2": "RC4-40",
    "1.2.840.113549.1.12.1.5": "RC2-128",
    "1.2.840.113549.1.12.1.6": "RC2-40",
    "1.2.840.113549.1.5.1": "MD2 with DES",
    "1.2.840.113549.1.5.3": "MD5 with DES",
    "1.2.840.113549.1.5.4": "MD2 with RC2",
    "1.2.840.113549.1.5.6": "MD5 with RC2",
    "1.2.840.113549.1.5.10": "SHA-1 with DES",
    "1.2.840.113549.1.5.11": "SHA-1 with RC2",
    "1.2.840.113549.3.2": "RC2",
    "1.3.14.3.2.7": "DES",
}
#: What every build of cryptography opens.
_USUAL = frozenset(
    {
        "1.2.840.113549.1.12.1.3",  # three-key triple DES
        "1.2.840.113549.1.12.1.4",  # two-key triple DES
        _PBES2,
        _PBKDF2,
        _SCRYPT,
        "1.2.840.113549.3.7",  # triple DES
        "2.16.840.1.101.3.4.1.2",  # AES-128, AES-192, AES-256, each in CBC mode
        "2.16.840.1.101.3.4.1.22",
        "2.16.840.1.101.3.4.1.42",
        *(f"{_HMAC}{digest}" for digest in (7, 8, 9, 10, 11)),
    }
)


@dataclass(frozen=True, slots=True)
class Protection:
    """The encryption of one part of a file."""

    #: Dotted OIDs: the scheme, and for PBES2 what it is put together of.
    algorithms: tuple[str, ...]
    #: Rounds of key derivation.
    rounds: int

    @property
    def unusual(self) -> tuple[str, ...]:
        """Names of the algorithms that not every build of cryptography offers."""
        return tuple(_NAMES.get(oid, oid) for oid in self.algorithms if oid not in _USUAL)


def read_protection(algorithm: der.Element) -> Protection:
    """Read an AlgorithmIdentifier of password-based encryption (RFC 8018, appendix A; RFC 7292, appendix C; RFC 7914).

    :raises DerError: If its parameters are not what its OID demands.
    """
    oid, parameters = read_algorithm(algorithm)
    if oid == _PBES2:
        derivation, scheme = _children(parameters)
        derivation_oid, derivation_parameters = read_algorithm(derivation)
        nested = [read_algorithm(child)[0] for child in _children(derivation_parameters) if child.tag == der.SEQUENCE]
        oids = (oid, derivation_oid, *nested, read_algorithm(scheme)[0])
        return Protection(oids, _rounds(derivation_oid, derivation_parameters))
    if oid.startswith((_PKCS12_PBE, _PKCS5_PBE)):
        return Protection((oid,), _rounds(oid, parameters))
    return Protection((oid,), 0)


def read_algorithm(algorithm: der.Element) -> tuple[str, der.Element | None]:
    """OID and parameters of an AlgorithmIdentifier.

    :raises DerError: If it is none.
    """
    oid, *parameters = _children(algorithm)
    if oid.tag != der.OBJECT_IDENTIFIER:
        raise der.DerError("an AlgorithmIdentifier does not start with an OID")
    return dotted(oid), parameters[0] if parameters else None


def positive(integer: der.Element) -> int:
    """The value of an INTEGER that must be at least 1.

    :raises DerError: If it is not.
    """
    value = int.from_bytes(integer.value, signed=True)
    if integer.tag != der.INTEGER or value < 1:
        raise der.DerError("a count is not a positive INTEGER")
    return value


def dotted(oid: der.Element) -> str:
    """The text form of an OBJECT IDENTIFIER (X.690, section 8.19)."""
    arcs, arc = [], 0
    for byte in oid.value:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs or oid.value[-1] & 0x80:
        raise der.DerError("an OBJECT IDENTIFIER is cut off")
    root = min(arcs[0] // 40, 2)
    return ".".join(map(str, (root, arcs[0] - 40 * root, *arcs[1:])))


def _children(element: der.Element | None) -> list[der.Element]:
    if element is None or element.tag != der.SEQUENCE:
        raise der.DerError("algorithm parameters are missing")
    children = list(element.children())
    if not children:
        raise der.DerError("algorithm parameters are empty")
    return children


def _rounds(oid: str, parameters: der.Element | None) -> int:
    numbers = [positive(child) for child in _children(parameters) if child.tag == der.INTEGER]
    if oid == _SCRYPT and len(numbers) >= 3:
        cost, block_size, parallelism = numbers[:3]
        return cost * block_size * parallelism * _SCRYPT_ROUNDS
    if not numbers:
        raise der.DerError("key derivation without a number of rounds")
    return numbers[0]
