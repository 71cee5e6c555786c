"""What a list covers, and where a certificate says that its lists are (RFC 5280, sections 4.2.1.13, 5.2.5, 6.3.3)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from ..certificate import Certificate
from ..path.distinguished_names import CanonicalName, canonical

#: All reasons for which a certificate can be revoked. When each is covered by some list, the status is known.
ALL_REASONS = frozenset(x509.ReasonFlags) - {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl}

_OCSP = AuthorityInformationAccessOID.OCSP

#: A general name so that equal ones compare equal, directory names as RFC 5280, section 7.1 compares them.
NameKey = Hashable


@dataclass(frozen=True, slots=True)
class Scope:
    """Which certificates and reasons a list covers: its issuing distribution point. Without one it covers all."""

    #: Names of the distribution point; ``None`` if it names none.
    names: frozenset[NameKey] | None = None
    #: The one kind of certificates that it covers.
    only: Literal["user", "ca", "attribute"] | None = None
    reasons: frozenset[x509.ReasonFlags] = ALL_REASONS
    #: Whether certificates of other issuers than the list's are in it.
    indirect: bool = False

    @classmethod
    def from_extension(cls, value: x509.IssuingDistributionPoint, issuer: x509.Name) -> Scope:
        """Read an issuing distribution point.

        :param issuer: Who issued the list.
        :raises ValueError: If it names nothing where it must name something.
        """
        names = _point_names(value.full_name, value.relative_name, (issuer,))
        if names == frozenset():
            raise ValueError("the issuing distribution point has a name of which there is none")
        if value.only_some_reasons is not None and not value.only_some_reasons & ALL_REASONS:
            raise ValueError("the issuing distribution point covers some reasons of which there are none")
        return cls(names, _only(value), _reasons(value.only_some_reasons), bool(value.indirect_crl))

    def admits(self, certificate: Certificate) -> bool:
        """Whether certificates of this kind are in the list (RFC 5280, section 6.3.3 (b)(2)(ii) to (iv))."""
        return self.only is None or self.only == ("ca" if certificate.is_ca else "user")

    def describe(self) -> str:
        """For sentences: what of it is special."""
        parts = [] if self.only is None else [f"{self.only} certificates alone"]
        if self.names is not None:
            parts.append("one distribution point")
        if self.reasons != ALL_REASONS:
            parts.append("the reasons " + reason_names(self.reasons))
        return ", ".join(parts) or "all certificates"


@dataclass(frozen=True, slots=True)
class DistributionPoint:
    """One place where lists about a certificate are."""

    #: Where to fetch them.
    urls: tuple[str, ...]
    #: Names of it; ``None`` if there is nothing but who issues the list.
    names: frozenset[NameKey] | None
    #: Who issues the list, if that is not who issued the certificate.
    issuers: frozenset[CanonicalName] = frozenset()
    #: The reasons that its lists cover.
    reasons: frozenset[x509.ReasonFlags] = ALL_REASONS


def distribution_points(certificate: Certificate) -> tuple[DistributionPoint, ...]:
    """Where a certificate says that complete lists about it are; nothing if it does not say."""
    return _points(certificate, ExtensionOID.CRL_DISTRIBUTION_POINTS)


def delta_points(certificate: Certificate) -> tuple[DistributionPoint, ...]:
    """Where a certificate says that deltas are (RFC 5280, section 4.2.1.15)."""
    return _points(certificate, ExtensionOID.FRESHEST_CRL)


def read_points(value: Iterable[x509.DistributionPoint], issuer: x509.Name) -> tuple[DistributionPoint, ...]:
    """The distribution points of an extension.

    :param issuer: To whose name a relative name is appended, if the point names no issuer of lists.
    """
    return tuple(_read_point(point, issuer) for point in value)


def names_a_source(certificate: Certificate) -> bool:
    """Whether a certificate says where its revocation can be asked: a list, or an OCSP responder."""
    if distribution_points(certificate):
        return True
    extension = certificate.extension(ExtensionOID.AUTHORITY_INFORMATION_ACCESS)
    return extension is not None and any(access.access_method == _OCSP for access in extension.value)


def implied_point(certificate: Certificate) -> DistributionPoint:
    """The point at which to look for every certificate: its issuer's own (RFC 5280, section 6.3.3, at the end)."""
    names = {_directory(certificate.issuer_name)}
    extension = certificate.extension(ExtensionOID.ISSUER_ALTERNATIVE_NAME)
    names.update(_name_key(name) for name in (extension.value if extension else ()))
    return DistributionPoint((), frozenset(names))


