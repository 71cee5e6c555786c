"""What each proxy sends for a client with a certificate, and for one without: as seen on the wire, byte for byte.

Nothing here is taken from the code under test.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mtls_core.certificate import Certificate
from mtls_core.devca import Issued

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Field:
    """One header that a proxy sets."""

    name: str
    #: Its value for a client with a certificate.
    present: Callable[[Issued], str]
    #: Its value for one without; ``None``: then it is not sent.
    absent: str | None = None
    #: Whether it holds no certificate, but what the proxy found.
    is_verdict: bool = False


@dataclass(frozen=True)
class Format:
    """How a proxy speaks of its client."""

    name: str
    #: ``MTLS_FORWARDED``.
    setting: str | Mapping[str, Any]
    fields: tuple[Field, ...]
    #: ``MTLS_FORWARDED_HOPS``.
    hops: int = 1
    #: Whether the certificate's header holds its chain, too.
    with_chain: bool = False
    #: Whether two headers join to a longer list, in which the place tells who wrote what.
    is_list: bool = False

    @property
    def path(self) -> str:
        """Where the application that expects it is."""
        return "/" + "".join(character if character.isalnum() else "-" for character in self.name)

    @property
    def names(self) -> tuple[str, ...]:
        """All its headers."""
        return tuple(field.name for field in self.fields)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Those that hold no certificate."""
        return tuple(field.name for field in self.fields if field.is_verdict)

    def headers(self, issued: Issued | None) -> Headers:
        """What the proxy sends for a client with this certificate, or for one without."""
        if issued is None:
            return tuple((field.name, field.absent) for field in self.fields if field.absent is not None)
        return tuple((field.name, field.present(issued)) for field in self.fields)


def all_formats(edge: Issued) -> tuple[Format, ...]:
    """Every preset, Envoy behind Envoy, and two mappings.

    :param edge: The certificate by which the first Envoy is known to the second.
    """
    return (
        # As Caddy writes it where there is none.
        Format("rfc9440", "rfc9440", (Field("Client-Cert", _item, "::"), Field("Client-Cert-Chain", _items))),
        # It does not send a header that is empty.
        _nginx("nginx", "nginx", "X-SSL-Client-Cert", "X-SSL-Client-Verify"),
        _haproxy(),
        _apache(),
        Format(
            "caddy",
            "caddy",
            (Field("X-SSL-Client-Cert", _der, "{http.request.tls.client.certificate_der_base64}"),),
        ),
        Format("envoy", "envoy", (Field("X-Forwarded-Client-Cert", _element),), with_chain=True, is_list=True),
        _envoy_behind_envoy(_element(edge)),
        Format("traefik", "traefik", (Field("X-Forwarded-Tls-Client-Cert", _der_with_chain),), with_chain=True),
        Format("aws-alb", "aws-alb", (Field("X-Amzn-Mtls-Clientcert-Leaf", _aws),)),
        Format(
            "aws-alb-passthrough",
            "aws-alb-passthrough",
            (Field("X-Amzn-Mtls-Clientcert", _aws_with_chain),),
            with_chain=True,
        ),
        Format("azure", "azure", (Field("X-ARR-ClientCert", _der),)),
        Format("iis", "iis", (Field("MS-ASPNETCORE-CLIENTCERT", _der),)),
        _gcp(),
        _cloudflare(),
        _nginx(
            "ingress-nginx",
            {"format": "nginx", "header": "ssl-client-cert", "verify_header": "ssl-client-verify"},
            "ssl-client-cert",
            "ssl-client-verify",
        ),
        _own_mapping(),
    )


def _nginx(name: str, setting: str | Mapping[str, Any], header: str, verify: str) -> Format:
    certificate = Field(header, lambda issued: _escaped(issued.certificate))
    return Format(name, setting, (certificate, _verdict(verify, "SUCCESS", "NONE")))


def _haproxy() -> Format:
    fields = (
        Field("X-SSL-Client-Cert", _der, ""),
        Field("X-SSL-Client-Chain", _concatenated_chain, ""),
        # OpenSSL's number of no error.
        _verdict("X-SSL-Client-Verify", "0", "0"),
        _verdict("X-SSL-Client-Used", "1", "0"),
    )
    return Format("haproxy", "haproxy", fields)


