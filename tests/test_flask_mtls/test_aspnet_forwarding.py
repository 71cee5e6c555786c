"""The cases of ASP.NET's ``CertificateForwardingTest.cs`` (F01 to F07), and those of ``CertificateTests.cs`` about
headers (A23 to A26): what happens there, and what happens here.

There any client may send the header; here a trusted hop may. So each has a twin that comes from elsewhere.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from flask_mtls.proxies import SOCKET
from mtls_core.devca import Issued
from mtls_core.errors import ConfigurationError

from .conftest import MakeApp

PROXY, ELSEWHERE = "10.0.0.5", "10.0.0.9"

#: What ``AddCertificateForwarding()`` reads unless told otherwise.
DEFAULT_THERE = {"header": "X-Client-Cert", "encoding": "der-base64"}

MakeService = Callable[..., Flask]


@dataclass(frozen=True)
class Connection:
    """A TLS connection on which somebody showed a certificate."""

    issued: Issued
    address: str
    family: int = 0

    def getpeername(self) -> tuple[str, int]:
        return self.address, 40000

    def getpeercert(self, _binary: bool) -> bytes:
        return self.issued.certificate.der

    def get_unverified_chain(self) -> list[bytes]:
        return []

    @property
    def _sslobj(self) -> Connection:
        """Before Python 3.13 the chain is asked of this."""
        return self


@pytest.fixture
def make_service(make_app: MakeApp) -> MakeService:
    """An app behind a proxy, with what is the default there."""

    def make(forwarded: Any = None, **settings: Any) -> Flask:
        return make_app(MTLS_FORWARDED=forwarded or DEFAULT_THERE, MTLS_TRUSTED_PROXIES=[PROXY], **settings)

    return make


def encoded(issued: Issued) -> str:
    return base64.b64encode(issued.certificate.der).decode("ascii")


def come(
    app: Flask,
    headers: Mapping[str, str],
    *,
    path: str = "/protected",
    source: str = PROXY,
    own: Issued | None = None,
) -> Any:
    """What a request comes to: who it is taken for, or the reason of its refusal.

    :param source: From where it comes.
    :param own: What is shown on its connection, if that is TLS.
    """
    environ: dict[str, Any] = {"REMOTE_ADDR": source}
    if own is not None:
        environ |= {SOCKET: Connection(own, source), "wsgi.url_scheme": "https"}
    answer = app.test_client().get(path, headers=headers, environ_overrides=environ)
    document = answer.get_json()
    return document["caller"] if answer.status_code == 200 else document["reason"]


def test_a_certificate_in_the_header_is_the_callers(make_service: MakeService, billing: Issued) -> None:
    """A23. There: 200. Here: the same, over plain HTTP too, which there takes a rewritten scheme."""
    assert come(make_service(), {"X-Client-Cert": encoded(billing)}) == ["billing"]


def test_but_not_from_anybody(make_service: MakeService, billing: Issued) -> None:
    """A23. There: 200, whoever sends it."""
    assert come(make_service(), {"X-Client-Cert": encoded(billing)}, source=ELSEWHERE) == "untrusted_proxy"


def test_a_damaged_certificate_is_refused_with_its_reason(make_service: MakeService, billing: Issued) -> None:
    """A24. There: 403, as without a certificate. Here: 403, and it is said that the header is at fault."""
    assert come(make_service(), {"X-Client-Cert": f"OOPS{encoded(billing)}"}) == "malformed"


def test_the_header_can_be_that_of_azure(make_service: MakeService, billing: Issued) -> None:
    """A25. There: 200, with ``CertificateHeader = "X-ARR-ClientCert"``."""
    assert come(make_service("azure"), {"X-ARR-ClientCert": encoded(billing)}) == ["billing"]


def test_the_header_can_have_any_name(make_service: MakeService, billing: Issued) -> None:
    """A25, with a name that is no platform's."""
    forwarded = {"header": "some-random-header", "encoding": "der-base64"}
    assert come(make_service(forwarded), {"some-random-header": encoded(billing)}) == ["billing"]


@pytest.mark.parametrize("name", ["not-the-right-header", "X-ARR-ClientCert", "X-SSL-Client-Cert", "Client-Cert"])
def test_a_certificate_in_another_header_is_none(make_service: MakeService, billing: Issued, name: str) -> None:
    """A26. There: 403. Here: the same."""
    assert come(make_service(), {name: encoded(billing)}) == "certificate_required"


