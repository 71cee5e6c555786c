"""A client's certificate in the headers of a proxy: who is believed, and what is made of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from flask import Flask, Response, stream_with_context
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_mtls import MTLS, CertificateRefused, cert_exempt, certificate_rejected, current_cert
from flask_mtls.peer import Account
from flask_mtls.proxies import STRICT_HEADERS
from flask_mtls.sources import MOST_CERTIFICATES
from flask_mtls.sources.formats import LARGEST, PRESETS
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA, Issued

from ..spoofing.formats import Format, all_formats
from .conftest import Clock, MakeApp, answer

ELSEWHERE = {"REMOTE_ADDR": "10.0.0.9"}
FORMATS = all_formats(DevelopmentCA.create("Edge CA").client("edge"))
BY_NAME = {form.name: form for form in FORMATS}


def present(form: Format | str, issued: Issued) -> list[tuple[str, str]]:
    """What that proxy sends for a client with this certificate."""
    return list((BY_NAME[form] if isinstance(form, str) else form).headers(issued))


def absent(form: Format) -> list[tuple[str, str]]:
    """What it sends for a client without."""
    return list(form.headers(None))


form_of_every_proxy = pytest.mark.parametrize("form", FORMATS, ids=BY_NAME)


def behind(make_app: MakeApp, form: Format | str, **settings: Any) -> Flask:
    """An app that believes 127.0.0.1, from where the test client says that it comes."""
    if isinstance(form, str):
        return make_app(MTLS_FORWARDED=form, MTLS_TRUSTED_PROXIES=["127.0.0.1"], **settings)
    return make_app(
        MTLS_FORWARDED=form.setting,
        MTLS_TRUSTED_PROXIES=["127.0.0.1"],
        MTLS_FORWARDED_HOPS=form.hops,
        **settings,
    )


def b64(certificate: Certificate | Issued) -> str:
    der = certificate.certificate.der if isinstance(certificate, Issued) else certificate.der
    return base64.b64encode(der).decode()


def item(certificate: Certificate | Issued) -> str:
    return f":{b64(certificate)}:"


# Each format


def test_every_preset_is_tried_here() -> None:
    assert {form.setting for form in FORMATS if isinstance(form.setting, str)} == set(PRESETS)


@form_of_every_proxy
def test_a_forwarded_certificate_is_the_clients(form: Format, make_app: MakeApp, billing: Issued) -> None:
    response = behind(make_app, form).test_client().get("/protected", headers=present(form, billing))
    assert response.json == {"caller": ["billing"]}


@form_of_every_proxy
def test_the_same_policy_holds(form: Format, make_app: MakeApp, expired: Issued) -> None:
    assert answer(behind(make_app, form), None, headers=present(form, expired)) == "expired"


@form_of_every_proxy
def test_a_client_without_certificate(form: Format, make_app: MakeApp) -> None:
    app = behind(make_app, form)
    assert answer(app, None, headers=absent(form)) == "certificate_required"
    assert app.test_client().get("/public", headers=absent(form)).json == {"caller": None}


@form_of_every_proxy
@pytest.mark.parametrize("path", ["/protected", "/public", "/nowhere"])
def test_nobody_else_may_send_the_header(form: Format, path: str, make_app: MakeApp, billing: Issued) -> None:
    """P23. Not silently dropped either, whatever is asked for."""
    app = behind(make_app, form)
    assert answer(app, None, path, headers=present(form, billing), environ_base=ELSEWHERE) == "untrusted_proxy"


@form_of_every_proxy
def test_each_of_its_headers_alone_is_refused_from_elsewhere(form: Format, make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, form)
    for header in present(form, billing):
        assert answer(app, None, "/public", headers=[header], environ_base=ELSEWHERE) == "untrusted_proxy"


@form_of_every_proxy
def test_the_header_twice(form: Format, make_app: MakeApp, billing: Issued, stock: Issued) -> None:
    """The second of a list that counts from the right is what the proxy said; nowhere else is there a second."""
    headers = [present(form, stock)[0], *present(form, billing)]
    response = behind(make_app, form).test_client().get("/protected", headers=headers)
    assert response.status_code == 403 or response.json == {"caller": ["billing"]}
    assert form.is_list or response.get_json()["reason"] == "malformed"


@pytest.mark.parametrize("name", ["rfc9440", "haproxy", "apache", "envoy", "traefik", "aws-alb-passthrough", "gcp"])
def test_formats_with_a_chain_need_no_other(name: str, make_app: MakeApp, stock: Issued) -> None:
    assert answer(behind(make_app, name), None, headers=present(name, stock)) == 200


@pytest.mark.parametrize("name", ["nginx", "caddy", "aws-alb", "azure", "iis"])
def test_formats_without_one_need_the_intermediates_here(
    name: str, make_app: MakeApp, ca: DevelopmentCA, issuing_ca: DevelopmentCA, stock: Issued
) -> None:
    headers = present(name, stock)
    assert answer(behind(make_app, name), None, headers=headers) == "issuer_not_found"
    both = ca.pem + issuing_ca.pem
    assert answer(behind(make_app, name, MTLS_CLIENT_CA=both), None, headers=headers) == 200


def test_intermediates_seen_once_serve_all_clients_of_their_issuer(
    make_app: MakeApp, issuing_ca: DevelopmentCA, stock: Issued
) -> None:
    """P12: several proxies leave the chain out when a session is resumed."""
    app, other = behind(make_app, "rfc9440"), issuing_ca.client("other")
    alone = [("Client-Cert", item(other))]
    assert answer(app, None, headers=alone) == "issuer_not_found"
    assert answer(app, None, headers=present("rfc9440", stock)) == 200
    assert answer(app, None, headers=alone) == 200


def test_intermediates_of_a_refused_path_are_not_remembered(make_app: MakeApp, foreign_ca: DevelopmentCA) -> None:
    app, between = behind(make_app, "rfc9440"), foreign_ca.intermediate()
    stranger = between.client("stranger")
    for _ in range(2):
        assert answer(app, None, headers=present("rfc9440", stranger)) != 200
    assert answer(app, None, headers=[("Client-Cert", item(stranger))]) == "issuer_not_found"


# Nothing, and what is not nothing


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        '""',
        "::",
        "(null)",
        "{http.request.tls.client.certificate_der_base64}",
        ":{http.request.tls.client.certificate_der_base64}:",
        "$ssl_client_escaped_cert",
        "%{SSL_CLIENT_CERT}s",
        "%[ssl_c_der,base64]",
    ],
)
def test_words_for_no_certificate(value: str, make_app: MakeApp) -> None:
    for name in ("caddy", "rfc9440"):
        header = PRESETS[name].header
        assert answer(behind(make_app, name), None, headers=[(header, value)]) == "certificate_required"


@pytest.mark.parametrize(
    "value", ["-", "null", "None", ":", ":::", "{", "{}x", "{a}{b}", "OOPS", "=", "\xe9", "a\x00b", "a\tb"]
)
def test_what_is_no_certificate_and_no_word_for_it(value: str, make_app: MakeApp) -> None:
    for name in ("caddy", "rfc9440"):
        header = PRESETS[name].header
        app = behind(make_app, name)
        environ = {"HTTP_" + header.upper().replace("-", "_"): value}
        assert answer(app, None, environ_overrides=environ) == "malformed"


def test_an_azure_header_with_a_prefix_is_malformed(make_app: MakeApp, billing: Issued) -> None:
    headers = [("X-ARR-ClientCert", "OOPS" + b64(billing))]
    assert answer(behind(make_app, "azure"), None, headers=headers) == "malformed"


def test_a_header_nobody_configured_is_never_read(make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, "azure")
    assert answer(app, None, headers=[("X-SSL-Client-Cert", b64(billing))]) == "certificate_required"
    assert answer(make_app(), None, headers=[("X-ARR-ClientCert", b64(billing))]) == "certificate_required"


@pytest.mark.parametrize("name", ["caddy", "rfc9440", "nginx", "traefik"])
def test_the_size_of_a_header_is_limited(name: str, make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    """P18: before it is parsed."""
    header = PRESETS[name].header
    app = behind(make_app, name)
    assert answer(app, None, headers=[(header, "A" * (LARGEST + 1))]) == "malformed"
    assert f"has {LARGEST + 1} bytes; {LARGEST} are allowed" in caplog.text
    caplog.clear()
    assert answer(app, None, headers=[(header, "A" * LARGEST)]) == "malformed"
    assert "bytes" not in caplog.text


def test_the_number_of_certificates_is_limited(make_app: MakeApp, billing: Issued, issuing_ca: DevelopmentCA) -> None:
    app = behind(make_app, "rfc9440")
    above = [item(issuing_ca.certificate)]
    most = [("Client-Cert", item(billing)), ("Client-Cert-Chain", ", ".join(above * (MOST_CERTIFICATES - 1)))]
    assert answer(app, None, headers=most) == 200
    more = [most[0], ("Client-Cert-Chain", ", ".join(above * MOST_CERTIFICATES))]
    assert answer(app, None, headers=more) == "malformed"


def test_a_chain_in_several_headers(make_app: MakeApp, stock: Issued, ca: DevelopmentCA) -> None:
    """RFC 9440, section 2.3."""
    lines = [("Client-Cert-Chain", item(each)) for each in (*stock.chain, ca.certificate)]
    assert answer(behind(make_app, "rfc9440"), None, headers=[("Client-Cert", item(stock)), *lines]) == 200


@pytest.mark.parametrize("name", ["traefik", "aws-alb-passthrough"])
def test_one_header_has_one_leaf(name: str, make_app: MakeApp, billing: Issued, stock: Issued) -> None:
    """As if two lists were joined, the first of them the client's own work."""
    ((header, first),), ((_, second),) = present(name, billing), present(name, stock)
    joint = "," if name == "traefik" else ""
    app = behind(make_app, name)
    assert answer(app, None, headers=[(header, first)]) == 200
    for _ in range(2):  # nor when both are known
        assert answer(app, None, headers=[(header, first + joint + second)]) == "malformed"


