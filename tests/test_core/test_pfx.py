"""PFX files: every flavour opens, and each way not to open has its own sentence."""

from __future__ import annotations

import base64
import hmac
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from mtls_core import ber, der
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.errors import IdentityError, IdentityProblem
from mtls_core.identity import Identity
from mtls_core.keyfiles.mac import derive_key
from mtls_core.keyfiles.pbe import MAX_ROUNDS
from mtls_core.keyfiles.pfx_structure import read_structure

from ..programs import require_program
from .pfx_files import (
    NULL,
    PASSWORD,
    algorithm,
    authenticated_safe,
    bag,
    certificate_bag,
    classic_mac,
    data_part,
    indefinite,
    integer,
    keytool_store,
    merged,
    octets,
    openssl_pfx,
    pbes2,
    pbmac1,
    pfx,
    with_hidden_key,
    with_mac,
)

SHA1 = "1.3.14.3.2.26"
SHA256 = "2.16.840.1.101.3.4.2.1"
SHROUDED_KEY_BAG = "1.2.840.113549.1.12.10.1.2"
KEY_BAG = "1.2.840.113549.1.12.10.1.1"


@pytest.fixture(scope="module")
def issuing() -> DevelopmentCA:
    return DevelopmentCA.create().intermediate()


@pytest.fixture(scope="module")
def billing(issuing: DevelopmentCA) -> Issued:
    return issuing.client("billing")


@pytest.fixture(scope="module")
def reports(issuing: DevelopmentCA) -> Issued:
    return issuing.client("reports")


def refusal(data: bytes, password: str | bytes | None = PASSWORD) -> IdentityError:
    with pytest.raises(IdentityError) as caught:
        Identity.from_pfx(data, password)
    return caught.value


# Flavours.


@pytest.mark.parametrize("encryption", ["aes", "3des"])
def test_with_a_password(billing: Issued, encryption: str) -> None:
    identity = Identity.from_pfx(billing.pfx(PASSWORD, encryption=encryption), PASSWORD)
    assert identity.chain == (billing.certificate, *billing.chain)


@pytest.mark.parametrize("password", [None, ""])
def test_without_a_password(billing: Issued, password: str | None) -> None:
    assert Identity.from_pfx(billing.pfx(None), password).certificate == billing.certificate


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-legacy"],
        ["-legacy", "-keypbe", "PBE-SHA1-RC2-40", "-certpbe", "PBE-SHA1-RC2-40"],
        ["-legacy", "-keypbe", "PBE-SHA1-RC2-128", "-certpbe", "PBE-SHA1-RC2-128"],
        ["-legacy", "-keypbe", "PBE-SHA1-RC4-128", "-certpbe", "PBE-SHA1-RC4-40"],
        ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"],
        ["-keypbe", "AES-128-CBC", "-certpbe", "AES-192-CBC", "-macalg", "sha512"],
        ["-keypbe", "NONE", "-certpbe", "NONE"],
        ["-nomac"],
        ["-nomaciter", "-noiter"],
        # As Windows does it: a provider's name, a local machine key, a name for people.
        ["-CSP", "Microsoft Software Key Storage Provider", "-LMK", "-keyex", "-name", "Abrechnung für März"],
    ],
    ids=lambda options: "-".join(option.lstrip("-") for option in options)[:40] or "usual",
)
def test_as_openssl_writes_it(billing: Issued, tmp_path: Path, options: list[str]) -> None:
    identity = Identity.from_pfx(openssl_pfx(tmp_path, billing, *options), PASSWORD)
    assert identity.chain == (billing.certificate, *billing.chain)


@pytest.mark.parametrize("options", [[], ["-legacy"]], ids=["aes", "rc2"])
@pytest.mark.parametrize("password", [None, ""])
def test_with_an_empty_password(billing: Issued, tmp_path: Path, options: list[str], password: str | None) -> None:
    data = openssl_pfx(tmp_path, billing, *options, password="")
    assert Identity.from_pfx(data, password).certificate == billing.certificate


