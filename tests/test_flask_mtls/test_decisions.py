"""A request and its certificate, decided in process: the rows of ASP.NET's own tests, and what goes beyond them.

An id such as A05 names the assert of ``CertificateTests.cs`` to which a test is the counterpart.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, jsonify

from flask_mtls import MTLS, CertificateRefused, PeerCertificate, cert_required, current_cert
from flask_mtls.testing import MTLSClient
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued, self_signed

from .conftest import Clock, MakeApp, answer

SELF_SIGNED = {"MTLS_CERTIFICATE_TYPES": ["self_signed"], "MTLS_CLIENT_CA": None}


@pytest.fixture(scope="module")
def device() -> Issued:
    return self_signed("device", usage=("client",))


@pytest.fixture(scope="module")
def device_for_servers() -> Issued:
    return self_signed("device", usage=("server",))


def allow(*issued: Issued) -> dict[str, Any]:
    return {**SELF_SIGNED, "MTLS_ALLOWED": [each.certificate for each in issued]}


def test_chained_certificate_is_accepted(make_app: MakeApp, billing: Issued) -> None:
    assert answer(make_app(), billing) == 200


def test_no_certificate_is_refused_with_403(make_app: MakeApp) -> None:
    """A16: 403, not 401."""
    assert answer(make_app(), None) == "certificate_required"


def test_self_signed_for_clients(make_app: MakeApp, device: Issued) -> None:
    """A03."""
    assert answer(make_app(**allow(device)), device) == 200


def test_self_signed_without_a_usage(make_app: MakeApp) -> None:
    """A04."""
    plain = self_signed("device", usage=())
    assert answer(make_app(**allow(plain)), plain) == 200


def test_self_signed_where_chained_alone_is_permitted(make_app: MakeApp, device: Issued) -> None:
    """A05."""
    assert answer(make_app(), device) == "self_signed"


def test_self_signed_without_a_usage_where_chained_alone_is_permitted(make_app: MakeApp) -> None:
    """A06."""
    assert answer(make_app(), self_signed("device", usage=())) == "self_signed"


def test_self_signed_for_servers(make_app: MakeApp, device_for_servers: Issued) -> None:
    """A07."""
    assert answer(make_app(**allow(device_for_servers)), device_for_servers) == "usage_not_permitted"


def test_self_signed_for_servers_with_usage_not_checked(make_app: MakeApp, device_for_servers: Issued) -> None:
    """A08."""
    app = make_app(**allow(device_for_servers), MTLS_CHECK_USAGE=False)
    assert answer(app, device_for_servers) == 200


def test_self_signed_for_servers_where_chained_alone_is_permitted(
    make_app: MakeApp, device_for_servers: Issued
) -> None:
    """A09."""
    assert answer(make_app(MTLS_CHECK_USAGE=False), device_for_servers) == "self_signed"


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ({"not_after": datetime.now(UTC) - timedelta(days=1)}, "expired"),
        (
            {
                "not_before": datetime.now(UTC) + timedelta(days=1),
                "not_after": datetime.now(UTC) + timedelta(days=2),
            },
            "not_yet_valid",
        ),
    ],
)
def test_dates(make_app: MakeApp, ca: DevelopmentCA, when: Any, reason: str) -> None:
    """A10 to A13, self-signed as there, and chained."""
    alone, issued = self_signed("device", usage=("client",), **when), ca.client("device", **when)
    assert answer(make_app(**allow(alone)), alone) == reason
    assert answer(make_app(**allow(alone), MTLS_CHECK_VALIDITY=False), alone) == 200
    assert answer(make_app(), issued) == reason
    assert answer(make_app(MTLS_CHECK_VALIDITY=False), issued) == 200


def test_clock_skew(make_app: MakeApp, ca: DevelopmentCA, clock: Clock) -> None:
    just_expired = ca.client("late", not_after=clock.now - timedelta(seconds=30))
    assert answer(make_app(), just_expired) == "expired"
    assert answer(make_app(MTLS_CLOCK_SKEW=60), just_expired) == 200


def test_principal_loader_that_knows_nobody(make_app: MakeApp, billing: Issued) -> None:
    """A14, with a certificate that reaches the loader."""
    mtls = MTLS()
    seen: list[PeerCertificate] = []
    mtls.principal_loader(seen.append)
    assert answer(make_app(mtls), billing) == "not_authorized"
    assert seen[0].certificate == billing.certificate


def test_principal_loader_that_says_no(make_app: MakeApp, billing: Issued) -> None:
    """``return user and user.is_active`` may well come to ``False``."""
    mtls = MTLS()
    mtls.principal_loader(lambda peer: False)
    assert answer(make_app(mtls), billing) == "not_authorized"


def test_without_a_principal_loader(make_app: MakeApp, billing: Issued) -> None:
    """A15: nothing to say means yes; the principal is ``None`` then."""
    app = make_app()

    @app.get("/principal")
    @cert_required
    def principal() -> Any:
        return jsonify(current_cert.principal)

    assert app.test_client(cert=billing).get("/principal").get_json() is None


def test_principal_stands_in_current_cert(make_app: MakeApp, billing: Issued) -> None:
    """A28: the application's own object."""
    mtls = MTLS()
    mtls.principal_loader(lambda peer: {"user": peer.common_names[0]})
    app = make_app(mtls)

    @app.get("/principal")
    @cert_required
    def principal() -> Any:
        return jsonify(current_cert.principal)

    assert app.test_client(cert=billing).get("/principal").get_json() == {"user": "billing"}


