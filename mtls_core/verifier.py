"""Is this a good client certificate at this moment?

Asked in this order: of which type is it (issued by a CA, or self-signed); is there a path to an anchor with which
nothing is wrong; does OpenSSL agree; is it one of those that are expected; has anything on the path been revoked. The
first no ends it. Nothing here reads a file, opens a connection or remembers a certificate; what must be fetched about
revocation is the business of the checker that is asked last.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from .certificate import Certificate
from .errors import CertificateRejected, ConfigurationError, Problem, Reason
from .path.build import PathBuilder
from .path.problems import subject_of
from .path.rules import CLIENT_AUTHENTICATION, Rules, UsageCheck
from .path.search import find_path
from .path.validate import validate_self_signed
from .path.validity import moment_of
from .path.work import MAX_BYTES_SENT, MAX_CERTIFICATES_SENT, MAX_PATH_LENGTH, Work
from .pins import PinSet
from .revocation.checker import RevocationChecker
from .revocation.policy import RevocationPolicy
from .revocation.status import Answer
from .second_opinion import disagreement
from .trust import TrustStore

CertificateType = Literal["chained", "self_signed"]

_log = logging.getLogger("mtls_core")
_TYPES = frozenset(get_args(CertificateType))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPolicy:
    """Which client certificates are good.

    :raises ConfigurationError: If a value cannot be used, or the values together would admit nobody.
    """

    #: Who may issue them. ``None`` only where self-signed certificates are the only ones.
    trust: TrustStore | None
    #: ``"chained"``: issued by a CA of :attr:`trust`; ``"self_signed"``: self-signed and in :attr:`allowed`.
    certificate_types: frozenset[CertificateType] = frozenset({"chained"})
    #: ``False``: dates are not looked at, of no certificate of the path.
    check_validity: bool = True
    #: ``True``: the extended key usage has clientAuth, or there is none; ``"strict"``: it has clientAuth; ``False``:
    #: not looked at.
    check_usage: UsageCheck = True
    #: How far the clock may be wrong, either way.
    clock_skew: timedelta = timedelta(0)
    #: Where set, no other leaf is admitted.
    allowed: PinSet | None = None
    #: What must be known about revocation; ``None``: it is not checked.
    revocation: RevocationPolicy | None = None
    #: Certificates in a path at most, leaf and anchor counted.
    max_chain_length: int = MAX_PATH_LENGTH

    def __post_init__(self) -> None:
        object.__setattr__(self, "certificate_types", _certificate_types(self.certificate_types))
        _check_kind("trust", self.trust, TrustStore | None)
        _check_kind("check_validity", self.check_validity, bool)
        if not isinstance(self.check_usage, bool) and self.check_usage != "strict":
            raise ConfigurationError(f"check_usage is True, False or 'strict', not {self.check_usage!r}")
        _check_kind("clock_skew", self.clock_skew, timedelta)
        if self.clock_skew < timedelta(0):
            raise ConfigurationError(f"clock_skew cannot be negative: {self.clock_skew}")
        _check_kind("allowed", self.allowed, PinSet | None)
        _check_kind("revocation", self.revocation, RevocationPolicy | None)
        _check_kind("max_chain_length", self.max_chain_length, int)
        if not 2 <= self.max_chain_length <= MAX_PATH_LENGTH:
            raise ConfigurationError(
                f"max_chain_length is from 2 (leaf and anchor) to {MAX_PATH_LENGTH}, not {self.max_chain_length!r}"
            )
        self._check_that_somebody_is_admitted()

    def _check_that_somebody_is_admitted(self) -> None:
        if "chained" in self.certificate_types and (self.trust is None or not self.trust.anchors):
            raise ConfigurationError(
                "certificates of the type 'chained' need trust anchors; name the CA that issues them to the clients"
            )
        if "self_signed" in self.certificate_types and not self.allowed:
            raise ConfigurationError(
                "self-signed certificates are admitted by thumbprint or public key; list them in 'allowed',"
                " or anybody could make one"
            )


@dataclass(frozen=True, slots=True)
class VerifiedCertificate:
    """A certificate that was found good, and why."""

    certificate: Certificate
    #: Leaf first; the last one is the anchor. A self-signed certificate stands alone.
    chain: tuple[Certificate, ...]
    kind: CertificateType
    #: When the first certificate of the chain expires. It is still valid in that second.
    valid_until: datetime
    #: What sources of revocation said, leaf first; empty where none was asked.
    revocation: tuple[Answer, ...] = ()
    #: From when on :meth:`Verifier.check_revocation` may say something else; ``None``: never.
    recheck_from: datetime | None = None


class Verifier:
    """Applies a policy. One serves all threads.

    :param policy: What to apply. Its certificates are sorted for look-up here, once.
    :param revocation: What asks about revocation, if the policy wants that: it brings the sources, and remembers
        answers. One that asks public addresses, if left out.
    """

    __slots__ = ("_builder", "_policy", "_revocation")

    def __init__(self, policy: ClientPolicy, *, revocation: RevocationChecker | None = None) -> None:
        _check_kind("policy", policy, ClientPolicy)
        self._policy = policy
        self._revocation = _checker(policy, revocation)
        trust = policy.trust
        self._builder = PathBuilder(
            trust.anchors if trust else (),
            trust.intermediates if trust else (),
            max_length=policy.max_chain_length,
        )

    @property
    def policy(self) -> ClientPolicy:
        """What is applied."""
        return self._policy

    def verify(
        self, leaf: Certificate, intermediates: Iterable[Certificate] = (), *, at: datetime | None = None
    ) -> VerifiedCertificate:
        """Decide about one certificate.

        :param leaf: What the client showed, and proved to have the key of.
        :param intermediates: What it sent besides, in any order; the leaf and roots among them do no harm.
        :param at: The time for which to decide, with its time zone; now, if left out.
        :raises CertificateRejected: If it is not good, with every problem that was found.
        :raises ConfigurationError: If an argument is not what it should be.

        .. note::
            That the client has the certificate's private key is not verified here but by the TLS handshake.
        """
        _check_kind("leaf", leaf, Certificate)
        sent = tuple(intermediates)
        for certificate in sent:
            _check_kind("an intermediate", certificate, Certificate)
        rules = self._rules(at)
        _check_size(leaf, sent)
        if leaf.is_self_signed:
            return self._verify_self_signed(leaf, rules)
        return self.check_revocation(self._verify_chained(leaf, sent, rules), at=at)

    def check_revocation(self, verified: VerifiedCertificate, *, at: datetime | None = None) -> VerifiedCertificate:
        """Ask again what may have changed about a certificate that was found good.

        :param at: As for :meth:`verify`.
        :raises CertificateRejected: As ``revoked``, or as ``revocation_unknown``.
        """
        # Nobody but itself could revoke a self-signed certificate.
        if self._revocation is None or verified.kind == "self_signed":
            return verified
        moment = _whole_second(datetime.now(UTC) if at is None else at)
        checked = self._revocation.examine(verified.chain, at=moment)
        return replace(verified, revocation=checked.answers, recheck_from=checked.settled_until)

    def _rules(self, at: datetime | None) -> Rules:
        moment = _whole_second(datetime.now(UTC) if at is None else at)
        policy = self._policy
        return Rules(
            CLIENT_AUTHENTICATION,
            at=moment if policy.check_validity else None,
            clock_skew=policy.clock_skew,
            check_usage=policy.check_usage,
        )

    def _verify_chained(self, leaf: Certificate, sent: tuple[Certificate, ...], rules: Rules) -> VerifiedCertificate:
        if "chained" not in self._policy.certificate_types:
            detail = (
                f"{subject_of(leaf)} was issued by a CA; only the self-signed certificates that are listed are admitted"
            )
            raise CertificateRejected(Problem(Reason.NOT_EXPECTED, detail, 0, leaf))
        path = find_path(self._builder, leaf, sent, rules, Work())
        _ask_openssl(path, rules)
        self._check_expected(leaf)
        return _verified(path, "chained")

    def _verify_self_signed(self, leaf: Certificate, rules: Rules) -> VerifiedCertificate:
        problems = validate_self_signed(leaf, rules, Work())
        if "self_signed" not in self._policy.certificate_types:
            raise CertificateRejected(self._not_of_a_permitted_type(leaf), *problems)
        if problems and self._is_expected(leaf):
            raise CertificateRejected(*problems)
        self._check_expected(leaf, *problems)
        _ask_openssl((leaf,), rules)
        return _verified((leaf,), "self_signed")

    def _not_of_a_permitted_type(self, leaf: Certificate) -> Problem:
        if leaf.is_ca and self._policy.trust is not None and leaf in self._policy.trust.anchors:
            detail = (
                f"{subject_of(leaf)} is a trust anchor; what signs certificates does not speak for a service."
                " Issue a certificate with it"
            )
            return Problem(Reason.CA_CERTIFICATE, detail, 0, leaf)
        detail = f"{subject_of(leaf)} is self-signed; only certificates that were issued by a trusted CA are admitted"
        return Problem(Reason.SELF_SIGNED, detail, 0, leaf)

    def _is_expected(self, leaf: Certificate) -> bool:
        return self._policy.allowed is None or self._policy.allowed.matches(leaf)

    def _check_expected(self, leaf: Certificate, *others: Problem) -> None:
        if not self._is_expected(leaf):
            detail = (
                f"{subject_of(leaf)} is not one of the certificates that are expected;"
                f" to admit it, add its thumbprint {leaf.thumbprint} or its public key sha256/{leaf.spki_pin}"
            )
            raise CertificateRejected(Problem(Reason.NOT_EXPECTED, detail, 0, leaf), *others)


def _checker(policy: ClientPolicy, given: RevocationChecker | None) -> RevocationChecker | None:
    if policy.revocation is None:
        return None
    if given is None:
        known = policy.trust.intermediates if policy.trust else ()
        return RevocationChecker(policy.revocation, signers=lambda: known)
    if given.policy != policy.revocation:
        raise ConfigurationError("the revocation checker applies another policy than the one that is to be applied")
    return given


def _ask_openssl(path: tuple[Certificate, ...], rules: Rules) -> None:
    text = disagreement(path, at=moment_of(path, rules))
    if text is None:
        return
    leaf = path[0]
    _log.error(
        "The two judges disagree about %s (SHA-256 %s): its path was found good, but OpenSSL says: %s."
        " It is refused. Please report this, with the certificates of the path if you may: %s",
        subject_of(leaf),
        leaf.thumbprint,
        text,
        ", ".join(certificate.thumbprint for certificate in path),
    )
    detail = f"OpenSSL does not accept the path of {subject_of(leaf)}: {text}"
    raise CertificateRejected(Problem(Reason.SECOND_OPINION, detail, 0, leaf))


def _verified(path: tuple[Certificate, ...], kind: CertificateType) -> VerifiedCertificate:
    return VerifiedCertificate(path[0], path, kind, valid_until=min(certificate.not_after for certificate in path))


def _check_size(leaf: Certificate, sent: tuple[Certificate, ...]) -> None:
    different = {leaf, *sent}
    size = sum(len(certificate.der) for certificate in different)
    if len(different) > MAX_CERTIFICATES_SENT or size > MAX_BYTES_SENT:
        detail = (
            f"{len(different)} certificates of {size} bytes were sent, {subject_of(leaf)} among them;"
            f" at most {MAX_CERTIFICATES_SENT} of {MAX_BYTES_SENT} bytes together are looked at"
        )
        raise CertificateRejected(Problem(Reason.WORK_LIMIT_EXCEEDED, detail, 0, leaf))


def _whole_second(at: datetime) -> datetime:
    """Certificates count whole seconds, and are valid through their whole last one (RFC 5280, section 4.1.2.5)."""
    _check_kind("at", at, datetime)
    if at.utcoffset() is None:
        raise ConfigurationError(f"the time {at} has no time zone; pass an aware datetime, such as datetime.now(UTC)")
    return at.astimezone(UTC).replace(microsecond=0)


def _certificate_types(types: Iterable[str]) -> frozenset[str]:
    # A str is iterable too: its letters.
    chosen = frozenset() if isinstance(types, str) or not isinstance(types, Iterable) else frozenset(types)
    if not chosen or not chosen <= _TYPES:
        raise ConfigurationError(f"certificate_types is a set of {sorted(_TYPES)}, not empty, not {types!r}")
    return chosen


def _check_kind(name: str, value: object, kind: object) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):  # type: ignore[arg-type]
        raise ConfigurationError(f"{name} cannot be {value!r} ({type(value).__name__})")