@pytest.mark.parametrize("password", ["grün", "€uro", "😀"])
def test_passwords_beyond_ascii(billing: Issued, tmp_path: Path, password: str) -> None:
    data = openssl_pfx(tmp_path, billing, "-legacy", password=password)
    assert Identity.from_pfx(data, password).certificate == billing.certificate
    assert Identity.from_pfx(data, password.encode()).certificate == billing.certificate
    assert refusal(data, password + "x").problem is IdentityProblem.WRONG_PASSWORD


def test_as_java_writes_it(tmp_path: Path) -> None:
    identity = Identity.from_pfx(keytool_store(tmp_path, "billing"), PASSWORD)
    assert identity.certificate.subject == "CN=billing"
    assert identity.friendly_name == "billing"


def test_ber_with_indefinite_lengths(billing: Issued) -> None:
    """RFC 7292, section 4: a PFX may be BER, and what macOS and old browsers export is."""
    ber_file = indefinite(billing.pfx(PASSWORD))
    assert Identity.from_pfx(ber_file, PASSWORD).chain == (billing.certificate, *billing.chain)
    assert refusal(ber_file, "falsch").problem is IdentityProblem.WRONG_PASSWORD


def test_ber_within(billing: Issued) -> None:
    content = indefinite(authenticated_safe(billing.pfx(PASSWORD)))
    data = with_mac(content, pbmac1(content))
    assert Identity.from_pfx(data, PASSWORD).chain == (billing.certificate, *billing.chain)


def test_bytes_behind_the_file_do_not_matter(billing: Issued) -> None:
    assert Identity.from_pfx(billing.pfx(PASSWORD) + b"\r\n", PASSWORD).certificate == billing.certificate


def test_chain_in_any_order_with_root_and_strangers(billing: Issued, reports: Issued) -> None:
    root = billing.root
    assert root is not None
    certificates = [reports.certificate, root, *reversed(billing.chain)]
    data = pkcs12.serialize_key_and_certificates(
        None, billing.private_key, billing.certificate.parsed, [c.parsed for c in certificates], NoEncryption()
    )
    assert Identity.from_pfx(data).chain == (billing.certificate, *billing.chain)


def test_a_safe_within_a_safe(billing: Issued) -> None:
    """RFC 7292, section 4.2.6: SafeContents may be nested."""
    pkcs8 = billing.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    inner = ber.encode(der.SEQUENCE, bag(KEY_BAG, pkcs8), certificate_bag(billing.certificate))
    outer = ber.encode(der.SEQUENCE, bag("1.2.840.113549.1.12.10.1.6", inner))
    data = pfx(ber.encode(der.SEQUENCE, data_part(outer)))
    assert Identity.from_pfx(data).certificate == billing.certificate


# Several identities.


def test_several_identities_are_listed(billing: Issued, reports: Issued) -> None:
    """Promise P26: never the wrong certificate."""
    error = refusal(merged(billing.pfx(PASSWORD, friendly_name="B"), reports.pfx(PASSWORD)))
    assert error.problem is IdentityProblem.SEVERAL_IDENTITIES
    for part in ("CN=billing", "CN=reports", billing.certificate.thumbprint, "friendly name 'B'", "select="):
        assert part in error.detail


@pytest.mark.parametrize("which", [0, 1])
def test_each_of_several_identities_can_be_had(billing: Issued, reports: Issued, which: int) -> None:
    """Promise P26: cryptography hands out the first key only, and the second leaf among the chain."""
    wanted = (billing, reports)[which]
    data = merged(billing.pfx(PASSWORD), reports.pfx(PASSWORD))
    identity = Identity.from_pfx(data, PASSWORD, select=wanted.certificate.thumbprint)
    assert identity.chain == (wanted.certificate, *wanted.chain)
    exported = pkcs12.load_pkcs12(identity.pfx("x"), b"x")
    assert exported.key is not None
    assert exported.key.public_key() == wanted.private_key.public_key()


