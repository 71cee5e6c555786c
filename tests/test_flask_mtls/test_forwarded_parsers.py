"""What holds for every way in which certificates are written into headers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_mtls.sources import MOST_CERTIFICATES, MalformedHeader, xfcc
from mtls_core import ber, der
from mtls_core.devca import DevelopmentCA, Issued, self_signed

from .forwarded_values import ENCODINGS, ENVOY, Encoding, mutants, refusal

EVERY = pytest.mark.parametrize("encoding", [*ENCODINGS, ENVOY], ids=lambda encoding: encoding.name)
#: Without Envoy's, of which several texts stand for the same certificates.
PLAIN = pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
SEVERAL = pytest.mark.parametrize(
    "encoding", [encoding for encoding in (*ENCODINGS, ENVOY) if encoding.most > 1], ids=lambda encoding: encoding.name
)
PROPERTY = settings(deadline=None, max_examples=100)

#: A SEQUENCE for each number of padding characters.
PADDED = {3 - (2 + size) % 3 if (2 + size) % 3 else 0: ber.encode(der.SEQUENCE, bytes(size)) for size in (40, 41, 42)}


@pytest.fixture(scope="session")
def small(ca: DevelopmentCA) -> list[bytes]:
    """DER of two certificates that share few bytes."""
    return [ca.client("a").certificate.der, ca.certificate.der]


@pytest.fixture(scope="session")
def large() -> Issued:
    """RSA-4096: the largest that is usual, of 1.2 kB and more."""
    return self_signed("large", key="rsa4096", dns=[f"host-{number}.example.org" for number in range(8)])


@EVERY
def test_certificate_comes_back_byte_for_byte(encoding: Encoding, billing: Issued) -> None:
    leaf = billing.certificate.der
    assert encoding.parse(encoding.write(leaf)) == (leaf,)


@EVERY
def test_rsa_4096_certificate_comes_back_byte_for_byte(encoding: Encoding, large: Issued) -> None:
    leaf = large.certificate.der
    assert encoding.parse(encoding.write(leaf)) == (leaf,)


@PLAIN
@pytest.mark.parametrize("data", PADDED.values(), ids=PADDED)
def test_every_padding_comes_back(encoding: Encoding, data: bytes) -> None:
    assert encoding.parse(encoding.write(data)) == (data,)


@SEVERAL
def test_order_of_certificates_is_kept(encoding: Encoding, stock: Issued, ca: DevelopmentCA) -> None:
    sent = (stock.certificate.der, stock.chain[0].der, ca.certificate.der)
    assert encoding.parse(encoding.write(*sent)) == sent


@SEVERAL
def test_ten_certificates_are_read_and_eleven_are_not(encoding: Encoding, small: list[bytes]) -> None:
    leaf, other = small
    # Envoy's chain has the leaf too, as the first of the ten.
    assert encoding.parse(encoding.write(leaf, *[other] * (MOST_CERTIFICATES - 1)))
    assert "more than 10 certificates" in refusal(encoding.parse, encoding.write(leaf, *[other] * MOST_CERTIFICATES))


@PLAIN
def test_empty_value_is_no_certificate(encoding: Encoding) -> None:
    """Values that stand for nothing are the caller's business; a parser must not make them an empty chain."""
    assert refusal(encoding.parse, "")


@PLAIN
def test_certificate_must_be_whole(encoding: Encoding, small: list[bytes]) -> None:
    leaf = small[0]
    assert refusal(encoding.parse, encoding.write(leaf[:-1])) == "does not hold whole certificates"
    assert encoding.parse(encoding.write(leaf)) == (leaf,)


@PLAIN
def test_nothing_stands_behind_a_certificate(encoding: Encoding, small: list[bytes]) -> None:
    leaf = small[0]
    assert refusal(encoding.parse, encoding.write(leaf + b"\x05\x00"))
    assert encoding.parse(encoding.write(leaf)) == (leaf,)


@PLAIN
def test_other_der_than_a_sequence_is_refused(encoding: Encoding) -> None:
    content = bytes(40)
    octets, sequence = ber.encode(der.OCTET_STRING, content), ber.encode(der.SEQUENCE, content)
    assert refusal(encoding.parse, encoding.write(octets)) == "holds something that is not a certificate"
    assert encoding.parse(encoding.write(sequence)) == (sequence,)


