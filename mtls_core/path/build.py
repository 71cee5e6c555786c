"""Candidate paths from a leaf to an anchor (RFC 4158), within a budget.

Depth first and deterministic: anchors before intermediates, the operator's intermediates before those that were sent,
issuers that the authority key identifier names before others. A certificate appears once on a path, by name and key, so
there are no loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from ..certificate import Certificate
from ..errors import Problem, Reason
from .distinguished_names import CanonicalName, canonical, canonical_issuer, canonical_subject
from .problems import issuer_of, subject_of
from .work import MAX_PATH_LENGTH, Signature, Work

_BySubject = dict[CanonicalName, list[Certificate]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path that names lead along."""

    #: Leaf first.
    path: tuple[Certificate, ...]
    #: How many signatures in a row, from the leaf on, are good.
    good_signatures: int
    #: Why it ends; ``None`` if it ends at an anchor.
    dead_end: Problem | None = None

    @property
    def anchored(self) -> bool:
        """Whether its last certificate is an anchor."""
        return self.dead_end is None


class PathBuilder:
    """Proposes paths to some anchors. Immutable; one serves all threads.

    :param anchors: Where paths may end.
    :param intermediates: CA certificates that the operator knows of.
    :param max_length: Certificates in a path at most, leaf and anchor counted.
    """

    __slots__ = ("_anchors", "_intermediates", "_known", "_max_length")

    def __init__(
        self,
        anchors: Iterable[Certificate],
        intermediates: Iterable[Certificate] = (),
        *,
        max_length: int = MAX_PATH_LENGTH,
    ) -> None:
        self._anchors = _by_subject(anchors)
        self._intermediates = _by_subject(intermediates)
        self._known = frozenset(
            c for index in (self._anchors, self._intermediates) for cs in index.values() for c in cs
        )
        self._max_length = max_length

    def candidates(self, leaf: Certificate, sent: Iterable[Certificate], work: Work) -> Iterator[Candidate]:
        """Paths from a leaf, the likeliest first, and every dead end.

        :param sent: Certificates that came with the leaf, in any order, useful or not.
        :raises WorkLimitExceeded: If too many issuers were tried.
        """
        strangers = _by_subject(c for c in dict.fromkeys(sent) if c not in self._known)
        yield from self._extend((leaf,), strangers, work, good=0)

    def _extend(self, path: tuple[Certificate, ...], sent: _BySubject, work: Work, *, good: int) -> Iterator[Candidate]:
        """Paths that begin with this one.

        An issuer whose key verifies is followed at once. The others of the same name are followed only where there is
        none such: they lead to an anchor if this certificate was tampered with, and nowhere if they are decoys.
        """
        issuers = self._issuers(path, sent, work)
        doubtful: list[tuple[Certificate, bool]] = []
        followed = False
        for issuer, is_anchor in issuers.usable:
            if work.try_issuer(path[-1], issuer, is_anchor=is_anchor) is not Signature.GOOD:
                doubtful.append((issuer, is_anchor))
                continue
            followed = True
            unbroken = good == len(path) - 1
            yield from self._step((*path, issuer), is_anchor, sent, work, good=good + unbroken)
        if followed:
            return
        # A root of the same name as an anchor is not a forged certificate of that anchor's.
        for issuer, is_anchor in () if path[-1].is_self_signed else doubtful:
            yield from self._step((*path, issuer), is_anchor, sent, work, good=good)
        yield Candidate(path, good, _dead_end(path, issuers))

    def _step(
        self, path: tuple[Certificate, ...], is_anchor: bool, sent: _BySubject, work: Work, *, good: int
    ) -> Iterator[Candidate]:
        if is_anchor:
            yield Candidate(path, good)
        else:
            yield from self._extend(path, sent, work, good=good)

    def _issuers(self, path: tuple[Certificate, ...], sent: _BySubject, work: Work) -> _Issuers:
        """Certificates that could have issued the last one of a path."""
        last = path[-1]
        name = work.once(canonical_issuer, last)
        found = [(c, True) for c in self._anchors.get(name, ())]
        # The last place is the anchor's.
        is_full = len(path) >= self._max_length - 1
        more = [(c, False) for index in (self._intermediates, sent) for c in index.get(name, ())]
        found += () if is_full else more
        unvisited = [(c, is_anchor) for c, is_anchor in found if not _is_on(path, c, work)]
        usable = [(c, is_anchor) for c, is_anchor in unvisited if not _names_another_key(last, c)]
        usable.sort(key=lambda item: (not item[1], not _names_this_key(last, item[0])))
        return _Issuers(usable, other_key=len(usable) < len(unvisited), cut_off=is_full and bool(more))


