"""PEM files: certificates and key in one or two, encrypted or not, and nothing ever asks on the terminal."""

from __future__ import annotations

import base64
import random
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from mtls_core import ber, der
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.errors import IdentityError, IdentityProblem
from mtls_core.identity import Identity
from mtls_core.keyfiles.panic import LibraryPanic
from mtls_core.keyfiles.pbe import MAX_ROUNDS

from ..programs import require_program
from .pfx_files import PASSWORD, algorithm, integer, octets, pbes2


@pytest.fixture(scope="module")
def billing() -> Issued:
    return DevelopmentCA.create().intermediate().client("billing")


@pytest.fixture(scope="module")
def rsa_billing() -> Issued:
    return DevelopmentCA.create().client("billing", key="rsa")


def openssl_key(folder: Path, issued: Issued, *command: str) -> bytes:
    """The private key as openssl writes it."""
    (folder / "in.key").write_bytes(issued.key_pem())
    arguments = [*command, "-in", str(folder / "in.key"), "-passout", f"pass:{PASSWORD}"]
    return bytes(subprocess.run([require_program("openssl"), *arguments], check=True, capture_output=True).stdout)


def refusal(certificate: bytes, key: bytes | None = None, password: str | bytes | None = PASSWORD) -> IdentityError:
    with pytest.raises(IdentityError) as caught:
        Identity.from_pem(certificate, key, password)
    return caught.value


