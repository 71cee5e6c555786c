"""An identity: chosen, put in order, checked against the clock, and never giving its key away."""

from __future__ import annotations

import copy
import gc
import logging
import os
import pickle
import traceback
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import NoEncryption, load_pem_private_key, pkcs12

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued, self_signed
from mtls_core.errors import ConfigurationError, IdentityError, IdentityProblem
from mtls_core.identity import Identity

from .pfx_files import PASSWORD, merged

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def root() -> DevelopmentCA:
    return DevelopmentCA.create(at=AT)


@pytest.fixture(scope="module")
def issuing(root: DevelopmentCA) -> DevelopmentCA:
    return root.intermediate("Upper").intermediate("Lower")


@pytest.fixture(scope="module")
def billing(issuing: DevelopmentCA) -> Issued:
    return issuing.client("billing")


@pytest.fixture(scope="module")
def two(billing: Issued, root: DevelopmentCA) -> bytes:
    """A PFX with two identities."""
    reports = root.client("reports").pfx(None, friendly_name="Berichte")
    return merged(billing.pfx(None, friendly_name="Abrechnung"), reports)


def subjects(identity: Identity) -> list[str]:
    return [certificate.subject for certificate in identity.chain]


# What it shows.


def test_what_an_identity_shows(billing: Issued, tmp_path: Path) -> None:
    files = billing.write(tmp_path, "billing", password=PASSWORD)
    identity = Identity.from_pfx(files.pfx, PASSWORD)
    assert identity.certificate == billing.certificate
    assert identity.intermediates == billing.chain
    assert identity.chain == (billing.certificate, *billing.chain)
    assert identity.thumbprint == billing.certificate.thumbprint
    assert identity.friendly_name == "billing"
    assert identity.source == str(files.pfx)
    assert identity.certificate_chain_pem() == billing.certificate_pem


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_content_as_bytes(billing: Issued, convert: Any) -> None:
    identity = Identity.from_pfx(convert(billing.pfx(PASSWORD)), PASSWORD)
    assert identity.source == "<bytes>"


@pytest.mark.parametrize("password", ["geheim", b"geheim", lambda: "geheim", lambda: b"geheim"])
def test_passwords_of_all_types(billing: Issued, password: Any) -> None:
    assert Identity.from_pfx(billing.pfx("geheim"), password).certificate == billing.certificate


@pytest.mark.parametrize("key", ["p256", "p384", "p521", "rsa", "ed25519", "ed448"])
def test_every_kind_of_key(root: DevelopmentCA, key: str) -> None:
    issued = root.client("billing", key=key)
    identity = Identity.from_pfx(issued.pfx(PASSWORD), PASSWORD)
    again: Any = load_pem_private_key(identity.encrypted_key_pem(b"other"), b"other")
    assert again.public_key() == issued.certificate.public_key


def test_a_self_signed_identity() -> None:
    issued = self_signed("device")
    assert Identity.from_pfx(issued.pfx(PASSWORD), PASSWORD).chain == (issued.certificate,)


# The chain.


def test_intermediates_are_put_in_order(root: DevelopmentCA, billing: Issued) -> None:
    others = [root.certificate, *reversed(billing.chain), billing.certificate]
    identity = Identity.from_private_key(billing.private_key, others)
    assert subjects(identity) == ["CN=billing", "CN=Lower", "CN=Upper"]


def test_strangers_are_left_out(root: DevelopmentCA, billing: Issued) -> None:
    stranger = DevelopmentCA.create("Elsewhere").intermediate("Stranger")
    others = [stranger.certificate, root.client("reports").certificate, billing.certificate, *billing.chain]
    identity = Identity.from_private_key(billing.private_key, others)
    assert subjects(identity) == ["CN=billing", "CN=Lower", "CN=Upper"]


def test_a_namesake_of_the_issuer_is_left_out(billing: Issued) -> None:
    """Names are not evidence; signatures are."""
    namesake = DevelopmentCA.create("Elsewhere").intermediate("Lower")
    others = [namesake.certificate, billing.certificate, *billing.chain]
    assert Identity.from_private_key(billing.private_key, others).intermediates == billing.chain


def test_a_gap_ends_the_chain(billing: Issued) -> None:
    identity = Identity.from_private_key(billing.private_key, [billing.certificate, billing.chain[1]])
    assert identity.intermediates == ()


def test_of_a_renewed_intermediate_the_one_that_lives_longer(root: DevelopmentCA) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    old, new = (root.intermediate(key=key, not_after=AT + timedelta(days=days)) for days in (10, 100))
    issued = old.client("billing")
    certificates = [issued.certificate, old.certificate, new.certificate]
    assert Identity.from_private_key(issued.private_key, certificates).intermediates == (new.certificate,)


