"""Sources to verdict: what is asked, what is waited for, what is remembered, and what an outage does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.devca.register import MemoryRegister
from mtls_core.devca.responder import Mode, Responder
from mtls_core.errors import CertificateRejected, ConfigurationError, Reason
from mtls_core.revocation.checker import RevocationChecker
from mtls_core.revocation.crl import CertificateList
from mtls_core.revocation.fetch import Fetched, Fetcher
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Status

MINUTE = timedelta(minutes=1)

#: What is no fault: without a nonce in the question one in the answer means nothing.
_GOOD = {Mode.GOOD, Mode.DELEGATED, Mode.NONCE_REPLACED, Mode.NONCE_MISSING}
#: Every way in which a responder, or the way to it, can fail; none of them is a yes.
FAULTS = [mode for mode in Mode if mode not in _GOOD]


class World:
    """A CA with a responder, and certificates that name it."""

    def __init__(self, responder: Responder, ca: DevelopmentCA) -> None:
        self.responder = responder
        self.ca = ca
        self.now = datetime.now(UTC).replace(microsecond=0)

    def issue(self, *, ocsp: bool = True, crl: bool = False) -> Issued:
        return self.ca.client(
            "billing",
            ocsp_urls=[self.responder.ocsp_url] if ocsp else [],
            crl_urls=[self.responder.crl_url(self.ca)] if crl else [],
        )

    def checker(self, *, lists: tuple[CertificateList, ...] = (), **policy: object) -> RevocationChecker:
        options = {"timeout": 5.0, **policy}
        return RevocationChecker(
            RevocationPolicy(**options),  # type: ignore[arg-type]
            lists=lambda: lists,
            fetcher=Fetcher(hosts=["127.0.0.1"]),
        )

    def path(self, issued: Issued) -> tuple[object, ...]:
        return (issued.certificate, self.ca.certificate)


@pytest.fixture
def world() -> Iterator[World]:
    ca = DevelopmentCA.create()
    with Responder(ca) as responder:
        yield World(responder, ca)


def statuses(world: World, checker: RevocationChecker, issued: Issued, at: datetime | None = None) -> list[str]:
    answers = checker.check(world.path(issued), at=at or datetime.now(UTC))  # type: ignore[arg-type]
    return [answer.status.value for answer in answers]


def refusal(
    world: World, checker: RevocationChecker, issued: Issued, at: datetime | None = None
) -> CertificateRejected:
    with pytest.raises(CertificateRejected) as caught:
        checker.check(world.path(issued), at=at or datetime.now(UTC))  # type: ignore[arg-type]
    return caught.value


def until(condition: object, *, seconds: float = 5) -> None:
    """Wait for something that happens in the background."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("source", ["ocsp", "crl"])
def test_good_and_revoked(world: World, source: str) -> None:
    issued = world.issue(ocsp=source == "ocsp", crl=source == "crl")
    assert statuses(world, world.checker(), issued) == ["good"]
    world.responder.revoke(issued)
    assert refusal(world, world.checker(), issued).reason is Reason.REVOKED


def test_ocsp_is_asked_first_and_the_list_is_left_alone(world: World) -> None:
    issued = world.issue(crl=True)
    assert statuses(world, world.checker(), issued) == ["good"]
    assert world.responder.counts()["ocsp"] == 1
    assert world.responder.counts()["crl"] == 0


def test_the_list_answers_when_ocsp_cannot(world: World) -> None:
    issued = world.ca.client(
        "billing",
        ocsp_urls=["http://127.0.0.1:9/"],  # nobody listens there
        crl_urls=[world.responder.crl_url(world.ca)],
    )
    (answer,) = world.checker().check((issued.certificate, world.ca.certificate), at=datetime.now(UTC))
    assert answer.status is Status.GOOD
    assert answer.source.startswith("crl ")


def test_a_list_of_this_host_revokes_whatever_ocsp_says(world: World) -> None:
    issued = world.issue()
    own = CertificateList.from_der(world.ca.crl([issued.certificate]))
    assert refusal(world, world.checker(lists=(own,)), issued).reason is Reason.REVOKED
    other = CertificateList.from_der(world.ca.crl([1234567]))
    assert statuses(world, world.checker(lists=(other,)), issued) == ["good"]


