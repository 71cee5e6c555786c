"""Reading one list: what it shows, and what is not a list."""

from __future__ import annotations

import base64
import random
import time
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from mtls_core import ber, der
from mtls_core.devca import DevelopmentCA, Issued, Revocation, scope
from mtls_core.revocation.crl import CertificateList, MalformedCRL, judge
from mtls_core.revocation.status import Status

from . import crafting
from .crafting import AT, ECDSA_SHA256, ECDSA_SHA384, make_root
from .revocation_lists import (
    DAY,
    HOUR,
    KEY_COMPROMISE,
    POLICY,
    UNKNOWN,
    entry,
    extension,
    hold,
    path_of,
    point,
    points,
    read,
    resign,
    sign,
    signed_with_sha224,
    with_entries,
    without_next_update,
)

URL = "http://crl.example/ca.crl"
_EXTENSIONS = 0xA0
_IDP = bytes.fromhex("551d1c")
_NUMBER = bytes.fromhex("551d14")


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def client(ca: DevelopmentCA) -> Issued:
    return ca.client("billing")


def _refused(data: object, **options: object) -> str:
    with pytest.raises(MalformedCRL) as caught:
        CertificateList.from_der(data, source="ca.crl", **options)  # type: ignore[arg-type]
    assert str(caught.value).startswith("ca.crl: ")
    return caught.value.detail


def _pem(data: bytes) -> bytes:
    return b"-----BEGIN X509 CRL-----\n" + base64.encodebytes(data) + b"-----END X509 CRL-----\n"


def _with_scope(ca: DevelopmentCA, value: bytes) -> bytes:
    """A list whose issuing distribution point is raw DER."""
    raw = extension(_IDP, ber.encode(der.SEQUENCE, value), critical=True)
    return resign(
        ca.crl([5]), ca, lambda fields: fields.__setitem__(6, ber.encode(_EXTENSIONS, ber.encode(der.SEQUENCE, raw)))
    )


class TestView:
    def test_the_issuer(self, ca: DevelopmentCA) -> None:
        crl = read(ca.crl())
        assert (crl.issuer, crl.issuer_name) == ("CN=Root", ca.certificate.subject_name)
        assert crl.issuer_der == ca.certificate.subject_der

    def test_numbers_and_dates(self, ca: DevelopmentCA) -> None:
        crl = read(ca.crl(number=7, this_update=AT - HOUR, next_update=AT + DAY))
        assert (crl.number, crl.base_number, crl.is_delta) == (7, None, False)
        assert (crl.this_update, crl.next_update) == (AT - HOUR, AT + DAY)

    def test_a_delta(self, ca: DevelopmentCA) -> None:
        crl = read(ca.crl(number=7, base=3))
        assert (crl.number, crl.base_number, crl.is_delta) == (7, 3, True)

    def test_what_a_list_may_lack(self, ca: DevelopmentCA) -> None:
        crl = read(without_next_update(ca.crl(without=[ExtensionOID.CRL_NUMBER]), ca))
        assert (crl.number, crl.next_update) == (None, None)

    def test_the_key_that_signed_it(self, ca: DevelopmentCA) -> None:
        assert read(ca.crl()).authority_key_id == ca.certificate.subject_key_id
        assert read(ca.crl(without=[ExtensionOID.AUTHORITY_KEY_IDENTIFIER])).authority_key_id is None

    def test_where_deltas_are(self, ca: DevelopmentCA) -> None:
        crl = read(ca.crl(freshest=["http://crl.example/delta.crl"]))
        assert [where.urls for where in crl.delta_points] == [("http://crl.example/delta.crl",)]

    def test_critical_extensions_that_are_not_known(self, ca: DevelopmentCA) -> None:
        crl = read(ca.crl(scope=scope(only="user"), base=1, extensions=[(UNKNOWN, True)]))
        assert crl.unknown_critical == (UNKNOWN.oid.dotted_string,)
        assert read(ca.crl(extensions=[(UNKNOWN, False)])).unknown_critical == ()

    def test_a_list_of_version_1_without_extensions(self, ca: DevelopmentCA) -> None:
        def to_version_1(fields: list[bytes]) -> None:
            fields[:] = fields[1:-1]

        crl = read(resign(ca.crl([5]), ca, to_version_1))
        assert (crl.entry_count, crl.number) == (1, None)

    def test_its_description_names_number_issuer_date_and_source(self, ca: DevelopmentCA) -> None:
        assert read(ca.crl(number=7)).describe() == "CRL number 7 of CN=Root from 2026-06-01T11:00:00Z (test.crl)"
        assert repr(read(ca.crl(number=7, base=1))).startswith("<CertificateList delta number 7 of CN=Root")

    def test_line_ends_in_a_source_do_not_reach_a_log(self, ca: DevelopmentCA) -> None:
        assert "\n" not in read(ca.crl(), "a\nb").describe()

    @pytest.mark.parametrize("key", ["ec", "p384", "rsa", "rsa-pss", "ed25519", "ed448"])
    def test_a_signature_by_every_allowed_kind_of_key(self, key: str) -> None:
        ca = make_root(key=key)
        crl = read(ca.crl([5]))
        assert crl.is_signed_by(ca.certificate)
        assert not crl.is_signed_by(make_root(key=key).certificate)

    def test_no_signature_by_an_algorithm_that_is_not_allowed(self, ca: DevelopmentCA) -> None:
        assert not read(signed_with_sha224(ca.crl([5]), ca)).is_signed_by(ca.certificate)

    def test_no_other_signature_than_pss_by_a_key_that_is_for_pss_alone(self) -> None:
        """RFC 4055, section 1.2."""
        ca = make_root(key="rsa")
        numbers = ca.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        kind = ber.encode(der.SEQUENCE, ber.encode(der.OBJECT_IDENTIFIER, bytes.fromhex("2a864886f70d01010a")))
        spki = ber.encode(der.SEQUENCE, kind, ber.encode(der.BIT_STRING, b"\0", numbers))
        marked = crafting.resign(ca.certificate, ca, crafting.set_fields(spki=spki))
        with_pss = DevelopmentCA(ca.certificate, ca.private_key, AT, pss=True)
        assert read(ca.crl()).is_signed_by(ca.certificate)
        assert not read(ca.crl()).is_signed_by(marked)
        assert read(with_pss.crl()).is_signed_by(marked)

    def test_keys_that_were_tried_do_not_pile_up(self, ca: DevelopmentCA, client: Issued) -> None:
        crl = read(ca.crl())
        others = [make_root().certificate for _ in range(65)]
        assert not any(crl.is_signed_by(other) for other in others)
        assert len(crl._body.verified) <= 64
        assert crl.is_signed_by(ca.certificate)