def test_several_identities_of_java(tmp_path: Path) -> None:
    data = keytool_store(tmp_path, "one", "two")
    assert refusal(data).problem is IdentityProblem.SEVERAL_IDENTITIES
    assert Identity.from_pfx(data, PASSWORD, select="two").certificate.subject == "CN=two"


def test_a_key_without_certificate_beside_an_identity(billing: Issued, reports: Issued) -> None:
    bare = pkcs12.serialize_key_and_certificates(None, reports.private_key, None, None, NoEncryption())
    assert Identity.from_pfx(merged(bare, billing.pfx(None))).certificate == billing.certificate


def test_a_key_in_an_encrypted_part(billing: Issued) -> None:
    data = with_hidden_key(billing.private_key, billing.certificate, *billing.chain)
    assert Identity.from_pfx(data, PASSWORD).chain == (billing.certificate, *billing.chain)


def test_a_key_in_an_encrypted_part_beside_another_certificate(billing: Issued, reports: Issued) -> None:
    """The key of the other may be there as well; cryptography would not show it."""
    error = refusal(with_hidden_key(billing.private_key, billing.certificate, reports.certificate))
    assert error.problem is IdentityProblem.SEVERAL_IDENTITIES
    assert "CN=reports" in error.detail


def test_more_keys_than_anybody_has(billing: Issued) -> None:
    assert refusal(merged(*[billing.pfx(None)] * 33), None).problem is IdentityProblem.SEVERAL_IDENTITIES
    assert Identity.from_pfx(merged(*[billing.pfx(None)] * 32)).certificate == billing.certificate


# What is wrong with the password.


def test_wrong_password(billing: Issued) -> None:
    error = refusal(billing.pfx(PASSWORD), "falsch")
    assert error.problem is IdentityProblem.WRONG_PASSWORD
    assert "the password is wrong" in error.detail


@pytest.mark.parametrize("options", [["-legacy"], ["-keypbe", "NONE", "-certpbe", "NONE"]], ids=["rc2", "clear"])
def test_wrong_password_of_other_flavours(billing: Issued, tmp_path: Path, options: list[str]) -> None:
    data = openssl_pfx(tmp_path, billing, *options)
    assert refusal(data, "falsch").problem is IdentityProblem.WRONG_PASSWORD


def test_no_password_where_one_is_needed(billing: Issued) -> None:
    error = refusal(billing.pfx(PASSWORD), None)
    assert error.problem is IdentityProblem.PASSWORD_REQUIRED


def test_an_empty_password_where_another_is_needed(billing: Issued) -> None:
    error = refusal(billing.pfx(PASSWORD), "")
    assert error.problem is IdentityProblem.WRONG_PASSWORD
    assert "it is empty" in error.detail


def test_a_password_where_none_is_needed(billing: Issued) -> None:
    assert refusal(billing.pfx(None), "geheim").problem is IdentityProblem.WRONG_PASSWORD


@pytest.mark.parametrize(
    ("password", "problem"), [("falsch", "wrong_password"), (None, "password_required")], ids=["wrong", "none"]
)
def test_passwords_where_there_is_no_checksum(
    billing: Issued, tmp_path: Path, password: str | None, problem: str
) -> None:
    assert refusal(openssl_pfx(tmp_path, billing, "-nomac"), password).problem == problem


def test_password_bytes_that_are_not_utf8(billing: Issued) -> None:
    """cryptography answers with a TypeError about arguments."""
    error = refusal(billing.pfx("grün"), "grün".encode("latin-1"))
    assert error.problem is IdentityProblem.WRONG_PASSWORD
    assert "not UTF-8" in error.detail


def test_a_password_with_nul(billing: Issued, capfd: pytest.CaptureFixture[str]) -> None:
    """cryptography panics, past every ``except Exception``, and prints the password."""
    error = refusal(billing.pfx(PASSWORD), "ge\0heim")
    assert error.problem is IdentityProblem.WRONG_PASSWORD
    assert "NUL" in error.detail
    assert capfd.readouterr().err == ""