def test_a_new_list_of_this_host_counts_at_once(world: World) -> None:
    issued = world.issue(ocsp=False)
    current = [(CertificateList.from_der(world.ca.crl()),)]
    checker = RevocationChecker(RevocationPolicy(), lists=lambda: current[0])
    assert statuses(world, checker, issued) == ["good"]
    current[0] = (CertificateList.from_der(world.ca.crl([issued.certificate], number=2)),)
    assert refusal(world, checker, issued).reason is Reason.REVOKED


def test_no_source_is_enough_where_sources_are_used_as_available(world: World) -> None:
    issued = world.issue(ocsp=False)
    assert statuses(world, world.checker(mode="available"), issued) == []


def test_no_source_is_refused_where_one_is_required(world: World) -> None:
    issued = world.issue(ocsp=False)
    rejected = refusal(world, world.checker(mode="required"), issued)
    assert rejected.reason is Reason.REVOCATION_UNKNOWN
    assert "MTLS_CRLS" in rejected.detail
    assert statuses(world, world.checker(mode="required"), world.issue()) == ["good"]


def test_the_scope_decides_whether_cas_are_asked_about(world: World) -> None:
    name = x509.UniformResourceIdentifier(world.responder.crl_url(world.ca))
    points = x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])
    issuing = world.ca.intermediate("Issuing", extensions=[(points, False)])
    issued = issuing.client("billing")
    path = (issued.certificate, issuing.certificate, world.ca.certificate)
    world.responder.revoke(issuing.certificate)
    assert world.checker(scope="leaf").check(path, at=datetime.now(UTC)) == ()
    with pytest.raises(CertificateRejected) as caught:
        world.checker(scope="chain").check(path, at=datetime.now(UTC))
    assert caught.value.reason is Reason.REVOKED
    assert caught.value.depth == 1


@pytest.mark.parametrize("mode", FAULTS, ids=lambda mode: mode.value)
def test_no_fault_of_a_responder_is_a_yes(world: World, mode: Mode) -> None:
    """P1, P2: whatever a responder does, the verdict is there in time, and it is no."""
    issued = world.issue()
    world.responder.mode = mode
    started = time.monotonic()
    rejected = refusal(world, world.checker(timeout=0.4), issued)
    assert time.monotonic() - started < 0.4 + 0.2
    assert rejected.reason in {Reason.REVOCATION_UNKNOWN, Reason.REVOKED}


@pytest.mark.parametrize("mode", sorted(_GOOD), ids=lambda mode: mode.value)
def test_what_is_no_fault_is_good(world: World, mode: Mode) -> None:
    """The twin of the faults above."""
    world.responder.mode = mode
    assert statuses(world, world.checker(timeout=5.0), world.issue()) == ["good"]


def test_an_outage_may_be_accepted(world: World) -> None:
    """P1: ``unreachable="accept"`` lets in, and says that nothing is known."""
    issued = world.issue()
    world.responder.mode = Mode.GARBAGE
    assert statuses(world, world.checker(unreachable="accept"), issued) == ["unknown"]
    world.responder.mode = Mode.GOOD
    world.responder.revoke(issued)
    assert refusal(world, world.checker(unreachable="accept"), issued).reason is Reason.REVOKED


def test_a_good_answer_outlives_its_responder(world: World) -> None:
    """P3: used until it goes stale, then the policy for outages decides."""
    issued = world.issue()
    checker = world.checker(refresh=5 * MINUTE)
    assert statuses(world, checker, issued) == ["good"]
    world.responder.mode = Mode.SERVER_ERROR
    assert statuses(world, checker, issued, world.now + 30 * MINUTE) == ["good"]
    assert refusal(world, checker, issued, world.now + 61 * MINUTE).reason is Reason.REVOCATION_UNKNOWN


def test_an_answer_is_kept_no_longer_than_the_cap(world: World) -> None:
    issued = world.issue()
    checker = world.checker(max_cache_age=10 * MINUTE)
    assert statuses(world, checker, issued) == ["good"]
    world.responder.mode = Mode.SERVER_ERROR
    assert statuses(world, checker, issued, world.now + 9 * MINUTE) == ["good"]
    assert refusal(world, checker, issued, world.now + 11 * MINUTE).reason is Reason.REVOCATION_UNKNOWN


def test_a_revocation_outlives_its_responder(world: World) -> None:
    """What is known to be revoked stays so, also where an outage is accepted."""
    issued = world.issue()
    world.responder.revoke(issued)
    checker = world.checker(unreachable="accept")
    refusal(world, checker, issued)
    world.responder.mode = Mode.SERVER_ERROR
    assert refusal(world, checker, issued, world.now + timedelta(days=3)).reason is Reason.REVOKED
    other = world.issue()
    assert statuses(world, checker, other, world.now + timedelta(days=3)) == ["unknown"]