@pytest.mark.parametrize(
    "header", [None, "", " ", "X_Client_Cert"], ids=["F01 null", "F02 empty", "blank", "underscores"]
)
def test_without_a_name_for_the_header_nothing_starts(make_service: MakeService, header: Any) -> None:
    """F01, F02. There: OptionsValidationException. Here: the same for whatever no header is called."""
    with pytest.raises(ConfigurationError, match=r"MTLS_FORWARDED has header = .*, which is no header's name"):
        make_service({"header": header, "encoding": "der-base64"})


def test_nor_does_anything_without_a_trusted_proxy(make_app: MakeApp) -> None:
    """There: no such option, and everybody is trusted."""
    with pytest.raises(ConfigurationError, match="MTLS_TRUSTED_PROXIES is not"):
        make_app(MTLS_FORWARDED=DEFAULT_THERE)


def test_the_header_is_used(make_service: MakeService, billing: Issued) -> None:
    """F03. There: the connection has the header's certificate. Here: ``current_cert`` is it, in public views too."""
    assert come(make_service(), {"X-Client-Cert": encoded(billing)}, path="/public") == ["billing"]


@pytest.mark.parametrize("direct", [False, True])
def test_a_proxys_header_wins_over_the_proxys_own_certificate(
    make_service: MakeService, billing: Issued, stock: Issued, *, direct: bool
) -> None:
    """F04. There: the header wins. Here: the same, if the hop is trusted: its own certificate speaks for the hop."""
    app = make_service(MTLS_FORWARDED_DIRECT=direct)
    assert come(app, {"X-Client-Cert": encoded(billing)}, own=stock) == ["billing"]


@pytest.mark.parametrize("direct", [False, True])
def test_a_clients_header_does_not_win_over_its_own_certificate(
    make_service: MakeService, billing: Issued, orders: Issued, *, direct: bool
) -> None:
    """F04. There: the header wins, and whoever has any certificate is whom they like. Here: refused."""
    app = make_service(MTLS_FORWARDED_DIRECT=direct)
    assert come(app, {"X-Client-Cert": encoded(billing)}, source=ELSEWHERE, own=orders) == "untrusted_proxy"


def test_a_clients_own_certificate_counts_where_both_ways_are_open(make_service: MakeService, billing: Issued) -> None:
    """F04, without the header. There: the same, always."""
    app = make_service(MTLS_FORWARDED_DIRECT=True)
    assert come(app, {}, source=ELSEWHERE, own=billing) == ["billing"]


def test_and_does_not_where_the_proxy_is_the_only_way(make_service: MakeService, billing: Issued) -> None:
    """F04, without the header."""
    assert come(make_service(), {}, source=ELSEWHERE, own=billing) == "certificate_required"


def test_azures_header_with_azures_name(make_service: MakeService, billing: Issued) -> None:
    """F05. There: the platform switches it on. Here: the preset does."""
    assert come(make_service("azure"), {"X-ARR-ClientCert": encoded(billing)}, path="/public") == ["billing"]


def test_another_header_leaves_the_caller_unknown(make_service: MakeService, billing: Issued) -> None:
    """F06. There: no certificate. Here: the same, and it is no reason to refuse a public view."""
    assert come(make_service(), {"X-Other-Cert": encoded(billing)}, path="/public") is None


@pytest.mark.parametrize("value", ["OOPS", "not base64!", "MIIB", "%%%"])
def test_a_damaged_header_is_no_anonymous_client(make_service: MakeService, value: str) -> None:
    """F07. There: the certificate is null, as if there were none. Here: malformed, wherever one is needed."""
    assert come(make_service(), {"X-Client-Cert": value}) == "malformed"


def test_a_damaged_header_does_not_uncover_another_certificate(make_service: MakeService, billing: Issued) -> None:
    """F07. There: the connection's own certificate is hidden. Here: the same, and the request is refused."""
    app = make_service(MTLS_FORWARDED_DIRECT=True)
    assert come(app, {"X-Client-Cert": "OOPS"}, own=billing) == "malformed"


def test_a_public_view_sees_nobody_behind_a_damaged_header(
    make_service: MakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """F07. There: null, and a log entry. Here: the same."""
    assert come(make_service(), {"X-Client-Cert": "OOPS"}, path="/public") is None
    assert "reason=malformed" in caplog.text
