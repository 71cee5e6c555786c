"""What a policy and a verifier are made of, and that mistakes are found before anybody is judged."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.errors import ConfigurationError
from mtls_core.trust import TrustStore
from mtls_core.verifier import ClientPolicy, Verifier

from .crafting import make_root, verifier


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def client(ca: DevelopmentCA) -> Issued:
    return ca.client("billing")


@pytest.fixture(scope="module")
def judge(ca: DevelopmentCA) -> Verifier:
    return verifier(ca)


@pytest.mark.parametrize(
    "options",
    [
        {"certificate_types": frozenset()},
        {"certificate_types": frozenset({"any"})},
        {"certificate_types": "chained"},
        {"certificate_types": None},
        {"certificate_types": {"self_signed"}},
        {"check_validity": "no"},
        {"check_usage": "lenient"},
        {"check_usage": None},
        {"check_usage": 1},
        {"clock_skew": timedelta(seconds=-1)},
        {"clock_skew": 300},
        {"allowed": ["ab" * 32]},
        {"max_chain_length": 1},
        {"max_chain_length": 11},
        {"max_chain_length": True},
        {"max_chain_length": "ten"},
        {"trust": None},
        {"trust": "ca.pem"},
        {"trust": TrustStore(anchors=())},
    ],
    ids=repr,
)
def test_a_wrong_value_is_refused_at_once(ca: DevelopmentCA, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ClientPolicy(**{"trust": ca.trust_store(), **options})


def test_the_defaults_are_strict(ca: DevelopmentCA) -> None:
    policy = ClientPolicy(trust=ca.trust_store())
    assert policy.certificate_types == {"chained"}
    assert (policy.check_validity, policy.check_usage) == (True, True)
    assert (policy.clock_skew, policy.allowed, policy.max_chain_length) == (timedelta(0), None, 10)


def test_types_may_be_given_as_any_collection(ca: DevelopmentCA) -> None:
    types: Any = ["chained"]
    assert ClientPolicy(trust=ca.trust_store(), certificate_types=types).certificate_types == {"chained"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"leaf": b"der"},
        {"leaf": None},
        {"intermediates": [b"der"]},
        {"at": datetime(2026, 6, 1)},
        {"at": "2026-06-01"},
    ],
    ids=repr,
)
def test_a_wrong_argument_is_no_refusal(judge: Verifier, client: Issued, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        judge.verify(**{"leaf": client.certificate, **arguments})


def test_a_verifier_needs_a_policy() -> None:
    policy: Any = {"trust": None}
    with pytest.raises(ConfigurationError):
        Verifier(policy)