def test_a_list_is_fetched_again_long_before_it_runs_out(world: World) -> None:
    """P11: a revocation that only the CA's list tells is noticed after the refresh time as well."""
    issued = world.issue(ocsp=False, crl=True)
    checker = world.checker(refresh=5 * MINUTE)
    assert statuses(world, checker, issued) == ["good"]
    world.responder.revoke(issued)
    assert statuses(world, checker, issued, world.now + 4 * MINUTE) == ["good"]
    assert world.responder.counts()["crl"] == 1
    assert refusal(world, checker, issued, world.now + 11 * MINUTE).reason is Reason.REVOKED
    assert world.responder.counts()["crl"] == 2


def test_a_fetched_list_is_kept_no_longer_than_the_cap(world: World) -> None:
    issued = world.issue(ocsp=False, crl=True)
    checker = world.checker(max_cache_age=20 * MINUTE)
    assert statuses(world, checker, issued) == ["good"]
    world.responder.mode = Mode.SERVER_ERROR
    assert statuses(world, checker, issued, world.now + 19 * MINUTE) == ["good"]
    assert refusal(world, checker, issued, world.now + 21 * MINUTE).reason is Reason.REVOCATION_UNKNOWN


def test_an_answer_of_before_the_revocation_does_not_undo_it() -> None:
    """Somebody on the way keeps a good answer, and sends it again when the certificate is revoked."""
    now = datetime.now(UTC).replace(microsecond=0)
    clock = [now]
    ca = DevelopmentCA.create()
    with Responder(ca, clock=lambda: clock[0], lifetime=timedelta(days=3)) as responder:
        world = World(responder, ca)
        issued = world.issue()
        responder.revoke(issued)
        checker = world.checker(refresh=5 * MINUTE)
        assert refusal(world, checker, issued, now).reason is Reason.REVOKED
        responder.register = MemoryRegister((ca,))  # in which nothing is revoked
        clock[0] = now - timedelta(hours=2)
        for minutes in (6, 11, 30):
            assert refusal(world, checker, issued, now + minutes * MINUTE).reason is Reason.REVOKED
        clock[0] = now + 60 * MINUTE  # removed from hold: a newer answer says so
        assert statuses(world, checker, issued, now + 61 * MINUTE) == ["good"]


def test_a_revocation_outlives_a_clock_that_is_set_back(world: World) -> None:
    """P13: also where an outage is accepted."""
    issued = world.issue()
    world.responder.revoke(issued)
    checker = world.checker(unreachable="accept", nonce="prefer")
    refusal(world, checker, issued)
    world.responder.mode = Mode.SERVER_ERROR
    assert refusal(world, checker, issued, world.now - 10 * MINUTE).reason is Reason.REVOKED
    assert refusal(world, checker, issued).reason is Reason.REVOKED


class Breaking(Fetcher):
    """Works once; then there is a fault of ours in it."""

    works = True

    def fetch(self, url: str, **options: Any) -> Fetched:
        if not self.works:
            raise RuntimeError("a fault")
        return super().fetch(url, **options)


@pytest.mark.parametrize("revoked", [True, False])
def test_a_fault_of_ours_undoes_no_revocation(world: World, caplog: pytest.LogCaptureFixture, revoked: bool) -> None:
    """Nor does it end a request with anything but a verdict, also where an outage is accepted."""
    issued = world.issue()
    fetcher = Breaking(hosts=["127.0.0.1"])
    checker = RevocationChecker(RevocationPolicy(unreachable="accept", timeout=5.0), fetcher=fetcher)
    if revoked:
        world.responder.revoke(issued)
        refusal(world, checker, issued)
        fetcher.works = False
        assert refusal(world, checker, issued, world.now + 90 * MINUTE).reason is Reason.REVOKED
    else:
        assert statuses(world, checker, issued) == ["good"]
        fetcher.works = False
        assert statuses(world, checker, issued, world.now + 90 * MINUTE) == ["unknown"]
    assert "please report this" in caplog.text


def test_a_time_without_a_zone_is_refused(world: World) -> None:
    with pytest.raises(ConfigurationError, match="time zone"):
        world.checker().check(world.path(world.issue()), at=datetime(2026, 1, 1))  # type: ignore[arg-type]