# Damage.


def test_damage_is_told_from_a_wrong_password_by_the_key(billing: Issued) -> None:
    """The checksum alone does not say which of the two it is."""
    data = bytearray(billing.pfx(PASSWORD))
    place = bytes(data).index(bytes.fromhex("2a864886f70d010706")) + 200  # within the encrypted certificates
    data[place] ^= 1
    error = refusal(bytes(data))
    assert error.problem is IdentityProblem.DAMAGED
    assert refusal(bytes(data), "falsch").problem is IdentityProblem.WRONG_PASSWORD


def test_damage_under_a_checksum_that_fits(billing: Issued) -> None:
    """The key's own encryption is of another password than the file's."""
    other = authenticated_safe(billing.pfx("other"))
    salt = b"saltsalt"
    key = derive_key("sha256", PASSWORD.encode("utf-16-be") + b"\0\0", salt, 100)
    error = refusal(with_mac(other, classic_mac(SHA256, hmac.digest(key, other, "sha256"), salt, 100)))
    assert error.problem is IdentityProblem.DAMAGED
    assert "the password is right" in error.detail


@pytest.mark.parametrize("digest", ["sha1", "sha224", "sha256", "sha384", "sha512"])
def test_the_checksum_is_that_of_openssl(billing: Issued, tmp_path: Path, digest: str) -> None:
    data = openssl_pfx(tmp_path, billing, "-macalg", digest)
    structure = read_structure(data, source="x")
    assert structure.mac is not None
    assert structure.mac.fits(structure.content, PASSWORD.encode()) is True
    assert structure.mac.fits(structure.content, b"falsch") is False
    assert structure.mac.fits(structure.content + b"x", PASSWORD.encode()) is False


def test_checksum_of_rfc_9579(billing: Issued) -> None:
    content = authenticated_safe(billing.pfx(PASSWORD))
    data = with_mac(content, pbmac1(content))
    assert Identity.from_pfx(data, PASSWORD).certificate == billing.certificate
    assert refusal(data, "falsch").problem is IdentityProblem.WRONG_PASSWORD


def test_checksum_of_rfc_9579_under_a_key_of_another_password(billing: Issued) -> None:
    content = authenticated_safe(billing.pfx("other"))
    assert refusal(with_mac(content, pbmac1(content))).problem is IdentityProblem.DAMAGED


@pytest.mark.parametrize("parameters", [b"", NULL, ber.encode(der.SEQUENCE)], ids=["none", "null", "empty"])
def test_checksum_of_rfc_9579_without_parameters(billing: Issued, parameters: bytes) -> None:
    info = ber.encode(der.SEQUENCE, algorithm("1.2.840.113549.1.5.14", parameters), octets(bytes(32)))
    mac = ber.encode(der.SEQUENCE, info, octets(b"NOT USED"))
    assert refusal(with_mac(authenticated_safe(billing.pfx(None)), mac)).problem is IdentityProblem.DAMAGED


def test_checksum_of_rfc_9579_with_an_unknown_hash(billing: Issued) -> None:
    content = authenticated_safe(billing.pfx(PASSWORD))
    data = with_mac(content, pbmac1(content, scheme_oid="1.2.3.4"))
    assert "no checksum that would tell" in refusal(data).detail


def test_an_unknown_checksum(billing: Issued) -> None:
    content = authenticated_safe(billing.pfx(PASSWORD))
    error = refusal(with_mac(content, classic_mac("1.2.3.4", bytes(20), b"saltsalt", 1)))
    assert error.problem is IdentityProblem.WRONG_PASSWORD
    assert "no checksum that would tell" in error.detail


def test_content_in_the_clear_that_does_not_open() -> None:
    data = pfx(ber.encode(der.SEQUENCE, data_part(ber.encode(der.SEQUENCE, bag(KEY_BAG, integer(1))))))
    assert refusal(data, None).problem is IdentityProblem.DAMAGED


