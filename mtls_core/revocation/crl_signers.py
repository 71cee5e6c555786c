"""Who may sign a list: whoever issued the certificate, or another certificate of the list's issuer, with a path of its
own to the very same anchor (RFC 5280, section 6.3.3 (f)).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..certificate import Certificate
from ..errors import Problem, Reason
from ..path.build import PathBuilder
from ..path.distinguished_names import CanonicalName, canonical
from ..path.problems import subject_of
from ..path.rules import Purpose, Rules
from ..path.validate import validate
from ..path.validity import moment_of
from ..path.work import Work, WorkLimitExceeded
from ..second_opinion import disagreement
from .policy import RevocationPolicy

_CRL_SIGNING = Purpose("signing revocation lists", "", frozenset({"crl_sign"}))


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate that may sign lists, with its path."""

    #: The signer first, the anchor last.
    path: tuple[Certificate, ...]
    #: Whether it is no part of the path that is judged, so that its own revocation has to be looked at.
    separate: bool

    @property
    def certificate(self) -> Certificate:
        """The signer itself."""
        return self.path[0]


class Signers:
    """Finds who may sign lists of a certain issuer.

    :param path: The path that is judged, leaf first.
    :param others: Certificates that may be signers, or help to find a path to them; nothing is believed of them.
    """

    def __init__(
        self, path: Sequence[Certificate], others: Iterable[Certificate], *, at: datetime, policy: RevocationPolicy
    ) -> None:
        self._others = tuple(dict.fromkeys(c for c in others if c not in path))
        self._path = tuple(path)
        # Made when it is first needed: most lists are signed by whoever issued the certificate.
        self._by_subject: dict[CanonicalName, list[Certificate]] = {}
        self._rules = Rules(_CRL_SIGNING, at=at, clock_skew=policy.clock_skew, check_usage=False)
        self._work = Work()
        self._paths: dict[Certificate, tuple[Certificate, ...] | str] = {}

    def of(self, issuer: CanonicalName, path: Sequence[Certificate], depth: int, notes: list[str]) -> Iterator[Signer]:
        """Certificates of that name that may sign lists about ``path[depth]``.

        :param notes: Gets a sentence for each that may not.
        """
        for place in range(depth + 1, len(path)):
            if canonical(path[place].subject_name) == issuer:
                if may_sign_lists(path[place]):
                    yield Signer(tuple(path[place:]), separate=False)
                else:
                    notes.append(f"{subject_of(path[place])} may not sign lists: cRLSign is not in its key usage")
        for certificate in self._others_named(issuer):
            if certificate not in path[depth + 1 :]:
                found = self._path_of(certificate)
                if isinstance(found, str):
                    notes.append(found)
                else:
                    yield Signer(found, separate=True)

    def _others_named(self, subject: CanonicalName) -> Sequence[Certificate]:
        if not self._by_subject:
            for certificate in dict.fromkeys((*self._path, *self._others)):
                self._by_subject.setdefault(canonical(certificate.subject_name), []).append(certificate)
        return self._by_subject.get(subject, ())

    def _path_of(self, signer: Certificate) -> tuple[Certificate, ...] | str:
        if signer not in self._paths:
            self._paths[signer] = self._find_path(signer)
        return self._paths[signer]

    def _find_path(self, signer: Certificate) -> tuple[Certificate, ...] | str:
        """The signer's path to the anchor, or a sentence that says why there is none that is good."""
        who = subject_of(signer)
        # A CA that keeps a certificate for lists alone says in it what it is for (RFC 5280, section 4.2.1.3).
        if "crl_sign" not in (signer.key_usage or ()):
            return f"{who} may not sign lists: cRLSign is not in its key usage"
        problems: tuple[Problem, ...] = ()
        builder = PathBuilder([self._path[-1]], (*self._path[1:-1], *self._others))
        try:
            for candidate in builder.candidates(signer, (), self._work):
                if not candidate.anchored:
                    continue
                problems = tuple(p for p in validate(candidate.path, self._rules, self._work) if not _is_ca(p))
                if not problems:
                    return self._confirmed(candidate.path)
        except WorkLimitExceeded as error:
            return f"{who} is not looked at as a signer of lists: {error}"
        if problems:
            return f"{who} may not sign lists: {problems[0].detail}"
        return f"{who} may not sign lists: it does not lead to the trust anchor of the certificate that is asked about"

    def _confirmed(self, path: tuple[Certificate, ...]) -> tuple[Certificate, ...] | str:
        text = disagreement(path, at=moment_of(path, self._rules))
        return path if text is None else f"{subject_of(path[0])} may not sign lists: OpenSSL says: {text}"


def may_sign_lists(issuer: Certificate) -> bool:
    """Whether the key usage of a CA of the path permits it; one without key usage may do everything."""
    return issuer.key_usage is None or "crl_sign" in issuer.key_usage


def _is_ca(problem: Problem) -> bool:
    """A CA may sign lists; only as a client it must not appear."""
    return problem.reason is Reason.CA_CERTIFICATE