@pytest.mark.parametrize("name", ["traefik", "aws-alb-passthrough"])
def test_a_chain_in_one_header_is_one_chain(
    name: str, make_app: MakeApp, ca: DevelopmentCA, issuing_ca: DevelopmentCA, foreign_ca: DevelopmentCA, stock: Issued
) -> None:
    """As if the second list were that of a client whose own certificate is a CA's, which the proxy does not mind."""

    def header(*certificates: Certificate) -> list[tuple[str, str]]:
        return present(name, Issued(certificates[0], certificates[1:], stock.private_key))

    app, leaf, above, root = behind(make_app, name), stock.certificate, issuing_ca.certificate, ca.certificate
    for good in [(leaf, above), (leaf, above, root), (leaf, root, above)]:
        assert answer(app, None, headers=header(*good)) == 200
    imitation = DevelopmentCA.create("Test CA").certificate  # has the name, and not the key
    for stranger in (foreign_ca.certificate, imitation):
        assert answer(app, None, headers=header(leaf, above, stranger)) == "malformed"


def test_the_chain_headers_of_apache_are_limited_together(
    make_app: MakeApp, billing: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    """P18."""
    certificate, verify = present("apache", billing)[0], ("X-SSL-Client-Verify", "SUCCESS")
    halves = [(f"X-SSL-Client-Chain-{number}", "A" * (LARGEST // 2 + 1)) for number in range(2)]
    assert answer(behind(make_app, "apache"), None, headers=[certificate, verify, *halves]) == "malformed"
    assert f"X-SSL-Client-Chain-* has {LARGEST + 2} bytes" in caplog.text


def test_a_format_of_one_certificate_takes_no_second(make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, "nginx")
    (header, first), verify = present("nginx", billing)
    assert answer(app, None, headers=[(header, first + first), verify]) == "malformed"


# What the proxy says of it


def nginx(billing: Issued, verify: str) -> list[tuple[str, str]]:
    certificate, _ = present("nginx", billing)
    return [certificate, ("X-SSL-Client-Verify", verify)]


@pytest.mark.parametrize(
    ("verify", "outcome"),
    [
        ("SUCCESS", 200),
        ("FAILED:self-signed certificate", "second_opinion"),
        ("NONE", "second_opinion"),
        ("success", "second_opinion"),
        ("FAILED", "second_opinion"),
        ("SUCCESS,NONE", "malformed"),
        ("NONE,SUCCESS", "malformed"),
        ("", 200),
    ],
)
def test_the_proxy_may_object(verify: str, outcome: object, make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, "nginx")
    for _ in range(2):  # also when the certificate is known
        assert answer(app, None, headers=nginx(billing, verify)) == outcome


def test_an_objection_keeps_our_own_reason(make_app: MakeApp, expired: Issued) -> None:
    headers = nginx(expired, "FAILED:certificate has expired")
    assert answer(behind(make_app, "nginx"), None, headers=headers) == "expired"


def test_consent_replaces_nothing(make_app: MakeApp, expired: Issued, foreign_ca: DevelopmentCA) -> None:
    app = behind(make_app, "nginx")
    assert answer(app, None, headers=nginx(expired, "SUCCESS")) == "expired"
    assert answer(app, None, headers=nginx(foreign_ca.client("billing"), "SUCCESS")) == "issuer_not_found"


@pytest.mark.parametrize("verify", ["SUCCESS", "FAILED:certificate has expired"])
def test_a_verdict_without_its_certificate(verify: str, make_app: MakeApp) -> None:
    """A client can have some proxies drop a header that they set, by naming it in ``Connection``."""
    app = behind(make_app, "nginx")
    assert answer(app, None, headers=[("X-SSL-Client-Verify", verify)]) == "malformed"
    assert answer(app, None, headers=[("X-SSL-Client-Verify", "NONE")]) == "certificate_required"


def test_a_verdict_that_was_configured_must_come(make_app: MakeApp, billing: Issued) -> None:
    form = BY_NAME["one's own"]
    app = behind(make_app, form)
    assert answer(app, None, headers=present(form, billing)) == 200
    assert answer(app, None, headers=present(form, billing)[:-1]) == "malformed"


def test_an_objection_names_the_certificate(
    make_app: MakeApp, billing: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    failed = "FAILED:proxy certificates not allowed, please set the appropriate flag"
    assert answer(behind(make_app, "nginx"), None, headers=nginx(billing, failed)) == "second_opinion"
    assert 'subject="CN=billing"' in caplog.text


@pytest.mark.parametrize(
    ("used", "verify", "certificate", "outcome"),
    [
        ("1", "0", True, 200),
        ("0", "0", True, "malformed"),
        ("1", "0", False, "malformed"),
        ("0", "0", False, "certificate_required"),
        ("1", "10", True, "second_opinion"),
        ("yes", "0", True, "malformed"),
        ("", "0", True, 200),
    ],
)
def test_haproxy_says_zero_for_verified_and_for_nothing(
    used: str, verify: str, certificate: bool, outcome: object, make_app: MakeApp, billing: Issued
) -> None:
    headers = [
        ("X-SSL-Client-Cert", b64(billing) if certificate else ""),
        ("X-SSL-Client-Verify", verify),
        ("X-SSL-Client-Used", used),
    ]
    assert answer(behind(make_app, "haproxy"), None, headers=headers) == outcome


def test_apache_may_not_have_looked(make_app: MakeApp, billing: Issued) -> None:
    certificate = present("apache", billing)[0]
    headers = [certificate, ("X-SSL-Client-Verify", "GENEROUS")]
    assert answer(behind(make_app, "apache"), None, headers=headers) == 200


@pytest.mark.parametrize(("revoked", "outcome"), [("true", "revoked"), ("1", "revoked"), ("false", 200)])
def test_cloudflare_knows_of_revocations(revoked: str, outcome: object, make_app: MakeApp, billing: Issued) -> None:
    headers = [*present("cloudflare", billing)[:-1], ("Cf-Cert-Revoked", revoked)]
    assert answer(behind(make_app, "cloudflare"), None, headers=headers) == outcome


@pytest.mark.parametrize("present", ["true", "false"])
def test_google_leaves_out_what_it_did_not_verify(present: str, make_app: MakeApp) -> None:
    headers = [("X-Client-Cert-Present", present), ("X-Client-Cert-Chain-Verified", "false")]
    outcome = {"true": "malformed", "false": "certificate_required"}[present]
    assert answer(behind(make_app, "gcp"), None, headers=headers) == outcome


# Envoy


def test_fewer_elements_than_proxies(make_app: MakeApp, billing: Issued, stock: Issued) -> None:
    """The only element is the first proxy's own certificate, shown to the second."""
    settings = {"MTLS_FORWARDED": "envoy", "MTLS_TRUSTED_PROXIES": ["127.0.0.1"], "MTLS_FORWARDED_HOPS": 2}
    app = make_app(**settings)
    ((_, one),), ((_, two),) = present("envoy", billing), present("envoy", stock)
    assert answer(app, None, headers=[("X-Forwarded-Client-Cert", one)]) == "certificate_required"
    assert answer(app, None, headers=[("X-Forwarded-Client-Cert", f"{one},{two}")]) == 200
    assert answer(app, None, headers=[("X-Forwarded-Client-Cert", "nonsense")]) == "malformed"


# The hop


def test_proxy_fix_makes_nobody_a_proxy(make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, "rfc9440")
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    headers = [("Client-Cert", item(billing)), ("X-Forwarded-For", "127.0.0.1")]
    assert answer(app, None, headers=headers, environ_base=ELSEWHERE) == "untrusted_proxy"
    headers[1] = ("X-Forwarded-For", "10.0.0.9")
    assert answer(app, None, headers=headers) == 200


def test_cheroot_as_it_comes_is_not_believed(
    make_app: MakeApp, billing: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    """P23: there, ``X_SSL_Client_Cert`` passes for ``X-SSL-Client-Cert``."""
    app, headers = behind(make_app, "rfc9440"), [("Client-Cert", item(billing))]
    cheroot = {"SERVER_SOFTWARE": "Cheroot/11.1.2 WSGI Server", "REMOTE_ADDR": "127.0.0.1"}
    assert answer(app, None, headers=headers, environ_base=cheroot) == "untrusted_proxy"
    assert "flask_mtls.serving.cheroot" in caplog.text
    assert answer(app, None, headers=headers, environ_base=cheroot | {STRICT_HEADERS: True}) == 200


def test_an_untrusted_hop_is_logged_with_its_address(
    make_app: MakeApp, billing: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    answer(behind(make_app, "rfc9440"), None, headers=[("Client-Cert", item(billing))], environ_base=ELSEWHERE)
    assert len(caplog.records) == 1
    assert "Client-Cert came from 10.0.0.9, which may not speak for a client" in caplog.text
    assert "reason=untrusted_proxy" in caplog.text


def test_an_untrusted_hop_without_header_is_nobody(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = behind(make_app, "rfc9440")
    assert answer(app, None, environ_base=ELSEWHERE) == "certificate_required"
    assert "10.0.0.9 is not in MTLS_TRUSTED_PROXIES (127.0.0.1)" in caplog.text
    assert answer(app, None, "/public", environ_base=ELSEWHERE) == 200


def test_a_forged_header_is_refused_where_no_certificate_is_needed(make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, "rfc9440", MTLS_REQUIRE="all")

    @app.get("/health")
    @cert_exempt
    def health() -> str:
        return "ok"

    headers = [("Client-Cert", item(billing))]
    assert answer(app, None, "/health") == 200
    assert answer(app, None, "/health", headers=headers) == 200
    assert answer(app, None, "/health", headers=headers, environ_base=ELSEWHERE) == "untrusted_proxy"


def test_a_forged_header_is_one_refusal_that_the_application_hears_of(
    make_app: MakeApp, clock: Clock, billing: Issued
) -> None:
    mtls = MTLS(clock=clock)
    seen: list[str] = []

    @mtls.on_rejected
    def on_rejected(refusal: CertificateRefused) -> tuple[str, int]:
        seen.append(refusal.reason.value)
        return "no", 418

    app = make_app(mtls, MTLS_FORWARDED="rfc9440", MTLS_TRUSTED_PROXIES=["127.0.0.1"])
    signals: list[str] = []

    def hear(sender: Flask, rejection: Any) -> None:
        signals.append(rejection.reason.value)

    with certificate_rejected.connected_to(hear, app):
        headers = [("Client-Cert", item(billing))]
        assert answer(app, None, headers=headers, environ_base=ELSEWHERE) == 418
    assert seen == signals == ["untrusted_proxy"]


# Responses


def test_responses_that_depend_on_the_header_vary(make_app: MakeApp, billing: Issued) -> None:
    """RFC 9440, section 2.4."""
    client = behind(make_app, "rfc9440").test_client()
    headers = [("Client-Cert", item(billing))]
    assert client.get("/protected", headers=headers).vary.as_set() == {"client-cert"}
    assert client.get("/public").vary.as_set() == {"client-cert"}  # it asks who calls
    refused = client.get("/protected")
    assert (refused.vary.as_set(), refused.headers["Cache-Control"]) == ({"client-cert"}, "no-store")
    assert not client.get("/nowhere").vary


def test_no_shared_cache_keeps_them(make_app: MakeApp, billing: Issued) -> None:
    """nginx's cache does not vary on a header that nginx itself adds."""
    app = behind(make_app, "nginx")

    @app.get("/own")
    def own() -> Response:
        assert current_cert
        return Response("x", headers={"Cache-Control": "max-age=60, private"})

    client, headers = app.test_client(), present("nginx", billing)
    assert client.get("/protected", headers=headers).headers["Cache-Control"] == "private"
    assert client.get("/own", headers=headers).headers["Cache-Control"] == "max-age=60, private"
    assert "Cache-Control" not in client.get("/nowhere", headers=headers).headers


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        ("max-age=600", {"max-age=600", "private"}),
        ("public, max-age=600, s-maxage=60", {"max-age=600", "private"}),
        ("no-store", {"no-store"}),
        ("private=x-account", {"private=x-account"}),
    ],
)
def test_what_a_view_says_of_caches_keeps_others_out(
    own: str, sent: set[str], make_app: MakeApp, billing: Issued
) -> None:
    app = behind(make_app, "nginx")

    @app.get("/own")
    def view() -> Response:
        assert current_cert
        return Response("x", headers={"Cache-Control": own})

    headers = app.test_client().get("/own", headers=present("nginx", billing)).headers
    assert set(headers["Cache-Control"].split(", ")) == sent


def test_a_body_that_is_made_later_may_ask_as_well(make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, "nginx")

    @app.get("/stream")
    def stream() -> Response:
        return Response(stream_with_context(f"{current_cert.common_names}" for _ in range(1)))

    response = app.test_client().get("/stream", headers=present("nginx", billing))
    assert response.text == "('billing',)"
    assert response.headers["Cache-Control"] == "private"
    assert response.vary.as_set() == {"x-ssl-client-cert"}


def test_vary_is_added_to_the_applications_own(make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, "nginx")

    @app.get("/both")
    def both() -> Response:
        assert current_cert
        response = Response("x")
        response.vary.add("Accept-Language")
        return response

    vary = app.test_client().get("/both", headers=present("nginx", billing)).vary
    assert vary.as_set() == {"accept-language", "x-ssl-client-cert"}


def test_the_header_is_never_echoed(make_app: MakeApp) -> None:
    app = behind(make_app, "rfc9440")

    @app.get("/echo")
    def echo() -> Response:
        return Response("x", headers=[("client-cert", "::"), ("Client-Cert-Chain", "::"), ("X-Other", "stays")])

    headers = app.test_client().get("/echo").headers
    assert "Client-Cert" not in headers
    assert "Client-Cert-Chain" not in headers
    assert headers["X-Other"] == "stays"


def test_without_forwarding_responses_are_left_alone(make_app: MakeApp, billing: Issued) -> None:
    assert not make_app().test_client(cert=billing).get("/protected").vary


# The account


def account_of(app: Flask, **request: Any) -> Account:
    with app.test_request_context("/", **{"environ_base": {"REMOTE_ADDR": "127.0.0.1"}} | request) as context:
        account: Account = app.extensions["mtls"].account(context.request.environ)
    return account


def test_an_account_of_a_certificate_that_is_believed(make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, "rfc9440")
    value = item(billing)
    account = account_of(app, headers=[("Client-Cert", value)])
    assert account.is_proxy
    assert str(account.hop) == "127.0.0.1"
    assert account.carried == {"Client-Cert": len(value)}
    assert account.presented is not None
    assert account.presented.leaf == billing.certificate.der
    assert account.rejection is None
    assert account.why == "a trusted proxy brought it, as rfc9440"


def test_an_account_of_a_forged_header(make_app: MakeApp, billing: Issued) -> None:
    app = behind(make_app, "rfc9440")
    account = account_of(app, headers=[("Client-Cert", item(billing))], environ_base=ELSEWHERE)
    assert not account.is_proxy
    assert account.presented is None
    assert account.rejection is not None
    assert account.rejection.reason == "untrusted_proxy"
    assert "10.0.0.9" in account.why


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ([], "the proxy sent no X-SSL-Client-Cert"),
        ([("X-SSL-Client-Cert", "(null)")], "the proxy sent X-SSL-Client-Cert: '(null)'"),
    ],
)
def test_an_account_of_nothing(headers: list[tuple[str, str]], why: str, make_app: MakeApp) -> None:
    app = behind(make_app, "apache")
    account = account_of(app, headers=headers)
    assert (account.presented, account.rejection) == (None, None)
    assert account.why.startswith(why)


def test_an_account_without_forwarding(make_app: MakeApp) -> None:
    app = make_app()
    account = account_of(app, base_url="https://localhost")
    assert not account.is_proxy
    assert account.why == "the client presented no certificate"