class TestPem:
    def test_all_lists_of_a_text(self, ca: DevelopmentCA) -> None:
        text = b"# lists\n" + _pem(ca.crl(number=1)) + ca.pem.encode() + _pem(ca.crl(number=2))
        assert [crl.number for crl in CertificateList.all_from_pem(text)] == [1, 2]

    def test_a_text_without_lists(self, ca: DevelopmentCA) -> None:
        assert CertificateList.all_from_pem(ca.pem.encode()) == ()

    def test_a_block_that_does_not_end(self, ca: DevelopmentCA) -> None:
        with pytest.raises(MalformedCRL, match="has no end"):
            CertificateList.all_from_pem(_pem(ca.crl())[:-20])

    def test_a_block_that_is_not_base64(self) -> None:
        with pytest.raises(MalformedCRL, match="damaged"):
            CertificateList.all_from_pem(_pem(b"x").replace(b"eA==", b"e!=="))


class TestMalformed:
    def test_no_bytes(self) -> None:
        assert "not str" in _refused("text")

    def test_longer_than_allowed(self, ca: DevelopmentCA) -> None:
        data = ca.crl()
        assert f"{len(data) - 1} are read at most" in _refused(data, max_size=len(data) - 1)
        assert CertificateList.from_der(data, max_size=len(data))

    def test_the_length_is_looked_at_first(self) -> None:
        assert "are read at most" in _refused(b"not a list", max_size=3)

    @pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<html>404</html>", b"\x30\x80\x00\x00", b"\x30\x84\xff"])
    def test_p6_what_is_not_a_list(self, data: bytes) -> None:
        """P6: garbage and nothing."""
        _refused(data)

    def test_p6_every_half_written_list(self, ca: DevelopmentCA) -> None:
        """P6: a file that is being replaced."""
        data = ca.crl([5, 6])
        for length in range(len(data)):
            _refused(data[:length])

    def test_bytes_behind_it(self, ca: DevelopmentCA) -> None:
        _refused(ca.crl() + b"\0")

    def test_a_certificate(self, ca: DevelopmentCA) -> None:
        _refused(ca.certificate.der)

    def test_version_1_with_extensions(self, ca: DevelopmentCA) -> None:
        data = resign(ca.crl([5]), ca, lambda fields: fields.pop(0))
        assert "version 1 has extensions" in _refused(data)

    @pytest.mark.parametrize("version", [0, 2])
    def test_an_unknown_version(self, ca: DevelopmentCA, version: int) -> None:
        def change(fields: list[bytes]) -> None:
            fields[0] = ber.encode(der.INTEGER, bytes([version]))

        _refused(resign(ca.crl(), ca, change))

    def test_rule_the_algorithm_inside_is_the_one_outside(self, ca: DevelopmentCA) -> None:
        """RFC 5280, section 5.1.1.2."""

        def change(fields: list[bytes]) -> None:
            fields[1] = ECDSA_SHA384

        _refused(resign(ca.crl(), ca, change))

    def test_an_extension_twice(self, ca: DevelopmentCA) -> None:
        number = extension(_NUMBER, b"\x02\x01\x07", critical=False)

        def change(fields: list[bytes]) -> None:
            fields[5] = ber.encode(_EXTENSIONS, ber.encode(der.SEQUENCE, number, number))

        _refused(resign(ca.crl(), ca, change))

    @pytest.mark.parametrize(
        ("value", "part"),
        [
            (b"", "empty extension"),
            (b"\x81\x01\xff\x82\x01\xff", "Only one"),
            (b"\xa0\x02\xa0\x00\x81\x01\xff", "has a name of which there is none"),
            (b"\x81\x01\xff\x83\x01\x00", "some reasons of which there are none"),
            (b"\x81\x01\xff\x83\x02\x07\x80", "some reasons of which there are none"),
        ],
    )
    def test_a_scope_that_contradicts_itself(self, ca: DevelopmentCA, value: bytes, part: str) -> None:
        assert part in _refused(_with_scope(ca, value))

    def test_a_scope_that_does_not(self, ca: DevelopmentCA) -> None:
        assert read(_with_scope(ca, b"\x81\x01\xff")).scope.only == "user"

    @pytest.mark.parametrize(
        "bad",
        [
            entry(b""),
            entry(b"\0\1"),
            entry(b"\1", b"261301000000Z"),
            entry(b"\1", b"2601010000Z"),
            entry(b"\1", extensions=b"\x30\x03\x02\x01\x01"),
            b"\x30\x00",
            b"\x02\x01\x01",
        ],
    )
    def test_an_entry_that_is_none(self, ca: DevelopmentCA, bad: bytes) -> None:
        _refused(with_entries(ca.crl([5]), ca, entry(b"\5"), bad))

    def test_a_serial_number_that_is_endless(self, ca: DevelopmentCA) -> None:
        assert "longer than 64 bytes" in _refused(with_entries(ca.crl([5]), ca, entry(b"\1" * 65)))
        assert read(with_entries(ca.crl([5]), ca, entry(b"\1" * 64))).entry_count == 1