def test_a_certificate_that_cannot_be_read(billing: Issued) -> None:
    """X.509 versions end at 3."""
    broken = billing.certificate.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1)
    value = ber.encode(
        der.SEQUENCE, ber.encode(6, bytes.fromhex("2a864886f70d01091601")), ber.encode(0xA0, octets(broken))
    )
    bags = ber.encode(der.SEQUENCE, bag("1.2.840.113549.1.12.10.1.3", value))
    error = refusal(pfx(ber.encode(der.SEQUENCE, data_part(bags))), None)
    assert error.problem is IdentityProblem.DAMAGED


@pytest.mark.parametrize("part", [0.3, 0.7, 0.99])
def test_truncated(billing: Issued, part: float) -> None:
    data = billing.pfx(PASSWORD)
    error = refusal(data[: int(len(data) * part)])
    assert error.problem is IdentityProblem.TRUNCATED
    assert f"of {len(data)} bytes" in error.detail


@pytest.mark.parametrize("size", [1, 2, 3])
def test_truncated_within_the_first_bytes(billing: Issued, size: int) -> None:
    assert refusal(billing.pfx(PASSWORD)[:size]).problem is IdentityProblem.TRUNCATED


def test_a_structure_that_is_not_of_pkcs12() -> None:
    error = refusal(ber.encode(der.SEQUENCE, integer(3), octets(b"x")))
    assert error.problem is IdentityProblem.DAMAGED
    assert "structure" in error.detail


def test_a_file_protected_by_a_public_key() -> None:
    signed_data = ber.encode(der.OBJECT_IDENTIFIER, bytes.fromhex("2a864886f70d010702"))
    info = ber.encode(der.SEQUENCE, signed_data, ber.encode(0xA0, octets(b"")))
    assert refusal(ber.encode(der.SEQUENCE, integer(3), info)).problem is IdentityProblem.DAMAGED


# Too much work.


def test_a_checksum_that_takes_hours(billing: Issued) -> None:
    content = authenticated_safe(billing.pfx(None))
    error = refusal(with_mac(content, classic_mac(SHA1, bytes(20), b"saltsalt", 2**31 - 1)))
    assert error.problem is IdentityProblem.DAMAGED
    assert "rounds of key derivation" in error.detail


def test_an_encryption_that_takes_hours() -> None:
    encrypted = ber.encode(der.SEQUENCE, pbes2(bytes(16), bytes(16), MAX_ROUNDS), octets(bytes(32)))
    bags = [bag(SHROUDED_KEY_BAG, encrypted)] * 2
    error = refusal(pfx(ber.encode(der.SEQUENCE, data_part(ber.encode(der.SEQUENCE, *bags)))))
    assert error.problem is IdentityProblem.DAMAGED
    assert str(2 * MAX_ROUNDS) in error.detail


@pytest.mark.parametrize("rounds", [0, -1])
def test_rounds_that_are_no_count(billing: Issued, rounds: int) -> None:
    content = authenticated_safe(billing.pfx(None))
    mac = ber.encode(
        der.SEQUENCE,
        ber.encode(der.SEQUENCE, algorithm(SHA1, NULL), octets(bytes(20))),
        octets(b"saltsalt"),
        ber.encode(der.INTEGER, rounds.to_bytes(1, signed=True)),
    )
    assert refusal(with_mac(content, mac)).problem is IdentityProblem.DAMAGED


# Something is missing in it.


def test_no_key(billing: Issued) -> None:
    data = pkcs12.serialize_key_and_certificates(None, None, billing.certificate.parsed, None, NoEncryption())
    assert refusal(data, None).problem is IdentityProblem.NO_KEY


def test_no_certificate(billing: Issued) -> None:
    data = pkcs12.serialize_key_and_certificates(None, billing.private_key, None, None, NoEncryption())
    assert refusal(data, None).problem is IdentityProblem.NO_CERTIFICATE


