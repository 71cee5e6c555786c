"""P19: certificates with damaged bytes end as our errors, at reading or at verifying, never as anything else.

What is damaged, and where, comes from a seeded generator: the same mutants in every run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from mtls_core import ber, der
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, self_signed
from mtls_core.errors import CertificateRejected, MalformedCertificate
from mtls_core.verifier import Verifier

from .crafting import AT, make_root, sign, verifier

PRIVATE_OID = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
INTERESTING_TAGS = (
    0x00,
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x0C,
    0x13,
    0x1E,
    0x1F,
    0x30,
    0x31,
    0x80,
    0x82,
    0xA0,
    0xFF,
)

Mutation = Callable[[random.Random, bytes], bytes]


def _flip(source: random.Random, data: bytes) -> bytes:
    mutant = bytearray(data)
    for _ in range(source.randint(1, 3)):
        mutant[source.randrange(len(mutant))] ^= 1 << source.randrange(8)
    return bytes(mutant)


def _overwrite(source: random.Random, data: bytes) -> bytes:
    mutant = bytearray(data)
    mutant[source.randrange(len(mutant))] = source.choice((0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)))
    return bytes(mutant)


def _truncate(source: random.Random, data: bytes) -> bytes:
    return data[: source.randrange(len(data))]


def _insert(source: random.Random, data: bytes) -> bytes:
    at = source.randrange(len(data) + 1)
    return data[:at] + source.randbytes(source.randint(1, 8)) + data[at:]


def _remove(source: random.Random, data: bytes) -> bytes:
    at = source.randrange(len(data))
    return data[:at] + data[at + source.randint(1, 8) :]


def _repeat(source: random.Random, data: bytes) -> bytes:
    start = source.randrange(len(data))
    piece = data[start : start + source.randint(1, 64)]
    return data[:start] + piece + data[start:]


BLIND: tuple[Mutation, ...] = (_flip, _overwrite, _truncate, _insert, _remove, _repeat)


def _restructure(source: random.Random, data: bytes) -> bytes:
    """Another tag, another value, one element less or twice; the lengths around it are right again."""
    root = der.read(data)
    return _rebuilt(root, source.randrange(_count(root)), source)[0]


def _count(element: der.Element) -> int:
    return 1 + sum(_count(child) for child in _children(element))


def _children(element: der.Element) -> list[der.Element]:
    return list(element.children()) if element.tag & 0x20 else []


def _rebuilt(element: der.Element, target: int, source: random.Random) -> tuple[bytes, int]:
    """The element with number ``target`` of its tree (in reading order) changed, and how many numbers are left."""
    if target == 0:
        return _changed(element, source), -1
    target -= 1
    parts = []
    for child in _children(element):
        part, target = _rebuilt(child, target, source) if target >= 0 else (child.raw, target)
        parts.append(part)
    return (ber.encode(element.tag, *parts) if parts else element.raw), target


def _changed(element: der.Element, source: random.Random) -> bytes:
    match source.randrange(6):
        case 0:
            return b""
        case 1:
            return element.raw * 2
        case 2:
            return ber.encode(source.choice(INTERESTING_TAGS), element.value)
        case 3:
            return ber.encode(element.tag, source.randbytes(source.randint(0, 20)))
        case 4:
            return ber.encode(element.tag)
    return ber.encode(element.tag, _flip(source, element.value)) if element.value else b"\x05\x00"


def _rich(root: DevelopmentCA) -> Certificate:
    """A leaf with a little of everything."""
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "x"), x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@example.org")]
    )
    names: list[x509.GeneralName] = [
        x509.DNSName("x.example.org"),
        x509.UniformResourceIdentifier("spiffe://example.org/x"),
        x509.RFC822Name("x@example.org"),
        x509.DirectoryName(name),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01x"),
        x509.RegisteredID(PRIVATE_OID),
    ]
    policies = x509.CertificatePolicies([x509.PolicyInformation(PRIVATE_OID, ["https://example.org/cps"])])
    return root.client(
        "x", subject=name, extensions=[(x509.SubjectAlternativeName(names), False), (policies, False)]
    ).certificate


def _constrained(root: DevelopmentCA) -> DevelopmentCA:
    base = [x509.DNSName("example.org"), x509.RFC822Name("example.org"), x509.DirectoryName(x509.Name([]))]
    limits = x509.NameConstraints([*base, x509.UniformResourceIdentifier("example.org")], [x509.DNSName("evil.org")])
    mapping = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), b"\x30\x00")
    return root.intermediate(extensions=[(limits, True), (x509.PolicyConstraints(5, None), True), (mapping, True)])


def _read(data: bytes) -> Certificate | None:
    """The mutant, if it can be read; the test fails if anything but ``malformed`` says that it cannot."""
    try:
        return Certificate.from_der(data)
    except MalformedCertificate:
        return None


def _decide(judge: Verifier, leaf: Certificate, *sent: Certificate) -> bool:
    try:
        judge.verify(leaf, sent, at=AT)
    except CertificateRejected:
        return False
    return True


@pytest.fixture(scope="module")
def root() -> DevelopmentCA:
    return make_root()


def _mutants(seed: int, data: bytes, mutations: tuple[Mutation, ...], number: int) -> Iterator[bytes]:
    source = random.Random(seed)  # noqa: S311 - repeatable, not secret
    for _ in range(number):
        mutant = source.choice(mutations)(source, data)
        if mutant != data:
            yield mutant


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mutations", [BLIND, (_restructure,)], ids=["blind", "restructured"])
def test_damaged_leaves(root: DevelopmentCA, mutations: tuple[Mutation, ...], seed: int) -> None:
    """None is accepted: every byte is either signed or part of the signature."""
    judge = verifier(root)
    for mutant in _mutants(seed, _rich(root).der, mutations, 1000):
        leaf = _read(mutant)
        assert leaf is None or not _decide(judge, leaf)


@pytest.mark.parametrize("mutations", [BLIND, (_restructure,)], ids=["blind", "restructured"])
def test_damaged_intermediates(root: DevelopmentCA, mutations: tuple[Mutation, ...]) -> None:
    ca, judge = _constrained(root), verifier(root)
    leaf = _rich(ca)
    assert _decide(judge, leaf, ca.certificate)
    for mutant in _mutants(1, ca.certificate.der, mutations, 700):
        sent = _read(mutant)
        assert sent is None or not _decide(judge, leaf, sent)


def test_damaged_self_signed_certificates(root: DevelopmentCA) -> None:
    judge = verifier(root)
    for mutant in _mutants(2, self_signed("x", at=AT).certificate.der, (*BLIND, _restructure), 700):
        leaf = _read(mutant)
        assert leaf is None or not _decide(judge, leaf)


def _signed_mutants(seed: int, certificate: Certificate, issuer: DevelopmentCA, number: int) -> Iterator[Certificate]:
    """Mutants of what is signed, with a good signature: what a CA would issue that does not look at what it signs."""
    for mutant in _mutants(seed, certificate.tbs, (_restructure,), number):
        try:
            yield sign(mutant, issuer, certificate.outer_algorithm_der)
        except MalformedCertificate:
            continue


@pytest.mark.parametrize("seed", range(2))
def test_signed_nonsense_as_a_leaf(root: DevelopmentCA, seed: int) -> None:
    judge = verifier(root)
    verdicts = [_decide(judge, leaf) for leaf in _signed_mutants(seed, _rich(root), root, 1200)]
    assert set(verdicts) == {True, False}


def test_signed_nonsense_as_an_intermediate(root: DevelopmentCA) -> None:
    ca, judge = _constrained(root), verifier(root)
    leaf = _rich(ca)
    verdicts = [_decide(judge, leaf, mutant) for mutant in _signed_mutants(3, ca.certificate, root, 700)]
    assert set(verdicts) == {True, False}


def test_signed_nonsense_as_an_anchor() -> None:
    """An operator's mistake is no excuse for another kind of error either."""
    anchor = make_root(extensions=[(x509.NameConstraints([x509.DNSName("example.org")], None), True)])
    leaf = anchor.client("x", dns=["x.example.org"]).certificate
    verdicts = [_decide(verifier(mutant), leaf) for mutant in _signed_mutants(4, anchor.certificate, anchor, 300)]
    assert set(verdicts) == {True, False}
