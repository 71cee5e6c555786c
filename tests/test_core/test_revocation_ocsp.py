"""Which OCSP answers count: about this certificate, fresh, to this question (RFC 6960, section 3.2)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography import x509

from mtls_core import ber, der
from mtls_core.devca import DevelopmentCA
from mtls_core.devca.ocsp import ocsp_error, ocsp_response, ocsp_signer, single_response
from mtls_core.errors import ConfigurationError
from mtls_core.revocation.ocsp import MAX_RESPONSE_SIZE
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Status

from .crafting import AT
from .ocsp_questions import DAY, HOUR, MINUTE, answer, answer_to, delegate, is_good, pki, response, unknown

SECOND = timedelta(seconds=1)
NONCE, OTHER_NONCE = b"n" * 32, b"o" * 32
UNKNOWN_OID = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")


# What an answer holds.


def test_good() -> None:
    said = answer()
    assert said.status is Status.GOOD
    assert said.detail == "CN=billing is not revoked, says CN=Issuing CA as of 2026-06-01T11:59:00Z"
    assert said.source == "ocsp http://ocsp.example/"
    assert (said.this_update, said.valid_until) == (AT - MINUTE, AT + HOUR)
    assert (said.revoked_at, said.revocation_reason) == (None, None)


def test_revoked() -> None:
    said = answer(status="revoked", revoked_at=AT - DAY, reason=x509.ReasonFlags.key_compromise)
    assert said.status is Status.REVOKED
    assert said.detail.startswith("CN=billing was revoked on 2026-05-31T12:00:00Z (keyCompromise), says CN=Issuing CA.")
    assert (said.revoked_at, said.revocation_reason) == (AT - DAY, "keyCompromise")
    assert (said.this_update, said.valid_until) == (AT - MINUTE, AT + HOUR)


def test_revoked_without_a_reason() -> None:
    said = answer(status="revoked")
    assert (said.status, said.revocation_reason) == (Status.REVOKED, None)


@pytest.mark.parametrize("reason", [x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl, 7, 99])
def test_revoked_whatever_the_reason(reason: Any) -> None:
    """A hold is a revocation, and so is one for a reason that RFC 5280 does not have."""
    assert answer(status="revoked", reason=reason).status is Status.REVOKED


def test_a_responder_that_does_not_know_the_certificate() -> None:
    assert "does not know it (unknown)" in unknown(answer(status="unknown"))


def test_an_intermediate_is_asked_about_as_a_leaf_is() -> None:
    about = ocsp_response(pki().root, pki().ca.certificate, this_update=AT, status="revoked")
    assert answer_to(about, depth=1).status is Status.REVOKED
    assert "other certificates" in unknown(answer_to(about, depth=0))


# Rule 1: about this certificate, all three parts of its CertID.


@pytest.mark.parametrize("hash", ["sha1", "sha256", "sha384", "sha512"])
def test_each_hash_of_the_cert_id(hash: str) -> None:
    assert is_good(answer(hash=hash))


def test_md5_in_the_cert_id() -> None:
    assert "answered about other certificates" in unknown(answer(hash="md5"))


def test_another_serial_number() -> None:
    """CVE-2020-8286: an answer about another certificate of the same CA."""
    assert "answered about other certificates" in unknown(answer(serial_number=pki().leaf.serial_number + 1))


@pytest.mark.parametrize("part", ["issuer_name_of", "issuer_key_of"])
def test_the_same_serial_number_of_another_issuer(part: str) -> None:
    """Each hash alone is enough to tell them apart, though the right CA signed."""
    others: dict[str, Any] = {part: pki().root.certificate}
    own: dict[str, Any] = {part: pki().ca.certificate}
    assert "answered about other certificates" in unknown(answer(**others))
    assert is_good(answer(**own))


def test_of_several_the_one_that_matches() -> None:
    other = single_response(pki().ca, 4711, this_update=AT, status="revoked")
    assert is_good(answer(others=[other]))
    assert answer(others=[other], status="revoked").status is Status.REVOKED


def test_several_of_which_none_matches() -> None:
    others = [single_response(pki().ca, number, this_update=AT) for number in (4711, 4712)]
    assert "other certificates" in unknown(answer(others=others, serial_number=4713))


def test_the_same_under_sha1_and_sha256() -> None:
    """As RFC 5019's successor advises responders that change from one hash to the other."""
    also = single_response(pki().ca, pki().leaf, this_update=AT, hash="sha256")
    assert is_good(answer(others=[also]))


