"""Deltas: what changed since a complete list (RFC 5280, sections 5.2.4 and 6.3.3 (c), (h) to (k))."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.x509.oid import ExtensionOID

from mtls_core.devca import DevelopmentCA, Issued, Revocation
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Status

from .crafting import AT, make_root
from .revocation_lists import DAY, HOUR, KEY_COMPROMISE, REMOVE, SECOND, UNKNOWN, ask, hold, without_next_update


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def client(ca: DevelopmentCA) -> Issued:
    return ca.client("billing")


def _base(ca: DevelopmentCA, *entries: Any, **options: Any) -> bytes:
    """Number 2, of yesterday, in date for a week."""
    usual: dict[str, Any] = {"number": 2, "this_update": AT - DAY, "next_update": AT + 7 * DAY}
    return ca.crl(entries, **usual | options)


def _delta(ca: DevelopmentCA, *entries: Any, **options: Any) -> bytes:
    """Number 3, of an hour ago, on top of number 1 or 2, in date for a day."""
    usual: dict[str, Any] = {"number": 3, "base": 1, "this_update": AT - HOUR, "next_update": AT + DAY}
    return ca.crl(entries, **usual | options)


def test_neither_lists_it(ca: DevelopmentCA, client: Issued) -> None:
    answer = ask(client, _base(ca, 5), _delta(ca, 6))
    assert (answer.status, answer.this_update, answer.valid_until) == (Status.GOOD, AT - HOUR, AT + DAY)
    assert "delta number 3" in answer.detail


def test_the_delta_adds_it(ca: DevelopmentCA, client: Issued) -> None:
    answer = ask(client, _base(ca), _delta(ca, hold(client, KEY_COMPROMISE)))
    assert (answer.status, answer.revocation_reason) == (Status.REVOKED, "keyCompromise")
    assert "says the delta number 3" in answer.detail


def test_the_base_lists_it_and_the_delta_does_not(ca: DevelopmentCA, client: Issued) -> None:
    answer = ask(client, _base(ca, hold(client)), _delta(ca))
    assert (answer.status, answer.source) == (Status.REVOKED, "crl 0.crl")
    assert "says the CRL number 2" in answer.detail


def test_the_delta_takes_it_off_hold(ca: DevelopmentCA, client: Issued) -> None:
    assert ask(client, _base(ca, hold(client)), _delta(ca, hold(client, REMOVE))).status is Status.GOOD


def test_the_delta_turns_a_hold_into_a_revocation(ca: DevelopmentCA, client: Issued) -> None:
    answer = ask(client, _base(ca, hold(client)), _delta(ca, hold(client, KEY_COMPROMISE)))
    assert (answer.status, answer.revocation_reason) == (Status.REVOKED, "keyCompromise")


def test_the_delta_removes_what_the_base_does_not_have(ca: DevelopmentCA, client: Issued) -> None:
    """Put on hold and released between two complete lists."""
    assert ask(client, _base(ca), _delta(ca, hold(client, REMOVE))).status is Status.GOOD


def test_the_newest_of_several_deltas_counts(ca: DevelopmentCA, client: Issued) -> None:
    base = _base(ca)
    on_hold = _delta(ca, hold(client), number=3, this_update=AT - 2 * HOUR)
    released = _delta(ca, hold(client, REMOVE), number=4, this_update=AT - HOUR)
    assert ask(client, base, on_hold).status is Status.REVOKED
    assert ask(client, base, on_hold, released).status is Status.GOOD
    assert ask(client, base, released, on_hold).status is Status.GOOD


def test_a_stale_base_with_a_delta_in_date(ca: DevelopmentCA, client: Issued) -> None:
    """RFC 5280, section 6.3.3 (a)(1)(i)."""
    base = _base(ca, next_update=AT - HOUR)
    assert ask(client, base).status is Status.UNKNOWN
    assert ask(client, base, _delta(ca)).status is Status.GOOD


def test_a_base_in_date_with_a_stale_delta(ca: DevelopmentCA, client: Issued) -> None:
    answer = ask(client, _base(ca), _delta(ca, next_update=AT - SECOND))
    assert (answer.status, answer.valid_until) == (Status.GOOD, AT + 7 * DAY)


def test_a_stale_delta_still_revokes_whom_it_names(ca: DevelopmentCA, client: Issued) -> None:
    answer = ask(client, _base(ca), _delta(ca, client, next_update=AT - SECOND))
    assert answer.status is Status.REVOKED
    assert "that list clears nobody" in answer.detail


def test_a_delta_that_a_newer_complete_list_replaced_revokes_nobody(ca: DevelopmentCA, client: Issued) -> None:
    newer = _base(ca, number=4, this_update=AT - HOUR / 2)
    assert ask(client, _delta(ca, hold(client)), newer).status is Status.GOOD


def test_a_delta_alone_clears_nobody(ca: DevelopmentCA, client: Issued) -> None:
    answer = ask(client, _delta(ca))
    assert answer.status is Status.UNKNOWN
    assert "the complete list that it updates is not there" in answer.detail


def test_a_delta_alone_revokes_whom_it_names(ca: DevelopmentCA, client: Issued) -> None:
    assert ask(client, _delta(ca, client)).status is Status.REVOKED


def test_a_delta_alone_that_removes_says_nothing(ca: DevelopmentCA, client: Issued) -> None:
    assert ask(client, _delta(ca, hold(client, REMOVE))).status is Status.UNKNOWN


def test_a_delta_of_the_base_itself(ca: DevelopmentCA, client: Issued) -> None:
    """The base number may be that of the complete list at hand."""
    assert ask(client, _base(ca, hold(client)), _delta(ca, hold(client, REMOVE), base=2)).status is Status.GOOD


@pytest.mark.parametrize("which", ["base", "delta"])
def test_lists_without_numbers_cannot_be_combined(ca: DevelopmentCA, client: Issued, which: str) -> None:
    lacking: dict[str, Any] = {"without": [ExtensionOID.CRL_NUMBER]}
    base = _base(ca, hold(client), **(lacking if which == "base" else {}))
    delta = _delta(ca, hold(client, REMOVE), **(lacking if which == "delta" else {}))
    assert ask(client, base, delta).status is Status.REVOKED


def test_a_delta_with_an_unknown_critical_entry_is_not_applied(ca: DevelopmentCA, client: Issued) -> None:
    for critical, expected in ((True, Status.REVOKED), (False, Status.GOOD)):
        odd = Revocation(which=5, extensions=((UNKNOWN, critical),))
        delta = _delta(ca, hold(client, REMOVE), odd)
        assert ask(client, _base(ca, hold(client)), delta).status is expected


def test_a_base_with_an_unknown_critical_entry_is_not_mended_by_a_delta(ca: DevelopmentCA, client: Issued) -> None:
    for critical, expected in ((True, Status.UNKNOWN), (False, Status.GOOD)):
        odd = Revocation(which=5, extensions=((UNKNOWN, critical),))
        assert ask(client, _base(ca, odd), _delta(ca)).status is expected


def test_a_maximum_age_is_that_of_the_delta(ca: DevelopmentCA, client: Issued) -> None:
    policy = RevocationPolicy(crl_max_age=2 * HOUR)
    assert ask(client, _base(ca), policy=policy).status is Status.UNKNOWN
    answer = ask(client, _base(ca), _delta(ca), policy=policy)
    assert (answer.status, answer.valid_until) == (Status.GOOD, AT + HOUR)


def test_a_delta_that_does_not_say_when_the_next_is_due(ca: DevelopmentCA, client: Issued) -> None:
    delta = without_next_update(_delta(ca, hold(client, REMOVE)), ca)
    assert ask(client, _base(ca, hold(client)), delta).status is Status.REVOKED
