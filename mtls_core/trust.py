"""Trust anchors, and the intermediates that come with them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .certificate import Certificate
from .errors import MalformedCertificate, TrustStoreError

#: Largest file of certificates that is read, in bytes; the bundle of all public CAs has about 220,000.
MAX_BUNDLE_SIZE = 16 * 1024 * 1024

Source = str | os.PathLike[str] | bytes


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Certificates sorted by what they are, not by where they lay.

    A self-signed CA certificate is an anchor. A CA certificate that somebody else signed helps to build paths
    and anchors nothing. A self-signed certificate that is not a CA anchors nothing either: it is admitted by
    its thumbprint alone, where a policy says so.
    """

    anchors: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...] = ()
    self_signed_leaves: tuple[Certificate, ...] = ()

    @classmethod
    def from_files(cls, *paths: str | os.PathLike[str]) -> TrustStore:
        """Read files of PEM or DER, and all such files of folders.

        :param paths: Files and folders; of a folder, the files directly in it whose content is a certificate.
        :raises TrustStoreError: If a path cannot be read, a named file holds no certificate or a broken one,
            or no certificate can be an anchor.
        """
        if not paths:
            raise TrustStoreError("no file of trust anchors was named")
        return cls.from_certificates(
            (certificate for path in paths for certificate in _read_path(Path(path))),
            source=", ".join(str(path) for path in paths),
        )

    @classmethod
    def from_pem(cls, data: str | bytes) -> TrustStore:
        """Read PEM text that holds one or more certificates.

        :raises TrustStoreError: If it holds none, a broken one, or none that can be an anchor.
        """
        try:
            return cls.from_certificates(Certificate.all_from_pem(data), source="the PEM text")
        except MalformedCertificate as error:
            raise TrustStoreError(f"the PEM text of trust anchors: {error.detail}") from error

    @classmethod
    def from_certificates(
        cls, certificates: Iterable[Certificate], *, source: str = "the given certificates"
    ) -> TrustStore:
        """Sort certificates into anchors, intermediates and self-signed leaves; doubles count once.

        :raises TrustStoreError: If none of them can be an anchor, nor be admitted by its thumbprint.
        """
        unique = tuple(dict.fromkeys(certificates))
        self_signed = [c for c in unique if c.is_self_signed]
        anchors = tuple(c for c in self_signed if c.is_ca)
        leaves = tuple(c for c in self_signed if not c.is_ca)
        intermediates = tuple(c for c in unique if not c.is_self_signed)
        if not anchors and not leaves:
            raise TrustStoreError(_no_anchor(source, intermediates))
        return cls(anchors, intermediates, leaves)

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """All of them."""
        return self.anchors + self.intermediates + self.self_signed_leaves

    @property
    def pem(self) -> str:
        """All of them as PEM text."""
        return "".join(certificate.pem for certificate in self.certificates)

    @property
    def fingerprint(self) -> str:
        """64 hex digits that differ whenever the set of certificates differs."""
        thumbprints = sorted(certificate.thumbprint for certificate in self.certificates)
        return hashlib.sha256("".join(thumbprints).encode("ascii")).hexdigest()

    def __repr__(self) -> str:
        return f"<TrustStore {len(self.anchors)} anchors, {len(self.intermediates)} intermediates>"


def _no_anchor(source: str, intermediates: tuple[Certificate, ...]) -> str:
    if not intermediates:
        return f"{source}: no certificate found; trust anchors are PEM (-----BEGIN CERTIFICATE-----) or DER"
    first = intermediates[0]
    return (
        f"{source}: only intermediate certificates ({first.subject}), which anchor nothing;"
        f" add the root that issued them: {first.issuer}"
    )


def _read_path(path: Path) -> list[Certificate]:
    if path.is_dir():
        return _read_folder(path)
    certificates = _parse(path, _read_bytes(path))
    if not certificates:
        raise TrustStoreError(
            f"{path}: holds no certificate; trust anchors are PEM (-----BEGIN CERTIFICATE-----) or DER"
        )
    return certificates


def _read_folder(folder: Path) -> list[Certificate]:
    try:
        files = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    except OSError as error:
        raise TrustStoreError(f"{folder}: cannot be read: {error.strerror}") from error
    certificates = [certificate for file in files for certificate in _parse_if_certificates(file)]
    if not certificates:
        raise TrustStoreError(f"{folder}: no file in this folder holds a certificate")
    return certificates


def _parse_if_certificates(file: Path) -> list[Certificate]:
    """Certificates of one file of a folder, where keys, READMEs and lists may lie as well."""
    data = _read_bytes(file)
    if b"-----BEGIN" not in data and file.suffix.lower() not in {".der", ".cer", ".crt"}:
        return []
    return _parse(file, data)


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BUNDLE_SIZE:
            raise TrustStoreError(f"{path}: is larger than {MAX_BUNDLE_SIZE} bytes")
        return path.read_bytes()
    except OSError as error:
        raise TrustStoreError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(path: Path, data: bytes) -> list[Certificate]:
    try:
        if data[:1] == b"\x30":
            return [Certificate.from_der(data)]
        return list(Certificate.all_from_pem(data))
    except MalformedCertificate as error:
        raise TrustStoreError(f"{path}: {error.detail}") from error
