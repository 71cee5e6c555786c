"""The revocation lists of the development CA."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from mtls_core.devca import DevelopmentCA, Revocation, scope

from .crafting import AT, make_root

HOLD = x509.ReasonFlags.certificate_hold


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


def _extension(crl: bytes, kind: type[Any]) -> tuple[Any, bool]:
    found = x509.load_der_x509_crl(crl).extensions.get_extension_for_class(kind)
    return found.value, found.critical


def test_a_complete_list_has_no_extension_that_it_need_not_have(ca: DevelopmentCA) -> None:
    oids = {extension.oid for extension in x509.load_der_x509_crl(ca.crl()).extensions}
    assert oids == {ExtensionOID.CRL_NUMBER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER}


def test_a_delta(ca: DevelopmentCA) -> None:
    value, critical = _extension(ca.crl(number=5, base=3), x509.DeltaCRLIndicator)
    assert (value.crl_number, critical) == (3, True)


def test_a_scope(ca: DevelopmentCA) -> None:
    wanted = scope("http://crl.example/", only="user", reasons=[HOLD], indirect=True)
    value, critical = _extension(ca.crl(scope=wanted), x509.IssuingDistributionPoint)
    assert critical
    assert [name.value for name in value.full_name] == ["http://crl.example/"]
    assert (value.only_contains_user_certs, value.only_contains_ca_certs, value.indirect_crl) == (True, False, True)
    assert value.only_some_reasons == {HOLD}


@pytest.mark.parametrize("only", ["user", "ca", "attribute"])
def test_a_scope_of_one_kind(only: str) -> None:
    value = scope(only=only)
    kinds = {
        "user": value.only_contains_user_certs,
        "ca": value.only_contains_ca_certs,
        "attribute": value.only_contains_attribute_certs,
    }
    assert [kind for kind, chosen in kinds.items() if chosen] == [only]


def test_a_scope_with_a_relative_name() -> None:
    rdn = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CRL1")])
    assert scope(relative=rdn).relative_name == rdn


def test_where_deltas_are(ca: DevelopmentCA) -> None:
    value, critical = _extension(ca.crl(freshest=["http://crl.example/delta"]), x509.FreshestCRL)
    assert ([point.full_name[0].value for point in value], critical) == (["http://crl.example/delta"], False)


def test_extensions_are_added_and_left_out(ca: DevelopmentCA) -> None:
    crl = x509.load_der_x509_crl(
        ca.crl(extensions=[(x509.DeltaCRLIndicator(1), False)], without=[ExtensionOID.CRL_NUMBER])
    )
    oids = {extension.oid for extension in crl.extensions}
    assert oids == {ExtensionOID.DELTA_CRL_INDICATOR, ExtensionOID.AUTHORITY_KEY_IDENTIFIER}


def test_an_entry_with_all_that_an_entry_can_hold(ca: DevelopmentCA) -> None:
    issued = ca.client("billing")
    other = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other")])
    date = AT - timedelta(days=2)
    listed = Revocation(
        which=issued, date=date, reason=HOLD, issuer=other, extensions=((x509.InvalidityDate(date), False),)
    )
    (entry,) = x509.load_der_x509_crl(ca.crl([listed]))
    assert (entry.serial_number, entry.revocation_date_utc) == (issued.certificate.serial_number, date)
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is HOLD
    named = entry.extensions.get_extension_for_class(x509.CertificateIssuer)
    assert (named.critical, named.value.get_values_for_type(x509.DirectoryName)) == (True, [other])
    assert entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc == date


def test_another_hash(ca: DevelopmentCA) -> None:
    digest = x509.load_der_x509_crl(ca.crl(hash="sha512")).signature_hash_algorithm
    assert digest is not None
    assert digest.name == "sha512"