def test_principal_loader_is_asked_on_every_request(make_app: MakeApp, billing: Issued) -> None:
    """A29, and better: the verdict is remembered, the principal is not, so that a blocked user is out at once."""
    mtls = MTLS()
    known = ["billing"]
    mtls.principal_loader(lambda peer: peer.common_names[0] in known or None)
    app = make_app(mtls)
    assert answer(app, billing) == 200
    known.clear()
    assert answer(app, billing) == "not_authorized"


def test_asynchronous_principal_loader(make_app: MakeApp, billing: Issued) -> None:
    mtls = MTLS()

    @mtls.principal_loader
    async def load(peer: PeerCertificate) -> None:
        return None

    assert answer(make_app(mtls), billing) == "not_authorized"


def test_principal_loader_that_asks_for_current_cert(make_app: MakeApp, billing: Issued) -> None:
    """There is none yet: the loader's argument is what it decides about."""
    mtls = MTLS()
    mtls.principal_loader(lambda peer: "nobody yet" if not current_cert else None)
    assert answer(make_app(mtls), billing) == 200


def test_principal_loader_that_fails_lets_nobody_in(make_app: MakeApp, billing: Issued) -> None:
    mtls = MTLS()
    mtls.principal_loader(lambda peer: 1 / 0)
    app = make_app(mtls)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert answer(app, billing) == 500


def test_untrusted_root(make_app: MakeApp, foreign_ca: DevelopmentCA) -> None:
    """A17."""
    assert answer(make_app(), foreign_ca.client("billing")) == "issuer_not_found"


def test_on_rejected_is_called(make_app: MakeApp, foreign_ca: DevelopmentCA) -> None:
    """A18."""
    mtls = MTLS()
    seen: list[CertificateRefused] = []
    mtls.on_rejected(seen.append)
    intruder = foreign_ca.client("billing")
    assert answer(make_app(mtls), intruder) == "issuer_not_found"
    assert [refusal.certificate for refusal in seen] == [intruder.certificate]


def test_intermediate_alone_anchors_nothing(make_app: MakeApp, ca: DevelopmentCA, issuing_ca: DevelopmentCA) -> None:
    """A19: refused, and at the start rather than on a request."""
    with pytest.raises(ValueError, match=r"MTLS_CLIENT_CA: .*only intermediate certificates"):
        make_app(MTLS_CLIENT_CA=issuing_ca.pem)


