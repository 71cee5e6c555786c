"""Certificate authorities for development."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Unpack

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..certificate import Certificate
from ..identity import Identity
from ..keyfiles.source import Password, Source
from ..trust import TrustStore
from .crl import CrlOptions, RevokedEntry, build_crl
from .issued import Issued
from .keys import PrivateKey, make_key
from .profile import (
    Extension,
    IssueOptions,
    Signer,
    adjusted,
    build_certificate,
    ca_extensions,
    leaf_extensions,
    simple_name,
)

_CA_LIFETIME = timedelta(days=3650)
_LEAF_LIFETIME = timedelta(days=30)
_BACKDATED = timedelta(hours=1)
_CRL_LIFETIME = timedelta(days=7)
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DevelopmentCA:
    """A CA whose key lies in memory. Made by :meth:`create` (a root) or :meth:`intermediate`."""

    certificate: Certificate
    private_key: PrivateKey
    #: The moment from which default validities are counted.
    at: datetime
    #: The CA that issued this one; ``None`` for a root.
    parent: DevelopmentCA | None = None
    #: Sign with RSA-PSS.
    pss: bool = False

    @classmethod
    def create(
        cls,
        name: str = "Development CA",
        *,
        key: str | PrivateKey = "ec",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        at: datetime | None = None,
        path_length: int | None = None,
        hash: str = "sha256",
        extensions: Iterable[Extension] = (),
        without: Iterable[x509.ObjectIdentifier] = (),
    ) -> DevelopmentCA:
        """A new root.

        :param name: Its common name.
        :param key: As :func:`~mtls_core.devca.keys.make_key` names them; ``"rsa-pss"`` signs with PSS.
        :param not_before: Aware; one hour before ``at`` if left out.
        :param not_after: Aware; ten years after ``at`` if left out.
        :param at: The moment that counts as now, for this CA and all that it issues.
        :param extensions: Pairs of value and criticality, such as name constraints.
        :param without: Extensions to leave out.
        """
        moment = at or datetime.now(UTC)
        private_key = make_key(key)
        public_key = private_key.public_key()
        signer = Signer(simple_name(name), private_key, key == "rsa-pss")
        certificate = build_certificate(
            signer,
            signer.name,
            public_key,
            validity=_validity(not_before, not_after, moment, _CA_LIFETIME),
            extensions=adjusted(ca_extensions(public_key, public_key, path_length=path_length), extensions, without),
            hash_name=hash,
        )
        return cls(certificate, private_key, moment, pss=signer.pss)

    def intermediate(
        self,
        name: str = "Issuing CA",
        *,
        key: str | PrivateKey = "ec",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        path_length: int | None = None,
        hash: str = "sha256",
        extensions: Iterable[Extension] = (),
        without: Iterable[x509.ObjectIdentifier] = (),
    ) -> DevelopmentCA:
        """A CA below this one; the parameters are those of :meth:`create`."""
        private_key = make_key(key)
        public_key = private_key.public_key()
        usual = ca_extensions(public_key, self.private_key.public_key(), path_length=path_length)
        certificate = build_certificate(
            self._signer,
            simple_name(name),
            public_key,
            validity=_validity(not_before, not_after, self.at, _CA_LIFETIME),
            extensions=adjusted(usual, extensions, without),
            hash_name=hash,
        )
        return DevelopmentCA(certificate, private_key, self.at, parent=self, pss=key == "rsa-pss")

    def issue(self, common_name: str | None = None, **options: Unpack[IssueOptions]) -> Issued:
        """A certificate that is not a CA's, good unless ``options`` say otherwise.

        :param common_name: ``None`` leaves the subject empty.
        :param options: See :class:`IssueOptions`.
        """
        private_key = make_key(options.get("key", "ec"))
        certificate = _issue(self._signer, self.private_key, private_key, common_name, options, self.at)
        return Issued(certificate, self.chain, private_key, self.root.certificate)

    @classmethod
    def from_pfx(cls, source: Source, password: Password = None, *, at: datetime | None = None) -> DevelopmentCA:
        """A root that :meth:`pfx` wrote.

        :param at: The moment that counts as now.
        :raises IdentityError: If the file does not open.
        """
        identity = Identity.from_pfx(source, password)
        # An identity gives its key away encrypted only; a password for this moment opens it again.
        secret = secrets.token_bytes(16)
        key: Any = load_pem_private_key(identity.encrypted_key_pem(secret), secret)
        return cls(identity.certificate, key, at or datetime.now(UTC))

    def pfx(self, password: str | bytes) -> bytes:
        """This CA's key and certificate as PFX."""
        return Issued(self.certificate, self.chain[1:], self.private_key).pfx(password)

    def client(self, name: str, **options: Unpack[IssueOptions]) -> Issued:
        """A certificate for a caller."""
        usual: IssueOptions = {"usage": ("client",)}
        usual.update(options)
        return self.issue(name, **usual)

    def server(self, name: str, **options: Unpack[IssueOptions]) -> Issued:
        """A certificate for a server named ``name``; ``localhost`` is also ``127.0.0.1`` and ``::1``."""
        usual: IssueOptions = {"usage": ("server",), "dns": (name,)}
        if name == "localhost":
            usual["ips"] = _LOOPBACK
        usual.update(options)
        return self.issue(name, **usual)

    def crl(
        self,
        revoked: Iterable[RevokedEntry] = (),
        *,
        number: int = 1,
        this_update: datetime | None = None,
        next_update: datetime | None = None,
        **options: Unpack[CrlOptions],
    ) -> bytes:
        """A certificate revocation list of this CA, as DER.

        :param revoked: Certificates or serial numbers, each alone, in a tuple with the date and the reason of its
            revocation, or as :class:`~mtls_core.devca.crl.Revocation`.
        :param number: The CRL number (RFC 5280, section 5.2.3).
        :param this_update: Aware; one hour before the CA's ``at`` if left out.
        :param next_update: Aware; seven days after it if left out.
        :param options: See :class:`~mtls_core.devca.crl.CrlOptions`.
        """
        validity = _validity(this_update, next_update, self.at, _CRL_LIFETIME)
        return build_crl(self._signer, revoked, number=number, validity=validity, options=options)

    @property
    def pem(self) -> str:
        """This CA's certificate."""
        return self.certificate.pem

    @property
    def root(self) -> DevelopmentCA:
        """The CA at the top, which may be this one."""
        return self if self.parent is None else self.parent.root

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """From this CA upward, without the root."""
        return () if self.parent is None else (self.certificate, *self.parent.chain)

    def trust_store(self) -> TrustStore:
        """A trust store that holds the root."""
        return TrustStore.from_certificates([self.root.certificate])

    @property
    def _signer(self) -> Signer:
        return Signer(self.certificate.subject_name, self.private_key, self.pss)

    def __repr__(self) -> str:
        return f"<DevelopmentCA {self.certificate.describe()}>"