def pem(label: str, content: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(content) + f"-----END {label}-----\n".encode()


# Flavours.


def test_one_file(billing: Issued) -> None:
    identity = Identity.from_pem(billing.certificate_pem + billing.key_pem())
    assert identity.chain == (billing.certificate, *billing.chain)
    assert identity.friendly_name is None


def test_one_file_with_the_key_first_and_text_around(billing: Issued) -> None:
    data = b"Bag Attributes\n" + billing.key_pem() + b"\nsubject=CN = billing\n" + billing.certificate_pem
    assert Identity.from_pem(data).certificate == billing.certificate


def test_two_files(billing: Issued, tmp_path: Path) -> None:
    files = billing.write(tmp_path, "billing")
    identity = Identity.from_pem(files.certificate, str(files.key))
    assert identity.chain == (billing.certificate, *billing.chain)
    assert identity.source == str(files.certificate)


def test_windows_line_ends(billing: Issued) -> None:
    data = (billing.certificate_pem + billing.key_pem(PASSWORD)).replace(b"\n", b"\r\n")
    assert Identity.from_pem(data, None, PASSWORD).certificate == billing.certificate


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("password", [None, "geheim"])
def test_forms_of_keys(rsa_billing: Issued, form: PrivateFormat, password: str | None) -> None:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    key = rsa_billing.private_key.private_bytes(Encoding.PEM, form, encryption)
    assert Identity.from_pem(rsa_billing.certificate_pem, key, password).certificate == rsa_billing.certificate


@pytest.mark.parametrize(
    "command",
    [
        ["pkcs8", "-topk8", "-v2", "aes-256-cbc"],
        ["pkcs8", "-topk8", "-scrypt"],
        ["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"],
        ["pkcs8", "-topk8", "-v1", "PBE-SHA1-RC2-40", "-provider", "legacy", "-provider", "default"],
        ["pkcs8", "-topk8", "-v1", "PBE-MD5-DES", "-provider", "legacy", "-provider", "default"],
        ["ec", "-aes128"],
        ["ec", "-des3"],
    ],
    ids=["aes", "scrypt", "3des", "rc2", "md5-des", "traditional-aes", "traditional-3des"],
)
def test_encryptions_of_openssl(billing: Issued, tmp_path: Path, command: list[str]) -> None:
    key = openssl_key(tmp_path, billing, *command)
    assert Identity.from_pem(billing.certificate_pem, key, PASSWORD).certificate == billing.certificate
    error = refusal(billing.certificate_pem, key, "falsch")
    assert error.problem is IdentityProblem.WRONG_PASSWORD


def test_password_bytes_need_not_be_text(billing: Issued) -> None:
    secret = b"\xff\xfe\x00"
    assert Identity.from_pem(billing.certificate_pem, billing.key_pem(secret), secret).thumbprint


def test_a_password_that_is_not_needed_is_not_asked_for(billing: Issued) -> None:
    def password() -> str:
        raise AssertionError("asked")

    assert Identity.from_pem(billing.certificate_pem, billing.key_pem(), password).thumbprint


def test_a_needed_password_is_asked_for_once(billing: Issued) -> None:
    asked = []

    def password() -> str:
        asked.append(1)
        return PASSWORD

    twice = billing.key_pem(PASSWORD) * 2
    assert Identity.from_pem(billing.certificate_pem, twice, password).thumbprint
    assert asked == [1]


def test_a_chain_with_root_and_strangers(billing: Issued, rsa_billing: Issued) -> None:
    assert billing.root is not None
    certificates = [rsa_billing.certificate, billing.root, *billing.chain, billing.certificate]
    data = "".join(certificate.pem for certificate in certificates).encode()
    assert Identity.from_pem(data, billing.key_pem()).chain == (billing.certificate, *billing.chain)


# Several.


def test_several_identities(billing: Issued, rsa_billing: Issued) -> None:
    data = billing.certificate_pem + billing.key_pem() + rsa_billing.certificate_pem + rsa_billing.key_pem()
    assert refusal(data).problem is IdentityProblem.SEVERAL_IDENTITIES
    chosen = Identity.from_pem(data, select=rsa_billing.certificate.thumbprint)
    assert chosen.certificate == rsa_billing.certificate


def test_more_keys_than_anybody_has(billing: Issued) -> None:
    assert refusal(billing.certificate_pem, billing.key_pem() * 33).problem is IdentityProblem.SEVERAL_IDENTITIES
    assert Identity.from_pem(billing.certificate_pem, billing.key_pem() * 32).thumbprint


# What is wrong.


@pytest.mark.parametrize("password", [None, ""])
def test_no_password_where_one_is_needed(billing: Issued, password: str | None) -> None:
    """OpenSSL would ask on the terminal, and hang where there is none."""
    error = refusal(billing.certificate_pem, billing.key_pem(PASSWORD), password)
    assert error.problem is IdentityProblem.PASSWORD_REQUIRED


def test_no_key(billing: Issued) -> None:
    assert refusal(billing.certificate_pem).problem is IdentityProblem.NO_KEY


def test_no_certificate(billing: Issued) -> None:
    assert refusal(billing.key_pem()).problem is IdentityProblem.NO_CERTIFICATE


def test_key_and_certificate_do_not_match(billing: Issued, rsa_billing: Issued) -> None:
    error = refusal(billing.certificate_pem, rsa_billing.key_pem())
    assert error.problem is IdentityProblem.KEY_MISMATCH
    assert "CN=billing" in error.detail


@pytest.mark.parametrize("part", ["certificate", "key"])
def test_cut_off(billing: Issued, part: str) -> None:
    certificate, key = billing.certificate_pem, billing.key_pem()
    error = refusal(certificate[:-10], key) if part == "certificate" else refusal(certificate, key[:-10])
    assert error.problem is IdentityProblem.TRUNCATED
    assert "-----END" in error.detail


def test_a_damaged_certificate(billing: Issued) -> None:
    data = pem("CERTIFICATE", billing.certificate.der[:-1])
    assert refusal(data, billing.key_pem()).problem is IdentityProblem.DAMAGED


def test_a_damaged_key(billing: Issued) -> None:
    assert refusal(billing.certificate_pem, pem("PRIVATE KEY", b"\x30\x00")).problem is IdentityProblem.DAMAGED


@pytest.mark.parametrize("content", [b"\x30\x00", b"\x30\x03\x02\x01\x05", b"garbage"])
def test_a_damaged_encrypted_key(billing: Issued, content: bytes) -> None:
    error = refusal(billing.certificate_pem, pem("ENCRYPTED PRIVATE KEY", content))
    assert error.problem is IdentityProblem.DAMAGED


def test_a_key_that_takes_hours(billing: Issued) -> None:
    encrypted = ber.encode(der.SEQUENCE, pbes2(bytes(16), bytes(16), MAX_ROUNDS + 1), octets(bytes(32)))
    error = refusal(billing.certificate_pem, pem("ENCRYPTED PRIVATE KEY", encrypted))
    assert error.problem is IdentityProblem.DAMAGED
    assert "rounds of key derivation" in error.detail


def test_a_key_that_takes_all_memory(billing: Issued) -> None:
    """scrypt with a table of a terabyte."""
    scrypt = algorithm(
        "1.3.6.1.4.1.11591.4.11", ber.encode(der.SEQUENCE, octets(b"salt"), integer(2**30), integer(8), integer(1))
    )
    scheme = algorithm("2.16.840.1.101.3.4.1.42", octets(bytes(16)))
    pbes = algorithm("1.2.840.113549.1.5.13", ber.encode(der.SEQUENCE, scrypt, scheme))
    encrypted = ber.encode(der.SEQUENCE, pbes, octets(bytes(32)))
    assert refusal(billing.certificate_pem, pem("ENCRYPTED PRIVATE KEY", encrypted)).problem is IdentityProblem.DAMAGED


def test_a_panic_is_an_error(billing: Issued, capfd: pytest.CaptureFixture[str]) -> None:
    """cryptography panics over an initialisation vector that is too short, past every ``except Exception``."""
    key = b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0011223344556677\n\n"
    key += base64.encodebytes(bytes(32)) + b"-----END EC PRIVATE KEY-----\n"
    error = refusal(billing.certificate_pem, key)
    assert error.problem is IdentityProblem.WRONG_PASSWORD
    assert isinstance(error.__cause__, LibraryPanic)
    assert PASSWORD not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["ec", "-des", "-provider", "legacy", "-provider", "default"], "DES-CBC"),
        (["ec", "-camellia256"], "CAMELLIA-256-CBC"),
        (["pkcs8", "-topk8", "-v2", "des-cbc", "-provider", "legacy", "-provider", "default"], "DES"),
    ],
    ids=["traditional-des", "traditional-camellia", "pkcs8-des"],
)
def test_an_algorithm_that_is_not_offered(billing: Issued, tmp_path: Path, command: list[str], name: str) -> None:
    """The sentence holds a command; what that writes is offered."""
    (tmp_path / "old.key").write_bytes(openssl_key(tmp_path, billing, *command))
    with pytest.raises(IdentityError) as caught:
        Identity.from_pem(billing.certificate_pem, tmp_path / "old.key", PASSWORD)
    assert caught.value.problem is IdentityProblem.ALGORITHM_UNAVAILABLE
    assert f"is encrypted with {name}," in caught.value.detail
    rewrite = caught.value.detail.partition("write it anew: ")[2]
    answered = f"{rewrite} -passin pass:{PASSWORD} -passout pass:{PASSWORD}"
    subprocess.run(answered, shell=True, cwd=tmp_path, check=True, capture_output=True)  # noqa: S602
    assert Identity.from_pem(billing.certificate_pem, tmp_path / "new.key", PASSWORD).thumbprint