def test_cas_that_sign_each_other_end(root: DevelopmentCA) -> None:
    """A loop: A signed B, B signed A, and neither is self-signed."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    first, second = DevelopmentCA.create("A", key=keys[0]), DevelopmentCA.create("B", key=keys[1])
    crossed = [first.intermediate("B", key=keys[1]).certificate, second.intermediate("A", key=keys[0]).certificate]
    issued = first.client("billing")
    identity = Identity.from_private_key(issued.private_key, [issued.certificate, *crossed])
    assert subjects(identity) == ["CN=billing", "CN=A", "CN=B"]


# Several identities.


def test_without_select_they_are_listed(two: bytes, billing: Issued) -> None:
    with pytest.raises(IdentityError, match="there are 2 identities") as caught:
        Identity.from_pfx(two)
    assert caught.value.problem is IdentityProblem.SEVERAL_IDENTITIES
    assert f"CN=billing [sha256 {billing.certificate.thumbprint}, friendly name 'Abrechnung']" in caught.value.detail


@pytest.mark.parametrize(
    "spelling",
    [
        "{0}",
        "{upper}",
        "{colons}",
        "{spaces}",
        "sha256:{0}",
        "SHA256 Fingerprint={colons}",
        "sha256 Fingerprint={colons}",
        "\u200e{spaces}",
        "{dashes}",
    ],
)
def test_select_by_thumbprint_in_any_spelling(two: bytes, billing: Issued, spelling: str) -> None:
    plain = billing.certificate.thumbprint
    pairs = [plain[place : place + 2] for place in range(0, 64, 2)]
    text = spelling.format(
        plain,
        upper=plain.upper(),
        colons=":".join(pairs).upper(),
        spaces=" ".join(pairs),
        dashes="-".join(pairs),
    )
    assert Identity.from_pfx(two, select=text).certificate == billing.certificate


def test_select_by_friendly_name(two: bytes) -> None:
    identity = Identity.from_pfx(two, select="Berichte")
    assert identity.certificate.subject == "CN=reports"
    assert identity.friendly_name == "Berichte"


def test_select_by_function(two: bytes) -> None:
    identity = Identity.from_pfx(two, select=lambda certificate: "reports" in certificate.common_names)
    assert identity.certificate.subject == "CN=reports"


@pytest.mark.parametrize("select", ["Nobody", "ab" * 32, lambda certificate: False], ids=["name", "hex", "function"])
def test_select_that_fits_none(two: bytes, select: Any) -> None:
    with pytest.raises(IdentityError, match="fits no identity") as caught:
        Identity.from_pfx(two, select=select)
    assert caught.value.problem is IdentityProblem.NOT_SELECTED
    assert "CN=reports" in caught.value.detail


def test_select_that_fits_both(two: bytes) -> None:
    with pytest.raises(IdentityError, match="must fit exactly one") as caught:
        Identity.from_pfx(two, select=lambda certificate: True)
    assert caught.value.problem is IdentityProblem.SEVERAL_IDENTITIES


def test_select_counts_also_where_there_is_one(billing: Issued) -> None:
    with pytest.raises(IdentityError) as caught:
        Identity.from_pfx(billing.pfx(None), select="Somebody else")
    assert caught.value.problem is IdentityProblem.NOT_SELECTED


def test_select_by_sha1_says_what_is_needed(billing: Issued) -> None:
    """What .NET and Windows print as thumbprint."""
    with pytest.raises(IdentityError, match="SHA-256 one is needed"):
        Identity.from_pfx(billing.pfx(None), select="AB " * 20)


def test_select_of_a_wrong_type(billing: Issued) -> None:
    select: Any = 42
    with pytest.raises(ConfigurationError, match="not of type int"):
        Identity.from_pfx(billing.pfx(None), select=select)


def test_two_certificates_of_one_key_are_two_identities(root: DevelopmentCA) -> None:
    """A renewed certificate beside the old one: somebody has to say which is meant."""
    first = root.client("billing")
    renewed = root.client("billing", key=first.private_key)
    certificates = [first.certificate, renewed.certificate]
    with pytest.raises(IdentityError) as caught:
        Identity.from_private_key(first.private_key, certificates)
    assert caught.value.problem is IdentityProblem.SEVERAL_IDENTITIES
    chosen = Identity.from_private_key(first.private_key, certificates, select=renewed.certificate.thumbprint)
    assert chosen.certificate == renewed.certificate


def test_one_certificate_twice_is_one_identity(billing: Issued) -> None:
    assert Identity.from_private_key(billing.private_key, [billing.certificate] * 2).thumbprint


def test_a_key_of_somebody_else(billing: Issued, root: DevelopmentCA) -> None:
    with pytest.raises(IdentityError) as caught:
        Identity.from_private_key(root.client("reports").private_key, [billing.certificate])
    assert caught.value.problem is IdentityProblem.KEY_MISMATCH


# The clock.


def test_valid_from_the_first_to_the_last_second(billing: Issued) -> None:
    identity = billing.identity
    for moment in (billing.certificate.not_before, AT, billing.certificate.not_after):
        identity.check_validity(moment)
    identity.check_validity(billing.certificate.not_after + timedelta(microseconds=999_999))


def test_expired(billing: Issued) -> None:
    with pytest.raises(IdentityError, match=r"expired on 2026-03-31T12:00:00Z \(now 2026-03-31T12:00:01Z\)") as caught:
        billing.identity.check_validity(billing.certificate.not_after + timedelta(seconds=1))
    assert caught.value.problem is IdentityProblem.EXPIRED
    assert "CN=billing" in caught.value.detail


def test_not_yet_valid(billing: Issued) -> None:
    with pytest.raises(IdentityError, match="not valid before 2026-03-01T11:00:00Z") as caught:
        billing.identity.check_validity(billing.certificate.not_before - timedelta(seconds=1))
    assert caught.value.problem is IdentityProblem.NOT_YET_VALID


def test_loading_does_not_look_at_the_clock(root: DevelopmentCA) -> None:
    """Whether an identity is still valid is asked when it is used; time is an argument."""
    expired = root.client("old", not_after=AT - timedelta(days=1))
    assert Identity.from_pfx(expired.pfx(None)).certificate == expired.certificate


# Where it comes from.


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="no such file") as caught:
        Identity.from_pfx(tmp_path / "missing.pfx")
    assert caught.value.problem is IdentityProblem.UNREADABLE
    assert caught.value.source == str(tmp_path / "missing.pfx")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="is a folder") as caught:
        Identity.from_pfx(tmp_path)
    assert caught.value.problem is IdentityProblem.UNREADABLE


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read everything; nobody may not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_read(billing: Issued, tmp_path: Path) -> None:
    files = billing.write(tmp_path, "billing")
    files.pfx.chmod(0)
    with unprivileged(), pytest.raises(IdentityError, match="may not read it") as caught:
        Identity.from_pfx(files.pfx)
    assert caught.value.problem is IdentityProblem.UNREADABLE


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.pfx").symlink_to("loop.pfx")
    with pytest.raises(IdentityError, match="cannot be read: ") as caught:
        Identity.from_pfx(tmp_path / "loop.pfx")
    assert caught.value.problem is IdentityProblem.UNREADABLE


def test_a_path_with_nul() -> None:
    with pytest.raises(IdentityError, match="NUL") as caught:
        Identity.from_pfx("a\0b.pfx")
    assert caught.value.problem is IdentityProblem.UNREADABLE


def test_content_in_the_place_of_a_path_is_not_repeated(billing: Issued) -> None:
    """The message would hold the private key."""
    text = (billing.certificate_pem + billing.key_pem()).decode()
    with pytest.raises(IdentityError, match="text was given where a path is expected") as caught:
        Identity.from_pem(text)
    assert caught.value.source == "<text>"
    assert "PRIVATE KEY" not in str(caught.value)


@pytest.mark.parametrize("source", [None, 42, ["a.pfx"]])
def test_a_source_of_a_wrong_type(source: Any) -> None:
    with pytest.raises(ConfigurationError, match="from a path or from bytes"):
        Identity.from_pfx(source)


@pytest.mark.parametrize("password", [12345, ["geheim"], lambda: 12345])
def test_a_password_of_a_wrong_type(billing: Issued, password: Any) -> None:
    """``FLASK_MTLS_IDENTITY_PASSWORD=12345`` arrives as a number."""
    with pytest.raises(ConfigurationError, match="need quotes"):
        Identity.from_pfx(billing.pfx(PASSWORD), password)


def test_a_password_that_is_not_text(billing: Issued) -> None:
    """What os.environ makes of bytes that are not UTF-8."""
    with pytest.raises(IdentityError, match="lone surrogates") as caught:
        Identity.from_pfx(billing.pfx(PASSWORD), "gr\udcfcn")
    assert caught.value.problem is IdentityProblem.WRONG_PASSWORD


def test_errors_of_a_password_function_are_its_own(billing: Issued) -> None:
    def vault() -> str:
        raise ConnectionError("the vault is closed")

    with pytest.raises(ConnectionError, match="the vault is closed"):
        Identity.from_pfx(billing.pfx(PASSWORD), vault)


# The key stays inside.


def test_the_key_leaves_encrypted(billing: Issued) -> None:
    pem = billing.identity.encrypted_key_pem(b"other")
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_a_pfx_round_trip(billing: Issued) -> None:
    identity = Identity.from_pfx(billing.pfx(PASSWORD, friendly_name="Größe"), PASSWORD)
    again = Identity.from_pfx(identity.pfx("other"), "other")
    assert again.chain == identity.chain
    assert again.friendly_name == "Größe"
    assert pkcs12.load_pkcs12(identity.pfx(b"other"), b"other").key is not None


@pytest.mark.parametrize("password", ["", b""])
def test_no_export_without_password(billing: Issued, password: Any) -> None:
    with pytest.raises(ConfigurationError, match="without a password"):
        billing.identity.pfx(password)
    with pytest.raises(ConfigurationError, match="without a password"):
        billing.identity.encrypted_key_pem(password)


def secrets_of(issued: Issued) -> list[str]:
    """Everything by which the key or the password would show."""
    private: Any = issued.private_key
    number = private.private_numbers().private_value
    return [PASSWORD, str(number), f"{number:x}", issued.key_pem().decode().splitlines()[1], "PRIVATE KEY"]


def test_no_secret_in_repr_nor_logs(billing: Issued, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        identity = Identity.from_pfx(billing.pfx(PASSWORD), PASSWORD)
        logging.getLogger("test").warning("%s %r", identity, identity)
    assert "CN=billing" in caplog.text
    assert not [secret for secret in secrets_of(billing) if secret in caplog.text]


def test_no_secret_in_errors(billing: Issued) -> None:
    """The whole chain of causes, as a log would print it."""
    for data in (billing.pfx("other"), billing.pfx(PASSWORD)[:-9] + bytes(9), billing.key_pem(), b"\x30\x00"):
        with pytest.raises(IdentityError) as caught:
            Identity.from_pfx(data, PASSWORD)
        lines = traceback.format_exception(caught.value, chain=True)
        text = "".join(line for line in lines if not line.lstrip().startswith("File"))
        assert not [secret for secret in secrets_of(billing) if secret in text]


@pytest.mark.parametrize("password", ["gr\udcfcn", b"gr\xfcn", "ge\0heim"])
def test_no_password_in_the_causes_of_errors(billing: Issued, password: Any) -> None:
    """A UnicodeError carries what it could not decode."""
    with pytest.raises(IdentityError) as caught:
        Identity.from_pfx(billing.pfx(PASSWORD), password)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_pickling_is_refused(billing: Issued) -> None:
    """Promise P28."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled; load it again"):
            pickle.dumps(billing.identity, protocol)


