"""Generated chains, judged here and by cryptography's own verifier, an independent implementation.

Each chain is put together from certificates with at most one peculiarity each. The two may differ only where one of the
peculiarities is listed as a difference, and each listed difference is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtensionOID, NameOID
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.devca.keys import make_key
from mtls_core.errors import CertificateRejected, Reason
from mtls_core.verifier import Verifier
from tests.test_core.crafting import AT, extended, key_usage, make_root, verifier

CLIENT, SERVER, ANY = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1", "2.5.29.37.0"
PAST, FUTURE = AT - timedelta(days=1), AT + timedelta(days=1)
UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True)
ELSEWHERE = x509.NameConstraints(
    [x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Elsewhere")]))], None
)


def _constraint(permitted: x509.GeneralName | None, excluded: x509.GeneralName | None = None) -> dict[str, Any]:
    value = x509.NameConstraints([permitted] if permitted else None, [excluded] if excluded else None)
    return {"extensions": [(value, True)]}


#: Peculiarities of CAs: options of the development CA.
CAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "expired": {"not_before": PAST - timedelta(days=9), "not_after": PAST},
    "not yet valid": {"not_before": FUTURE},
    "no basic constraints": {"without": [ExtensionOID.BASIC_CONSTRAINTS]},
    "not a CA": {"extensions": [(x509.BasicConstraints(ca=False, path_length=None), True)]},
    "basic constraints not critical": {"extensions": [(x509.BasicConstraints(ca=True, path_length=None), False)]},
    "signs only CRLs": {"extensions": [key_usage("crl_sign")]},
    "no key usage": {"without": [ExtensionOID.KEY_USAGE]},
    "no CA below": {"path_length": 0},
    "one CA below": {"path_length": 1},
    "for servers": {"extensions": [extended(SERVER)]},
    "for clients": {"extensions": [extended(CLIENT)]},
    "for anything": {"extensions": [extended(ANY)]},
    "unknown critical extension": {"extensions": [UNKNOWN]},
    "SHA-1": {"hash": "sha1"},
    "RSA 1024": {"key": "rsa1024"},
    "P-384": {"key": "p384"},
    "CA with Ed25519": {"key": "ed25519"},
    "no subject key id": {"without": [ExtensionOID.SUBJECT_KEY_IDENTIFIER]},
    "example.org permitted": _constraint(x509.DNSName("example.org")),
    "a.example.org permitted": _constraint(x509.DNSName("a.example.org")),
    "example.org excluded": _constraint(None, x509.DNSName("example.org")),
    "other.org permitted": _constraint(x509.DNSName("other.org")),
    "directory name permitted": _constraint(x509.DirectoryName(x509.Name([]))),
    "other directory name permitted, not critical": {"extensions": [(ELSEWHERE, False)]},
    "URI permitted": _constraint(x509.UniformResourceIdentifier("example.org")),
    "e-mail permitted": _constraint(x509.RFC822Name("example.org")),
}

#: Peculiarities of leaves.
LEAVES: dict[str, dict[str, Any]] = {
    "plain": {},
    "expired": {"not_after": PAST},
    "not yet valid": {"not_before": FUTURE},
    "for servers": {"usage": (SERVER,)},
    "for anything": {"usage": (ANY,)},
    "for nothing in particular": {"usage": ()},
    "only enciphers": {"extensions": [key_usage("key_encipherment")]},
    "signs certificates": {"extensions": [key_usage("digital_signature", "key_cert_sign")]},
    "no key usage in the leaf": {"without": [ExtensionOID.KEY_USAGE]},
    "CA": {"ca": True},
    "no basic constraints in the leaf": {"without": [ExtensionOID.BASIC_CONSTRAINTS]},
    "unknown critical extension": {"extensions": [UNKNOWN]},
    "SHA-1": {"hash": "sha1"},
    "leaf with RSA 1024": {"key": "rsa1024"},
    "leaf with RSA 2048": {"key": "rsa"},
    "leaf with P-192": {"key": "p192"},
    "P-521": {"key": "p521"},
    "leaf with Ed25519": {"key": "ed25519"},
    "no alternative name": {"dns": ()},
    "SPIFFE ID": {"dns": (), "uris": ["spiffe://example.org/billing"]},
    "elsewhere": {"dns": ["a.other.org"]},
    "wildcard": {"dns": ["*.example.org"]},
    "IP address": {"dns": (), "ips": ["192.0.2.1"]},
    "malformed DNS name": {"dns": ["a..b"]},
    "empty DNS name": {"dns": [""]},
    "no authority key id": {"without": [ExtensionOID.AUTHORITY_KEY_IDENTIFIER]},
}

#: Refused here alone.
STRICTER_HERE = {
    "only enciphers": "a TLS client signs; cryptography does not look at this bit",
    "leaf with RSA 1024": "cryptography does not look at the leaf's key",
    "leaf with P-192": "cryptography does not look at the leaf's key",
    "other directory name permitted, not critical": "cryptography ignores it",
    "malformed DNS name": "cryptography reads DNS names only where constraints are compared",
    "empty DNS name": "cryptography reads DNS names only where constraints are compared",
}
#: Refused by cryptography alone, whose profile is that of the public web (CA/Browser Forum).
STRICTER_THERE = {
    "basic constraints not critical": "RFC 5280 asks CAs for it, not verifiers; PKITS 4.6.4 accepts",
    "no key usage": "RFC 5280 asks CAs for it, not verifiers",
    "CA with Ed25519": "not in the public web",
    "directory name permitted": "cryptography does not evaluate it",
    "no alternative name": "not needed where the subject names the client",
    "no authority key id": "RFC 5280 asks CAs for it, not verifiers",
}
#: Refused by cryptography alone, if they come together.
STRICTER_THERE_TOGETHER = {"URI permitted", "SPIFFE ID"}


@cache
def _key(kind: str) -> Any:
    return make_key(kind)


def _options(peculiarity: dict[str, Any]) -> dict[str, Any]:
    """RSA keys take long to make; the same ones will do."""
    kind = peculiarity.get("key", "ec")
    return {**peculiarity, "key": _key(kind) if kind.startswith("rsa") else kind}


@cache
def _judges() -> tuple[DevelopmentCA, Verifier, verification.ClientVerifier]:
    root = make_root()
    store = verification.Store([root.certificate.parsed])
    oracle = verification.PolicyBuilder().store(store).time(AT).build_client_verifier()
    return root, verifier(root), oracle


def _issue(cas: Sequence[str], leaf: str) -> Issued:
    issuer = _judges()[0]
    for number, name in enumerate(cas):
        issuer = issuer.intermediate(f"CA {number}", **_options(CAS[name]))
    options: Any = {"dns": ["a.example.org"], **_options(LEAVES[leaf])}
    return issuer.client("billing", **options)


def _accepted_here(issued: Issued) -> bool:
    reason = _reason_here(issued)
    # Which is the third opinion: what the engine accepts, OpenSSL accepts.
    assert reason is not Reason.SECOND_OPINION
    return reason is None


def _reason_here(issued: Issued) -> Reason | None:
    try:
        _judges()[1].verify(issued.certificate, issued.chain, at=AT)
    except CertificateRejected as error:
        return error.reason
    return None


def _accepted_there(issued: Issued) -> bool:
    try:
        _judges()[2].verify(issued.certificate.parsed, [certificate.parsed for certificate in issued.chain])
    except verification.VerificationError:
        return False
    return True


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(cas=st.lists(st.sampled_from(sorted(CAS)), max_size=3), leaf=st.sampled_from(sorted(LEAVES)))
def test_both_agree_but_for_what_is_listed(cas: list[str], leaf: str) -> None:
    assume("CA with Ed25519" not in cas or "SHA-1" not in (*cas, leaf))  # it has a hash of its own
    issued = _issue(cas, leaf)
    here, there = _accepted_here(issued), _accepted_there(issued)
    peculiarities = {*cas, leaf}
    if here and not there:
        assert peculiarities & set(STRICTER_THERE) or peculiarities >= STRICTER_THERE_TOGETHER
    elif there and not here:
        assert peculiarities & set(STRICTER_HERE)


@pytest.mark.parametrize("name", [*CAS, *LEAVES])
def test_one_peculiarity_alone(name: str) -> None:
    issued = _issue([name], "plain") if name in CAS else _issue([], name)
    verdicts = (_accepted_here(issued), _accepted_there(issued))
    if name in STRICTER_HERE or name in STRICTER_THERE:
        assert verdicts == (name in STRICTER_THERE, name in STRICTER_HERE)
    else:
        assert verdicts[0] is verdicts[1]


def test_there_is_something_to_accept_and_to_refuse() -> None:
    """Otherwise agreement would mean nothing."""
    alone = [_accepted_here(_issue([], name)) for name in LEAVES]
    assert (sum(alone), len(alone)) == (13, len(LEAVES))
