"""Whence an attempt comes, and what the application receives of it: the proxies of the matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from mtls_core.devca import Issued

from .formats import Format, Headers

#: Where the applications are, and whence proxies call them.
LOOPBACK = "127.0.0.1"
#: Whence everybody else does.
ELSEWHERE = "127.0.0.2"

#: To what a client sent and what the proxy would send, what the application receives.
Proxy = Callable[[Format, Headers, Headers], Headers]


Shows = Literal["nothing", "a certificate", "a CA's"]


@dataclass(frozen=True)
class Origin:
    """One way to the application."""

    name: str
    proxy: Proxy
    #: What the client shows to the proxy.
    shows: Shows
    #: Whether that is a way with this format.
    exists: Callable[[Format], bool] = lambda form: True
    #: What ``MTLS_TRUSTED_PROXIES`` lists, and an address of it, which everybody claims to have.
    trusted: str = LOOPBACK
    claimed: str = LOOPBACK
    #: Whence the connection to the application comes.
    source: str = LOOPBACK

    def mount(self, form: Format) -> str:
        """The path of the application for this format that trusts these proxies."""
        return f"/{self.trusted.replace('/', '-')}{form.path}"

    def received(self, form: Format, sent: Headers, certificate: Issued | None) -> Headers:
        """What reaches the application of what a client sends.

        :param certificate: What the client shows to the proxy.
        """
        return *self.proxy(form, sent, form.headers(certificate)), ("X-Forwarded-For", self.claimed)


def strip_and_set(form: Format, sent: Headers, own: Headers) -> Headers:
    """What a proxy has to do: remove all that it might set, in whatever case; then set it, whether or not there is a
    certificate.

    A name with underscores is another name, and passes, as it does with HAProxy, Apache, Caddy and Envoy.
    """
    return *_without(form.names, sent), *own


def add_below(form: Format, sent: Headers, own: Headers) -> Headers:
    """A proxy that forgot to strip: what it got, and its own below."""
    return *sent, *own


def add_above(form: Format, sent: Headers, own: Headers) -> Headers:
    """The same, and its own above."""
    return *own, *sent


def append(form: Format, sent: Headers, own: Headers) -> Headers:
    """The same, in one line: Envoy's APPEND_FORWARD, and the ``append`` of Apache's RequestHeader."""
    between = "," if form.is_list else ", "
    lines = ((name, between.join([*_values(sent, name), value])) for name, value in own)
    return *_without((name for name, _ in own), sent), *lines


def set_verdicts_alone(form: Format, sent: Headers, own: Headers) -> Headers:
    """A proxy that sets the certificate only if there is one, and its verdict always."""
    return *_without(form.verdicts, sent), *((name, value) for name, value in own if name in form.verdicts)


def pass_on(form: Format, sent: Headers, own: Headers) -> Headers:
    """No proxy at all, or one of the attacker's."""
    return sent


def _values(headers: Headers, name: str) -> list[str]:
    return [value for each, value in headers if each.lower() == name.lower()]


def _without(names: Iterable[str], headers: Headers) -> Headers:
    unwanted = {name.lower() for name in names}
    return tuple((name, value) for name, value in headers if name.lower() not in unwanted)


def _mentions_nobody(form: Format) -> bool:
    """Whether the absence of a certificate leaves a trace where the proxy adds to what a client sent."""
    return bool(form.headers(None)) and not form.is_list


def _has_chain(form: Format) -> bool:
    return form.with_chain


#: What all others are attempts to pass for.
CONTROL = Origin("the victim itself, proxy strips and sets", strip_and_set, "a certificate")

ORIGINS = (
    Origin("no certificate, proxy strips and sets", strip_and_set, "nothing"),
    Origin("own certificate, proxy strips and sets", strip_and_set, "a certificate"),
    Origin("straight to the application", pass_on, "nothing", source=ELSEWHERE),
    Origin("from an untrusted network", pass_on, "nothing", trusted="10.0.0.0/8", claimed="10.0.0.1"),
    Origin("own certificate, proxy adds a line below", add_below, "a certificate"),
    Origin("own certificate, proxy adds a line above", add_above, "a certificate", lambda form: not form.is_list),
    Origin("own certificate, proxy appends to the line", append, "a certificate"),
    # Some proxies take any certificate, and a CA's might pass for a part of the victim's chain.
    Origin("certificate of its own CA, proxy adds a line below", add_below, "a CA's", _has_chain),
    Origin("certificate of its own CA, proxy appends to the line", append, "a CA's", _has_chain),
    Origin("no certificate, proxy adds a line below", add_below, "nothing", _mentions_nobody),
    Origin("no certificate, proxy adds a line above", add_above, "nothing", _mentions_nobody),
    Origin("no certificate, proxy appends to the line", append, "nothing", _mentions_nobody),
    Origin(
        "no certificate, proxy sets its verdict alone",
        set_verdicts_alone,
        "nothing",
        lambda form: bool(form.verdicts),
    ),
)
