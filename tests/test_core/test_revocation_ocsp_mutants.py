"""OCSP responses that were damaged somewhere: an answer comes out, never an exception, and never a good one for
content that the signature does not cover.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mtls_core import ber, der
from mtls_core.devca.ocsp import single_response
from mtls_core.revocation.ocsp import delegated_responder
from mtls_core.revocation.status import Answer, Status

from .crafting import AT, ECDSA_SHA256
from .ocsp_questions import POLICY, answer_to, delegate, pki, response

MUTANTS = 1500
NONCE = b"n" * 32

SEEDS: dict[str, Callable[[], bytes]] = {
    "by the issuer": lambda: response(nonce=NONCE),
    "by a delegate": lambda: response(signer=delegate()),
    "revoked": lambda: response(status="revoked", reason=x509.ReasonFlags.key_compromise, responder_id="name"),
    "several": lambda: response(
        others=[single_response(pki().ca, 4711, this_update=AT), single_response(pki().ca, 4712, this_update=AT)],
        single_extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), False)],
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_mutants(seed: str) -> None:
    """P1, P19."""
    whole, chance = SEEDS[seed](), random.Random(seed)  # noqa: S311 - repeatable on purpose
    expected = answer_to(whole, nonce=NONCE)
    assert expected.status is not Status.UNKNOWN
    seen: Counter[Status] = Counter()
    for _ in range(MUTANTS):
        mutant = _mutant(whole, chance)
        said = answer_to(mutant, nonce=NONCE)
        assert isinstance(said, Answer)
        assert delegated_responder(mutant, pki().path, 0, at=AT, policy=POLICY) is None
        seen[said.status] += 1
        if said.status is not Status.UNKNOWN:
            assert said == expected
            assert _signed(mutant) == _signed(whole)
    # Most mutations hit what is signed, or the structure around it.
    assert seen[Status.UNKNOWN] > 0.5 * MUTANTS


@pytest.mark.parametrize("seed", SEEDS)
def test_mutants_that_are_signed(seed: str) -> None:
    """P19: a responder that may answer and sends nonsense gets as far as its signature lets it."""
    whole, chance = SEEDS[seed](), random.Random(seed)  # noqa: S311 - repeatable on purpose
    signed = _signed(whole)
    signer: Any = delegate() if seed == "by a delegate" else pki().ca
    seen: Counter[Status] = Counter()
    for _ in range(MUTANTS // 3):
        content = _mutant(signed, chance)
        signature = signer.private_key.sign(content, ec.ECDSA(hashes.SHA256()))
        certificates = [signer.certificate.der] if seed == "by a delegate" else []
        said = answer_to(_assembled(content, signature, certificates), nonce=NONCE)
        assert isinstance(said, Answer)
        seen[said.status] += 1
    assert seen[Status.UNKNOWN] > 0.3 * MUTANTS // 3


def test_mutants_of_a_delegates_certificate() -> None:
    """P19: certificates that come with a response are anybody's."""
    signer, chance = delegate(), random.Random(0)  # noqa: S311 - repeatable on purpose
    content = _signed(response(signer=signer))
    signature = signer.private_key.sign(content, ec.ECDSA(hashes.SHA256()))
    assert answer_to(_assembled(content, signature, [signer.certificate.der])).status is Status.GOOD
    for _ in range(MUTANTS):
        certificate = _mutant(signer.certificate.der, chance)
        said = answer_to(_assembled(content, signature, [certificate]))
        assert said.status is Status.UNKNOWN or certificate == signer.certificate.der


def _assembled(content: bytes, signature: bytes, certificates: Sequence[bytes]) -> bytes:
    """A response with an ECDSA signature."""
    sent = ber.encode(0xA0, ber.encode(der.SEQUENCE, *certificates)) if certificates else b""
    basic = ber.encode(der.SEQUENCE, content, ECDSA_SHA256, ber.encode(der.BIT_STRING, b"\0", signature), sent)
    kind = bytes.fromhex("06092b0601050507300101")
    inner = ber.encode(der.SEQUENCE, kind, ber.encode(der.OCTET_STRING, basic))
    return ber.encode(der.SEQUENCE, b"\x0a\x01\x00", ber.encode(0xA0, inner))


def _mutant(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                changed[at] ^= 1 << chance.randrange(8)
            case 2:
                del changed[at : at + chance.randint(1, 8)]
            case 3:
                changed[at:at] = chance.randbytes(chance.randint(1, 8))
    return bytes(changed)


def _signed(data: bytes) -> bytes:
    """The part of a response that is signed."""
    _status, explicit = der.read_all(data).children()
    (response_bytes,) = explicit.children()
    _kind, octets = response_bytes.children()
    return next(der.read_all(octets.value).children()).raw
