"""What a responder says about one certificate, and whether it counts (RFC 6960, section 3.2; RFC 9654).

Bytes and a time go in, an :class:`~mtls_core.revocation.status.Answer` comes out; nothing here asks anybody. An answer
counts if it is about this very certificate, signed by somebody who may speak for its issuer, and fresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.x509 import ocsp

from ..certificate import Certificate
from ..errors import ConfigurationError
from ..path.problems import subject_of
from .ocsp_request import MAX_GET_URL as MAX_GET_URL
from .ocsp_request import NONCE_SIZE as NONCE_SIZE
from .ocsp_request import REQUEST_TYPE as REQUEST_TYPE
from .ocsp_request import RESPONSE_TYPE as RESPONSE_TYPE
from .ocsp_request import build_request as build_request
from .ocsp_request import cert_id
from .ocsp_request import get_url as get_url
from .ocsp_request import responder_urls as responder_urls
from .ocsp_response import MAX_RESPONSE_SIZE as MAX_RESPONSE_SIZE
from .ocsp_response import BasicResponse, SingleResponse, UnusableResponse, read_response
from .ocsp_signer import Authority, Signer, find_signer
from .policy import RevocationPolicy
from .status import Answer, Status

#: How long an answer without ``nextUpdate`` counts, if the policy's maximum age is not shorter. Such a responder says
#: that it always has newer information (RFC 6960, section 2.4), so an old answer is somebody's copy; Mozilla's NSS
#: draws the line here too.
MAX_AGE_WITHOUT_NEXT_UPDATE = timedelta(days=1)

_STATUSES = {
    ocsp.OCSPCertStatus.GOOD: Status.GOOD,
    ocsp.OCSPCertStatus.REVOKED: Status.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN: Status.UNKNOWN,
}


def judge(
    response: bytes,
    path: Sequence[Certificate],
    depth: int,
    *,
    at: datetime,
    policy: RevocationPolicy,
    nonce: bytes | None,
    source: str,
) -> Answer:
    """What a response says about one certificate of a path.

    :param response: The body that came; whatever it is, it raises nothing.
    :param path: Leaf first, up to its anchor; its signatures were verified.
    :param depth: Which certificate of it was asked about; its issuer stands behind it.
    :param at: The time for which to decide, with its time zone.
    :param nonce: The one that was sent. ``None`` if none was: then one in the response is somebody else's and means
        nothing, and a policy that requires nonces is not satisfied.
    :param source: For the answer.
    :raises ConfigurationError: If the time has no time zone.

    .. note::
        Whether a delegated responder was revoked itself is not decided here; see :func:`delegated_responder`.
    """
    judgement = _Judgement(path, depth, _whole_second(at), policy, nonce, source)
    try:
        return judgement.of(read_response(response))
    except UnusableResponse as error:
        detail = f"nothing is known about {subject_of(path[depth])}: the OCSP responder {error}"
        return Answer(Status.UNKNOWN, detail, source)


def delegated_responder(
    response: bytes, path: Sequence[Certificate], depth: int, *, at: datetime, policy: RevocationPolicy
) -> Certificate | None:
    """The certificate of the delegated responder that signed a response and whose own revocation is to be asked for.

    Its path is the certificate itself and ``path[depth + 1:]``. A responder does not vouch for itself: :func:`judge`
    lets no delegated responder answer for its own key.

    :return: ``None`` if there is nobody to ask about: the issuer or a trusted responder signed, the issuer says that
        the responder need not be checked (id-pkix-ocsp-nocheck, RFC 6960, section 4.2.2.2.1), or nothing in the
        response counts.
    """
    try:
        signer = find_signer(read_response(response), path, depth, at=_whole_second(at), policy=policy)
    except UnusableResponse:
        return None
    return signer.certificate if signer.must_be_checked else None


@dataclass(frozen=True, slots=True)
class _Judgement:
    """One question, with everything that an answer to it is measured by."""

    path: Sequence[Certificate]
    depth: int
    #: UTC, whole seconds.
    at: datetime
    policy: RevocationPolicy
    nonce: bytes | None
    source: str

    def of(self, response: BasicResponse) -> Answer:
        """What a response says.

        :raises UnusableResponse: If nothing that counts.
        """
        singles = [single for single in response.singles if self._is_about_the_certificate(single)]
        if not singles:
            raise UnusableResponse("answered about other certificates than the one it was asked about")
        signer = find_signer(response, self.path, self.depth, at=self.at, policy=self.policy)
        self._check_response(response)
        return self._worst(singles, signer)

    def _worst(self, singles: Sequence[SingleResponse], signer: Signer) -> Answer:
        """Of several things that are said about the certificate (under SHA-1 and under SHA-256, say) the worst."""
        answers: list[Answer] = []
        objections: list[UnusableResponse] = []
        for single in singles:
            try:
                answers.append(self._answer(single, signer))
            except UnusableResponse as error:
                objections.append(error)
        revoked = [answer for answer in answers if answer.status is Status.REVOKED]
        if objections and not revoked:
            raise objections[0]
        return (revoked or answers)[0]

    def _is_about_the_certificate(self, single: SingleResponse) -> bool:
        """Serial number and both hashes of the issuer (RFC 6960, section 3.2, rule 1)."""
        if single.hash is None:
            return False
        certificate, issuer = self.path[self.depth], self.path[self.depth + 1]
        return single.cert_id == cert_id(certificate, issuer, single.hash)

    def _check_response(self, response: BasicResponse) -> None:
        if response.critical_extensions:
            raise UnusableResponse(
                f"sent the extension {response.critical_extensions[0]}, marked critical, which is not known here"
            )
        if response.produced_at - self.at > self.policy.clock_skew:
            raise UnusableResponse(
                f"says that it signed on {_date(response.produced_at)}; it is {_date(self.at)} here. Check the clocks"
            )
        self._check_nonce(response.nonce)

    def _check_nonce(self, received: bytes | None) -> None:
        required = self.policy.nonce == "require"
        if self.nonce is None and required:
            raise UnusableResponse("was asked without a nonce, which is required here; ask it anew")
        if self.nonce is None:
            return
        if received is None and required:
            raise UnusableResponse(
                "sent no nonce, which is required here; if it does not know them, set the nonce policy to 'prefer'"
            )
        if received not in (None, self.nonce):
            raise UnusableResponse("sent another nonce than it was asked with: this answers somebody else's question")

    def _answer(self, single: SingleResponse, signer: Signer) -> Answer:
        status = _STATUSES[single.status]
        if single.has_critical_extension:
            raise UnusableResponse("sent an extension about the certificate, marked critical, which is not known here")
        if status is Status.UNKNOWN:
            raise UnusableResponse(
                "does not know it (unknown); it may be the responder of another CA, or the CA has no record of having"
                " issued it"
            )
        return Answer(
            status,
            self._sentence(single, signer),
            self.source,
            this_update=single.this_update,
            valid_until=self._valid_until(single, signer),
            revoked_at=single.revoked_at,
            revocation_reason=_reason(single),
        )

    def _valid_until(self, single: SingleResponse, signer: Signer) -> datetime:
        """When the answer stops to count, which is not yet (RFC 6960, section 3.2, rules 5 and 6).

        :raises UnusableResponse: If it does not count now.
        """
        this_update, next_update = single.this_update, single.next_update
        said = f"gave an answer ({single.status.name.lower()}) "
        if this_update - self.at > self.policy.clock_skew:
            raise UnusableResponse(
                f"{said}that holds from {_date(this_update)} on; it is {_date(self.at)} here. Check the clocks"
            )
        if next_update is not None and next_update <= self.at:
            raise UnusableResponse(f"{said}that was to be renewed by {_date(next_update)}; it is {_date(self.at)} here")
        max_age = self.policy.ocsp_max_age
        if next_update is None:
            max_age = min(max_age, MAX_AGE_WITHOUT_NEXT_UPDATE)
        if self.at - this_update > max_age:
            raise UnusableResponse(f"{said}of {_date(this_update)}; one that is older than {max_age} does not count")
        ends = [_later(this_update, max_age)]
        if next_update is not None:
            ends.append(next_update)
        if signer.authority is not Authority.ISSUER:
            # A certificate is valid through its last second.
            ends.append(_later(signer.certificate.not_after, timedelta(seconds=1) + self.policy.clock_skew))
        return min(ends)

    def _sentence(self, single: SingleResponse, signer: Signer) -> str:
        subject, by = subject_of(self.path[self.depth]), subject_of(signer.certificate)
        if single.revoked_at is None:
            return f"{subject} is not revoked, says {by} as of {_date(single.this_update)}"
        reason = _reason(single)
        why = f" ({reason})" if reason else ""
        return f"{subject} was revoked on {_date(single.revoked_at)}{why}, says {by}. Issue another certificate"


def _whole_second(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise ConfigurationError(f"the time {at} has no time zone; pass an aware datetime, such as datetime.now(UTC)")
    return at.astimezone(UTC).replace(microsecond=0)


def _reason(single: SingleResponse) -> str | None:
    return None if single.revocation_reason is None else single.revocation_reason.value


def _later(moment: datetime, span: timedelta) -> datetime:
    try:
        return moment + span
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