def test_key_and_certificate_do_not_match(billing: Issued, reports: Issued) -> None:
    pkcs8 = billing.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    bags = ber.encode(der.SEQUENCE, bag(KEY_BAG, pkcs8), certificate_bag(reports.certificate))
    error = refusal(pfx(ber.encode(der.SEQUENCE, data_part(bags))), None)
    assert error.problem is IdentityProblem.KEY_MISMATCH
    assert "CN=reports" in error.detail


# Algorithms that are not offered. Whether OpenSSL has RC2 is settled when cryptography is imported.

LOAD = """
import sys
from mtls_core.errors import IdentityError
from mtls_core.identity import Identity
try:
    print(Identity.from_pfx(sys.argv[1], sys.argv[2]).certificate.subject)
except IdentityError as error:
    print(error.problem, error.detail)
"""


def load_elsewhere(path: Path, password: str, *, legacy: bool) -> str:
    environment = {**os.environ, "CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "0" if legacy else "1"}
    command = [sys.executable, "-c", LOAD, str(path), password]
    return str(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("options", [[], ["-nomac", "-keypbe", "PBE-SHA1-RC2-40"]], ids=["mac", "nomac"])
def test_an_algorithm_that_is_not_offered(billing: Issued, tmp_path: Path, options: list[str]) -> None:
    openssl_pfx(tmp_path, billing, "-legacy", *options)
    answer = load_elsewhere(tmp_path / "openssl.pfx", PASSWORD, legacy=False)
    assert answer.startswith("algorithm_unavailable is encrypted with RC2-40")
    assert load_elsewhere(tmp_path / "openssl.pfx", PASSWORD, legacy=True) == "CN=billing\n"


def test_a_wrong_password_where_an_algorithm_is_not_offered(billing: Issued, tmp_path: Path) -> None:
    """To OpenSSL the two are the same."""
    openssl_pfx(tmp_path, billing, "-legacy")
    assert load_elsewhere(tmp_path / "openssl.pfx", "falsch", legacy=False).startswith("wrong_password")


def test_the_command_that_rewrites_a_file_works(billing: Issued, tmp_path: Path) -> None:
    openssl_pfx(tmp_path, billing, "-legacy")
    answer = load_elsewhere(tmp_path / "openssl.pfx", PASSWORD, legacy=False)
    command = answer.partition("write it anew: ")[2].strip()
    answered = command.replace("openssl pkcs12", f"openssl pkcs12 -passin pass:{PASSWORD} -passout pass:{PASSWORD}")
    subprocess.run(answered, shell=True, cwd=tmp_path, check=True, capture_output=True)  # noqa: S602
    assert load_elsewhere(tmp_path / "new.pfx", PASSWORD, legacy=False) == "CN=billing\n"
    assert b"BEGIN PRIVATE KEY" not in (tmp_path / "old.pem").read_bytes()


def test_a_kind_of_key_that_does_not_sign(billing: Issued) -> None:
    key = x25519.X25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    content = ber.encode(der.SEQUENCE, data_part(ber.encode(der.SEQUENCE, bag(KEY_BAG, key))))
    mac_key = derive_key("sha1", PASSWORD.encode("utf-16-be") + b"\0\0", b"saltsalt", 1)
    mac = classic_mac(SHA1, hmac.digest(mac_key, content, "sha1"), b"saltsalt", 1)
    error = refusal(with_mac(content, mac))
    assert error.problem is IdentityProblem.ALGORITHM_UNAVAILABLE
    assert "does not sign" in error.detail


# Something else than a PFX.


def test_nothing() -> None:
    assert refusal(b"").problem is IdentityProblem.EMPTY
    assert refusal(b" \r\n").problem is IdentityProblem.EMPTY


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xfe\xed\xfe\xed\x00\x00\x00\x02", "Java keystore"),
        (b"\xce\xce\xce\xce\x00\x00\x00\x02", "Java keystore"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"<HTML><head>", "web page"),
        (b"GIF89a" + bytes(20), "nor anything else that is known"),
        (bytes(2 * 1024 * 1024), "more than 1048576 bytes"),
    ],
    ids=["jks", "jceks", "doctype", "html", "unknown", "large"],
)
def test_other_files(data: bytes, sentence: str) -> None:
    error = refusal(data)
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert sentence in error.detail