def _apache() -> Format:
    fields = (
        Field("X-SSL-Client-Cert", lambda issued: _spaced(issued.certificate), "(null)"),
        *(Field(f"X-SSL-Client-Chain-{number}", _apache_chain(number), "(null)") for number in range(10)),
        _verdict("X-SSL-Client-Verify", "SUCCESS", "NONE"),
    )
    return Format("apache", "apache", fields)


def _envoy_behind_envoy(of_the_edge: str) -> Format:
    """The second adds what it knows of the first."""
    field = Field("X-Forwarded-Client-Cert", lambda issued: f"{_element(issued)},{of_the_edge}", of_the_edge)
    return Format("envoy, 2 hops", "envoy", (field,), hops=2, with_chain=True, is_list=True)


def _gcp() -> Format:
    fields = (
        Field("X-Client-Cert-Leaf", _item, ""),
        Field("X-Client-Cert-Chain", _items, ""),
        _verdict("X-Client-Cert-Chain-Verified", "true", "false"),
        _verdict("X-Client-Cert-Present", "true", "false"),
    )
    return Format("gcp", "gcp", fields)


def _cloudflare() -> Format:
    fields = (
        Field("Client-Cert", _item, ""),
        Field("Client-Cert-Chain", _items, ""),
        _verdict("Cf-Cert-Verified", "true", "false"),
        _verdict("Cf-Cert-Presented", "true", "false"),
        _verdict("Cf-Cert-Revoked", "false", "false"),
    )
    return Format("cloudflare", "cloudflare", fields)


def _own_mapping() -> Format:
    setting = {
        "header": "X-Caller-Certificate",
        "encoding": "der-base64",
        "chain_header": "X-Caller-Chain",
        "verify_header": "X-Caller-Verified",
        "verify_success": ["yes"],
        "verify_none": ["no"],
    }
    fields = (
        Field("X-Caller-Certificate", _der),
        Field("X-Caller-Chain", _concatenated_chain),
        _verdict("X-Caller-Verified", "yes", "no"),
    )
    return Format("one's own", setting, fields)


def _verdict(name: str, present: str, absent: str) -> Field:
    return Field(name, lambda issued: present, absent, is_verdict=True)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _der(issued: Issued) -> str:
    return _base64(issued.certificate.der)


def _der_with_chain(issued: Issued) -> str:
    return ",".join(_base64(each.der) for each in (issued.certificate, *issued.chain))


def _concatenated_chain(issued: Issued) -> str:
    return _base64(b"".join(each.der for each in issued.chain))


def _item(issued: Issued) -> str:
    return f":{_der(issued)}:"


def _items(issued: Issued) -> str:
    return ", ".join(f":{_base64(each.der)}:" for each in issued.chain)


def _pem(certificates: Iterable[Certificate]) -> str:
    return "".join(each.pem for each in certificates)


def _escaped(*certificates: Certificate) -> str:
    return quote(_pem(certificates), safe="")


def _aws(issued: Issued) -> str:
    return quote(issued.certificate.pem, safe="+=/")


def _aws_with_chain(issued: Issued) -> str:
    return quote(_pem((issued.certificate, *issued.chain)), safe="+=/")


def _spaced(certificate: Certificate) -> str:
    return certificate.pem.replace("\n", " ")


def _apache_chain(number: int) -> Callable[[Issued], str]:
    return lambda issued: _spaced(issued.chain[number]) if number < len(issued.chain) else "(null)"


def _element(issued: Issued) -> str:
    """An element of Envoy's header. Alternative names stand in it as they are."""
    certificate = issued.certificate
    subject = certificate.subject.replace("\\", "\\\\").replace('"', '\\"')
    return ";".join(
        [
            f"Hash={certificate.thumbprint}",
            f'Cert="{_escaped(certificate)}"',
            f'Chain="{_escaped(certificate, *issued.chain)}"',
            f'Subject="{subject}"',
            *(f"URI={uri}" for uri in certificate.uris),
            *(f"DNS={name}" for name in certificate.dns_names),
        ]
    )
