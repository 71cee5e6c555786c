"""The public API as a type checker sees it. Never run."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

import requests
from flask import Flask

from flask_mtls import (
    MTLS,
    CertificateRefused,
    PeerCertificate,
    Reason,
    cert_exempt,
    cert_required,
    current_cert,
    dns,
    issued_by,
    spiffe,
    thumbprint,
)
from mtls_core.certificate import Certificate
from mtls_core.pins import Pin, PinSet
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.trust import TrustStore
from mtls_core.verifier import ClientPolicy, VerifiedCertificate, Verifier
from requests_mtls import Identity, MTLSAdapter, MTLSRequestError, MTLSSession, PinMismatch

mtls = MTLS()
app = Flask(__name__)
mtls.init_app(app)
MTLS(app)


@app.get("/bare")
@cert_required
def bare() -> str:
    assert_type(current_cert.spiffe_id, str | None)
    assert_type(current_cert.chain, tuple[Certificate, ...])
    return current_cert.subject


@app.get("/ruled/<int:number>")
@cert_required(spiffe("spiffe://example.org/billing") | dns("billing.internal") & issued_by("ca.pem"))
def ruled(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/called")
@cert_required()
async def called() -> str:
    return "ok"


@app.get("/function")
@cert_required(lambda peer: "billing" in peer.common_names)
def function() -> str:
    return "ok"


@app.get("/open")
@cert_exempt
def open_view() -> str:
    return "ok"


@mtls.principal_loader
def load(peer: PeerCertificate) -> str | None:
    return peer.spiffe_id


@mtls.on_rejected
def rejected(refusal: CertificateRefused) -> tuple[str, int] | None:
    assert_type(refusal.reason, Reason)
    return None


def client(session: requests.Session) -> None:
    identity = Identity.from_pfx("billing.pfx", password=lambda: "secret", select="billing")
    Identity.from_pem(b"pem", "key.pem", b"secret")
    adapter = MTLSAdapter(identity, hosts=["orders.internal"], ca="ca.pem", pins=["sha256/x"], max_retries=3)
    session.mount("https://orders.internal/", adapter)
    with MTLSSession(identity, hosts="orders.internal", ca=TrustStore.from_files("ca.pem")) as own:
        try:
            assert_type(own.get("https://orders.internal/orders"), requests.Response)
        except PinMismatch as error:
            assert_type(error.chain, tuple[Certificate, ...])
        except MTLSRequestError:
            pass


def core(certificate: Certificate) -> None:
    policy = ClientPolicy(
        trust=TrustStore.from_pem("pem"),
        check_usage="strict",
        clock_skew=timedelta(seconds=1),
        allowed=PinSet(Pin.for_public_key(certificate), thumbprint_text := "00" * 32),
        revocation=RevocationPolicy(mode="required"),
    )
    thumbprint(thumbprint_text)
    assert_type(Verifier(policy).verify(certificate, [certificate]), VerifiedCertificate)
