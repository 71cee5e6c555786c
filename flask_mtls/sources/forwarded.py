"""The certificate that a trusted proxy forwards in headers.

Whether the proxy is one is not decided here; see :mod:`flask_mtls.proxies`.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mtls_core.certificate import Certificate
from mtls_core.errors import MalformedCertificate, Problem, Reason
from mtls_core.path.algorithms import check_key
from mtls_core.signatures import verifies

from . import MOST_CERTIFICATES, MalformedHeader, Presented, parsed, xfcc
from .formats import ENCODINGS, Format

#: What proxies write where there is no certificate: nothing, an empty byte sequence, Apache's ``(null)``, or the
#: placeholder itself, of Caddy, nginx, Apache and HAProxy.
_NOTHING = re.compile(r'|""|::|\(null\)|:?\{[^{}]*\}:?|\$\w+|%\{[^{}]*\}\w?|%\[[^\[\]]*\]')

#: That are verified to see that a list is one chain: enough for one in any order.
_MOST_SIGNATURES = 12
_NO_MORE = object()

_TWO_VALUES = "holds a comma, and so two values; the proxy must replace what a client sent, not add to it"


class Headers:
    """Reads the headers of one format.

    :param form: The format.
    :param hops: How many proxies, counted from this service, add to the header (Envoy's alone).
    """

    def __init__(self, form: Format, *, hops: int = 1) -> None:
        self.form = form
        self._hops = hops
        self._largest = form.largest(hops)
        self._keys = {name: "HTTP_" + name.upper().replace("-", "_") for name in form.headers}

    def carried(self, environ: Mapping[str, Any]) -> dict[str, int]:
        """Those of the format's headers that came with a request, with their lengths in bytes."""
        return {name: len(environ[key]) for name, key in self._keys.items() if key in environ}

    def read(self, environ: Mapping[str, Any]) -> Presented | None:
        """What they hold.

        :param environ: The environ of a request that a trusted proxy sent.
        :raises MalformedCertificate: If they are not as the format has them, or contradict each other.
        """
        text = self._certificate_text(environ)
        if not text:
            self._check_nothing_lost(environ)
            return None
        sent = self._parse(self.form.header, text)
        if not sent:
            return None  # Envoy: the client's own element is missing, those of the proxies are there
        self._check_first_alone_is_a_leaf(sent)
        chain = (*sent[1:], *self._chain(environ))
        if len(chain) >= MOST_CERTIFICATES:
            raise self._malformed(self.form.header, f"comes with {len(chain)} more certificates")
        return Presented(sent[0], self.form.name, lambda: chain, self._objection(environ))

    def why_nothing(self, environ: Mapping[str, Any]) -> str:
        """Why there is no certificate in the headers of a request from a trusted proxy."""
        name = self.form.header
        value = environ.get(self._keys[name])
        if value is None:
            return f"the proxy sent no {name}: the client has shown it no certificate, or it does not forward them"
        if not _NOTHING.fullmatch(value.strip(" \t")):
            return f"{name} has fewer elements than MTLS_FORWARDED_HOPS: the first proxy saw no certificate"
        return f"the proxy sent {name}: {_short(value)}, which is what it writes without a client certificate"

    def _certificate_text(self, environ: Mapping[str, Any]) -> str | None:
        return self._text(environ, self.form.header, has_commas=ENCODINGS[self.form.encoding].has_commas)

    def _parse(self, name: str, text: str) -> tuple[bytes, ...]:
        parser = ENCODINGS[self.form.encoding].leaf
        try:
            if parser is not None:
                return parser(text)
            element = xfcc.client(text, self._hops)
        except MalformedHeader as error:
            raise self._malformed(name, str(error)) from error
        return () if element is None else (element.leaf, *element.chain)

    def _check_first_alone_is_a_leaf(self, sent: tuple[bytes, ...]) -> None:
        """Of a list that two were joined to, the first certificate may be of anybody's making.

        A client whose certificate the proxy does not verify may show a CA's; so a second leaf is not the only sign.
        """
        name = self.form.header
        if self.form.encoding == "xfcc" or len(sent) == 1:
            return
        if not self.form.with_chain:
            raise self._malformed(name, f"holds {len(sent)} certificates, where this format has one")
        if not all(parsed(each).is_ca for each in sent[1:]):
            raise self._malformed(name, "holds two clients' certificates, the second behind the first")
        if not _all_issued_the_first(sent):
            raise self._malformed(name, "holds a certificate that has nothing to do with the first")

    def _chain(self, environ: Mapping[str, Any]) -> tuple[bytes, ...]:
        form = self.form
        encoding = ENCODINGS[form.chain_encoding or form.encoding]
        found: list[bytes] = []
        together = sum(len(environ.get(self._keys[name]) or "") for name in form.chain_headers)
        if together > self._largest:
            raise self._malformed(str(form.chain_header), f"has {together} bytes; {self._largest} are allowed")
        for name in form.chain_headers:
            has_commas = encoding.has_commas or name not in form.singletons  # with which a server joins several
            text = self._text(environ, name, has_commas=has_commas)
            if text and encoding.chain is not None:
                try:
                    found += encoding.chain(text)
                except MalformedHeader as error:
                    raise self._malformed(name, str(error)) from error
        return tuple(found)

    def _check_nothing_lost(self, environ: Mapping[str, Any]) -> None:
        """A client can have some proxies drop a header that they set: by ``Connection: X-SSL-Client-Cert``."""
        form = self.form
        verify = self._text(environ, form.verify_header)
        if verify and verify not in form.verify_none:
            raise self._lost(f"{form.verify_header} says {_short(verify)}")
        if self._answer(environ, form.present_header):
            raise self._lost(f"{form.present_header} says that there is one")

    def _objection(self, environ: Mapping[str, Any]) -> Problem | None:
        form = self.form
        if self._answer(environ, form.present_header) is False:
            raise MalformedCertificate(
                f"{form.header} holds a certificate, but {form.present_header} says that there is none"
            )
        verify = self._text(environ, form.verify_header)
        if form.verify_required and not verify:
            raise MalformedCertificate(f"{form.header} came without {form.verify_header}, which belongs to it")
        if verify and verify not in form.verify_success:
            detail = f"the proxy did not verify the certificate: {form.verify_header} says {_short(verify)}"
            return Problem(Reason.SECOND_OPINION, detail)
        if self._answer(environ, form.revoked_header):
            return Problem(Reason.REVOKED, f"the proxy says that the certificate is revoked, in {form.revoked_header}")
        return None

    def _answer(self, environ: Mapping[str, Any], name: str | None) -> bool | None:
        text = self._text(environ, name)
        if not text or name is None:
            return None
        if text in ("1", "true", "0", "false"):
            return text in ("1", "true")
        raise self._malformed(name, f"is {_short(text)}; it may be 1, true, 0 or false")

    def _text(self, environ: Mapping[str, Any], name: str | None, *, has_commas: bool = False) -> str | None:
        """A header's value, empty if it stands for nothing; ``None`` if it did not come."""
        value = environ.get(self._keys[name]) if name is not None else None
        if value is None or name is None:
            return None
        if len(value) > self._largest:
            raise self._malformed(name, f"has {len(value)} bytes; {self._largest} are allowed")
        text: str = value.strip(" \t")
        if not (text.isascii() and text.isprintable()):
            raise self._malformed(name, "has characters that no encoding of a certificate has, such as line breaks")
        if _NOTHING.fullmatch(text):
            return ""
        # OpenSSL's own words may have a comma.
        is_failure = name == self.form.verify_header and text.startswith("FAILED:")
        if "," in text and not has_commas and not is_failure:
            raise self._malformed(name, _TWO_VALUES)
        return text

    def _lost(self, what: str) -> MalformedCertificate:
        return MalformedCertificate(
            f"{what}, but {self.form.header} holds no certificate: it was lost on the way, or the other is forged"
        )

    def _malformed(self, name: str, what: str) -> MalformedCertificate:
        return MalformedCertificate(f"{name} {what}")


@functools.lru_cache(maxsize=128)
def _all_issued_the_first(sent: tuple[bytes, ...]) -> bool:
    """Whether each certificate issued the first one, or another that did, whatever their order."""
    first, *others = map(parsed, sent)
    reached = [first]
    checks = itertools.repeat(None, _MOST_SIGNATURES)
    while others:
        # In the usual order, each issued the one before.
        pairs = ((each, below) for each in others for below in reversed(reached))
        issuer = next((each for each, below in pairs if _issued(each, below, checks)), None)
        if issuer is None:
            return False
        reached.append(issuer)
        others.remove(issuer)
    return True


def _issued(issuer: Certificate, certificate: Certificate, checks: Iterator[None]) -> bool:
    """Whether the signature holds.

    :param checks: One is taken for each signature that is looked at; without one, none is.
    """
    if issuer.subject_der != certificate.issuer_der or check_key(issuer) is not None:
        return False
    return next(checks, _NO_MORE) is not _NO_MORE and verifies(issuer.public_key, certificate.parsed, certificate.tbs)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
