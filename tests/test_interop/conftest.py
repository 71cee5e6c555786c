"""A CA, a caller and a running service for clients that are not ours."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mtls_core.devca import DevelopmentCA

from ..processes import Process, serving
from .proxying import Parties, Site, make_parties

PASSWORD = "only for tests"


@dataclass(frozen=True)
class Files:
    """What a client that is not ours needs, in files."""

    folder: Path
    ca: str
    pfx: str
    pem: str
    key: str
    other_pfx: str


@pytest.fixture(scope="session")
def ca() -> DevelopmentCA:
    return DevelopmentCA.create("Interop CA")


@pytest.fixture(scope="session")
def files(ca: DevelopmentCA, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("interop")
    billing = ca.intermediate("Issuing CA").client("billing", uris=["spiffe://example.org/billing"])
    stranger = DevelopmentCA.create("Another CA").client("billing", uris=["spiffe://example.org/billing"])
    contents = {
        "ca.pem": ca.pem.encode(),
        "billing.pfx": billing.pfx(PASSWORD),
        "billing.pem": billing.certificate_pem,
        "billing.key": billing.key_pem(PASSWORD),
        "stranger.pfx": stranger.pfx(PASSWORD),
        "server.pfx": ca.server("localhost").pfx(PASSWORD),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    names = ("ca.pem", "billing.pfx", "billing.pem", "billing.key", "stranger.pfx")
    return Files(folder, *(str(folder / name) for name in names))


@pytest.fixture(scope="session", params=["werkzeug", "gthread"])
def service(request: pytest.FixtureRequest, files: Files) -> Iterator[Process]:
    settings = {
        "FLASK_MTLS_IDENTITY": str(files.folder / "server.pfx"),
        "FLASK_MTLS_IDENTITY_PASSWORD": PASSWORD,
        "FLASK_MTLS_CLIENT_CA": files.ca,
    }
    with serving(request.param, "tests.test_interop.service", settings, files.folder) as process:
        yield process


@pytest.fixture(scope="session")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Parties:
    return make_parties(tmp_path_factory.mktemp("parties"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the proxy and the application logged belongs to the report of a test that failed."""
    report = yield
    site = getattr(item, "funcargs", {}).get("site")
    if report.failed and isinstance(site, Site):
        report.sections += [(str(log), log.read_text(errors="replace")[-8000:]) for log in site.logs]
    return report
