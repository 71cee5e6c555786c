"""What a development CA hands out: a private key with its certificate, in every form that programs read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from ..certificate import Certificate
from ..identity import Identity
from .keys import PrivateKey


@dataclass(frozen=True, slots=True)
class WrittenFiles:
    """Where :meth:`~mtls_core.devca.Issued.write` put things."""

    pfx: Path
    #: The certificate and its intermediates.
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Issued:
    """A certificate with its private key, which unlike that of an :class:`~mtls_core.identity.Identity` may be had."""

    certificate: Certificate
    #: The intermediates upward, without the root.
    chain: tuple[Certificate, ...]
    private_key: PrivateKey
    #: The root, for those who want to put it into a file as well.
    root: Certificate | None = None

    @property
    def identity(self) -> Identity:
        """The same as services and clients use it."""
        return Identity.from_private_key(self.private_key, (self.certificate, *self.chain), source="<development CA>")

    @property
    def certificate_pem(self) -> bytes:
        """The certificate, then its intermediates."""
        return "".join(certificate.pem for certificate in (self.certificate, *self.chain)).encode("ascii")

    def key_pem(self, password: str | bytes | None = None) -> bytes:
        """The private key as PKCS#8 PEM, encrypted if there is a password."""
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, _encryption(password))

    def pfx(
        self,
        password: str | bytes | None,
        *,
        encryption: str = "aes",
        friendly_name: str | None = None,
        include_chain: bool = True,
        include_root: bool = False,
    ) -> bytes:
        """Key and certificates as PKCS#12.

        :param password: ``None`` leaves the key in the clear.
        :param encryption: ``"aes"`` (AES-256, PBKDF2) or ``"3des"`` (what Windows and Java wrote for long).
        """
        certificates: list[Certificate] = [*self.chain] if include_chain else []
        if include_root and self.root is not None:
            certificates.append(self.root)
        return pkcs12.serialize_key_and_certificates(
            None if friendly_name is None else friendly_name.encode("utf-8"),
            self.private_key,
            self.certificate.parsed,
            [certificate.parsed for certificate in certificates],
            _pfx_encryption(password, encryption),
        )

    def write(self, folder: str | os.PathLike[str], stem: str, *, password: str | bytes | None = None) -> WrittenFiles:
        """Write ``stem.pfx``, ``stem.pem`` and ``stem.key.pem``, readable by the owner alone from the start.

        A file of that name is replaced whole, so that a reader sees the old or the new one.
        """
        base = Path(folder)
        files = WrittenFiles(base / f"{stem}.pfx", base / f"{stem}.pem", base / f"{stem}.key.pem")
        write_private(files.pfx, self.pfx(password, friendly_name=stem))
        write_private(files.certificate, self.certificate_pem)
        write_private(files.key, self.key_pem(password))
        return files

    def __repr__(self) -> str:
        return f"<Issued {self.certificate.describe()}>"


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600, never a half of it under its name."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_certificates(path: Path, certificates: Iterable[Certificate]) -> None:
    """Write certificates as PEM; they are public, and the mode is the usual one."""
    path.write_text("".join(certificate.pem for certificate in certificates), encoding="ascii")


def _encryption(password: str | bytes | None) -> KeySerializationEncryption:
    return NoEncryption() if password is None else BestAvailableEncryption(_to_bytes(password))


def _pfx_encryption(password: str | bytes | None, encryption: str) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder()
    match encryption:
        case "aes":
            builder = builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC).hmac_hash(hashes.SHA256())
        case "3des":
            builder = builder.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC).hmac_hash(hashes.SHA1())  # noqa: S303
        case _:
            raise ValueError(f"no encryption is named {encryption!r}; there are aes and 3des")
    return NoEncryption() if password is None else builder.build(_to_bytes(password))


def _to_bytes(password: str | bytes) -> bytes:
    return password.encode("utf-8") if isinstance(password, str) else password