def test_intermediate_in_the_client_ca(make_app: MakeApp, ca: DevelopmentCA, issuing_ca: DevelopmentCA) -> None:
    """A20 and A21, which are skipped there: an intermediate in the file helps, though the caller did not send it."""
    leaf = issuing_ca.client("stock").certificate
    assert answer(make_app(MTLS_CLIENT_CA=ca.pem + issuing_ca.pem), leaf) == 200


def test_intermediate_that_nobody_has(make_app: MakeApp, stock: Issued) -> None:
    """A22."""
    assert answer(make_app(), stock.certificate) == "issuer_not_found"


def test_intermediate_that_the_caller_sent(make_app: MakeApp, stock: Issued) -> None:
    """Better than there, where what comes in the handshake is not used."""
    assert answer(make_app(), stock) == 200


def test_header_that_nobody_configured_is_not_read(make_app: MakeApp, billing: Issued) -> None:
    """A26, and A23 to A25 as long as no header can be configured."""
    import base64

    header = base64.b64encode(billing.certificate.der).decode()
    names = ("X-Client-Cert", "Client-Cert", "X-ARR-ClientCert", "SSL-Client-Cert", "X-Forwarded-Client-Cert")
    for name in names:
        assert answer(make_app(), None, headers={name: header}) == "certificate_required"


def test_fields_of_current_cert(make_app: MakeApp, stock: Issued, ca: DevelopmentCA) -> None:
    """A27: every field of the certificate, and all SANs, not one of each kind."""
    app = make_app()
    seen: list[PeerCertificate] = []

    @app.get("/fields")
    @cert_required
    def fields() -> str:
        seen.append(current_cert._get_current_object())  # type: ignore[attr-defined]
        return ""

    many = ca.client("many", dns=["a.internal", "b.internal"], emails=["x@example.org"], uris=["urn:a", "urn:b"])
    app.test_client(cert=many).get("/fields")
    peer = seen[0]
    assert peer.dns_names == ("a.internal", "b.internal")
    assert peer.uris == ("urn:a", "urn:b")
    assert peer.emails == ("x@example.org",)
    assert peer.thumbprint == many.certificate.thumbprint
    assert peer.serial_number == many.certificate.serial_number
    assert peer.chain == (many.certificate, ca.certificate)
    assert peer.source == "test"


def test_remembered_verdict_ends_with_the_certificate(make_app: MakeApp, ca: DevelopmentCA, clock: Clock) -> None:
    """A30, and P10: decided anew on every request, whatever was decided before."""
    app = make_app()
    short = ca.client("short", not_after=clock.now + timedelta(minutes=2))
    assert answer(app, short) == 200
    clock.move(minutes=1)
    assert answer(app, short) == 200
    clock.move(minutes=2)
    assert answer(app, short) == "expired"


def test_remembered_verdict_ends_when_an_issuer_expires(make_app: MakeApp, clock: Clock) -> None:
    ca = DevelopmentCA.create()
    issuer = ca.intermediate(not_after=clock.now + timedelta(minutes=2))
    app = make_app(MTLS_CLIENT_CA=ca.pem)
    leaf = issuer.client("leaf")
    assert answer(app, leaf) == 200
    clock.move(minutes=3)
    assert answer(app, leaf) == "expired"


def test_refusal_is_not_remembered(make_app: MakeApp, stock: Issued) -> None:
    """The same leaf, once without its intermediate and then with it."""
    app = make_app()
    assert answer(app, stock.certificate) == "issuer_not_found"
    assert answer(app, stock) == 200


