"""The documentation is true: every block of code in it is run."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from flask import Flask

import flask_mtls
import mtls_core
import requests_mtls
from flask_mtls import MTLS
from mtls_core.devca import DevelopmentCA
from mtls_core.devca import __main__ as devca

from .pages import NOT_RUN, PASSWORD, ROOT, Reader, blocks, page_names, read_page, reader
from .programs import require_program

#: Pages that begin before there are certificates.
WITHOUT_CERTIFICATES = {"devca"}
#: Pages that call the service of the page about servers.
WITH_A_SERVICE = {"client"}
#: Whose blocks are settings, one by one.
OF_SETTINGS = "config"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates that the page about the development CA makes."""
    folder = tmp_path_factory.mktemp("docs") / "pki"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTLS_DEVCA_PASSWORD", PASSWORD)
        devca.main([str(folder), "--service", "orders=localhost", "--client", "billing=spiffe://example.org/billing"])
    return folder


@pytest.fixture
def somebody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A reader in a folder with nothing in it."""
    monkeypatch.setenv("MTLS_DEVCA_PASSWORD", PASSWORD)
    with reader(tmp_path) as each:
        yield each


@pytest.mark.parametrize("page", [page for page in page_names() if blocks(page) and page != OF_SETTINGS])
def test_every_block_does_what_the_page_says(page: str, pki: Path, somebody: Reader) -> None:
    shell = "".join(block.text for block in blocks(page) if block.kind == "sh")
    for program in ("openssl", "curl"):
        if program in shell:
            require_program(program)
    if any(block.kind == "nginx" for block in blocks(page)):
        require_program("nginx")
    if page not in WITHOUT_CERTIFICATES:
        shutil.copytree(pki, somebody.folder / "pki")
    if page in WITH_A_SERVICE:
        for block in blocks("server")[:2]:  # the service, and how it is run
            somebody.follow(block)
    for block in blocks(page):
        somebody.follow(block)


def test_every_setting_is_accepted_as_its_example_has_it(
    pki: Path, somebody: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(pki, somebody.folder / "pki")
    _add_files_of_examples(somebody.folder)
    monkeypatch.chdir(somebody.folder)
    for block in blocks(OF_SETTINGS):
        app = Flask("orders")
        app.config.from_mapping(MTLS_CLIENT_CA="pki/ca.pem", MTLS_IDENTITY="pki/orders.pfx")
        app.config["MTLS_IDENTITY_PASSWORD"] = PASSWORD
        somebody.namespace |= {"app": app, "os": os, "timedelta": timedelta}
        somebody.follow(block)
        for name in somebody.environment.keys() - os.environ.keys():  # what a block has exported
            monkeypatch.setenv(name, somebody.environment[name])
        MTLS(app)


def test_there_is_no_code_beside_the_blocks_that_are_run() -> None:
    for page in page_names():
        text = read_page(page)
        assert text.count(".. code-block::") == len(blocks(page)), page
        assert not re.search(r"^(?! *\.\. ).*::$", text, re.MULTILINE), f"{page}: a literal block"
        assert not re.search(r"^ *(>>>|\.\. (code|parsed-literal|sourcecode|testcode)::)", text, re.MULTILINE), page


def test_what_is_not_run_has_a_reason() -> None:
    kinds = {block.kind for page in page_names() for block in blocks(page)}
    assert kinds - {"python", "sh", "text", "json", "nginx"} == set(NOT_RUN)


def test_examples_in_docstrings_print_what_they_show() -> None:
    results = [doctest.testmod(module) for module in _modules()]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) >= 4


@pytest.mark.parametrize("package", [flask_mtls, requests_mtls])
def test_every_exported_name_is_on_the_page_about_the_api(package: ModuleType) -> None:
    documented = {name.split(".")[-1] for name in re.findall(r"^\.\. [\w]+:: ([\w.]+)", read_page("api"), re.MULTILINE)}
    assert set(package.__all__) - documented == set()


def test_every_change_is_a_sentence_in_a_file_of_its_kind() -> None:
    for file in (ROOT / "changelog").iterdir():
        assert re.fullmatch(r"[a-z0-9-]+\.(feature|bugfix|security)\.md", file.name), file.name
        text = file.read_text(encoding="utf-8")
        assert re.fullmatch(r"[A-Z`][^\n]+\.\n", text), file.name


def _modules() -> Iterator[ModuleType]:
    for package in (mtls_core, flask_mtls, requests_mtls):
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def _add_files_of_examples(folder: Path) -> None:
    """Those that the settings name and the page about the development CA does not make."""
    ca = DevelopmentCA.create()
    ca.client("orders").write(folder, "orders")
    ca.client("billing").write(folder, "device")
    shutil.copy(folder / "device.pem", folder / "pki" / "billing.pem")
    ca.server("responder").write(folder, "responder")
    (folder / "pki" / "ca.crl").write_bytes(DevelopmentCA.from_pfx(folder / "pki" / "ca.pfx", PASSWORD).crl())
    (folder / "crls").mkdir()
    (folder / "crls" / "another.crl").write_bytes(DevelopmentCA.create("Another CA").crl())
    (folder / "more-cas").mkdir()
    (folder / "more-cas" / "another.pem").write_text(ca.pem)