def test_copies_are_the_same_object(billing: Issued) -> None:
    """Promise P28: a copied session keeps its identity."""
    identity = billing.identity
    assert copy.copy(identity) is identity
    assert copy.deepcopy({"identity": identity})["identity"] is identity


def test_an_identity_does_not_change(billing: Issued) -> None:
    identity: Any = billing.identity
    with pytest.raises(AttributeError):
        identity.certificate = None


class Secret(str):
    """Text that can be watched; the class str has no place for weak references."""

    __slots__ = ("__weakref__",)


def test_the_password_is_not_kept(billing: Issued) -> None:
    password = Secret(PASSWORD)
    watched = weakref.ref(password)
    identity = Identity.from_pfx(billing.pfx(PASSWORD), password)
    del password
    gc.collect()
    assert watched() is None
    assert identity.certificate == billing.certificate


def test_a_password_function_is_not_kept(billing: Issued) -> None:
    def password() -> str:
        return PASSWORD

    watched = weakref.ref(password)
    identity = Identity.from_pem(billing.certificate_pem, billing.key_pem(PASSWORD), password)
    del password
    gc.collect()
    assert watched() is None
    assert identity.certificate == billing.certificate


def test_certificates_with_odd_serial_numbers_do_not_warn(billing: Issued) -> None:
    """cryptography warns about serial numbers that are not positive; the verifier refuses them with a reason."""
    der = billing.certificate.der
    place = der.index(b"\x02\x14") if b"\x02\x14" in der[:40] else der.index(b"\x02\x13")
    negative = der[: place + 2] + b"\x80" + der[place + 3 :]
    stranger = Certificate.from_der(negative)
    assert stranger.serial_number < 0
    data = pkcs12.serialize_key_and_certificates(
        None, billing.private_key, billing.certificate.parsed, [stranger.parsed], NoEncryption()
    )
    with pytest.raises(IdentityError) as caught:
        Identity.from_pfx(data)
    assert caught.value.problem is IdentityProblem.SEVERAL_IDENTITIES


def test_a_subject_is_not_needed(root: DevelopmentCA) -> None:
    issued = root.issue(None, uris=["spiffe://example.org/billing"])
    assert "(no subject)" in repr(issued.identity)
