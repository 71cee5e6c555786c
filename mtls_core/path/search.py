"""The first path with which nothing is wrong, or what is wrong with the best one."""

from __future__ import annotations

from collections.abc import Iterable

from ..certificate import Certificate
from ..errors import CertificateRejected, Problem, Reason
from .build import Candidate, PathBuilder
from .problems import most_telling_first, subject_of
from .rules import Rules
from .validate import validate
from .work import Work, WorkLimitExceeded


def find_path(
    builder: PathBuilder, leaf: Certificate, sent: Iterable[Certificate], rules: Rules, work: Work
) -> tuple[Certificate, ...]:
    """A path from the leaf to an anchor.

    :param sent: Certificates that came with the leaf.
    :raises CertificateRejected: If there is none. It holds the problems of the best candidate: of those that end at an
        anchor the one with the fewest problems, else the one on which the most signatures are good. So a certificate
        that somebody adds to what is sent, with the name of the issuer, does not change what is reported.
    """
    search = _Search(rules, work)
    try:
        for candidate in builder.candidates(leaf, sent, work):
            if search.accepts(candidate):
                return candidate.path
        problems = search.problems()
    except WorkLimitExceeded as error:
        limit = Problem(Reason.WORK_LIMIT_EXCEEDED, f"{subject_of(leaf)} is not looked at further: {error}", 0, leaf)
        # What a whole path lacks is certain, and says more.
        problems = (*search.problems_of_anchored, limit)
    raise CertificateRejected(*problems)


class _Search:
    """The best candidates so far."""

    def __init__(self, rules: Rules, work: Work) -> None:
        self._rules = rules
        self._work = work
        self._farthest: Candidate | None = None
        self.problems_of_anchored: tuple[Problem, ...] = ()

    def accepts(self, candidate: Candidate) -> bool:
        if not candidate.anchored:
            # Of two equally far the shorter: what follows a signature that is not good may be anybody's.
            if self._farthest is None or _distance(candidate) > _distance(self._farthest):
                self._farthest = candidate
            return False
        problems = validate(candidate.path, self._rules, self._work)
        if not self.problems_of_anchored or len(problems) < len(self.problems_of_anchored):
            self.problems_of_anchored = problems
        return not problems

    def problems(self) -> tuple[Problem, ...]:
        """What to report when no candidate was good."""
        if self.problems_of_anchored or self._farthest is None:
            return self.problems_of_anchored
        candidate = self._farthest
        problems = validate(candidate.path, self._rules, self._work, anchored=False)
        dead_end = () if candidate.dead_end is None else (candidate.dead_end,)
        return most_telling_first((*dead_end, *problems))


def _distance(candidate: Candidate) -> tuple[int, int]:
    return candidate.good_signatures, -len(candidate.path)
