"""Rollback: an older list that is still in date, put in the place of a newer one."""

from __future__ import annotations

import logging

import pytest
from cryptography.x509.oid import ExtensionOID

from mtls_core.devca import DevelopmentCA, Issued, scope
from mtls_core.revocation.crl import CRLHistory
from mtls_core.revocation.status import Status

from .crafting import AT, make_root
from .revocation_lists import DAY, HOUR, ask, hold, read


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def client(ca: DevelopmentCA) -> Issued:
    return ca.client("billing")


@pytest.fixture
def history() -> CRLHistory:
    return CRLHistory()


def _list(ca: DevelopmentCA, number: int, *entries: object, age: int = 0, **options: object) -> bytes:
    """In date; ``age`` in hours."""
    return ca.crl(entries, number=number, this_update=AT - age * HOUR, next_update=AT + DAY, **options)  # type: ignore[arg-type]


def test_p7_a_list_with_a_lower_number_than_one_seen_before(
    ca: DevelopmentCA, client: Issued, history: CRLHistory, caplog: pytest.LogCaptureFixture
) -> None:
    """P7: refused, and an alarm. Without a history it could not be told."""
    old = _list(ca, 1, age=5)
    assert ask(client, old, history=history).status is Status.GOOD
    assert ask(client, _list(ca, 2, 5, age=1), history=history).status is Status.GOOD
    with caplog.at_level(logging.ERROR, "mtls_core"):
        answer = ask(client, old, history=history)
    assert answer.status is Status.UNKNOWN
    assert "a newer list was seen before: number 2 from 2026-06-01T11:00:00Z" in answer.detail
    assert "CRL number 1 of CN=Root" in caplog.text
    assert ask(client, old).status is Status.GOOD


def test_p7_an_older_list_of_the_same_number(ca: DevelopmentCA, client: Issued, history: CRLHistory) -> None:
    """P7: older by its date alone."""
    without = [ExtensionOID.CRL_NUMBER]
    assert ask(client, _list(ca, 1, age=1, without=without), history=history).status is Status.GOOD
    assert ask(client, _list(ca, 1, age=2, without=without), history=history).status is Status.UNKNOWN
    assert ask(client, _list(ca, 1, age=0, without=without), history=history).status is Status.GOOD


def test_p7_a_newer_date_does_not_make_up_for_a_lower_number(
    ca: DevelopmentCA, client: Issued, history: CRLHistory
) -> None:
    """P7: numbers only grow (RFC 5280, section 5.2.3)."""
    assert ask(client, _list(ca, 7, age=2), history=history).status is Status.GOOD
    assert ask(client, _list(ca, 6, age=1), history=history).status is Status.UNKNOWN
    assert ask(client, _list(ca, 7, age=1), history=history).status is Status.GOOD


def test_p7_a_list_that_was_rolled_back_revokes_whom_it_names(
    ca: DevelopmentCA, client: Issued, history: CRLHistory
) -> None:
    assert ask(client, _list(ca, 2, age=1), history=history).status is Status.GOOD
    assert ask(client, _list(ca, 1, hold(client), age=2), history=history).status is Status.REVOKED


def test_an_old_list_beside_the_new_one_is_no_alarm(
    ca: DevelopmentCA, client: Issued, history: CRLHistory, caplog: pytest.LogCaptureFixture
) -> None:
    lists = [_list(ca, 2, age=1), _list(ca, 1, age=2), _list(ca, 3, base=1), _list(ca, 2, base=1, age=1)]
    for _ in range(2):
        assert ask(client, *lists, history=history).status is Status.GOOD
        assert ask(client, *reversed(lists), history=history).status is Status.GOOD
    assert not caplog.records


def test_a_delta_that_was_rolled_back_is_not_applied(ca: DevelopmentCA, client: Issued, history: CRLHistory) -> None:
    base = _list(ca, 1, age=5)
    old, new = _list(ca, 2, base=1, age=2), _list(ca, 3, base=1, age=1)
    assert ask(client, base, new, history=history).this_update == AT - HOUR
    assert ask(client, base, old, history=history).this_update == AT - 5 * HOUR


def test_lists_of_different_scopes_do_not_concern_each_other(
    ca: DevelopmentCA, client: Issued, history: CRLHistory
) -> None:
    assert ask(client, _list(ca, 9), history=history).status is Status.GOOD
    assert ask(client, _list(ca, 1, scope=scope(only="user")), history=history).status is Status.GOOD
    assert len(history) == 2


def test_nor_do_cas_of_one_name_below_different_anchors(client: Issued, ca: DevelopmentCA) -> None:
    history = CRLHistory()
    namesake = make_root()
    assert ask(namesake.client("billing"), _list(namesake, 9), history=history).status is Status.GOOD
    assert ask(client, _list(ca, 1), history=history).status is Status.GOOD


def test_a_list_that_is_not_genuine_is_not_remembered(ca: DevelopmentCA, client: Issued, history: CRLHistory) -> None:
    forged = make_root()
    assert ask(client, _list(forged, 99), history=history).status is Status.UNKNOWN
    assert len(history) == 0
    assert ask(client, _list(ca, 1), history=history).status is Status.GOOD


def test_nor_is_one_that_is_dated_in_the_future(ca: DevelopmentCA, client: Issued, history: CRLHistory) -> None:
    assert ask(client, _list(ca, 99, age=-1), history=history).status is Status.UNKNOWN
    assert ask(client, _list(ca, 1), history=history).status is Status.GOOD


def test_it_remembers_so_many_and_forgets_the_one_unused_for_longest() -> None:
    history = CRLHistory(max_scopes=2)
    first, second, third = (make_root(name) for name in ("A", "B", "C"))
    lists = {ca: read(_list(ca, 5)) for ca in (first, second, third)}
    old = {ca: read(_list(ca, 4, age=1)) for ca in (first, second, third)}
    for ca in (first, second, first, third):
        assert history.newer_than(lists[ca], ca.certificate) is None
    assert len(history) == 2
    assert history.newer_than(old[first], first.certificate) is not None
    assert history.newer_than(old[second], second.certificate) is None
