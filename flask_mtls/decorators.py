"""``@cert_required`` and ``@cert_exempt``."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload
from weakref import WeakSet

from flask import Flask, current_app, has_request_context, request

from mtls_core.errors import ConfigurationError

from .decisions import RuleLike, decisions_of
from .peer import PeerCertificate
from .rules import Rule

V = TypeVar("V", bound=Callable[..., Any])
T = TypeVar("T")

# Attributes, so that functools.wraps carries them through other decorators.
_REQUIRED = "__mtls_required__"
_EXEMPT = "__mtls_exempt__"

#: What was decorated with cert_required. To find it among an app's views means that the decorator stands above the
#: route, where it has no effect.
_undecorated: WeakSet[Callable[..., Any]] = WeakSet()


@overload
def cert_required(rule: None = None, /) -> Callable[[V], V]: ...
@overload
def cert_required(rule: Rule | Callable[[PeerCertificate], Any], /) -> Callable[[V], V]: ...
@overload
def cert_required(view: V, /) -> V: ...
def cert_required(rule: Any = None, /) -> Any:
    """Refuse requests to a view unless they come with a good certificate, and one for which a rule holds.

    Stands directly above the function, below ``@app.route``, with a rule, bare, or with empty parentheses; also in
    ``decorators`` of a class-based view. Every method is covered. (What Flask answers to OPTIONS by itself
    never reaches a view.)

    :param rule: A :class:`~flask_mtls.Rule`, or any callable that takes the
        :class:`~flask_mtls.PeerCertificate` and says yes or no.
    :raises ConfigurationError: If it is neither, or the view is exempt.
    """
    if rule is None or isinstance(rule, Rule):
        return functools.partial(_protect, rule=rule)
    if isinstance(rule, type):
        raise ConfigurationError(
            f"@cert_required above the class {rule.__name__} has no effect; write decorators = [cert_required] in it"
        )
    if callable(rule):
        return _view_or_rule(rule)
    raise ConfigurationError(f"@cert_required({rule!r}): a rule is callable, such as dns('billing.internal')")


def cert_exempt(view: T) -> T:
    """Let an endpoint be reached without a certificate although ``MTLS_REQUIRE`` is ``"all"``.

    :param view: A view function, a class-based view (its subclasses are not exempt), or a blueprint.
    :raises ConfigurationError: If it is protected by :func:`cert_required`.
    """
    if getattr(view, _REQUIRED, False):
        raise _contradiction(view)
    try:
        setattr(view, _EXEMPT, True)
    except AttributeError:
        # A bound method has no attributes of its own; a partial of it has.
        stand_in: Any = functools.partial(cast(Any, view))
        setattr(stand_in, _EXEMPT, True)
        return cast(T, functools.update_wrapper(stand_in, cast(Any, view)))
    return view


def is_exempt(app: Flask) -> bool:
    """Whether this request's endpoint, or a blueprint it belongs to, is exempt. A URL that leads nowhere is not."""
    view = app.view_functions.get(request.endpoint or "")
    if view is None:
        return False
    # In vars(): a class does not inherit the exemption.
    of_view = getattr(view, _EXEMPT, False) or _EXEMPT in vars(getattr(view, "view_class", object))
    return of_view or any(getattr(app.blueprints[name], _EXEMPT, False) for name in request.blueprints)


def check_stacking(app: Flask, *endpoints: str) -> None:
    """Check that no view was registered before it was decorated.

    :param endpoints: Those to look at; all if there is none.
    :raises ConfigurationError: If one was, which would leave it open.
    """
    for endpoint in endpoints or app.view_functions:
        view = app.view_functions[endpoint]
        if view in _undecorated and not _is_decorated_elsewhere(view, app):
            raise ConfigurationError(
                f"the endpoint {endpoint!r} was registered without its @cert_required:"
                " put @cert_required below @app.route, directly above the function"
            )


def _is_decorated_elsewhere(view: Callable[..., Any], app: Flask) -> bool:
    """Whether another endpoint of the app has the view with its decorator: then both are meant."""
    return any(other is not view and inspect.unwrap(other) is view for other in app.view_functions.values())


def _protect(view: Callable[..., Any], rule: RuleLike | None = None) -> Callable[..., Any]:
    if getattr(view, _EXEMPT, False):
        raise _contradiction(view)

    is_async = inspect.iscoroutinefunction(view)

    @functools.wraps(view)
    def protected(*args: Any, **kwargs: Any) -> Any:
        # Looked up once: each look through the proxy costs as much as a step of the decision.
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        response = decisions_of(app).check(rule)
        if response is not None:
            return response
        return app.ensure_sync(view)(*args, **kwargs) if is_async else view(*args, **kwargs)

    setattr(protected, _REQUIRED, True)
    with contextlib.suppress(TypeError):  # a few callables cannot be referred to weakly
        _undecorated.add(view)
    return protected


def _view_or_rule(function: Callable[..., Any]) -> Callable[..., Any]:
    """Both ``@cert_required`` above a view and ``@cert_required(function)`` arrive here, and look alike.

    They differ in the next call: a decorator gets one callable, while the app is being put together; a view
    gets keyword arguments, during a request.
    """
    protected = _protect(function)

    @functools.wraps(protected)
    def view_or_decorator(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and callable(args[0]) and not has_request_context():
            _undecorated.discard(function)
            return _protect(args[0], rule=function)
        return protected(*args, **kwargs)

    return view_or_decorator


def _contradiction(view: object) -> ConfigurationError:
    return ConfigurationError(f"{view!r} is both @cert_required and @cert_exempt; decide for one")
