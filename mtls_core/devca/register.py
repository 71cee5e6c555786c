"""What a development CA remembers: what it issued and what it revoked, in memory or in its folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509

from ..certificate import Certificate
from .authority import DevelopmentCA
from .crl import Revocation
from .issued import Issued, write_private

INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known about the certificates of one CA."""

    #: By serial number.
    revoked: Mapping[int, Revocation] = field(default_factory=dict)
    #: Serial numbers; ``None``: whatever is asked about was issued.
    issued: Collection[int] | None = None

    @property
    def crl_number(self) -> int:
        """Grows with every revocation."""
        return len(self.revoked) + 1

    def knows(self, serial_number: int) -> bool:
        """Whether a certificate of that number was issued."""
        return self.issued is None or serial_number in self.issued


class Register(Protocol):
    """Where a responder looks things up, anew for every request."""

    def authorities(self) -> Mapping[str, DevelopmentCA]:
        """The CAs, by the name that they have in addresses."""

    def record(self, ca: DevelopmentCA) -> Record:
        """What is known about the certificates of one of them."""


class MemoryRegister:
    """Remembers revocations until the process ends. For tests.

    :param authorities: The CAs. In addresses they have their common names, in lower case and with hyphens.
    """

    def __init__(self, authorities: Iterable[DevelopmentCA] = ()) -> None:
        self._lock = threading.Lock()
        self._authorities: dict[str, DevelopmentCA] = {}
        self._revoked: dict[bytes, dict[int, Revocation]] = {}
        for ca in authorities:
            self.add(ca)

    def add(self, ca: DevelopmentCA) -> None:
        """Speak for one more CA.

        :raises ValueError: If another one has its name.
        """
        name = _slug(ca.certificate)
        with self._lock:
            if self._authorities.get(name, ca) is not ca:
                raise ValueError(f"two CAs have the name {name}; their lists would have the same address")
            self._authorities = {**self._authorities, name: ca}

    def authorities(self) -> Mapping[str, DevelopmentCA]:
        """The CAs, by the name that they have in addresses."""
        return self._authorities

    def record(self, ca: DevelopmentCA) -> Record:
        """What is known about the certificates of one of them."""
        with self._lock:
            return Record(dict(self._revoked.get(ca.certificate.subject_der, {})))

    def revoke(
        self,
        certificate: Certificate | Issued,
        *,
        reason: x509.ReasonFlags | None = None,
        date: datetime | None = None,
    ) -> None:
        """Withdraw a certificate.

        :param date: Aware; now if left out.
        """
        certificate = certificate.certificate if isinstance(certificate, Issued) else certificate
        number = certificate.serial_number
        revocation = Revocation(which=number, date=date or datetime.now(UTC), reason=reason)
        with self._lock:
            self._revoked.setdefault(certificate.issuer_der, {})[number] = revocation


class FolderRegister:
    """Remembers in ``index.json`` of a CA's folder, which other processes may change meanwhile.

    :param folder: The folder that ``python -m mtls_core.devca`` made.
    :param ca: Its CA, whose name in addresses is ``ca``, like that of its file.
    """

    def __init__(self, folder: Path, ca: DevelopmentCA) -> None:
        self._path = folder / INDEX
        self._ca = ca

    def authorities(self) -> Mapping[str, DevelopmentCA]:
        """The CA."""
        return {"ca": self._ca}

    def record(self, ca: DevelopmentCA) -> Record:
        """What is known about its certificates."""
        entries = self._entries()
        revoked = {int(number, 16): _revocation(number, entry) for number, entry in entries.items() if entry["revoked"]}
        return Record(revoked, frozenset(int(number, 16) for number in entries))

    def add(self, name: str, certificate: Certificate) -> None:
        """Remember that a certificate was issued under a name, if that is not known."""
        entries = self._entries()
        number = f"{certificate.serial_number:x}"
        if number not in entries:
            self._write({**entries, number: _entry(name, certificate)})

    def revoke(self, name: str, *, reason: x509.ReasonFlags | None = None) -> list[int]:
        """Withdraw every certificate that was issued under a name.

        :return: Their serial numbers, without those that were revoked already.
        """
        entries = self._entries()
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        found = [number for number, entry in entries.items() if entry["name"] == name and not entry["revoked"]]
        for number in found:
            entries[number].update({"revoked": now, "reason": reason and reason.value})
        if found:
            self._write(entries)
        return [int(number, 16) for number in found]

    def _entries(self) -> dict[str, dict[str, Any]]:
        """The certificates, by serial numbers in hex."""
        if not self._path.exists():
            return {}
        try:
            entries: dict[str, dict[str, Any]] = json.loads(self._path.read_bytes())["certificates"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self._path} is damaged ({error}); mend it, or remove it to forget what it says"
            ) from error
        return entries

    def _write(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        text = json.dumps({"certificates": entries}, indent=2, sort_keys=True)
        write_private(self._path, f"{text}\n".encode())


def _entry(name: str, certificate: Certificate) -> dict[str, Any]:
    expires = f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}"
    return {"name": name, "expires": expires, "revoked": None, "reason": None}


def _revocation(number: str, entry: Mapping[str, Any]) -> Revocation:
    return Revocation(
        which=int(number, 16),
        date=datetime.fromisoformat(entry["revoked"]),
        reason=None if entry["reason"] is None else x509.ReasonFlags(entry["reason"]),
    )


def _slug(certificate: Certificate) -> str:
    name = (certificate.common_names or ("ca",))[0]
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower())
