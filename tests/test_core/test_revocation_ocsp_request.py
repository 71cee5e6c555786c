"""OCSP requests, and where they are sent."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from mtls_core.revocation.ocsp import MAX_GET_URL, NONCE_SIZE, build_request, get_url, responder_urls

from .crafting import raw_name, resign, set_fields
from .ocsp_questions import pki

URL = "http://ocsp.example.org"


@pytest.mark.parametrize("hash", ["sha1", "sha256"])
def test_a_request_is_what_cryptography_would_send(hash: str) -> None:
    leaf, issuer = pki().leaf, pki().ca.certificate
    data = build_request(leaf, issuer, hash=hash)  # type: ignore[arg-type]
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        leaf.parsed, issuer.parsed, ocsp.load_der_ocsp_request(data).hash_algorithm
    )
    assert data == builder.build().public_bytes(Encoding.DER)
    assert ocsp.load_der_ocsp_request(data).hash_algorithm.name == hash


def test_sha1_unless_told_otherwise() -> None:
    assert ocsp.load_der_ocsp_request(build_request(pki().leaf, pki().ca.certificate)).hash_algorithm.name == "sha1"


def test_the_issuers_name_is_hashed_as_the_certificate_has_it() -> None:
    """Not as the issuer's own certificate has it: the same name may be encoded otherwise there."""
    leaf = resign(pki().leaf, pki().ca, set_fields(issuer=raw_name("Issuing CA", 0x13)))
    assert leaf.issuer_der != pki().ca.certificate.subject_der
    request = ocsp.load_der_ocsp_request(build_request(leaf, pki().ca.certificate))
    assert request.issuer_name_hash == hashlib.sha1(leaf.issuer_der, usedforsecurity=False).digest()


def test_without_a_nonce() -> None:
    request = ocsp.load_der_ocsp_request(build_request(pki().leaf, pki().ca.certificate))
    assert list(request.extensions) == []


@pytest.mark.parametrize("size", [NONCE_SIZE, 64, 128])
def test_with_a_nonce(size: int) -> None:
    """RFC 9654, section 2.1."""
    request = ocsp.load_der_ocsp_request(build_request(pki().leaf, pki().ca.certificate, nonce=b"n" * size))
    extension = request.extensions.get_extension_for_class(x509.OCSPNonce)
    assert extension.value.nonce == b"n" * size
    assert not extension.critical


@pytest.mark.parametrize("size", [0, 1, 31, 129])
def test_a_nonce_of_another_size_is_a_mistake(size: int) -> None:
    with pytest.raises(ValueError, match=f"32 to 128 bytes, not {size}"):
        build_request(pki().leaf, pki().ca.certificate, nonce=b"n" * size)


# Addresses.


def test_the_responders_that_a_certificate_names() -> None:
    urls = ("http://one.example/ocsp", "http://two.example/")
    assert responder_urls(pki().ca.client("billing", ocsp_urls=urls).certificate) == urls


def test_each_responder_once() -> None:
    urls = ("http://one.example/", "http://two.example/", "http://one.example/")
    assert responder_urls(pki().ca.client("billing", ocsp_urls=urls).certificate) == urls[:2]


def test_a_certificate_that_names_none() -> None:
    assert responder_urls(pki().ca.client("billing").certificate) == ()


def test_where_the_issuers_certificate_is_is_no_responder() -> None:
    access = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example/ca.cer")
    )
    named = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.DirectoryName(x509.Name.from_rfc4514_string("CN=responder"))
    )
    extension = (x509.AuthorityInformationAccess([access, named]), False)
    assert responder_urls(pki().ca.client("billing", extensions=[extension]).certificate) == ()


@pytest.mark.parametrize("base", [URL, f"{URL}/", f"{URL}/ocsp", f"{URL}/ocsp/"])
def test_a_small_request_goes_into_the_address(base: str) -> None:
    request = build_request(pki().leaf, pki().ca.certificate)
    url = get_url(base, request)
    assert url is not None
    start, _, last = url.rpartition("/")
    assert start == base.rstrip("/")
    assert base64.b64decode(unquote(last), validate=True) == request
    assert "+" not in last
    assert "=" not in last


def test_every_character_of_base64_that_means_something_in_a_url_is_escaped() -> None:
    url = get_url(URL, bytes.fromhex("fbefbeffff"))
    assert url == f"{URL}/%2B%2B%2B%2B%2F%2F8%3D"


def test_a_request_that_makes_the_address_too_long_is_posted() -> None:
    longest = 30 * b"0" + b"000"
    base = f"{URL}/" + "x" * (MAX_GET_URL - len(f"{URL}//") - 44)
    url = get_url(base, longest)
    assert url is not None
    assert len(url) == MAX_GET_URL
    assert get_url(f"{base}x", longest) is None


def test_a_request_with_a_nonce_and_sha256_is_posted() -> None:
    request = build_request(pki().leaf, pki().ca.certificate, nonce=b"n" * 32, hash="sha256")
    assert get_url("http://a-responder-with-a-longer-name.example.org/ocsp", request) is None


@pytest.mark.parametrize("base", [f"{URL}/?ca=1", f"{URL}/#top"])
def test_an_address_to_which_nothing_can_be_added(base: str) -> None:
    assert get_url(base, b"request") is None