@dataclass(frozen=True, slots=True)
class _Issuers:
    """Certificates with the name of an issuer, each with whether it is an anchor."""

    usable: list[tuple[Certificate, bool]]
    #: Whether there were some with another key than the one that is named.
    other_key: bool
    #: Whether some were left out because the path is long enough.
    cut_off: bool


def _by_subject(certificates: Iterable[Certificate]) -> _BySubject:
    index: _BySubject = {}
    for certificate in dict.fromkeys(certificates):
        index.setdefault(canonical_subject(certificate), []).append(certificate)
    return index


def _is_on(path: Sequence[Certificate], certificate: Certificate, work: Work) -> bool:
    name = work.once(canonical_subject, certificate)
    return any(c.spki_der == certificate.spki_der and work.once(canonical_subject, c) == name for c in path)


def _names_this_key(certificate: Certificate, issuer: Certificate) -> bool:
    return certificate.authority_key_id is not None and certificate.authority_key_id == issuer.subject_key_id


def _names_another_key(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the authority key identifier says that another certificate is the issuer (RFC 5280, section 4.2.1.1)."""
    extension = certificate.extension(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    if extension is None:
        return False
    named: x509.AuthorityKeyIdentifier = extension.value
    if None not in (named.key_identifier, issuer.subject_key_id) and named.key_identifier != issuer.subject_key_id:
        return True
    if named.authority_cert_serial_number not in (None, issuer.serial_number):
        return True
    names = [name.value for name in named.authority_cert_issuer or () if isinstance(name, x509.DirectoryName)]
    return bool(names) and canonical(issuer.issuer_name) not in map(canonical, names)


def _dead_end(path: tuple[Certificate, ...], issuers: _Issuers) -> Problem:
    last, depth = path[-1], len(path) - 1
    if issuers.cut_off:
        detail = (
            f"the path from {subject_of(path[0])} has more than {depth} intermediates; they are not followed further"
        )
        return Problem(Reason.WORK_LIMIT_EXCEEDED, detail, depth, last)
    if last.is_self_signed and depth == 0:
        detail = f"{subject_of(last)} is self-signed and not a trust anchor"
        return Problem(Reason.SELF_SIGNED, detail, depth, last)
    if last.is_self_signed:
        detail = (
            f"{subject_of(path[0])} leads to the root {subject_of(last)} (SHA-256 {last.thumbprint}),"
            " which is not among the trust anchors; add it there if it may issue"
        )
        return Problem(Reason.UNTRUSTED_ROOT, detail, depth, last)
    return Problem(Reason.ISSUER_NOT_FOUND, _issuer_not_found(last, issuers), depth, last)


def _issuer_not_found(last: Certificate, issuers: _Issuers) -> str:
    start = f"{subject_of(last)} was issued by {issuer_of(last)},"
    if issuers.usable or issuers.other_key:
        return (
            f"{start} and the CA of that name that is known here has another key:"
            " it is an older or newer one, or somebody else's"
        )
    return (
        f"{start} which is neither among the trust anchors nor sent;"
        " add the CA to the trust anchors, or have the peer send the intermediate certificates with its own"
    )
