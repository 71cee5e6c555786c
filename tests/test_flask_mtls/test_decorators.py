"""``@cert_required`` and ``@cert_exempt`` on every kind of view, in every order."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from flask import Blueprint, Flask, abort
from flask.views import MethodView, View

from flask_mtls import MTLS, ConfigurationError, PeerCertificate, cert_exempt, cert_required, common_name
from flask_mtls.decorators import check_stacking
from mtls_core.devca import Issued

from .conftest import MakeApp, answer


def hello() -> str:
    """Says hello."""
    return "hello"


def is_billing(peer: PeerCertificate) -> bool:
    return peer.common_names == ("billing",)


@pytest.mark.parametrize(
    "decorate",
    [
        cert_required,
        cert_required(),
        cert_required(common_name("billing")),
        cert_required(is_billing),
        cert_required(lambda peer: "billing.internal" in peer.dns_names),
    ],
    ids=["bare", "parentheses", "rule", "function", "lambda"],
)
def test_every_way_to_write_it(make_app: MakeApp, billing: Issued, decorate: Callable[..., Any]) -> None:
    app = make_app()

    def view(number: int) -> str:
        return f"number {number}"

    app.add_url_rule("/view/<int:number>", view_func=decorate(view))
    assert answer(app, None, "/view/7") == "certificate_required"
    assert app.test_client(cert=billing).get("/view/7").text == "number 7"


@pytest.mark.parametrize("rule", [common_name("billing"), is_billing], ids=["rule", "function"])
def test_rule_refuses_who_is_valid_but_not_meant(
    make_app: MakeApp, stock: Issued, rule: Callable[[PeerCertificate], bool]
) -> None:
    app = make_app()
    app.add_url_rule("/view", view_func=cert_required(rule)(hello))
    assert answer(app, stock, "/view") == "not_authorized"


def test_asynchronous_rule(make_app: MakeApp, billing: Issued, stock: Issued) -> None:
    async def rule(peer: PeerCertificate) -> bool:
        return is_billing(peer)

    app = make_app()
    app.add_url_rule("/view", view_func=cert_required(rule)(hello))
    assert answer(app, billing, "/view") == 200
    assert answer(app, stock, "/view") == "not_authorized"


def test_rule_that_returns_something_to_wait_for_lets_nobody_in(make_app: MakeApp, billing: Issued) -> None:
    """A coroutine counts as true."""

    class Rule:
        async def __call__(self, peer: PeerCertificate) -> bool:
            return False

    app = make_app()
    app.add_url_rule("/view", view_func=cert_required(Rule())(hello))
    with pytest.raises(TypeError, match="returned"):
        app.test_client(cert=billing).get("/view").close()


def test_the_view_keeps_its_name() -> None:
    for decorated in (cert_required(hello), cert_required()(hello), cert_required(common_name("x"))(hello)):
        assert decorated.__name__ == "hello"
        assert decorated.__doc__ == "Says hello."


def test_asynchronous_view(make_app: MakeApp, billing: Issued) -> None:
    app = make_app()

    @app.get("/async")
    @cert_required
    async def view() -> str:
        return "done"

    assert app.test_client(cert=billing).get("/async").text == "done"
    assert answer(app, None, "/async") == "certificate_required"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PROPFIND"])
def test_no_method_is_exempt(make_app: MakeApp, method: str) -> None:
    app = make_app()
    app.add_url_rule("/view", view_func=cert_required(hello), methods=[method])
    assert app.test_client().open("/view", method=method).status_code == 403


def test_automatic_options_never_reaches_the_view(make_app: MakeApp) -> None:
    assert answer(make_app(), None, method="OPTIONS") == 200


@pytest.mark.parametrize("base", [View, MethodView])
def test_class_based_view(make_app: MakeApp, billing: Issued, base: type[View]) -> None:
    class Orders(base):  # type: ignore[valid-type, misc]
        decorators: ClassVar = [cert_required(common_name("billing"))]
        methods: ClassVar = ["GET"]

        def dispatch_request(self, **values: Any) -> str:
            return "orders"

    app = make_app()
    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))
    assert app.test_client(cert=billing).get("/orders").text == "orders"
    assert answer(app, None, "/orders") == "certificate_required"


def test_single_method_of_a_class_based_view(make_app: MakeApp, billing: Issued) -> None:
    class Orders(MethodView):
        def get(self) -> str:
            return "anybody"

        @cert_required
        def post(self) -> str:
            return "somebody"

    app = make_app()
    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))
    assert answer(app, None, "/orders") == 200
    assert answer(app, None, "/orders", method="POST") == "certificate_required"
    assert app.test_client(cert=billing).post("/orders").text == "somebody"


def test_class_itself_cannot_be_decorated() -> None:
    with pytest.raises(ConfigurationError, match=r"decorators = \[cert_required\]"):

        @cert_required
        class Orders(View):
            pass


def test_blueprint_with_a_before_request(make_app: MakeApp, billing: Issued) -> None:
    blueprint = Blueprint("internal", __name__)
    blueprint.before_request(cert_required(common_name("billing"))(lambda: None))
    blueprint.add_url_rule("/inside", view_func=lambda: "inside", endpoint="inside")
    app = make_app()
    app.register_blueprint(blueprint)
    assert answer(app, None, "/inside") == "certificate_required"
    assert app.test_client(cert=billing).get("/inside").text == "inside"


def test_something_that_is_no_rule() -> None:
    with pytest.raises(ConfigurationError, match="a rule is callable"):
        cert_required("billing")  # type: ignore[call-overload]


def test_app_without_mtls_lets_nobody_in() -> None:
    app = Flask(__name__)
    app.add_url_rule("/view", view_func=cert_required(hello))
    assert app.test_client().get("/view").status_code == 500


def test_decorator_above_the_route_is_found(make_app: MakeApp) -> None:
    """Above the route it decorates a function that Flask never calls; the view must not stay open."""
    app = make_app()

    @cert_required
    @app.get("/open")
    def view() -> str:
        return "secret"

    with pytest.raises(ConfigurationError, match=r"'view' was registered without its @cert_required"):
        app.test_client().get("/open")
    with pytest.raises(ConfigurationError, match=r"below @app\.route"):
        check_stacking(app)


def test_decorator_below_the_route_is_as_it_should_be(make_app: MakeApp) -> None:
    app = make_app()

    @app.get("/closed")
    @cert_required
    def view() -> str:
        return "secret"

    check_stacking(app)
    assert answer(app, None, "/closed") == "certificate_required"


def test_view_may_stand_in_an_app_both_ways(make_app: MakeApp) -> None:
    def view() -> str:
        return "for all, and for some"

    app = make_app()
    app.add_url_rule("/open", view_func=view, endpoint="open")
    app.add_url_rule("/closed", view_func=cert_required(view), endpoint="closed")
    assert answer(app, None, "/open") == 200
    assert answer(app, None, "/closed") == "certificate_required"


def test_function_that_is_a_rule_may_be_a_view_elsewhere(make_app: MakeApp) -> None:
    def rule(peer: PeerCertificate | None = None) -> str:
        return "yes"

    cert_required(rule)(lambda: "")
    app = make_app()
    app.add_url_rule("/rule", view_func=rule)
    check_stacking(app)


def test_required_everywhere(make_app: MakeApp, billing: Issued) -> None:
    app = make_app(MTLS_REQUIRE="all")
    assert answer(app, None, "/public") == "certificate_required"
    assert answer(app, billing, "/public") == 200


def test_required_everywhere_holds_for_static_files(make_app: MakeApp, billing: Issued) -> None:
    app = make_app(MTLS_REQUIRE="all")
    assert answer(app, None, "/static/x.css") == "certificate_required"
    assert answer(app, billing, "/static/x.css") == 404


def test_required_everywhere_does_not_tell_which_urls_there_are(make_app: MakeApp, billing: Issued) -> None:
    app = make_app(MTLS_REQUIRE="all")
    assert answer(app, None, "/nowhere") == "certificate_required"
    assert answer(app, None, "/public", method="DELETE") == "certificate_required"
    assert answer(app, None, "/public", method="OPTIONS") == "certificate_required"
    assert answer(app, billing, "/nowhere") == 404


def test_exempt_function(make_app: MakeApp) -> None:
    app = make_app(MTLS_REQUIRE="all")
    app.add_url_rule("/health", view_func=cert_exempt(lambda: "up"), endpoint="health")
    app.add_url_rule("/other", view_func=lambda: "up", endpoint="other")
    assert answer(app, None, "/health") == 200
    assert answer(app, None, "/other") == "certificate_required"


@pytest.mark.parametrize("above", [True, False])
def test_exempt_in_either_order(make_app: MakeApp, above: bool) -> None:
    app = make_app(MTLS_REQUIRE="all")

    def health() -> str:
        return "up"

    if above:
        cert_exempt(app.get("/health")(health))
    else:
        app.get("/health")(cert_exempt(health))
    assert answer(app, None, "/health") == 200


def test_exempt_below_another_decorator(make_app: MakeApp) -> None:
    def shout(view: Callable[[], str]) -> Callable[[], str]:
        @functools.wraps(view)
        def louder() -> str:
            return view().upper()

        return louder

    app = make_app(MTLS_REQUIRE="all")

    @app.get("/health")
    @shout
    @cert_exempt
    def health() -> str:
        return "up"

    assert answer(app, None, "/health") == 200


def test_exempt_class_does_not_exempt_its_subclasses(make_app: MakeApp) -> None:
    @cert_exempt
    class Health(View):
        def dispatch_request(self) -> str:
            return "up"

    class Details(Health):
        pass

    app = make_app(MTLS_REQUIRE="all")
    app.add_url_rule("/health", view_func=Health.as_view("health"))
    app.add_url_rule("/details", view_func=Details.as_view("details"))
    assert answer(app, None, "/health") == 200
    assert answer(app, None, "/details") == "certificate_required"


def test_exempt_in_decorators_of_a_class(make_app: MakeApp) -> None:
    class Health(View):
        decorators: ClassVar = [cert_exempt]

        def dispatch_request(self) -> str:
            return "up"

    app = make_app(MTLS_REQUIRE="all")
    app.add_url_rule("/health", view_func=Health.as_view("health"))
    assert answer(app, None, "/health") == 200


def test_exempt_blueprint(make_app: MakeApp) -> None:
    open_to_all, closed = Blueprint("open", __name__), Blueprint("closed", __name__)
    for blueprint in (open_to_all, closed):
        blueprint.add_url_rule("/view", view_func=lambda: "up", endpoint="view")
    cert_exempt(open_to_all)
    app = make_app(MTLS_REQUIRE="all")
    app.register_blueprint(open_to_all, url_prefix="/open")
    app.register_blueprint(closed, url_prefix="/closed")
    assert answer(app, None, "/open/view") == 200
    assert answer(app, None, "/closed/view") == "certificate_required"


def test_exempt_bound_method(make_app: MakeApp) -> None:
    class Service:
        def health(self) -> str:
            return "up"

    app = make_app(MTLS_REQUIRE="all")
    app.get("/health", endpoint="health")(cert_exempt(Service().health))
    app.get("/other", endpoint="other")(Service().health)
    assert answer(app, None, "/health") == 200
    assert answer(app, None, "/other") == "certificate_required"


def test_exempt_static_files(make_app: MakeApp) -> None:
    app = make_app(MTLS_REQUIRE="all")
    cert_exempt(app.view_functions["static"])
    assert answer(app, None, "/static/x.css") == 404


@pytest.mark.parametrize("decorate", [lambda v: cert_required(cert_exempt(v)), lambda v: cert_exempt(cert_required(v))])
def test_required_and_exempt_contradict_each_other(decorate: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="both @cert_required and @cert_exempt"):
        decorate(lambda: "up")


def test_other_errors_are_as_ever(make_app: MakeApp, billing: Issued) -> None:
    app = make_app()

    @app.get("/gone")
    @cert_required
    def gone() -> str:
        abort(410)

    assert answer(app, billing, "/gone") == 410


def test_mtls_of_another_app_changes_nothing(make_app: MakeApp, billing: Issued, ca: Any) -> None:
    """The decorators know no app; two that share a view each decide for themselves."""
    mtls = MTLS()
    view = cert_required(lambda: "up")
    one, other = make_app(mtls), make_app(mtls, MTLS_ALLOWED=["ab" * 32])
    for app in (one, other):
        app.add_url_rule("/shared", view_func=view, endpoint="shared")
    assert answer(one, billing, "/shared") == 200
    assert answer(other, billing, "/shared") == "not_expected"