@PLAIN
def test_length_that_is_not_the_shortest_is_refused(encoding: Encoding) -> None:
    content = bytes(40)
    assert refusal(encoding.parse, encoding.write(b"\x30\x81\x28" + content)) == "does not hold whole certificates"
    assert encoding.parse(encoding.write(b"\x30\x28" + content)) == (b"\x30\x28" + content,)


@PLAIN
@pytest.mark.parametrize(("padding", "good", "spare_bits"), [(2, "AA==", "AB=="), (1, "AAA=", "AAB=")])
def test_spare_bits_of_base64_are_zero(encoding: Encoding, padding: int, good: str, spare_bits: str) -> None:
    """RFC 4648, section 3.5: else one certificate has several texts, and a list of refused texts has holes."""
    data = PADDED[padding]
    value = encoding.write(data)
    if "%3D" in value:
        good, spare_bits = good.replace("=", "%3D"), spare_bits.replace("=", "%3D")
    assert refusal(encoding.parse, value.replace(good, spare_bits)) == "is not base64 as an encoder writes it"
    assert encoding.parse(value) == (data,)


@PLAIN
@pytest.mark.parametrize("padding", [1, 2])
def test_padding_is_not_left_out(encoding: Encoding, padding: int) -> None:
    value = encoding.write(PADDED[padding])
    assert refusal(encoding.parse, value.replace("%3D", "=").replace("=", "")) == "is not base64"
    assert encoding.parse(value) == (PADDED[padding],)


@PLAIN
def test_url_safe_alphabet_is_refused(encoding: Encoding) -> None:
    data = ber.encode(der.SEQUENCE, b"\x00" + b"\xfb\xef\xbe" * 13)
    value = encoding.write(data)
    plus = "%2B%2B%2B%2B" if "%2B" in value else "++++"
    assert refusal(encoding.parse, value.replace(plus, "----")) == "is not base64"
    assert encoding.parse(value) == (data,)


@EVERY
@pytest.mark.parametrize("character", ["\x00", "\x7f", "é", "\ud800", "٣", "\u2028"])
def test_characters_outside_ascii_are_refused(encoding: Encoding, character: str, small: list[bytes]) -> None:
    value = encoding.write(small[0])
    middle = len(value) // 2
    assert refusal(encoding.parse, value[:middle] + character + value[middle:])
    assert encoding.parse(value) == (small[0],)


@EVERY
@PROPERTY
@given(text=st.one_of(st.text(st.characters()), st.text(':,;="\\ %-A')))
def test_no_text_raises_anything_else(encoding: Encoding, text: str) -> None:
    assert refusal(encoding.parse, text)


@PLAIN
@PROPERTY
@given(data=st.data())
def test_what_is_accepted_is_what_a_proxy_would_write(
    encoding: Encoding, data: st.DataObject, small: list[bytes]
) -> None:
    """A damaged header is refused, or is the true header of other certificates, each of them whole."""
    value = data.draw(mutants(encoding.write(*small[: encoding.most])))
    try:
        found = encoding.parse(value)
    except MalformedHeader:
        return
    assert 1 <= len(found) <= encoding.most
    assert all(der.read_all(certificate).tag == der.SEQUENCE for certificate in found)
    assert encoding.essence(encoding.write(*found)) == encoding.essence(value)


@PROPERTY
@given(data=st.data(), hops=st.integers(1, 3))
def test_no_damage_to_the_header_of_envoy_makes_another_client(
    data: st.DataObject, hops: int, small: list[bytes]
) -> None:
    """Its hash is within it; so the client stays who it was, is refused, or is another whole element's."""
    first, second = small
    value = data.draw(mutants(f"{ENVOY.write(first, second)},{ENVOY.write(second)}"))
    try:
        found = xfcc.client(value, hops)
    except MalformedHeader:
        return
    if found is not None:
        assert found.leaf in (first, second)
        assert all(der.read_all(certificate).tag == der.SEQUENCE for certificate in found.chain)


@PLAIN
@PROPERTY
@given(contents=st.lists(st.binary(max_size=300), min_size=1, max_size=10))
def test_round_trip(encoding: Encoding, contents: list[bytes]) -> None:
    certificates = tuple(ber.encode(der.SEQUENCE, content) for content in contents)[: encoding.most]
    assert encoding.parse(encoding.write(*certificates)) == certificates