def test_an_algorithm_that_is_not_always_offered(billing: Issued, tmp_path: Path) -> None:
    """Without OpenSSL's legacy provider, cryptography calls the right password wrong."""
    options = ["-v1", "PBE-SHA1-RC2-40", "-provider", "legacy", "-provider", "default"]
    error = refusal(billing.certificate_pem, openssl_key(tmp_path, billing, "pkcs8", "-topk8", *options), "falsch")
    assert error.problem is IdentityProblem.WRONG_PASSWORD
    assert "or RC2-40, with which it is encrypted, is not offered here" in error.detail


def test_a_kind_of_key_that_is_not_offered(billing: Issued) -> None:
    command = [require_program("openssl"), "ecparam", "-name", "secp112r1", "-genkey", "-noout"]
    key = subprocess.run(command, check=True, capture_output=True).stdout
    error = refusal(billing.certificate_pem, key)
    assert error.problem is IdentityProblem.ALGORITHM_UNAVAILABLE
    assert "private key of a kind" in error.detail


def test_a_key_of_openssh(billing: Issued) -> None:
    key = billing.private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    error = refusal(billing.certificate_pem, key)
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert "ssh-keygen" in error.detail


# Something else than PEM.


@pytest.mark.parametrize(
    ("data", "problem", "sentence"),
    [
        (b"", "empty", "holds nothing"),
        (b"hello", "wrong_format", "no line that starts with -----BEGIN"),
        (b"<!doctype html><p>Sign in", "wrong_format", "web page"),
        (b"\xfe\xed\xfe\xed", "wrong_format", "Java keystore"),
    ],
    ids=["empty", "text", "html", "jks"],
)
def test_other_files(data: bytes, problem: str, sentence: str) -> None:
    error = refusal(data)
    assert error.problem == problem
    assert sentence in error.detail


def test_a_pfx(billing: Issued) -> None:
    error = refusal(billing.pfx(PASSWORD))
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert "Identity.from_pfx" in error.detail


def test_der(billing: Issued) -> None:
    error = refusal(billing.certificate.der)
    assert error.problem is IdentityProblem.WRONG_FORMAT
    assert "a certificate (DER)" in error.detail


def test_the_key_file_is_named(billing: Issued, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(b"hello")
    with pytest.raises(IdentityError) as caught:
        Identity.from_pem(billing.certificate_pem, tmp_path / "key.pem")
    assert caught.value.source == str(tmp_path / "key.pem")


def test_mutants_raise_nothing_else(billing: Issued) -> None:
    chance = random.Random(500)  # noqa: S311
    files = [billing.certificate_pem + key for key in (billing.key_pem(), billing.key_pem(PASSWORD))]
    problems = set()
    for number in range(500):
        data = bytearray(files[number % 2])
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            Identity.from_pem(bytes(data), None, PASSWORD)
        except IdentityError as error:
            problems.add(error.problem)
    assert {"damaged", "wrong_password"} <= problems