def test_many_requests_ask_once(world: World) -> None:
    """P4: one question for a certificate, however many wait for the answer."""
    issued = world.issue()
    checker = world.checker()
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(statuses(world, checker, issued))) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["good"]] * 32
    assert world.responder.counts()["ocsp"] == 1


def test_a_responder_that_failed_is_left_in_peace(world: World) -> None:
    """P4: further requests are refused at once, and nothing is asked for five seconds."""
    issued = world.issue()
    world.responder.mode = Mode.SERVER_ERROR
    checker = world.checker()
    refusal(world, checker, issued)
    asked = world.responder.counts()["ocsp"]
    started = time.monotonic()
    for _ in range(50):
        refusal(world, checker, issued)
    assert time.monotonic() - started < 1
    assert world.responder.counts()["ocsp"] == asked


def test_an_outage_is_that_of_a_responder_not_of_a_certificate(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """P4: the next certificate does not wait for what is known to be down, and the log has one line about it."""
    world.responder.mode = Mode.SILENT
    checker = world.checker(timeout=0.3)
    with caplog.at_level("INFO", logger="mtls_core.revocation"):
        refusal(world, checker, world.issue())
        until(lambda: caplog.records)
        started = time.monotonic()
        for _ in range(5):
            refusal(world, checker, world.issue())
        assert time.monotonic() - started < 0.3
    assert len(caplog.records) == 1


def test_an_answer_is_renewed_in_the_background(world: World) -> None:
    """P11: the request that finds an answer old is served by it, and the next one by the new one."""
    issued = world.issue()
    checker = world.checker(refresh=5 * MINUTE)
    statuses(world, checker, issued)
    world.responder.revoke(issued)
    assert statuses(world, checker, issued, world.now + 4 * MINUTE) == ["good"]
    assert world.responder.counts()["ocsp"] == 1
    assert statuses(world, checker, issued, world.now + 6 * MINUTE) == ["good"]
    until(lambda: world.responder.counts()["ocsp"] == 2)

    def is_revoked() -> bool:
        try:
            statuses(world, checker, issued, world.now + 6 * MINUTE)
        except CertificateRejected as rejected:
            return rejected.reason is Reason.REVOKED
        return False

    until(is_revoked)


def test_an_answer_that_nobody_asked_for_in_a_while_is_not_used_unseen(world: World) -> None:
    """P11: after twice the refresh time a request waits for the new answer."""
    issued = world.issue()
    checker = world.checker(refresh=5 * MINUTE)
    statuses(world, checker, issued)
    world.responder.revoke(issued)
    assert refusal(world, checker, issued, world.now + 11 * MINUTE).reason is Reason.REVOKED


def test_a_clock_that_is_set_back_leaves_nothing_to_rely_on(world: World) -> None:
    """P13: an answer of the future is asked for again; one that only a later clock would give does not count."""
    issued = world.issue()
    checker = world.checker()
    statuses(world, checker, issued)
    rejected = refusal(world, checker, issued, world.now - timedelta(days=2))
    assert rejected.reason is Reason.REVOCATION_UNKNOWN
    assert world.responder.counts()["ocsp"] == 2


def test_an_answer_that_was_signed_after_the_question_counts(world: World) -> None:
    """A second may begin between the request and the answer."""
    before = datetime.now(UTC) - timedelta(seconds=1.2)
    world.responder.mode, world.responder.settings.delay = Mode.SLOW, 1.3
    assert statuses(world, world.checker(timeout=5.0), world.issue(), before) == ["good"]


def test_an_address_of_a_private_network_is_not_asked(world: World) -> None:
    issued = world.issue()
    checker = RevocationChecker(RevocationPolicy(timeout=1.0))
    rejected = refusal(world, checker, issued)
    assert rejected.reason is Reason.REVOCATION_UNKNOWN
    assert "MTLS_REVOCATION_HOSTS" in rejected.detail
    assert world.responder.counts()["ocsp"] == 0


def test_a_nonce_is_sent_and_its_answer_is_kept_for_nobody_else(world: World) -> None:
    issued = world.issue()
    assert statuses(world, world.checker(nonce="require"), issued) == ["good"]
    world.responder.mode = Mode.NONCE_REPLACED
    assert refusal(world, world.checker(nonce="prefer"), issued).reason is Reason.REVOCATION_UNKNOWN
