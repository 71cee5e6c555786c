"""What can go wrong, each with a name that never changes.

The tree::

    MTLSError
    ├── ConfigurationError (also ValueError)
    │   ├── PinError
    │   └── TrustStoreError
    ├── InvalidName (also ValueError)
    ├── IdentityError
    └── CertificateRejected
        └── MalformedCertificate

Programs compare :class:`Reason` and :class:`IdentityProblem`, people read the sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .certificate import Certificate


class Reason(StrEnum):
    """Why a certificate, or a request, was refused. Values are stable: they stand in
    problem documents, logs and metrics.
    """

    MALFORMED = "malformed"
    ISSUER_NOT_FOUND = "issuer_not_found"
    UNTRUSTED_ROOT = "untrusted_root"
    SELF_SIGNED = "self_signed"
    SIGNATURE_INVALID = "signature_invalid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    USAGE_NOT_PERMITTED = "usage_not_permitted"
    KEY_USAGE_NOT_PERMITTED = "key_usage_not_permitted"
    ISSUER_NOT_A_CA = "issuer_not_a_ca"
    CA_CERTIFICATE = "ca_certificate"
    PATH_LENGTH_EXCEEDED = "path_length_exceeded"
    NAME_CONSTRAINT_VIOLATED = "name_constraint_violated"
    UNKNOWN_CRITICAL_EXTENSION = "unknown_critical_extension"
    WEAK_KEY = "weak_key"
    FORBIDDEN_ALGORITHM = "forbidden_algorithm"
    POLICY_NOT_SATISFIED = "policy_not_satisfied"
    PROFILE_VIOLATION = "profile_violation"
    WORK_LIMIT_EXCEEDED = "work_limit_exceeded"
    SECOND_OPINION = "second_opinion"
    REVOKED = "revoked"
    REVOCATION_UNKNOWN = "revocation_unknown"
    NOT_EXPECTED = "not_expected"
    NOT_AUTHORIZED = "not_authorized"
    CERTIFICATE_REQUIRED = "certificate_required"
    UNTRUSTED_PROXY = "untrusted_proxy"


class IdentityProblem(StrEnum):
    """Why an identity (private key and certificate) could not be used."""

    UNREADABLE = "unreadable"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    WRONG_FORMAT = "wrong_format"
    PASSWORD_REQUIRED = "password_required"  # noqa: S105 - a name, not a password
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a name, not a password
    DAMAGED = "damaged"
    ALGORITHM_UNAVAILABLE = "algorithm_unavailable"
    NO_KEY = "no_key"
    NO_CERTIFICATE = "no_certificate"
    KEY_MISMATCH = "key_mismatch"
    SEVERAL_IDENTITIES = "several_identities"
    NOT_SELECTED = "not_selected"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    REFUSED_BY_OPENSSL = "refused_by_openssl"


class MTLSError(Exception):
    """The base of every error of this project."""


class ConfigurationError(MTLSError, ValueError):
    """Raised if a setting cannot be used, before anything is served or sent."""


class PinError(ConfigurationError):
    """Raised if a text is not a pin of a certificate or of a public key."""


class TrustStoreError(ConfigurationError):
    """Raised if trust anchors cannot be read, or if there are none."""


class InvalidName(MTLSError, ValueError):
    """Raised if a name (SPIFFE ID, DNS name) does not have the form its standard demands."""


class IdentityError(MTLSError):
    """Raised if a private key with its certificate cannot be loaded or used.

    :param problem: What is wrong, as a word that does not change.
    :param detail: A sentence that says what happened and what to do. Never holds a secret.
    :param source: The file the identity came from, or ``<bytes>``.
    """

    def __init__(self, problem: IdentityProblem, detail: str, *, source: str = "<bytes>") -> None:
        super().__init__(problem, detail, source)
        self.problem = problem
        self.detail = detail
        self.source = source

    def __str__(self) -> str:
        return f"{self.source}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one certificate of a path."""

    reason: Reason
    #: A sentence for logs.
    detail: str
    #: Place of the certificate in the path; 0 is the leaf.
    depth: int = 0
    certificate: Certificate | None = None


class CertificateRejected(MTLSError):
    """Raised if a certificate is not admitted.

    :param problems: All that was found, the most telling one first. :attr:`reason`,
        :attr:`detail`, :attr:`depth` and :attr:`certificate` are those of the first.
    """

    def __init__(self, problem: Problem, *others: Problem) -> None:
        super().__init__(problem, *others)
        self.problems: tuple[Problem, ...] = (problem, *others)

    @property
    def reason(self) -> Reason:
        """The first problem's reason."""
        return self.problems[0].reason

    @property
    def detail(self) -> str:
        """The first problem's sentence, for logs."""
        return self.problems[0].detail

    @property
    def depth(self) -> int:
        """Where in the path the first problem is; 0 is the leaf."""
        return self.problems[0].depth

    @property
    def certificate(self) -> Certificate | None:
        """The certificate that the first problem concerns, where it could be parsed."""
        return self.problems[0].certificate

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}"


class MalformedCertificate(CertificateRejected):
    """Raised if bytes are not a certificate. Its reason is always ``malformed``."""

    def __init__(self, detail: str) -> None:
        super().__init__(Problem(Reason.MALFORMED, detail))
        # Exception.__reduce__ calls the class with these again.
        self.args = (detail,)
