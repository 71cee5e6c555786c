"""What OpenSSL is asked, and that nothing but its yes is one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.second_opinion import disagreement

from .crafting import AT, make_root, resign, set_fields


@pytest.fixture(scope="module")
def root() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def issued(root: DevelopmentCA) -> Issued:
    return root.intermediate("One").intermediate("Two").client("x")


def _path(root: DevelopmentCA, issued: Issued) -> list[Any]:
    return [issued.certificate, *issued.chain, root.certificate]


def test_a_good_path(root: DevelopmentCA, issued: Issued) -> None:
    assert disagreement(_path(root, issued), at=AT) is None


def test_another_anchor(issued: Issued) -> None:
    text = disagreement(_path(make_root(), issued), at=AT)
    assert text is not None
    assert text == "unable to get local issuer certificate (error 20 at depth 2)"


def test_a_missing_intermediate(root: DevelopmentCA, issued: Issued) -> None:
    assert disagreement([issued.certificate, issued.chain[0], root.certificate], at=AT) is not None


def test_what_stands_last_is_the_anchor(issued: Issued) -> None:
    """Which certificates may be is decided before."""
    assert disagreement([issued.certificate, *issued.chain], at=AT) is None
    assert disagreement([issued.certificate, issued.chain[0]], at=AT) is None


def test_an_expired_anchor() -> None:
    anchor = make_root(not_before=AT - timedelta(days=9), not_after=AT - timedelta(days=1))
    assert disagreement([anchor.client("x").certificate, anchor.certificate], at=AT) is not None


def test_an_anchor_that_is_no_ca() -> None:
    anchor = make_root(extensions=[(x509.BasicConstraints(ca=False, path_length=None), True)])
    assert disagreement([anchor.client("x").certificate, anchor.certificate], at=AT) is not None


def test_a_superfluous_intermediate(root: DevelopmentCA, issued: Issued) -> None:
    """It must be this path, not just some path through its certificates."""
    stranger = make_root("Stranger").certificate
    path = [issued.certificate, *issued.chain, stranger, root.certificate]
    assert disagreement(path, at=AT) == "accepted, but along another path"


def test_a_changed_leaf(root: DevelopmentCA, issued: Issued) -> None:
    forged = resign(issued.certificate, make_root(), lambda tbs: None)
    text = disagreement([forged, *issued.chain, root.certificate], at=AT)
    assert text is not None
    assert "certificate signature failure" in text


@pytest.mark.parametrize(
    ("at", "accepted"),
    [
        (AT + timedelta(days=30), True),
        (AT + timedelta(days=30, seconds=1), False),
        (AT - timedelta(hours=1), True),
        (AT - timedelta(hours=1, seconds=1), False),
        (None, True),
    ],
)
def test_the_time_is_the_one_that_was_asked_for(
    root: DevelopmentCA, issued: Issued, at: datetime | None, accepted: bool
) -> None:
    assert (disagreement(_path(root, issued), at=at) is None) is accepted


def test_without_a_time_dates_of_the_past_do_not_count(root: DevelopmentCA) -> None:
    expired = root.client("x", not_after=AT.replace(year=2001))
    assert disagreement([expired.certificate, root.certificate], at=None) is None


def test_without_a_time_the_rest_counts(root: DevelopmentCA, issued: Issued) -> None:
    assert disagreement(_path(make_root(), issued), at=None) is not None


def test_name_constraints_are_judged_too(root: DevelopmentCA) -> None:
    ca = root.intermediate(extensions=[(x509.NameConstraints([x509.DNSName("example.org")], None), True)])
    for name, accepted in (("a.example.org", True), ("evil.org", False)):
        path = [ca.client("x", dns=[name]).certificate, ca.certificate, root.certificate]
        assert (disagreement(path, at=AT) is None) is accepted


def test_required_policies_are_judged_too(root: DevelopmentCA) -> None:
    """The flag POLICY_CHECK is set."""
    for skip, accepted in ((0, False), (5, True)):
        ca = root.intermediate(extensions=[(x509.PolicyConstraints(skip, None), True)])
        path = [ca.client("x").certificate, ca.certificate, root.certificate]
        assert (disagreement(path, at=AT) is None) is accepted


def test_a_self_signed_certificate_is_its_own_anchor() -> None:
    certificate = self_signed("x", at=AT).certificate
    assert disagreement([certificate], at=AT) is None


def test_of_a_self_signed_certificate_the_signature_is_checked() -> None:
    """Without CHECK_SS_SIGNATURE, OpenSSL does not look at the signature of what it is told to trust."""
    certificate = self_signed("x", at=AT).certificate
    forged = resign(certificate, make_root(), set_fields())
    text = disagreement([forged], at=AT)
    assert text is not None
    assert "signature failure" in text


def test_an_expired_self_signed_certificate() -> None:
    certificate = self_signed("x", at=AT, not_after=AT - timedelta(days=1)).certificate
    assert disagreement([certificate], at=AT) is not None


def test_what_keeps_openssl_from_answering_is_no_yes(root: DevelopmentCA) -> None:
    """CVE-2021-4044: neither yes nor no is no."""
    no_certificate: Any = object()
    text = disagreement([no_certificate, root.certificate], at=AT)
    assert text is not None
    assert text.startswith("no answer")


def test_no_path_at_all_is_no_yes() -> None:
    assert disagreement([], at=AT) is not None