def self_signed(common_name: str | None, *, at: datetime | None = None, **options: Unpack[IssueOptions]) -> Issued:
    """A certificate that vouches for itself, as devices and small services have them.

    :param at: The moment that counts as now.
    :param options: See :class:`IssueOptions`.
    """
    kind = options.get("key", "ec")
    private_key = make_key(kind)
    signer = Signer(_subject(common_name, options), private_key, kind == "rsa-pss")
    moment = at or datetime.now(UTC)
    return Issued(_issue(signer, private_key, private_key, common_name, options, moment), (), private_key)


def _issue(
    signer: Signer,
    issuer_key: PrivateKey,
    private_key: PrivateKey,
    name: str | None,
    options: IssueOptions,
    at: datetime,
) -> Certificate:
    public_key = private_key.public_key()
    subject = _subject(name, options)
    usual = leaf_extensions(public_key, issuer_key.public_key(), options, subject_is_empty=not list(subject))
    return build_certificate(
        signer,
        subject,
        public_key,
        validity=_validity(options.get("not_before"), options.get("not_after"), at, _LEAF_LIFETIME),
        extensions=adjusted(usual, options.get("extensions", ()), options.get("without", ())),
        hash_name=options.get("hash", "sha256"),
        serial_number=options.get("serial_number"),
    )


def _subject(name: str | None, options: IssueOptions) -> x509.Name:
    subject = options.get("subject")
    return simple_name(name) if subject is None else subject  # an empty name is false


def _validity(
    not_before: datetime | None, not_after: datetime | None, at: datetime, lifetime: timedelta
) -> tuple[datetime, datetime]:
    """The two given, or what is usual; a certificate that should have ended long ago began before that."""
    for moment in (not_before, not_after, at):
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{moment.isoformat()} has no time zone; write datetime(..., tzinfo=UTC)")
    end = not_after or max(at, not_before or at) + lifetime
    start = not_before or (at - _BACKDATED if end > at else end - lifetime)
    return start.astimezone(UTC).replace(microsecond=0), end.astimezone(UTC).replace(microsecond=0)
