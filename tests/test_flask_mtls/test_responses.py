"""What a refused caller receives, and who may change it."""

from __future__ import annotations

from typing import Any

import pytest

from flask_mtls import MTLS, CertificateRefused, Reason
from mtls_core.devca import Issued

from .conftest import MakeApp


def test_problem_document(make_app: MakeApp) -> None:
    """RFC 9457."""
    response = make_app().test_client().get("/protected")
    assert response.status_code == 403
    assert response.mimetype == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.get_json(force=True) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "reason": "certificate_required",
    }


def test_reason_can_be_withheld(make_app: MakeApp, expired: Issued) -> None:
    app = make_app(MTLS_EXPOSE_REASON=False)
    bodies = {app.test_client(cert=cert).get("/protected").text for cert in (None, expired)}
    assert len(bodies) == 1
    assert "reason" not in bodies.pop()


def test_detail_stays_with_us(make_app: MakeApp, expired: Issued) -> None:
    response = make_app().test_client(cert=expired).get("/protected")
    assert response.get_json(force=True)["reason"] == "expired"
    assert "CN=" not in response.text
    assert "2026" not in response.text


def test_error_handler_for_403_decides(make_app: MakeApp) -> None:
    app = make_app()

    @app.errorhandler(403)
    def forbidden(error: CertificateRefused) -> tuple[str, int]:
        return f"go away: {error.reason}", 418

    response = app.test_client().get("/protected")
    assert (response.status_code, response.text) == (418, "go away: certificate_required")


def test_error_handler_for_the_class(make_app: MakeApp, expired: Issued) -> None:
    app = make_app()

    @app.errorhandler(CertificateRefused)
    def refused(error: CertificateRefused) -> str:
        assert error.reason is Reason.EXPIRED
        assert error.certificate == expired.certificate
        assert "expired" in error.detail
        return "refused"

    assert app.test_client(cert=expired).get("/protected").text == "refused"


def test_description_for_handlers_of_all_errors_gives_nothing_away(make_app: MakeApp, expired: Issued) -> None:
    """Flask's documentation has a handler that prints the description of every HTTPException."""
    app = make_app()

    @app.errorhandler(403)
    def generic(error: CertificateRefused) -> str:
        return f"{error.code} {error.name} {error.description}"

    assert "expired" not in app.test_client(cert=expired).get("/protected").text


@pytest.mark.parametrize("require", ["decorated", "all"])
def test_response_of_on_rejected_is_sent(make_app: MakeApp, require: str) -> None:
    mtls = MTLS()

    @mtls.on_rejected
    def handler(refusal: CertificateRefused) -> tuple[dict[str, Any], int]:
        return {"why": refusal.reason}, 401

    response = make_app(mtls, MTLS_REQUIRE=require).test_client().get("/protected")
    assert (response.status_code, response.get_json()) == (401, {"why": "certificate_required"})


def test_on_rejected_never_runs_the_view(make_app: MakeApp) -> None:
    mtls = MTLS()
    mtls.on_rejected(lambda refusal: "fine")
    app = make_app(mtls)
    assert app.test_client().get("/protected").text == "fine"


def test_on_rejected_with_nothing_to_say(make_app: MakeApp) -> None:
    mtls = MTLS()
    mtls.on_rejected(lambda refusal: None)
    assert make_app(mtls).test_client().get("/protected").get_json(force=True)["reason"] == "certificate_required"


def test_asynchronous_on_rejected(make_app: MakeApp) -> None:
    mtls = MTLS()

    @mtls.on_rejected
    async def handler(refusal: CertificateRefused) -> str:
        return "later"

    assert make_app(mtls).test_client().get("/protected").text == "later"


def test_refusal_is_a_forbidden_of_werkzeug() -> None:
    from werkzeug.exceptions import Forbidden

    assert issubclass(CertificateRefused, Forbidden)
