"""Rules of revocation lists that the public test suites do not notice when they are missing.

Each test is named for its rule and asks twice: once with the rule broken, once with that one thing mended.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from mtls_core.devca import DevelopmentCA, Issued, Revocation, scope
from mtls_core.revocation.status import Status

from .crafting import AT, key_usage, make_root
from .revocation_lists import (
    DAY,
    HOUR,
    REMOVE,
    SECOND,
    UNKNOWN,
    ask,
    hold,
    resign,
    without_next_update,
)

LIST_SIGNER = [key_usage("crl_sign")]


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def client(ca: DevelopmentCA) -> Issued:
    return ca.client("billing")


def _base(ca: DevelopmentCA, *entries: Any, **options: Any) -> bytes:
    usual: dict[str, Any] = {"number": 5, "this_update": AT - DAY, "next_update": AT + 7 * DAY}
    return ca.crl(entries, **usual | options)


def _delta(ca: DevelopmentCA, *entries: Any, **options: Any) -> bytes:
    usual: dict[str, Any] = {"number": 6, "base": 5, "this_update": AT - HOUR, "next_update": AT + DAY}
    return ca.crl(entries, **usual | options)


def test_rule_this_update_is_not_in_the_future(ca: DevelopmentCA, client: Issued) -> None:
    answer = ask(client, ca.crl(this_update=AT + SECOND))
    assert answer.status is Status.UNKNOWN
    assert "dated in the future" in answer.detail
    assert ask(client, ca.crl(this_update=AT)).status is Status.GOOD


def test_rule_a_list_says_when_the_next_one_is_due(ca: DevelopmentCA, client: Issued) -> None:
    """RFC 5280, section 5.1.2.5. Without it, any old list would be in date for ever."""
    answer = ask(client, without_next_update(ca.crl(), ca))
    assert answer.status is Status.UNKNOWN
    assert "does not say when the next one is due" in answer.detail
    assert ask(client, ca.crl()).status is Status.GOOD
    assert ask(client, without_next_update(ca.crl([client]), ca)).status is Status.REVOKED


def test_rule_the_signer_of_a_list_leads_to_the_anchor_of_the_certificate() -> None:
    """RFC 5280, section 6.3.3 (f). Another anchor may have a CA of the same name."""
    root, stranger = make_root(), make_root("Another root")
    sub = root.intermediate("Issuing CA")
    issued = sub.client("billing")
    own = root.intermediate("Issuing CA", extensions=LIST_SIGNER)
    foreign = stranger.intermediate("Issuing CA", extensions=LIST_SIGNER)
    help_ = [foreign.certificate, stranger.certificate, own.certificate]
    answer = ask(issued, foreign.crl(), signers=help_)
    assert answer.status is Status.UNKNOWN
    assert "does not lead to the trust anchor" in answer.detail
    assert ask(issued, own.crl(), signers=help_).status is Status.GOOD


@pytest.mark.parametrize("expired", ["signer", "its CA", None])
def test_rule_the_path_of_the_signer_of_a_list_is_valid(expired: str | None) -> None:
    """RFC 5280, section 6.3.3 (f)."""
    yesterday, next_year = AT - DAY, AT + timedelta(days=365)
    root = make_root()
    sub = root.intermediate("Issuing CA")
    above = root.intermediate("Above", not_after=yesterday if expired == "its CA" else next_year)
    signer = above.intermediate(
        "Issuing CA", extensions=LIST_SIGNER, not_after=yesterday if expired == "signer" else next_year
    )
    answer = ask(sub.client("billing"), signer.crl(), signers=[signer.certificate, above.certificate])
    assert answer.status is (Status.GOOD if expired is None else Status.UNKNOWN)
    assert ("expired on 2026-05-31T12:00:00Z" in answer.detail) is (expired is not None)


def test_rule_an_unknown_critical_extension_of_any_entry_spoils_the_list(ca: DevelopmentCA, client: Issued) -> None:
    """RFC 5280, section 5.3: such a list must not be used to determine the status of any certificate."""
    answer = ask(client, ca.crl([5, Revocation(which=6, extensions=((UNKNOWN, True),)), 7]))
    assert answer.status is Status.UNKNOWN
    assert f"an entry has a critical extension {UNKNOWN.oid.dotted_string}" in answer.detail
    assert ask(client, ca.crl([5, Revocation(which=6, extensions=((UNKNOWN, False),)), 7])).status is Status.GOOD


def test_rule_a_direct_list_does_not_name_other_issuers(ca: DevelopmentCA, client: Issued) -> None:
    """RFC 5280, section 5.3.3. Whose certificates its entries are about is not certain then."""
    entries = [Revocation(which=6, issuer=x509.Name.from_rfc4514_string("CN=Other"))]
    answer = ask(client, ca.crl(entries))
    assert answer.status is Status.UNKNOWN
    assert "does not say that it is indirect" in answer.detail
    assert ask(client, ca.crl(entries, scope=scope(indirect=True))).status is Status.GOOD
    assert ask(client, ca.crl([6])).status is Status.GOOD


@pytest.mark.parametrize("with_scope", ["base", "delta"])
def test_rule_a_delta_has_the_scope_of_its_base(ca: DevelopmentCA, client: Issued, with_scope: str) -> None:
    """RFC 5280, section 6.3.3 (c)(2)."""
    limited: dict[str, Any] = {"scope": scope(only="user")}
    base = _base(ca, hold(client), **(limited if with_scope == "base" else {}))
    delta = _delta(ca, hold(client, REMOVE), **(limited if with_scope == "delta" else {}))
    assert ask(client, base, delta).status is Status.REVOKED
    assert ask(client, _base(ca, hold(client), **limited), _delta(ca, hold(client, REMOVE), **limited)).status is (
        Status.GOOD
    )


def test_rule_a_delta_builds_on_the_base_or_an_older_one(ca: DevelopmentCA, client: Issued) -> None:
    """RFC 5280, section 5.2.4 (c): what was between the two is on neither."""
    stale = _base(ca, next_update=AT - HOUR)
    assert ask(client, stale, _delta(ca, number=7, base=6)).status is Status.UNKNOWN
    assert ask(client, stale, _delta(ca, number=7, base=5)).status is Status.GOOD
    assert ask(client, stale, _delta(ca, number=7, base=4)).status is Status.GOOD


@pytest.mark.parametrize(("number", "expected"), [(4, Status.REVOKED), (5, Status.REVOKED), (6, Status.GOOD)])
def test_rule_a_delta_is_newer_than_its_base(ca: DevelopmentCA, client: Issued, number: int, expected: Status) -> None:
    """RFC 5280, section 5.2.4 (d): an old one would release a certificate that has been revoked since."""
    delta = _delta(ca, hold(client, REMOVE), number=number, base=1)
    assert ask(client, _base(ca, hold(client)), delta).status is expected


@pytest.mark.parametrize("lacking", ["base", "delta"])
def test_rule_a_delta_names_the_key_that_its_base_names(ca: DevelopmentCA, client: Issued, lacking: str) -> None:
    """RFC 5280, section 6.3.3 (c)(3)."""
    without: dict[str, Any] = {"without": [ExtensionOID.AUTHORITY_KEY_IDENTIFIER]}
    base = _base(ca, hold(client), **(without if lacking == "base" else {}))
    delta = _delta(ca, hold(client, REMOVE), **(without if lacking == "delta" else {}))
    assert ask(client, base, delta).status is Status.REVOKED
    assert ask(client, _base(ca, hold(client)), _delta(ca, hold(client, REMOVE))).status is Status.GOOD


def test_rule_a_delta_is_signed_by_the_key_that_signed_its_base() -> None:
    """RFC 5280, section 6.3.3 (h)."""
    root = make_root()
    sub = root.intermediate("Issuing CA")
    other = root.intermediate("Issuing CA", extensions=LIST_SIGNER)
    issued = sub.client("billing")
    claims_sub = [(x509.AuthorityKeyIdentifier.from_issuer_public_key(sub.private_key.public_key()), False)]
    delta = _delta(other, hold(issued, REMOVE), extensions=claims_sub)
    base = _base(sub, hold(issued))
    assert ask(issued, base, delta, signers=[other.certificate]).status is Status.REVOKED
    assert ask(issued, base, _delta(sub, hold(issued, REMOVE)), signers=[other.certificate]).status is Status.GOOD


def test_rule_the_signature_of_a_delta_is_good(ca: DevelopmentCA, client: Issued) -> None:
    forged = resign(_delta(ca, hold(client, REMOVE)), make_root(), lambda fields: None)
    assert ask(client, _base(ca, hold(client)), forged).status is Status.REVOKED
    honest = resign(_delta(ca, hold(client, REMOVE)), ca, lambda fields: None)
    assert ask(client, _base(ca, hold(client)), honest).status is Status.GOOD
    accusing = _delta(ca, hold(client))
    assert ask(client, _base(ca), resign(accusing, make_root(), lambda fields: None)).status is Status.GOOD
    assert ask(client, _base(ca), accusing).status is Status.REVOKED


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({"next_update": AT - SECOND}, Status.REVOKED),
        ({"this_update": AT + SECOND}, Status.REVOKED),
        ({"this_update": AT, "next_update": AT}, Status.GOOD),
    ],
)
def test_rule_a_delta_is_in_date(ca: DevelopmentCA, client: Issued, dates: dict[str, Any], expected: Status) -> None:
    delta = _delta(ca, hold(client, REMOVE), **dates)
    assert ask(client, _base(ca, hold(client)), delta).status is expected