@pytest.mark.parametrize(("first", "second"), [("good", "revoked"), ("revoked", "good"), ("unknown", "revoked")])
def test_of_two_that_disagree_the_worse_counts(first: Any, second: Any) -> None:
    also = single_response(pki().ca, pki().leaf, this_update=AT, status=first, hash="sha256")
    assert answer(others=[also], status=second).status is Status.REVOKED


@pytest.mark.parametrize(("first", "second"), [("good", "unknown"), ("unknown", "good")])
def test_of_two_neither_of_which_revokes_both_must_be_good(first: Any, second: Any) -> None:
    also = single_response(pki().ca, pki().leaf, this_update=AT, status=first, hash="sha256")
    assert "does not know it" in unknown(answer(others=[also], status=second))


def test_a_response_about_nothing() -> None:
    assert "other certificates" in unknown(answer(leave_out=True))


# Rules 5 and 6: fresh.


def test_next_update_is_past() -> None:
    assert "was to be renewed by 2026-06-01T11:59:59Z" in unknown(answer(next_update=AT - SECOND))
    assert is_good(answer(next_update=AT + SECOND))


def test_next_update_is_now() -> None:
    assert "was to be renewed" in unknown(answer(next_update=AT))


def test_this_update_is_in_the_future() -> None:
    said = answer(this_update=AT + SECOND, produced_at=AT)
    assert "holds from 2026-06-01T12:00:01Z on; it is 2026-06-01T12:00:00Z here. Check the clocks" in unknown(said)
    assert is_good(answer(this_update=AT, produced_at=AT))


def test_produced_in_the_future() -> None:
    assert "says that it signed on 2026-06-01T12:00:01Z" in unknown(answer(produced_at=AT + SECOND))
    assert is_good(answer(produced_at=AT))


@pytest.mark.parametrize("field", ["this_update", "produced_at"])
def test_the_responders_clock_may_be_ahead_by_the_skew(field: str) -> None:
    """P13: by default it may not be at all."""
    ahead: dict[str, Any] = {"this_update": AT - MINUTE, "produced_at": AT - MINUTE, field: AT + 5 * MINUTE}
    assert is_good(answer(policy=RevocationPolicy(clock_skew=5 * MINUTE), **ahead))
    assert "Check the clocks" in unknown(answer(policy=RevocationPolicy(clock_skew=5 * MINUTE - SECOND), **ahead))
    assert "Check the clocks" in unknown(answer(**ahead))


def test_a_skew_does_not_prolong_answers() -> None:
    assert "was to be renewed" in unknown(answer(next_update=AT - SECOND, policy=RevocationPolicy(clock_skew=HOUR)))


def test_thirty_days_old_though_next_update_is_far_ahead() -> None:
    old: dict[str, Any] = {"this_update": AT - 30 * DAY, "next_update": AT + 30 * DAY}
    assert "older than 7 days" in unknown(answer(**old))
    assert is_good(answer(policy=RevocationPolicy(ocsp_max_age=30 * DAY), **old))


def test_as_old_as_may_be() -> None:
    assert is_good(answer(this_update=AT - 7 * DAY))
    assert "older than 7 days" in unknown(answer(this_update=AT - 7 * DAY - SECOND))


def test_without_next_update_it_counts_for_a_day() -> None:
    assert is_good(answer(this_update=AT - DAY, next_update=None))
    assert "older than 1 day" in unknown(answer(this_update=AT - DAY - SECOND, next_update=None))


def test_without_next_update_and_400_days_old() -> None:
    """What nginx and Apache accept."""
    assert "older than 1 day" in unknown(answer(this_update=AT - 400 * DAY, next_update=None))


def test_without_next_update_a_lower_maximum_age_counts() -> None:
    lower = RevocationPolicy(ocsp_max_age=HOUR)
    assert is_good(answer(this_update=AT - HOUR, next_update=None, policy=lower))
    assert "older than 1:00:00" in unknown(answer(this_update=AT - HOUR - SECOND, next_update=None, policy=lower))


