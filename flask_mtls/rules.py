"""Rules: which of the callers with a good certificate may use a view.

A rule is any callable that takes a :class:`~flask_mtls.PeerCertificate` and says yes or no. Those made here
compare exactly, are checked when they are written down, and combine with ``&`` and ``|``. There is no negation:
a rule says who may, so that whoever nobody thought of may not.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mtls_core.certificate import Certificate
from mtls_core.errors import ConfigurationError, InvalidName, MalformedCertificate
from mtls_core.names import match_dns, match_spiffe
from mtls_core.pins import PinKind, PinSet

from .peer import PeerCertificate


class Rule:
    """A named test of a peer's certificate.

    :param test: Says yes or no.
    :param text: How the rule is written; stands in logs.
    """

    __slots__ = ("_test", "_text")

    def __init__(self, test: Callable[[PeerCertificate], Any], text: str) -> None:
        self._test = test
        self._text = text

    def __call__(self, peer: PeerCertificate) -> bool:
        return answer_of(self, self._test(peer))

    def __and__(self, other: Callable[[PeerCertificate], Any]) -> Rule:
        right = _as_rule(other)
        return Rule(lambda peer: self(peer) and right(peer), f"({self!r} & {right!r})")

    def __or__(self, other: Callable[[PeerCertificate], Any]) -> Rule:
        right = _as_rule(other)
        return Rule(lambda peer: self(peer) or right(peer), f"({self!r} | {right!r})")

    def __rand__(self, other: Callable[[PeerCertificate], Any]) -> Rule:
        return _as_rule(other) & self

    def __ror__(self, other: Callable[[PeerCertificate], Any]) -> Rule:
        return _as_rule(other) | self

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} is a rule, not an answer; combine rules with & and |, not with 'and' and 'or'")

    def __repr__(self) -> str:
        return self._text


def answer_of(rule: object, answer: Any) -> bool:
    """What a rule returned, as a yes or no.

    :raises TypeError: If it returned something to wait for, which would count as a yes.
    """
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()  # nobody will await it; without this Python warns of that, far from here
        raise TypeError(
            f"the rule {rule!r} returned {answer!r}; an asynchronous rule is an 'async def' function,"
            " and not combined with others"
        )
    return bool(answer)


def spiffe(spiffe_id: str) -> Rule:
    """The certificate carries this SPIFFE ID.

    :param spiffe_id: The ID; or one that ends in ``/*``, which stands for every ID below it.
    :raises InvalidName: If it is not a SPIFFE ID.
    """
    match_spiffe(spiffe_id, None)
    return Rule(lambda peer: match_spiffe(spiffe_id, peer.spiffe_id), f"spiffe({spiffe_id!r})")


def uri(value: str) -> Rule:
    """One of the URIs among the SANs is this one, character by character.

    :raises InvalidName: If it has no scheme.
    """
    scheme, colon, rest = _text(value).partition(":")
    if not (scheme and colon and rest):
        raise InvalidName(f"{value!r} is not a URI")
    return Rule(lambda peer: value in peer.uris, f"uri({value!r})")


def dns(name: str) -> Rule:
    """One of the DNS names among the SANs is this one, whatever its case. A common name is not a DNS name.

    :param name: A name; or one that begins with ``*.``, which stands for exactly one label.
    :raises InvalidName: If it is not a DNS name.
    """
    match_dns(_text(name), "localhost")
    exact = not name.startswith("*.")
    return Rule(
        # The first is the second's answer in the usual case, at a fraction of its cost.
        lambda peer: (exact and name in peer.dns_names) or any(match_dns(name, each) for each in peer.dns_names),
        f"dns({name!r})",
    )


def email(address: str) -> Rule:
    """One of the e-mail addresses among the SANs is this one; the case of its domain does not matter (RFC 5280,
    section 7.5).

    :raises InvalidName: If it is not an address.
    """
    wanted = _split_address(_text(address))
    if not all(wanted):
        raise InvalidName(f"{address!r} is not an e-mail address")
    return Rule(lambda peer: any(_split_address(each) == wanted for each in peer.emails), f"email({address!r})")


def common_name(value: str) -> Rule:
    """The subject has one common name, and it is this one. A subject with several has none that counts.

    :raises InvalidName: If it is empty.
    """
    if not _text(value):
        raise InvalidName("a common name is not empty")
    return Rule(lambda peer: peer.common_names == (value,), f"common_name({value!r})")


def thumbprint(*thumbprints: str) -> Rule:
    """The certificate has one of these SHA-256 thumbprints.

    :param thumbprints: 64 hex digits each, with or without colons.
    :raises PinError: If one is not, a SHA-1 thumbprint for instance, or if there is none.
    """
    pins = _pins("certificate", "public_key()", thumbprints)
    return Rule(pins.matches, f"thumbprint({_listed(pins)})")


def public_key(*pins: str) -> Rule:
    """The certificate's public key is one of these.

    :param pins: ``sha256/BASE64`` each.
    :raises PinError: If one is not a pin of a public key, or if there is none.
    """
    parsed = _pins("public_key", "thumbprint()", pins)
    return Rule(parsed.matches, f"public_key({_listed(parsed)})")


def issued_by(ca: str | os.PathLike[str] | bytes | Certificate) -> Rule:
    """The verified path leads through this CA, the one that signed the certificate or one above.

    :param ca: The CA's certificate: a file, its content, or the certificate. It must be trusted anyway;
        this rule trusts nobody.
    :raises ConfigurationError: If it cannot be read, or is not one CA certificate.
    """
    wanted = _read_ca(ca)
    return Rule(lambda peer: wanted in peer.chain[1:], f"issued_by({wanted.subject!r})")


def _as_rule(other: Any) -> Rule:
    if isinstance(other, Rule):
        return other
    if not callable(other):
        raise ConfigurationError(f"{other!r} is not a rule: it cannot be called with a certificate")
    return Rule(other, getattr(other, "__name__", repr(other)))


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise InvalidName(f"{value!r} is not text")
    return value


def _split_address(address: str) -> tuple[str, str]:
    local, _at, domain = address.rpartition("@")
    return local, domain.lower()


def _pins(kind: PinKind, other: str, texts: tuple[str, ...]) -> PinSet:
    pins = PinSet(*texts)
    for pin in pins:
        if pin.kind != kind:
            raise ConfigurationError(f"{str(pin)!r} is a pin of another kind; it belongs into {other}")
    return pins


def _listed(pins: PinSet) -> str:
    return ", ".join(repr(str(pin)) for pin in pins)


def _read_ca(ca: str | os.PathLike[str] | bytes | Certificate) -> Certificate:
    try:
        certificate = (
            ca if isinstance(ca, Certificate) else _parse(ca if isinstance(ca, bytes) else Path(ca).read_bytes())
        )
    except (MalformedCertificate, OSError) as error:
        raise ConfigurationError(f"issued_by({ca!r}): {error}") from error
    if not certificate.is_ca:
        raise ConfigurationError(f"issued_by({ca!r}): {certificate.describe()} is not a CA, and issues nothing")
    return certificate


def _parse(data: bytes) -> Certificate:
    return Certificate.from_der(data) if data[:1] == b"\x30" else Certificate.from_pem(data)