def _rich(ca: DevelopmentCA, client: Issued) -> bytes:
    """A list in which everything occurs that a list can hold."""
    other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Other")])
    return ca.crl(
        [hold(client), Revocation(which=7, reason=KEY_COMPROMISE, issuer=other), 8],
        base=1,
        number=3,
        scope=scope(URL, name=other, reasons=[KEY_COMPROMISE], indirect=True),
        freshest=["http://crl.example/delta.crl"],
    )


def _damaged(data: bytes, source: random.Random) -> bytes:
    damaged = bytearray(data)
    for place in source.sample(range(len(damaged)), source.randint(1, 4)):
        damaged[place] ^= source.randint(1, 255)
    if source.random() < 0.1:
        del damaged[source.randrange(len(damaged)) :]
    return bytes(damaged)


@pytest.mark.parametrize("signed_again", [False, True])
def test_mutants_are_lists_or_malformed_and_nothing_else(ca: DevelopmentCA, signed_again: bool) -> None:
    """P6: thousands of damaged lists, read and asked. Signed again, so that they are also looked into."""
    client = ca.client("billing", extensions=points(point(URL)))
    data, base = _rich(ca, client), read(ca.crl(number=2))
    tbs = next(der.read_all(data).children()).raw
    source = random.Random(20260601)  # noqa: S311 - to be the same each time
    read_well = asked_well = 0
    start = time.process_time()
    for _ in range(3000):
        mutant = sign(_damaged(tbs, source), ca, ECDSA_SHA256) if signed_again else _damaged(data, source)
        try:
            crl = CertificateList.from_der(mutant)
        except MalformedCRL:
            continue
        read_well += 1
        crl.entry(client.certificate.serial_number, ca.certificate.subject_name)
        assert crl.describe()
        answer = judge(path_of(client), 0, [crl, base], at=AT, policy=POLICY)
        asked_well += answer.status is Status.REVOKED
    assert 300 < read_well < 2700
    assert (asked_well > 0) is signed_again
    assert time.process_time() - start < 5


def test_dates_of_other_centuries(ca: DevelopmentCA) -> None:
    entries = [entry(b"\1", b"491231235959Z"), entry(b"\2", b"500101000000Z"), entry(b"\3", b"20991231235959Z")]
    crl = read(with_entries(ca.crl([5]), ca, *entries))
    dates = [found.revoked_at for serial in (1, 2, 3) if (found := crl.entry(serial, crl.issuer_name))]
    assert dates == [
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(1950, 1, 1, tzinfo=UTC),
        datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]