def test_a_stale_revocation_says_so() -> None:
    said = unknown(answer(status="revoked", next_update=AT - SECOND))
    assert "gave an answer (revoked) that was to be renewed by" in said


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ({"next_update": AT + HOUR}, AT + HOUR),
        ({"next_update": AT + 90 * DAY}, AT - MINUTE + 7 * DAY),
        ({"next_update": None}, AT - MINUTE + DAY),
        ({"this_update": AT - HOUR, "next_update": datetime(9999, 12, 31, tzinfo=AT.tzinfo)}, AT - HOUR + 7 * DAY),
    ],
    ids=["next update", "maximum age", "no next update", "the end of time"],
)
def test_until_when_it_counts(options: dict[str, Any], end: datetime) -> None:
    said = answer(**options)
    assert said.valid_until == end
    assert is_good(answer(at=end - SECOND, **options))
    assert answer(at=end + SECOND, **options).status is Status.UNKNOWN


def test_a_maximum_age_without_end() -> None:
    assert answer(policy=RevocationPolicy(ocsp_max_age=timedelta.max)).valid_until == AT + HOUR


def test_an_answer_of_a_delegate_counts_no_longer_than_its_certificate() -> None:
    signer = delegate()
    said = answer(signer=signer, at=AT + 29 * DAY, this_update=AT + 29 * DAY, next_update=AT + 33 * DAY)
    assert said.valid_until == signer.certificate.not_after + SECOND


def test_fractions_of_a_second_do_not_count() -> None:
    """Certificates and responses count whole seconds; one made in this very second is not of the future."""
    assert is_good(answer(this_update=AT, at=AT + timedelta(microseconds=1)))


def test_a_certificate_is_valid_through_its_last_second() -> None:
    """RFC 5280, section 4.1.2.5: the end is included, and a second is a second long."""
    signer = ocsp_signer(pki().ca, not_after=AT)
    said = answer(signer=signer, at=AT + timedelta(milliseconds=999))
    assert is_good(said)
    assert said.valid_until == AT + SECOND
    assert "expired" in unknown(answer(signer=signer, at=AT + SECOND))


def test_a_time_of_another_zone() -> None:
    assert is_good(answer(at=AT.astimezone(timezone(5 * HOUR))))


def test_a_time_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="no time zone"):
        answer(at=AT.replace(tzinfo=None))


# RFC 9654: to this question.


@pytest.mark.parametrize(
    ("nonce_policy", "sent", "received", "counts"),
    [
        ("off", None, None, True),
        ("off", None, NONCE, True),
        ("prefer", NONCE, NONCE, True),
        ("prefer", NONCE, None, True),
        ("prefer", NONCE, OTHER_NONCE, False),
        ("prefer", NONCE, NONCE[:-1], False),
        ("prefer", None, NONCE, True),
        ("require", NONCE, NONCE, True),
        ("require", NONCE, None, False),
        ("require", NONCE, OTHER_NONCE, False),
        ("require", None, NONCE, False),
        ("require", None, None, False),
    ],
)
def test_nonces(nonce_policy: Any, sent: bytes | None, received: bytes | None, counts: bool) -> None:
    said = answer_to(response(nonce=received), policy=RevocationPolicy(nonce=nonce_policy), nonce=sent)
    if counts:
        assert is_good(said)
    else:
        assert "nonce" in unknown(said)


def test_a_nonce_may_be_critical() -> None:
    critical = (x509.OCSPNonce(NONCE), True)
    assert is_good(answer_to(response(extensions=[critical]), nonce=NONCE))


def test_two_nonces() -> None:
    data = response(extensions=[(x509.OCSPNonce(OTHER_NONCE), False)], nonce=NONCE)
    assert "is not an OCSP response" in unknown(answer_to(data, nonce=NONCE))


# Extensions.


@pytest.mark.parametrize("where", ["extensions", "single_extensions"])
def test_an_unknown_critical_extension(where: str) -> None:
    value = x509.UnrecognizedExtension(UNKNOWN_OID, b"\x05\x00")
    critical: dict[str, Any] = {where: [(value, True)]}
    assert "marked critical, which is not known here" in unknown(answer(**critical))
    assert is_good(answer(**{**critical, where: [(value, False)]}))


def test_an_unknown_critical_extension_of_one_of_several() -> None:
    """cryptography shows the extensions of a single response only where there is one."""
    value = x509.UnrecognizedExtension(UNKNOWN_OID, b"\x05\x00")
    other = single_response(pki().ca, 4711, this_update=AT)
    assert "marked critical" in unknown(answer(others=[other], single_extensions=[(value, True)]))
    assert is_good(answer(others=[other], single_extensions=[(value, False)]))