def test_path_is_remembered_for_resumed_sessions(make_app: MakeApp, stock: Issued, clock: Clock) -> None:
    """P12: a resumed session has the leaf alone; its path was seen when it began."""
    app = make_app(MTLS_CACHE_SECONDS=60)
    assert answer(app, stock) == 200
    clock.move(minutes=5)
    assert answer(app, stock.certificate) == 200


def test_clock_that_is_set_back_leaves_no_verdict(make_app: MakeApp, billing: Issued, clock: Clock) -> None:
    app = make_app()
    assert answer(app, billing) == 200
    clock.move(days=-2)
    assert answer(app, billing) == "not_yet_valid"


def test_hostile_bytes_are_malformed(make_app: MakeApp) -> None:
    """P19: never a 500."""
    from flask_mtls.peer import PRESENTED
    from flask_mtls.sources import Presented

    client = make_app().test_client()
    for leaf in (b"\x30", b"\x30\x80" * 1000, b"nonsense", bytes(70_000)):
        response = client.get("/protected", environ_overrides={PRESENTED: Presented(leaf, "test")})
        assert response.get_json()["reason"] == "malformed"


def test_public_view_sees_a_good_certificate(make_app: MakeApp, billing: Issued) -> None:
    assert make_app().test_client(cert=billing).get("/public").get_json() == {"caller": ["billing"]}


def test_public_view_sees_no_bad_certificate(make_app: MakeApp, expired: Issued) -> None:
    assert make_app().test_client(cert=expired).get("/public").get_json() == {"caller": None}


def test_two_apps_with_two_policies(make_app: MakeApp, billing: Issued, foreign_ca: DevelopmentCA) -> None:
    mtls = MTLS()
    ours, theirs = make_app(mtls), make_app(mtls, MTLS_CLIENT_CA=foreign_ca.pem)
    guest = foreign_ca.client("billing")
    for _ in range(2):  # the second time with both verdicts remembered
        assert (answer(ours, billing), answer(theirs, billing)) == (200, "issuer_not_found")
        assert (answer(ours, guest), answer(theirs, guest)) == ("issuer_not_found", 200)


def test_requests_within_one_app_context_do_not_share_a_certificate(make_app: MakeApp, billing: Issued) -> None:
    """Flask uses the app context that is there, with its ``g``, for every request made within it."""
    app = make_app()
    with app.app_context():
        assert answer(app, billing) == 200
        assert answer(app, None) == "certificate_required"


def test_pinned_leaf_is_the_only_one(make_app: MakeApp, ca: DevelopmentCA, billing: Issued) -> None:
    app = make_app(MTLS_ALLOWED=[billing.certificate.thumbprint])
    assert answer(app, billing) == 200
    assert answer(app, ca.client("billing")) == "not_expected"


def test_current_cert_outside_a_request() -> None:
    assert not current_cert
    with pytest.raises(RuntimeError, match="there is no request here"):
        _ = current_cert.subject


def test_current_cert_in_an_app_without_mtls() -> None:
    with Flask(__name__).test_request_context(), pytest.raises(ValueError, match="has no MTLS"):
        _ = current_cert.subject


@pytest.mark.parametrize("trick", ["CN=billing,CN=admin", "billing, DNS:admin"])
def test_names_are_not_parsed_out_of_text(make_app: MakeApp, ca: DevelopmentCA, trick: str) -> None:
    """What looks like two names in print is one value, and shows as it is."""
    caller = make_app().test_client(cert=ca.client(trick)).get("/protected").get_json()["caller"]
    assert caller == [trick]


def test_nul_in_a_name_is_refused(make_app: MakeApp, ca: DevelopmentCA) -> None:
    assert answer(make_app(), ca.client("billing\x00.evil")) == "profile_violation"


def test_certificate_object_is_enough_for_the_test_client(make_app: MakeApp, billing: Issued) -> None:
    app = make_app()
    assert isinstance(app.test_client(), MTLSClient)
    assert answer(app, Certificate.from_der(billing.certificate.der)) == 200
