"""What one or several complete lists say: the three answers, dates, and which of several lists counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtensionOID

from mtls_core.devca import DevelopmentCA, Issued, Revocation, scope
from mtls_core.revocation import crl as crl_module
from mtls_core.revocation import crl_body
from mtls_core.revocation.crl import CertificateList, IndexFolder, judge
from mtls_core.revocation.crl_scope import ALL_REASONS
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Status

from .crafting import AT, key_usage, make_root
from .revocation_lists import (
    DAY,
    HOLD,
    HOUR,
    KEY_COMPROMISE,
    POLICY,
    REMOVE,
    SECOND,
    UNKNOWN,
    ask,
    entry,
    hold,
    path_of,
    read,
    resign,
    signed_with_sha224,
    with_entries,
)

NEXT = AT + DAY


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def client(ca: DevelopmentCA) -> Issued:
    return ca.client("billing")


class TestAnswers:
    def test_good(self, ca: DevelopmentCA, client: Issued) -> None:
        answer = ask(client, ca.crl([5], number=7, this_update=AT - HOUR, next_update=NEXT))
        assert (answer.status, answer.source) == (Status.GOOD, "crl 0.crl")
        assert (answer.this_update, answer.valid_until) == (AT - HOUR, NEXT)
        assert (answer.revoked_at, answer.revocation_reason) == (None, None)
        assert answer.detail == "CN=billing is not on the CRL number 7 of CN=Root from 2026-06-01T11:00:00Z (0.crl)"

    def test_revoked(self, ca: DevelopmentCA, client: Issued) -> None:
        listed = (client, AT - DAY, KEY_COMPROMISE)
        answer = ask(client, ca.crl([listed], number=7, this_update=AT - HOUR, next_update=NEXT))
        assert (answer.status, answer.source) == (Status.REVOKED, "crl 0.crl")
        assert (answer.this_update, answer.valid_until) == (AT - HOUR, NEXT)
        assert (answer.revoked_at, answer.revocation_reason) == (AT - DAY, "keyCompromise")
        assert "is revoked since 2026-05-31T12:00:00Z (keyCompromise), says the CRL number 7" in answer.detail

    def test_revoked_for_no_reason_that_is_given(self, ca: DevelopmentCA, client: Issued) -> None:
        answer = ask(client, ca.crl([client]))
        assert (answer.status, answer.revocation_reason) == (Status.REVOKED, None)

    def test_unknown_without_any_list(self, client: Issued) -> None:
        answer = ask(client)
        assert (answer.status, answer.this_update, answer.valid_until) == (Status.UNKNOWN, None, None)
        assert "add one to the configured lists" in answer.detail

    def test_a_certificate_on_hold_is_revoked(self, ca: DevelopmentCA, client: Issued) -> None:
        answer = ask(client, ca.crl([hold(client)]))
        assert (answer.status, answer.revocation_reason) == (Status.REVOKED, "certificateHold")

    def test_a_date_of_revocation_that_is_still_to_come_revokes_now(self, ca: DevelopmentCA, client: Issued) -> None:
        assert ask(client, ca.crl([(client, AT + DAY, None)])).status is Status.REVOKED

    def test_to_be_removed_from_a_complete_list_is_to_be_on_it(self, ca: DevelopmentCA, client: Issued) -> None:
        assert ask(client, ca.crl([hold(client, REMOVE)])).status is Status.REVOKED

    def test_an_intermediate(self, ca: DevelopmentCA) -> None:
        sub = ca.intermediate()
        issued = sub.client("x")
        assert ask(issued, ca.crl([sub.certificate]), depth=1).status is Status.REVOKED
        assert ask(issued, ca.crl(), depth=1).status is Status.GOOD

    def test_the_leaf_by_the_list_of_its_own_issuer(self, ca: DevelopmentCA) -> None:
        sub = ca.intermediate()
        issued = sub.client("x")
        assert ask(issued, sub.crl()).status is Status.GOOD
        assert ask(issued, ca.crl([issued])).status is Status.UNKNOWN

    @pytest.mark.parametrize("depth", [-1, 1, 2])
    def test_the_anchor_is_not_asked_about(self, client: Issued, depth: int) -> None:
        with pytest.raises(ValueError, match=f"at depth {depth}"):
            ask(client, depth=depth)

    def test_a_time_without_a_zone_is_refused(self, client: Issued) -> None:
        with pytest.raises(ValueError, match="time zone"):
            ask(client, at=AT.replace(tzinfo=None))

    def test_any_time_zone_will_do(self, ca: DevelopmentCA, client: Issued) -> None:
        crl = ca.crl(next_update=NEXT)
        there = NEXT.astimezone(timezone(timedelta(hours=9)))
        assert ask(client, crl, at=there).status is Status.GOOD
        assert ask(client, crl, at=there + SECOND).status is Status.UNKNOWN


class TestSignature:
    def test_a_list_that_somebody_else_signed(self, ca: DevelopmentCA, client: Issued) -> None:
        forged = resign(ca.crl([client]), make_root(), lambda fields: None)
        answer = ask(client, forged)
        assert answer.status is Status.UNKNOWN
        assert "is not signed by anybody here who may sign it" in answer.detail
        assert ask(client, resign(ca.crl([client]), ca, lambda fields: None)).status is Status.REVOKED

    def test_a_list_that_was_changed(self, ca: DevelopmentCA, client: Issued) -> None:
        data = ca.crl([5])
        assert ask(client, data).status is Status.GOOD
        changed = data.replace(b"\x02\x01\x05", b"\x02\x01\x06")
        assert changed != data
        assert ask(client, changed).status is Status.UNKNOWN

    def test_an_algorithm_that_is_not_allowed(self, ca: DevelopmentCA, client: Issued) -> None:
        answer = ask(client, signed_with_sha224(ca.crl(), ca))
        assert answer.status is Status.UNKNOWN
        assert "is signed with ECDSA with SHA-224, which is not allowed" in answer.detail

    def test_an_issuer_that_may_not_sign_lists(self) -> None:
        for usages, expected in ((("key_cert_sign",), Status.UNKNOWN), (("key_cert_sign", "crl_sign"), Status.GOOD)):
            ca = make_root(extensions=[key_usage(*usages)])
            answer = ask(ca.client("x"), ca.crl())
            assert answer.status is expected
            assert ("cRLSign is not in its key usage" in answer.detail) is (expected is Status.UNKNOWN)

    def test_an_issuer_without_key_usage_may(self) -> None:
        ca = make_root(without=[ExtensionOID.KEY_USAGE])
        assert ask(ca.client("x"), ca.crl()).status is Status.GOOD

    def test_there_is_a_limit_to_how_many_are_looked_at(
        self, ca: DevelopmentCA, client: Issued, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lists = [read(ca.crl(number=number)) for number in range(4)]
        monkeypatch.setattr(crl_module, "MAX_SIGNATURE_CHECKS", 4)
        assert ask(client, *lists).status is Status.GOOD
        monkeypatch.setattr(crl_module, "MAX_SIGNATURE_CHECKS", 3)
        answer = ask(client, *lists)
        assert answer.status is Status.UNKNOWN
        assert "not looked at further" in answer.detail

    def test_the_same_list_twice_is_one(self, ca: DevelopmentCA, client: Issued) -> None:
        data = ca.crl()
        assert ask(client, data, data).source == "crl 1.crl"


class TestDates:
    def test_p5_a_list_counts_through_the_second_in_which_the_next_is_due(
        self, ca: DevelopmentCA, client: Issued
    ) -> None:
        """P5: an expired list clears nobody; its next update is the last moment of it."""
        crl = ca.crl(next_update=NEXT)
        assert ask(client, crl, at=NEXT).status is Status.GOOD
        assert ask(client, crl, at=NEXT + SECOND / 2).status is Status.GOOD
        answer = ask(client, crl, at=NEXT + SECOND)
        assert answer.status is Status.UNKNOWN
        assert "the next one was due on 2026-06-02T12:00:00Z; it is 2026-06-02T12:00:01Z here" in answer.detail

    def test_p5_a_grace_period_has_to_be_asked_for(self, ca: DevelopmentCA, client: Issued) -> None:
        """P5: none by default."""
        crl = ca.crl(next_update=NEXT)
        lenient = RevocationPolicy(crl_grace=HOUR)
        answer = ask(client, crl, at=NEXT + HOUR, policy=lenient)
        assert (answer.status, answer.valid_until) == (Status.GOOD, NEXT + HOUR)
        assert ask(client, crl, at=NEXT + HOUR + SECOND, policy=lenient).status is Status.UNKNOWN
        assert ask(client, crl, at=NEXT + HOUR).status is Status.UNKNOWN

    def test_p5_an_expired_list_revokes_whom_it_names(self, ca: DevelopmentCA, client: Issued) -> None:
        """P5: it was true when it was signed."""
        answer = ask(client, ca.crl([client], next_update=NEXT), at=NEXT + DAY)
        assert (answer.status, answer.valid_until) == (Status.REVOKED, NEXT + DAY + POLICY.max_cache_age)
        assert "that list clears nobody, the next one was due" in answer.detail

    def test_a_maximum_age_whatever_the_list_says(self, ca: DevelopmentCA, client: Issued) -> None:
        crl = ca.crl(this_update=AT - DAY, next_update=AT + 365 * DAY)
        policy = RevocationPolicy(crl_max_age=DAY)
        answer = ask(client, crl, policy=policy)
        assert (answer.status, answer.valid_until) == (Status.GOOD, AT)
        answer = ask(client, crl, policy=policy, at=AT + SECOND)
        assert answer.status is Status.UNKNOWN
        assert "it is older than 1 day, 0:00:00" in answer.detail
        assert ask(client, crl, at=AT + SECOND).status is Status.GOOD

    def test_a_clock_that_may_be_behind_the_lists(self, ca: DevelopmentCA, client: Issued) -> None:
        crl = ca.crl(this_update=AT + HOUR)
        assert ask(client, crl, policy=RevocationPolicy(clock_skew=HOUR)).status is Status.GOOD
        assert ask(client, crl, policy=RevocationPolicy(clock_skew=HOUR - SECOND)).status is Status.UNKNOWN

    def test_a_list_for_ever(self, ca: DevelopmentCA, client: Issued) -> None:
        end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        policy = RevocationPolicy(crl_grace=DAY, crl_max_age=timedelta(days=999_999_999))
        answer = ask(client, ca.crl(next_update=end), policy=policy)
        assert answer.status is Status.GOOD
        assert answer.valid_until == datetime.max.replace(tzinfo=UTC)


class TestSeveral:
    def test_the_newest_list_counts_whatever_the_order(self, ca: DevelopmentCA, client: Issued) -> None:
        old = ca.crl([hold(client)], number=1, this_update=AT - DAY)
        new = ca.crl(number=2, this_update=AT - HOUR)
        assert ask(client, old, new).status is Status.GOOD
        assert ask(client, new, old).status is Status.GOOD

    def test_the_newest_list_counts_if_it_revokes(self, ca: DevelopmentCA, client: Issued) -> None:
        old = ca.crl(number=1, this_update=AT - DAY)
        new = ca.crl([client], number=2, this_update=AT - HOUR)
        assert ask(client, old, new).status is Status.REVOKED
        assert ask(client, new, old).status is Status.REVOKED

    def test_of_two_of_one_moment_the_higher_number_is_newer(self, ca: DevelopmentCA, client: Issued) -> None:
        lists = [ca.crl([hold(client)], number=1), ca.crl(number=2)]
        assert ask(client, *lists).status is Status.GOOD
        assert ask(client, *reversed(lists)).status is Status.GOOD

    def test_an_older_list_in_date_does_not_help_a_newer_one_that_is_not(
        self, ca: DevelopmentCA, client: Issued
    ) -> None:
        older = ca.crl(number=1, this_update=AT - 2 * DAY, next_update=AT + 30 * DAY)
        newer = ca.crl(number=2, this_update=AT - DAY, next_update=AT - HOUR)
        assert ask(client, older).status is Status.GOOD
        assert ask(client, older, newer).status is Status.UNKNOWN

    def test_a_stale_list_that_a_newer_one_replaced_revokes_nobody(self, ca: DevelopmentCA, client: Issued) -> None:
        stale = ca.crl([hold(client)], number=1, this_update=AT - 2 * DAY, next_update=AT - DAY)
        assert ask(client, stale).status is Status.REVOKED
        assert ask(client, stale, ca.crl(number=2)).status is Status.GOOD

    def test_a_list_dated_in_the_future_revokes_whom_it_names(self, ca: DevelopmentCA, client: Issued) -> None:
        to_come = ca.crl([client], number=2, this_update=AT + HOUR)
        answer = ask(client, ca.crl(number=1), to_come)
        assert answer.status is Status.REVOKED
        assert "it is dated in the future" in answer.detail

    def test_a_list_dated_in_the_future_does_not_hide_the_one_in_force(self, ca: DevelopmentCA, client: Issued) -> None:
        assert ask(client, ca.crl(number=1), ca.crl(number=2, this_update=AT + HOUR)).status is Status.GOOD

    def test_an_answer_by_several_lists_is_as_old_as_the_oldest_and_ends_with_the_first(
        self, ca: DevelopmentCA, client: Issued
    ) -> None:
        rest = ALL_REASONS - {KEY_COMPROMISE}
        some = ca.crl(scope=scope(reasons=[KEY_COMPROMISE]), this_update=AT - DAY, next_update=AT + 9 * DAY)
        others = ca.crl(scope=scope(reasons=rest), this_update=AT - HOUR, next_update=NEXT)
        answer = ask(client, some, others)
        assert (answer.status, answer.this_update, answer.valid_until) == (Status.GOOD, AT - DAY, NEXT)

    def test_a_list_that_adds_nothing_does_not_shorten_the_answer(self, ca: DevelopmentCA, client: Issued) -> None:
        short = ca.crl(scope=scope(only="user"), next_update=AT + HOUR)
        assert ask(client, short, ca.crl(next_update=NEXT)).valid_until == NEXT


class TestNotUsable:
    def test_an_unknown_critical_extension_of_the_list(self, ca: DevelopmentCA, client: Issued) -> None:
        """RFC 5280, section 5.2: then the list says nothing about any certificate."""
        for entries in ([], [client]):
            answer = ask(client, ca.crl(entries, extensions=[(UNKNOWN, True)]))
            assert answer.status is Status.UNKNOWN
            assert UNKNOWN.oid.dotted_string in answer.detail
        assert ask(client, ca.crl(extensions=[(UNKNOWN, False)])).status is Status.GOOD

    def test_an_unknown_critical_extension_of_the_entry_itself_leaves_it_revoked(
        self, ca: DevelopmentCA, client: Issued
    ) -> None:
        listed = Revocation(which=client, reason=HOLD, extensions=((UNKNOWN, True),))
        assert ask(client, ca.crl([listed])).status is Status.REVOKED

    def test_an_entry_that_cannot_be_indexed(
        self, ca: DevelopmentCA, client: Issued, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A long list is looked into when its signature was found good, so that is where it turns out."""
        monkeypatch.setattr(crl_body, "SHARED_FROM_BYTES", 0)
        data = with_entries(ca.crl([5]), ca, entry(b"\1" * 65))
        crl = CertificateList.from_der(data, folder=IndexFolder(tmp_path))
        answer = ask(client, crl)
        assert answer.status is Status.UNKNOWN
        assert "longer than 64 bytes" in answer.detail

    def test_many_objections_are_not_all_told(self, ca: DevelopmentCA, client: Issued) -> None:
        stranger = make_root()
        answer = ask(client, *(stranger.crl(number=number) for number in range(20)))
        assert answer.detail.endswith("; and 16 more")
        assert len(answer.detail) < 1000


def test_a_path_may_be_any_sequence(ca: DevelopmentCA, client: Issued) -> None:
    assert judge(list(path_of(client)), 0, iter([read(ca.crl())]), at=AT, policy=POLICY).status is Status.GOOD
