"""The checksum of a PFX under its password (RFC 7292, section 4 and appendix B; RFC 9579).

OpenSSL checks it as well, but its answer is the same for a wrong password, a damaged file and a missing algorithm.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from .. import der
from .pbe import positive, read_algorithm

_PBMAC1 = "1.2.840.113549.1.5.14"
_DIGESTS = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    # HMAC with the same, as PBMAC1 names them
    "1.2.840.113549.2.7": "sha1",
    "1.2.840.113549.2.8": "sha224",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}
_KEY_FOR_MAC = 3


@dataclass(frozen=True, slots=True)
class Mac:
    """What MacData holds, or of PBMAC1 what its parameters hold."""

    #: A name of :mod:`hashlib`; ``None`` if the algorithm is not known.
    digest: str | None
    expected: bytes
    salt: bytes
    rounds: int
    #: PBMAC1: the hash within PBKDF2, and the length of the key.
    pbkdf2: tuple[str, int] | None = None

    def fits(self, content: bytes, password: bytes | None) -> bool | None:
        """Whether ``password`` and ``content`` are those of the file; ``None`` if that cannot be told.

        :param content: The AuthenticatedSafe.
        :param password: UTF-8; ``None`` and nothing are tried both as no password and as an empty one.
        """
        digest = self.digest
        if digest is None:
            return None
        return any(
            hmac.compare_digest(hmac.digest(key, content, digest), self.expected)
            for key in self._keys(digest, password)
        )

    def _keys(self, digest: str, password: bytes | None) -> list[bytes]:
        if self.pbkdf2 is not None:
            name, length = self.pbkdf2
            return [hashlib.pbkdf2_hmac(name, password or b"", self.salt, self.rounds, length)]
        # No password has no bytes at all for some programs, for others it is the terminating NUL of an empty text.
        forms = [_bmp_string(password)] if password else [b"", b"\x00\x00"]
        return [derive_key(digest, form, self.salt, self.rounds) for form in forms]


def read_mac(element: der.Element) -> Mac:
    """Read MacData.

    :raises DerError: If it is not MacData.
    """
    digest_info, salt, *rounds = element.children()
    algorithm, expected = digest_info.children()
    oid, parameters = read_algorithm(algorithm)
    if oid == _PBMAC1:
        return _read_pbmac1(parameters, expected.value)
    return Mac(_DIGESTS.get(oid), expected.value, salt.value, positive(rounds[0]) if rounds else 1)


def _read_pbmac1(parameters: der.Element | None, expected: bytes) -> Mac:
    if parameters is None:
        raise der.DerError("PBMAC1 without parameters")
    derivation, scheme = parameters.children()
    _oid, derivation_parameters = read_algorithm(derivation)
    if derivation_parameters is None:
        raise der.DerError("PBKDF2 without parameters")
    # RFC 9579, section 4 demands the key length, and forbids SHA-1, which is the default of PBKDF2's hash.
    salt, rounds, length, prf = derivation_parameters.children()
    digest, prf_digest = _DIGESTS.get(read_algorithm(scheme)[0]), _DIGESTS.get(read_algorithm(prf)[0])
    if digest is None or prf_digest is None:
        return Mac(None, expected, salt.value, positive(rounds))
    return Mac(digest, expected, salt.value, positive(rounds), (prf_digest, min(positive(length), 1024)))


def derive_key(digest: str, password: bytes, salt: bytes, rounds: int) -> bytes:
    """The key for the MAC (RFC 7292, appendix B.2).

    It is as long as the hash, so of the loop over blocks one pass is enough.

    :param password: As a BMPString with its terminating NUL, or nothing.
    """
    hashed = getattr(hashlib, digest)
    block_size = hashed().block_size
    state = bytes([_KEY_FOR_MAC]) * block_size + _repeated(salt, block_size) + _repeated(password, block_size)
    for _round in range(rounds):
        state = hashed(state).digest()
    return bytes(state)


def _repeated(value: bytes, block_size: int) -> bytes:
    """``value`` over and over, until whole blocks are full."""
    length = -(-len(value) // block_size) * block_size
    return (value * (length // len(value) + 1))[:length] if value else b""


def _bmp_string(password: bytes) -> bytes:
    return password.decode("utf-8").encode("utf-16-be") + b"\x00\x00"