def test_a_critical_extension_about_another_certificate() -> None:
    value = x509.UnrecognizedExtension(UNKNOWN_OID, b"\x05\x00")
    other = single_response(pki().ca, 4711, this_update=AT, single_extensions=[(value, True)])
    assert is_good(answer(others=[other]))


# Responses that are none. P1: garbage and huge bodies are refused, whatever else they do.


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (1, "could not read the request (malformedRequest)"),
        (2, "has an internal error (internalError)"),
        (3, "is busy (tryLater)"),
        (4, "is not an OCSP response"),
        (5, "answers signed requests alone (sigRequired)"),
        (6, "does not answer for this certificate (unauthorized)"),
        (7, "is not an OCSP response"),
        (0, "is not an OCSP response"),
    ],
)
def test_unsuccessful_statuses(status: int, sentence: str) -> None:
    """CVE-2024-8096: none of them is good, with or without a response beside it."""
    assert sentence in unknown(answer_to(ocsp_error(status)))


@pytest.mark.parametrize("status", [1, 2, 3, 5, 6])
def test_an_unsuccessful_status_beside_a_good_response(status: int) -> None:
    good = response()
    at = good.index(b"\x0a\x01\x00") + 2
    assert unknown(answer_to(good[:at] + bytes((status,)) + good[at + 1 :]))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "sent an empty answer"),
        (b"<!doctype html><title>Log in</title>", "sent HTML"),
        (b"\r\n <html>", "sent HTML"),
        (b"garbage", "is not an OCSP response"),
        (b"\x00", "is not an OCSP response"),
        (b"\x30\x80\x00\x00", "is not an OCSP response"),
        (b"\x30\x00", "is not an OCSP response"),
    ],
    ids=["empty", "html", "html after white space", "text", "a zero", "indefinite length", "empty sequence"],
)
def test_what_is_no_response(data: bytes, sentence: str) -> None:
    assert sentence in unknown(answer_to(data))


def test_a_truncated_response() -> None:
    whole = response(signer=delegate())
    assert is_good(answer_to(whole))
    for length in range(1, len(whole)):
        assert unknown(answer_to(whole[:length]))


@pytest.mark.parametrize("tail", [b"\x00", b"\x00\x00", b"\n", b"\x05\x00"])
def test_trailing_bytes(tail: bytes) -> None:
    """What nginx and Apache accept."""
    assert "is not an OCSP response" in unknown(answer_to(response() + tail))


def test_trailing_bytes_inside() -> None:
    """Behind the signed part, within its wrapping: no signature covers them."""
    status, explicit = der.read_all(response()).children()
    (response_bytes,) = explicit.children()
    kind, octets = response_bytes.children()

    def wrapped(tail: bytes) -> bytes:
        inner = ber.encode(der.SEQUENCE, kind.raw, ber.encode(der.OCTET_STRING, octets.value, tail))
        return ber.encode(der.SEQUENCE, status.raw, ber.encode(0xA0, inner))

    assert is_good(answer_to(wrapped(b"")))
    assert "is not an OCSP response" in unknown(answer_to(wrapped(b"\x05\x00")))


def test_a_response_of_another_kind() -> None:
    data = response().replace(bytes.fromhex("06092b0601050507300101"), bytes.fromhex("06092b0601050507300109"))
    assert "is not an OCSP response" in unknown(answer_to(data))


def test_a_large_response() -> None:
    """P1: not parsed beyond 64 kB, though it be genuine."""
    ca = DevelopmentCA.create(key="ed25519", at=AT)  # whose signatures are all of one length
    leaf = ca.client("billing").certificate

    def padded(size: int) -> bytes:
        padding = x509.UnrecognizedExtension(UNKNOWN_OID, ber.encode(der.OCTET_STRING, bytes(size)))
        return ocsp_response(ca, leaf, this_update=AT, extensions=[(padding, False)])

    most = 60_000 + MAX_RESPONSE_SIZE - len(padded(60_000))
    path = (leaf, ca.certificate)
    assert is_good(answer_to(padded(most), path=path))
    assert "sent 65537 bytes; 65536 are read at most" in unknown(answer_to(padded(most + 1), path=path))


def test_control_characters_of_an_answer_do_not_reach_the_log() -> None:
    for data in (b"<\n\x1b[2J", b"\x1b\n\r\x00" * 10):
        assert unknown(answer_to(data)).isprintable()