def covered_reasons(
    certificate: Certificate,
    issuer: CanonicalName,
    points: Iterable[DistributionPoint],
    *,
    list_issuer: CanonicalName,
    scope: Scope,
) -> frozenset[x509.ReasonFlags]:
    """The reasons for which a list speaks for a certificate; none if it is out of its scope.

    :param issuer: Who issued the certificate.
    :param points: Those that the certificate names, and the one of its issuer.
    """
    if not scope.admits(certificate):
        return frozenset()
    fitting = (point.reasons for point in points if _fits(point, issuer, list_issuer, scope))
    return scope.reasons & frozenset().union(*fitting)


def reason_names(reasons: Iterable[x509.ReasonFlags]) -> str:
    """Reasons for a sentence, as RFC 5280 names them."""
    return ", ".join(sorted(reason.value for reason in reasons))


def _fits(point: DistributionPoint, issuer: CanonicalName, list_issuer: CanonicalName, scope: Scope) -> bool:
    """RFC 5280, section 6.3.3 (b)(1) and (b)(2)(i)."""
    if point.issuers:
        # Who issues lists for others says so, or its own list would be taken for theirs.
        if list_issuer not in point.issuers or not scope.indirect:
            return False
    elif list_issuer != issuer:
        return False
    if scope.names is None:
        return True
    names = {_directory_key(name) for name in point.issuers} if point.names is None else point.names
    return not scope.names.isdisjoint(names)


def _points(certificate: Certificate, oid: x509.ObjectIdentifier) -> tuple[DistributionPoint, ...]:
    extension = certificate.extension(oid)
    return () if extension is None else read_points(extension.value, certificate.issuer_name)


def _read_point(point: x509.DistributionPoint, issuer: x509.Name) -> DistributionPoint:
    issuers = tuple(name.value for name in point.crl_issuer or () if isinstance(name, x509.DirectoryName))
    urls = tuple(n.value for n in point.full_name or () if isinstance(n, x509.UniformResourceIdentifier))
    return DistributionPoint(
        urls,
        _point_names(point.full_name, point.relative_name, issuers or (issuer,)),
        frozenset(canonical(name) for name in issuers),
        _reasons(point.reasons),
    )


def _point_names(
    full: list[x509.GeneralName] | None, relative: x509.RelativeDistinguishedName | None, above: Iterable[x509.Name]
) -> frozenset[NameKey] | None:
    """Names of a distribution point.

    :param above: To which a relative name is appended (RFC 5280, section 4.2.1.13).
    """
    if relative is not None:
        return frozenset(_directory(x509.Name([*name.rdns, relative])) for name in above)
    return None if full is None else frozenset(_name_key(name) for name in full)


def _name_key(name: x509.GeneralName) -> NameKey:
    return _directory(name.value) if isinstance(name, x509.DirectoryName) else name


def _directory(name: x509.Name) -> NameKey:
    return _directory_key(canonical(name))


def _directory_key(name: CanonicalName) -> NameKey:
    return ("directoryName", name)


def _only(value: x509.IssuingDistributionPoint) -> Literal["user", "ca", "attribute"] | None:
    if value.only_contains_user_certs:
        return "user"
    if value.only_contains_ca_certs:
        return "ca"
    return "attribute" if value.only_contains_attribute_certs else None


def _reasons(reasons: frozenset[x509.ReasonFlags] | None) -> frozenset[x509.ReasonFlags]:
    return ALL_REASONS if reasons is None else reasons & ALL_REASONS
