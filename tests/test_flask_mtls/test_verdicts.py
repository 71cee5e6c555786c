"""What is remembered, for how long, and that rotation and threads change nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flask_mtls import MTLS, CertificateRejected
from flask_mtls.config import read_settings
from flask_mtls.material import load_material
from flask_mtls.sources import Presented
from flask_mtls.verdicts import BoundedMap, Generation, KnownIssuers, VerdictCache
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.verifier import VerifiedCertificate

from .conftest import MakeApp, answer

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def verdict(billing: Issued) -> VerifiedCertificate:
    return VerifiedCertificate(billing.certificate, (billing.certificate,), "chained", NOON + timedelta(hours=1))


def test_lifetime(verdict: VerifiedCertificate) -> None:
    cache = VerdictCache(10, timedelta(minutes=5))
    cache.put(b"key", verdict, at=NOON, expires=None)
    assert cache.get(b"key", at=NOON + timedelta(minutes=5)) is verdict
    assert cache.get(b"key", at=NOON + timedelta(minutes=5, seconds=1)) is None


def test_expiry_ends_the_lifetime(verdict: VerifiedCertificate) -> None:
    cache = VerdictCache(10, timedelta(minutes=5))
    cache.put(b"key", verdict, at=NOON, expires=NOON + timedelta(minutes=1))
    assert cache.get(b"key", at=NOON + timedelta(minutes=1)) is verdict
    assert cache.get(b"key", at=NOON + timedelta(minutes=1, seconds=1)) is None


def test_nothing_holds_before_it_was_given(verdict: VerifiedCertificate) -> None:
    cache = VerdictCache(10, timedelta(minutes=5))
    cache.put(b"key", verdict, at=NOON, expires=None)
    assert cache.get(b"key", at=NOON - timedelta(seconds=1)) is None


def test_least_recently_used_is_forgotten() -> None:
    entries: BoundedMap[int] = BoundedMap(2)
    entries.put(b"a", 1)
    entries.put(b"b", 2)
    entries.get(b"a")
    entries.put(b"c", 3)
    assert (entries.get(b"a"), entries.get(b"b"), entries.get(b"c")) == (1, None, 3)
    assert len(entries) == 2


def test_size_of_zero_remembers_nothing() -> None:
    entries: BoundedMap[int] = BoundedMap(0)
    entries.put(b"a", 1)
    assert entries.get(b"a") is None


def generation(ca: DevelopmentCA, **settings: object) -> Generation:
    read = read_settings({"MTLS_CLIENT_CA": ca.pem} | settings)
    return Generation(read, load_material(read), KnownIssuers(10))


def test_known_certificate_is_not_verified_again(ca: DevelopmentCA, billing: Issued) -> None:
    """The intermediates are not even asked for."""
    decides = generation(ca)
    asked: list[bool] = []
    presented = Presented(billing.certificate.der, "test", lambda: asked.append(True) or ())  # type: ignore[func-returns-value]
    first = decides.verify(presented, at=datetime.now(UTC))
    assert decides.verify(presented, at=datetime.now(UTC)) is first
    assert asked == [True]


def test_refusals_take_no_room(ca: DevelopmentCA, foreign_ca: DevelopmentCA) -> None:
    decides = generation(ca)
    for _ in range(3):
        with pytest.raises(CertificateRejected):
            decides.verify(Presented(foreign_ca.client("x").certificate.der, "test"), at=datetime.now(UTC))
    assert len(decides.cache) == 0


def test_many_callers_take_bounded_room(ca: DevelopmentCA) -> None:
    decides = generation(ca, MTLS_CACHE_SIZE=3)
    for number in range(6):
        decides.verify(Presented(ca.client(f"c{number}").certificate.der, "test"), at=datetime.now(UTC))
    assert len(decides.cache) == 3


def test_certificates_alike_in_serial_number_share_nothing(
    make_app: MakeApp, ca: DevelopmentCA, foreign_ca: DevelopmentCA
) -> None:
    """CVE-2026-71326: the key is the SHA-256 of the whole certificate."""
    ours, theirs = (each.client("billing", serial_number=4711) for each in (ca, foreign_ca))
    app = make_app()
    assert [answer(app, each) for each in (ours, theirs, ours)] == [200, "issuer_not_found", 200]


def test_expired_verdict_within_the_clock_skew_is_not_renewed_by_the_cache(ca: DevelopmentCA) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    presented = Presented(ca.client("late", not_after=now).certificate.der, "test")
    decides = generation(ca, MTLS_CLOCK_SKEW=60)
    decides.verify(presented, at=now + timedelta(seconds=59))
    with pytest.raises(CertificateRejected) as caught:
        decides.verify(presented, at=now + timedelta(seconds=61))
    assert caught.value.reason == "expired"


def test_threads_and_rotation(make_app: MakeApp, ca: DevelopmentCA, foreign_ca: DevelopmentCA, tmp_path: Path) -> None:
    """P20: the same decision under 32 threads while the anchors are replaced: those always trusted always pass,
    those never trusted never do, and who lost its anchor is out from the first request after the reload on.
    """
    file = tmp_path / "ca.pem"
    mtls = MTLS()
    file.write_text(ca.pem)
    app = make_app(mtls, MTLS_CLIENT_CA=file, MTLS_CACHE_SIZE=4)
    always, sometimes = ca.client("always"), foreign_ca.client("sometimes")
    never = DevelopmentCA.create("Nobody's").client("never")
    stop = threading.Event()
    wrong: list[object] = []

    def calls() -> int:
        number = 0
        while not stop.is_set():
            outcomes = (answer(app, always), answer(app, never), answer(app, sometimes))
            if outcomes[:2] != (200, "issuer_not_found") or outcomes[2] not in (200, "issuer_not_found"):
                wrong.append(outcomes)
            number += 1
        return number

    with ThreadPoolExecutor(32) as pool:
        running = [pool.submit(calls) for _ in range(32)]
        for trusted in (True, False) * 10:
            file.write_text(ca.pem + (foreign_ca.pem if trusted else ""))
            mtls.reload(app)
            assert answer(app, sometimes) == (200 if trusted else "issuer_not_found")
        stop.set()
        assert all(each.result() for each in running)
    assert wrong == []
