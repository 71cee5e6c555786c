"""Who this service is: a private key, its certificate, and the intermediates to send along."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, pkcs12

from .certificate import Certificate
from .errors import ConfigurationError, IdentityError, IdentityProblem
from .keyfiles.pairing import NamedCertificate, Select, choose, order_chain, pair
from .keyfiles.pem import load_pem_certificates, load_pem_keys
from .keyfiles.pfx import load_pfx
from .keyfiles.source import Password, Source, read_source, resolve_password


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Identity:
    """A private key with its certificate, loaded once and never written down in the clear.

    Made by :meth:`from_pfx` and :meth:`from_pem`. The key shows in no ``repr``, log, error or pickle; it leaves
    encrypted, under a password of the caller's choice, or not at all.
    """

    certificate: Certificate
    #: What is sent along in a handshake: the issuer of :attr:`certificate` first; no root, no strangers.
    intermediates: tuple[Certificate, ...]
    #: What a PFX calls this identity.
    friendly_name: str | None
    #: The file it came from, or ``<bytes>``.
    source: str
    _private_key: PrivateKeyTypes = field(repr=False)

    @classmethod
    def from_pfx(cls, source: Source, password: Password = None, *, select: Select | None = None) -> Identity:
        """Load a PFX (PKCS#12, RFC 7292): AES, triple DES, RC2, with a password, an empty one or none.

        :param source: A path, or the content as bytes.
        :param password: Text, UTF-8 bytes, a function that returns either, or ``None``. It is not kept.
        :param select: Which identity, if there are several: its SHA-256 thumbprint in hex, its friendly name, or a
            function that says yes to its certificate.
        :raises IdentityError: If there is no identity to be had; ``problem`` and ``detail`` say why.
        :raises ConfigurationError: If an argument is of the wrong type.
        """
        data, name = read_source(source)
        keys, certificates = load_pfx(data, lambda: resolve_password(password, source=name), source=name)
        return cls._from_parts(keys, certificates, select, name)

    @classmethod
    def from_pem(
        cls,
        certificate: Source,
        key: Source | None = None,
        password: Password = None,
        *,
        select: Select | None = None,
    ) -> Identity:
        """Load PEM: certificates in any order, and the private key in the same file or in another.

        The terminal is never asked for a password.

        :param certificate: A path, or the content as bytes.
        :param key: The same for the private key; ``None`` if it stands beside the certificates.
        :param password: As in :meth:`from_pfx`; a function is called only if the key is encrypted.
        :param select: As in :meth:`from_pfx`; PEM knows no friendly names.
        :raises IdentityError: If there is no identity to be had; ``problem`` and ``detail`` say why.
        :raises ConfigurationError: If an argument is of the wrong type.
        """
        data, name = read_source(certificate)
        certificates = load_pem_certificates(data, source=name)
        key_data, key_name = (data, name) if key is None else read_source(key)
        keys = load_pem_keys(key_data, lambda: resolve_password(password, source=key_name), source=key_name)
        return cls._from_parts(keys, certificates, select, name)

    @classmethod
    def from_private_key(
        cls,
        private_key: PrivateKeyTypes,
        certificates: Iterable[Certificate],
        *,
        select: Select | None = None,
        source: str = "<private key>",
    ) -> Identity:
        """An identity whose parts are loaded already.

        :param private_key: A private key of cryptography.
        :param certificates: The key's certificate, and others of which its intermediates are taken; in any order.
        :param select: As in :meth:`from_pfx`.
        :raises IdentityError: If no certificate belongs to the key, or several do.
        """
        named = [NamedCertificate(certificate) for certificate in certificates]
        return cls._from_parts([private_key], named, select, source)

    @classmethod
    def _from_parts(
        cls,
        keys: Iterable[PrivateKeyTypes],
        certificates: list[NamedCertificate],
        select: Select | None,
        source: str,
    ) -> Identity:
        chosen = choose(pair(keys, certificates, source=source), select, source=source)
        intermediates = order_chain(chosen.certificate, (named.certificate for named in certificates))
        return cls(chosen.certificate, intermediates, chosen.friendly_name, source, chosen.private_key)

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The certificate, then its intermediates: what a handshake shows."""
        return (self.certificate, *self.intermediates)

    @property
    def thumbprint(self) -> str:
        """SHA-256 of the certificate, 64 lower-case hex digits."""
        return self.certificate.thumbprint

    def check_validity(self, at: datetime) -> None:
        """Check that the certificate is valid at a moment, both ends included (RFC 5280, section 4.1.2.5).

        :param at: Aware; fractions of a second do not count.
        :raises IdentityError: ``expired`` or ``not_yet_valid``.
        """
        moment = at.replace(microsecond=0)
        if moment > self.certificate.not_after:
            raise self._error(
                IdentityProblem.EXPIRED,
                f"expired on {_stamp(self.certificate.not_after)} (now {_stamp(moment)});"
                " get a new one from its issuer",
            )
        if moment < self.certificate.not_before:
            raise self._error(
                IdentityProblem.NOT_YET_VALID,
                f"is not valid before {_stamp(self.certificate.not_before)} (now {_stamp(moment)});"
                " check this machine's clock",
            )

    def encrypted_key_pem(self, password: bytes) -> bytes:
        """The private key as encrypted PKCS#8 PEM.

        :param password: At least one byte.
        :raises ConfigurationError: If the password is empty.
        """
        encryption = BestAvailableEncryption(_export_password(password))
        return self._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def certificate_chain_pem(self) -> bytes:
        """:attr:`chain` as PEM."""
        return "".join(certificate.pem for certificate in self.chain).encode("ascii")

    def pfx(self, password: str | bytes) -> bytes:
        """This identity as a PFX, encrypted with AES-256.

        :param password: At least one character.
        :raises ConfigurationError: If the password is empty.
        """
        encryption = (
            PrivateFormat.PKCS12.encryption_builder()
            .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            .hmac_hash(hashes.SHA256())
            .build(_export_password(password))
        )
        name = self.friendly_name.encode("utf-8") if self.friendly_name else None
        others = [certificate.parsed for certificate in self.intermediates]
        key: Any = self._private_key  # a kind that cannot be in a certificate cannot be here
        return pkcs12.serialize_key_and_certificates(name, key, self.certificate.parsed, others, encryption)

    def _error(self, problem: IdentityProblem, what: str) -> IdentityError:
        return IdentityError(problem, f"the certificate {self.certificate.describe()} {what}", source=self.source)

    def __copy__(self) -> Identity:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Identity:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an Identity holds a private key and is not pickled; load it again from its file where it is needed,"
            " or use Identity.pfx(password) and Identity.from_pfx()"
        )

    def __repr__(self) -> str:
        return f"<Identity {self.certificate.describe()} from {self.source}>"


def _export_password(password: str | bytes) -> bytes:
    if not password:
        raise ConfigurationError("a private key is not exported without a password")
    return password.encode("utf-8") if isinstance(password, str) else password


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
