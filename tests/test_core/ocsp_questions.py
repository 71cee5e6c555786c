"""A path to ask about, and short ways to ask what an OCSP response says about it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA
from mtls_core.devca.ocsp import ocsp_response, ocsp_signer
from mtls_core.revocation.ocsp import judge
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Answer, Status

from .crafting import AT

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
POLICY = RevocationPolicy()


@dataclass(frozen=True)
class Pki:
    """A leaf, the CA that issued it, the root above."""

    root: DevelopmentCA
    ca: DevelopmentCA
    leaf: Certificate

    @property
    def path(self) -> tuple[Certificate, ...]:
        """As a verifier finds it."""
        return (self.leaf, self.ca.certificate, self.root.certificate)


@functools.cache
def pki() -> Pki:
    """The one that most tests ask about; it is :data:`AT` there."""
    root = DevelopmentCA.create("Root", at=AT)
    ca = root.intermediate("Issuing CA")
    return Pki(root, ca, ca.client("billing").certificate)


@functools.cache
def delegate() -> Any:
    """Somebody to whom the CA delegated its responses."""
    return ocsp_signer(pki().ca)


def response(**options: Any) -> bytes:
    """A good response about the leaf, unless options say otherwise."""
    usual = {"this_update": AT - MINUTE, "next_update": AT + HOUR}
    return ocsp_response(pki().ca, pki().leaf, **{**usual, **options})


def answer_to(
    data: bytes,
    *,
    at: datetime = AT,
    policy: RevocationPolicy = POLICY,
    nonce: bytes | None = None,
    path: tuple[Certificate, ...] | None = None,
    depth: int = 0,
) -> Answer:
    """What is made of some bytes."""
    return judge(data, path or pki().path, depth, at=at, policy=policy, nonce=nonce, source="ocsp http://ocsp.example/")


def answer(*, policy: RevocationPolicy = POLICY, at: datetime = AT, **options: Any) -> Answer:
    """What is made of a response with some options."""
    return answer_to(response(**options), policy=policy, at=at)


def is_good(said: Answer) -> bool:
    """Whether an answer says that all is well; the test's output has its sentence if not."""
    assert said.status is Status.GOOD, said.detail
    return True


def unknown(said: Answer) -> str:
    """The sentence of an answer that says nothing."""
    assert said.status is Status.UNKNOWN, said.detail
    assert said.valid_until is None
    assert said.source == "ocsp http://ocsp.example/"
    return said.detail
