"""Which certificate belongs to which private key, and which of several identities is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from ..certificate import Certificate
from ..errors import ConfigurationError, IdentityError, IdentityProblem
from ..signatures import verifies

#: A thumbprint, a friendly name, or a function that says yes to one certificate.
Select = str | Callable[[Certificate], bool]

#: Longest chain that is put together.
_MAX_INTERMEDIATES = 10
#: What people copy along with a thumbprint; U+200E comes with it out of the Windows certificate dialogue.
_THUMBPRINT_NOISE = re.compile(r"[\s:\-\u200e\u200f]")
#: "SHA256 Fingerprint=" is how openssl begins.
_THUMBPRINT_LABEL = re.compile(r"^.*=|^sha-?256[:/ ]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NamedCertificate:
    """A certificate and the name that a file gives it."""

    certificate: Certificate
    friendly_name: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A certificate whose private key is in the same file."""

    certificate: Certificate
    private_key: PrivateKeyTypes = field(repr=False)
    friendly_name: str | None = None

    def describe(self) -> str:
        """For a list to choose from: who, thumbprint, friendly name."""
        name = f", friendly name {self.friendly_name!r}" if self.friendly_name else ""
        return f"{self.certificate.subject or '(no subject)'} [sha256 {self.certificate.thumbprint}{name}]"


def pair(
    keys: Iterable[PrivateKeyTypes], certificates: Sequence[NamedCertificate], *, source: str
) -> tuple[Candidate, ...]:
    """Every certificate that belongs to one of ``keys``.

    :raises IdentityError: ``no_key``, ``no_certificate``, or ``key_mismatch`` if no certificate belongs to any key.
    """
    publics = [(key, key.public_key()) for key in keys]
    if not publics:
        raise IdentityError(
            IdentityProblem.NO_KEY,
            "holds no private key; export the identity again, together with its private key",
            source=source,
        )
    if not certificates:
        raise IdentityError(
            IdentityProblem.NO_CERTIFICATE,
            "holds no certificate; export the identity again, together with its certificate",
            source=source,
        )
    found = {
        named.certificate: Candidate(named.certificate, key, named.friendly_name)
        for named in certificates
        for key, public in publics
        if public == named.certificate.public_key
    }
    if not found:
        raise IdentityError(IdentityProblem.KEY_MISMATCH, _mismatch(certificates), source=source)
    return tuple(found.values())


def choose(candidates: Sequence[Candidate], select: Select | None, *, source: str) -> Candidate:
    """The one candidate that is meant.

    :raises IdentityError: ``several_identities`` if more than one remains, ``not_selected`` if ``select`` fits none.
    :raises ConfigurationError: If ``select`` is neither text nor a function.
    """
    chosen = list(candidates) if select is None else _selected(candidates, select)
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        advice = "select= must fit exactly one" if select is not None else "say which with select="
        raise IdentityError(
            IdentityProblem.SEVERAL_IDENTITIES,
            f"there are {len(chosen)} identities; {advice} (thumbprint, friendly name or a function): {_list(chosen)}",
            source=source,
        )
    sha1 = _is_sha1(select)
    hint = " (select= looks like a SHA-1 thumbprint; the SHA-256 one is needed)" if sha1 else ""
    raise IdentityError(
        IdentityProblem.NOT_SELECTED,
        f"select= fits no identity{hint}; there is {_list(candidates)}",
        source=source,
    )


def order_chain(leaf: Certificate, others: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """The intermediates above ``leaf``, its issuer first.

    Who issued whom is a matter of signature, so certificates that only share a name stay out, as does everything that
    has nothing to do with ``leaf``. A self-signed certificate ends the chain and is left out of it: a peer trusts its
    own copy of a root or none (RFC 8446, section 4.4.2).
    """
    pool = [certificate for certificate in dict.fromkeys(others) if not certificate.is_self_signed]
    chain = [leaf]
    while not chain[-1].is_self_signed and len(chain) <= _MAX_INTERMEDIATES:
        issuers = [c for c in pool if c not in chain and _issued(c, chain[-1])]
        if not issuers:
            break
        # Of one CA's old and new certificate for the same key, the one that lives longer.
        chain.append(max(issuers, key=lambda c: c.not_after))
    return tuple(chain[1:])


def _issued(issuer: Certificate, subject: Certificate) -> bool:
    return issuer.subject_name == subject.issuer_name and verifies(issuer.public_key, subject.parsed, subject.tbs)


def _selected(candidates: Sequence[Candidate], select: Select) -> list[Candidate]:
    if callable(select):
        return [candidate for candidate in candidates if select(candidate.certificate)]
    if not isinstance(select, str):
        raise ConfigurationError(
            f"select= is a thumbprint, a friendly name or a function, not of type {type(select).__name__}"
        )
    by_name = [candidate for candidate in candidates if candidate.friendly_name == select]
    thumbprint = _normalised(select)
    return by_name or [candidate for candidate in candidates if candidate.certificate.thumbprint == thumbprint]


def _normalised(thumbprint: str) -> str:
    return _THUMBPRINT_NOISE.sub("", _THUMBPRINT_LABEL.sub("", thumbprint)).lower()


def _is_sha1(select: Select | None) -> bool:
    return isinstance(select, str) and re.fullmatch("[0-9a-f]{40}", _normalised(select)) is not None


def _list(candidates: Iterable[Candidate]) -> str:
    return "; ".join(candidate.describe() for candidate in candidates)


def _mismatch(certificates: Sequence[NamedCertificate]) -> str:
    subjects = ", ".join(named.certificate.subject or "(no subject)" for named in certificates[:5])
    more = f" and {len(certificates) - 5} more" if len(certificates) > 5 else ""
    return (
        f"the private key belongs to none of the certificates ({subjects}{more}); export key and certificate together"
    )