def test_a_keystore_of_java_names_the_command(tmp_path: Path) -> None:
    keytool_store(tmp_path, "billing", kind="JKS")
    with pytest.raises(IdentityError, match=r"keytool -importkeystore -srckeystore \S+java.keystore"):
        Identity.from_pfx(tmp_path / "java.keystore", PASSWORD)


def test_pem(billing: Issued) -> None:
    error = refusal(billing.certificate_pem)
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert "Identity.from_pem" in error.detail


def test_base64(billing: Issued) -> None:
    text = base64.encodebytes(billing.pfx(PASSWORD))
    error = refusal(text)
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert "base64 --decode" in error.detail
    assert Identity.from_pfx(base64.decodebytes(text), PASSWORD).certificate == billing.certificate


def test_der_certificate(billing: Issued) -> None:
    error = refusal(billing.certificate.der)
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert "a certificate (DER)" in error.detail


def test_der_private_key(billing: Issued) -> None:
    error = refusal(billing.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert "bare private key" in error.detail


def test_der_encrypted_private_key() -> None:
    error = refusal(ber.encode(der.SEQUENCE, pbes2(bytes(16), bytes(16), 1), octets(bytes(32))))
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert "bare encrypted private key" in error.detail


def test_p7b(billing: Issued, tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(billing.certificate_pem)
    options = ["-nocrl", "-certfile", str(tmp_path / "c.pem"), "-outform", "DER"]
    command = [require_program("openssl"), "crl2pkcs7", *options]
    error = refusal(subprocess.run(command, check=True, capture_output=True).stdout)
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert "p7b" in error.detail


def test_the_password_is_not_asked_for_in_vain() -> None:
    """A function may open a prompt or a vault."""

    def password() -> str:
        raise AssertionError("asked")

    with pytest.raises(IdentityError):
        Identity.from_pfx(b"<html>", password)


# Hostile bytes.


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        place = chance.randrange(len(changed) or 1)
        match chance.randrange(5):
            case 0 | 1:
                changed[place : place + 1] = chance.randbytes(1)
            case 2:
                del changed[place : place + chance.randrange(1, 20)]
            case 3:
                changed[place:place] = chance.randbytes(chance.randrange(1, 6))
            case 4:
                changed[place : place + 4] = chance.choice((b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x00", b"\x80"))
    return bytes(changed)


def test_1500_mutants_raise_nothing_else(billing: Issued, reports: Issued) -> None:
    """CVE-2025-69421, CVE-2026-22795: a malformed PFX brought processes down."""
    files = [billing.pfx(PASSWORD), billing.pfx(None), billing.pfx(PASSWORD, encryption="3des")]
    files += [merged(billing.pfx(None), reports.pfx(None)), with_hidden_key(billing.private_key, billing.certificate)]
    chance = random.Random(1500)  # noqa: S311
    problems = set()
    for number in range(1500):
        try:
            Identity.from_pfx(mutated(files[number % len(files)], chance), PASSWORD)
        except IdentityError as error:
            problems.add(error.problem)
    assert {"damaged", "truncated", "wrong_password"} <= problems


def test_1000_loads_leak_nothing(billing: Issued) -> None:
    """CVE-2018-1000808: each load of a PFX kept memory."""
    data = billing.pfx(None)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(200):
        Identity.from_pfx(data)
    before = resident()
    for _ in range(1000):
        Identity.from_pfx(data)
    assert resident() - before < 2 * 1024 * 1024
