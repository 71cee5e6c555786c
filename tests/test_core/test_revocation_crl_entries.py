"""Finding one entry among many."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from mtls_core import ber, der
from mtls_core.devca import DevelopmentCA, Revocation, scope
from mtls_core.revocation import crl_body
from mtls_core.revocation.crl import CertificateList, Entry, IndexFolder
from mtls_core.revocation.crl_entries import MAX_SERIAL_NUMBER_BYTES, serial_bytes

from .crafting import AT, make_root
from .revocation_lists import DAY, HOLD, KEY_COMPROMISE, REMOVE, UNKNOWN, entry, extension, read, with_entries

_REASON = bytes.fromhex("551d15")
_ISSUER = bytes.fromhex("551d1d")


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


def _name(value: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])


def _find(crl: CertificateList, serial: int, issuer: x509.Name | None = None) -> Entry | None:
    return crl.entry(serial, issuer or crl.issuer_name)


def _raw(ca: DevelopmentCA, *entries: bytes) -> CertificateList:
    return read(with_entries(ca.crl([5]), ca, *entries))


class TestDirect:
    def test_a_listed_serial_number(self, ca: DevelopmentCA) -> None:
        crl = read(ca.crl([(7, AT - DAY, KEY_COMPROMISE), 8]))
        assert _find(crl, 7) == Entry(7, AT - DAY, KEY_COMPROMISE)
        assert _find(crl, 8) == Entry(8, crl.this_update, None)

    def test_one_that_is_not_listed(self, ca: DevelopmentCA) -> None:
        assert _find(read(ca.crl([7])), 6) is None

    def test_an_empty_list(self, ca: DevelopmentCA) -> None:
        crl = read(ca.crl())
        assert (crl.entry_count, _find(crl, 7)) == (0, None)

    def test_a_field_of_entries_that_has_none(self, ca: DevelopmentCA) -> None:
        assert _raw(ca).entry_count == 0

    @pytest.mark.parametrize("serial", [1, 127, 128, 255, 256, 2**159 - 1, 2**64, 0, -1, -128, -129])
    def test_serial_numbers_are_found_in_the_form_that_der_gives_them(self, ca: DevelopmentCA, serial: int) -> None:
        crl = _raw(ca, entry(b"\x55"), entry(serial_bytes(serial)))
        assert _find(crl, serial) is not None
        assert _find(crl, serial + 1) is None

    def test_a_negative_one_is_not_its_bytes_read_as_positive(self, ca: DevelopmentCA) -> None:
        crl = _raw(ca, entry(b"\xff"))
        assert (_find(crl, 255), _find(crl, -1) is None) == (None, False)

    def test_serial_numbers_of_equal_checksum_are_told_apart(self, ca: DevelopmentCA) -> None:
        one, other = 0x7052CFC14AEE9C1C, 0x5AF5DC7DC0541CAC  # found by trial
        assert crc32(serial_bytes(one)) == crc32(serial_bytes(other))
        crl = read(ca.crl([one]))
        assert _find(crl, one) is not None
        assert _find(crl, other) is None
        assert _find(read(ca.crl([one, other])), other) is not None

    def test_a_long_entry(self, ca: DevelopmentCA) -> None:
        bulky = x509.UnrecognizedExtension(UNKNOWN.oid, ber.encode(der.OCTET_STRING, b"x" * 5000))
        entries = [Revocation(which=n, reason=HOLD, extensions=((bulky, False),)) for n in (7, 8)]
        crl = read(ca.crl([6, *entries, 9]))
        assert [found.reason for n in (6, 7, 8, 9) if (found := _find(crl, n))] == [None, HOLD, HOLD, None]

    def test_listed_twice_once_to_be_removed_it_stays(self, ca: DevelopmentCA) -> None:
        for reasons in ([REMOVE, HOLD], [HOLD, REMOVE]):
            crl = read(ca.crl([Revocation(which=7, reason=reason) for reason in reasons], base=1, number=2))
            found = _find(crl, 7)
            assert found is not None
            assert found.reason is HOLD

    def test_an_entry_whose_extensions_cannot_be_read_is_still_an_entry(self, ca: DevelopmentCA) -> None:
        bad_reason = ber.encode(der.SEQUENCE, extension(_REASON, b"\x0a\x01\x63", critical=False))
        found = _find(_raw(ca, entry(b"\7", extensions=bad_reason)), 7)
        assert found is not None
        assert found.reason is None

    def test_an_entry_with_an_extension_twice_is_still_an_entry(self, ca: DevelopmentCA) -> None:
        reason = extension(_REASON, b"\x0a\x01\x01", critical=False)
        found = _find(_raw(ca, entry(b"\7", extensions=ber.encode(der.SEQUENCE, reason, reason))), 7)
        assert found is not None
        assert found.reason is None

    @pytest.mark.parametrize(("critical", "expected"), [(True, UNKNOWN.oid.dotted_string), (False, None)])
    def test_an_unknown_extension_matters_if_it_is_critical(
        self, ca: DevelopmentCA, critical: bool, expected: str | None
    ) -> None:
        crl = read(ca.crl([6, Revocation(which=7, extensions=((UNKNOWN, critical),))]))
        found = _find(crl, 7)
        assert found is not None
        assert (found.unknown_critical, crl.unknown_critical_entry) == (expected, expected)

    def test_a_known_extension_may_be_critical(self, ca: DevelopmentCA) -> None:
        dated = (x509.InvalidityDate(datetime(2026, 1, 1, tzinfo=UTC)), True)
        assert read(ca.crl([Revocation(which=7, extensions=(dated,))])).unknown_critical_entry is None


class TestIndirect:
    def test_an_issuer_holds_for_the_entries_that_follow(self, ca: DevelopmentCA) -> None:
        crl = read(
            ca.crl(
                [
                    1,
                    Revocation(which=2, issuer=_name("A")),
                    3,
                    Revocation(which=4, issuer=_name("B")),
                    Revocation(which=5, issuer=ca.certificate.subject_name),
                    6,
                ],
                scope=scope(indirect=True),
            )
        )
        owners = {1: "Root", 2: "A", 3: "A", 4: "B", 5: "Root", 6: "Root"}
        for serial, owner in owners.items():
            assert [n for n in ("Root", "A", "B") if _find(crl, serial, _name(n))] == [owner]

    def test_names_of_issuers_are_compared_as_names(self, ca: DevelopmentCA) -> None:
        crl = read(ca.crl([Revocation(which=2, issuer=_name("Some  CA"))], scope=scope(indirect=True)))
        assert _find(crl, 2, _name("some ca"))

    def test_an_issuer_that_cannot_be_read_is_nobody(self, ca: DevelopmentCA) -> None:
        bad = ber.encode(der.SEQUENCE, extension(_ISSUER, b"\x30\x02\x05\x00", critical=True))
        listed = with_entries(ca.crl([5], scope=scope(indirect=True)), ca, entry(b"\7", extensions=bad))
        assert read(listed).unknown_critical_entry == "that cannot be read"

    def test_an_issuer_is_read_where_the_extension_is_not_marked_critical(self, ca: DevelopmentCA) -> None:
        names = ber.encode(der.SEQUENCE, ber.encode(0xA4, _name("A").public_bytes()))
        raw = ber.encode(der.SEQUENCE, extension(_ISSUER, names, critical=False))
        crl = read(with_entries(ca.crl([5], scope=scope(indirect=True)), ca, entry(b"\7", extensions=raw)))
        assert crl.names_other_issuers
        assert _find(crl, 7, _name("A"))
        assert not _find(crl, 7)


@pytest.mark.parametrize("shared_from", [0, 10**9])
def test_a_table_in_a_file_says_what_one_in_memory_says(
    ca: DevelopmentCA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_from: int
) -> None:
    monkeypatch.setattr(crl_body, "SHARED_FROM_BYTES", shared_from)
    source = random.Random(3)  # noqa: S311 - to be the same each time
    serials = [source.getrandbits(source.randrange(1, MAX_SERIAL_NUMBER_BYTES * 2)) for _ in range(3000)]
    entries = [
        Revocation(which=serial, issuer=_name("A") if place == 1500 else None)
        for place, serial in enumerate(dict.fromkeys(s or 1 for s in serials))
    ]
    data = ca.crl(entries, scope=scope(indirect=True))
    crl = CertificateList.from_der(data, folder=IndexFolder(tmp_path / "tables"))
    for place, listed in enumerate(entries):
        assert isinstance(listed.which, int)
        assert [n for n in ("Root", "A") if _find(crl, listed.which, _name(n))] == ["A" if place >= 1500 else "Root"]
    assert (crl.entry_count, (tmp_path / "tables").exists()) == (len(entries), shared_from == 0)
