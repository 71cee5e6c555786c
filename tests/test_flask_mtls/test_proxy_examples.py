"""The examples for proxies that cannot be run here: at least they name what the application looks for."""

from __future__ import annotations

import ast
import base64
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from flask_mtls.config import KEYS
from flask_mtls.proxies import TrustedProxies
from flask_mtls.sources.formats import PRESETS, read_format

EXAMPLES = Path(__file__).parents[2] / "examples" / "proxies"

#: Every format of each.
FORMATS = {
    "traefik.yaml": {"traefik"},
    "aws-alb.md": {"aws-alb", "aws-alb-passthrough"},
    "azure-app-service.md": {"azure"},
    "google-cloud.md": {"gcp"},
    "cloudflare.md": {"cloudflare"},
    "iis-web.config": {"iis"},
}

_SETTING = re.compile(r'(MTLS_[A-Z_]+) = ("[^"\n]*"|\{[^}\n]*\}|\[[^\]\n]*\])')


def settings_in(example: str) -> list[tuple[str, Any]]:
    """Every setting that an example names, in its order."""
    text = (EXAMPLES / example).read_text()
    # A pin that stands for the reader's own.
    text = text.replace("sha256/...", f"sha256/{base64.b64encode(bytes(32)).decode()}")
    return [(name, ast.literal_eval(value)) for name, value in _SETTING.findall(text)]


@pytest.mark.parametrize("example", FORMATS)
def test_it_says_that_it_was_not_run(example: str) -> None:
    assert "Not run here" in (EXAMPLES / example).read_text()


@pytest.mark.parametrize("example", FORMATS)
def test_its_formats_are_known(example: str) -> None:
    values = [value for name, value in settings_in(example) if name == "MTLS_FORWARDED"]
    assert FORMATS[example] <= {read_format(value).name for value in values}


@pytest.mark.parametrize("example", FORMATS)
def test_its_proxies_could_be_trusted(example: str) -> None:
    values = [value for name, value in settings_in(example) if name == "MTLS_TRUSTED_PROXIES"]
    assert values
    for value in values:
        assert TrustedProxies.parse(value) != TrustedProxies()


@pytest.mark.parametrize("example", FORMATS)
def test_it_names_every_header_that_is_read(example: str) -> None:
    text = (EXAMPLES / example).read_text()
    names = {name for each in FORMATS[example] for name in PRESETS[each].headers}
    assert {name for name in names if name in text} == names


@pytest.mark.parametrize("example", FORMATS)
def test_it_has_no_setting_that_does_not_exist(example: str) -> None:
    named = set(re.findall(r"\bMTLS_[A-Z_]+", (EXAMPLES / example).read_text()))
    assert named <= KEYS.keys()


def test_every_format_has_an_example() -> None:
    """Those that are run have theirs where the proxies are run."""
    run = {"nginx", "haproxy", "apache", "caddy", "envoy", "rfc9440"}
    assert set().union(run, *FORMATS.values()) == PRESETS.keys()


def test_the_configuration_of_iis_is_xml() -> None:
    root = ElementTree.parse(EXAMPLES / "iis-web.config").getroot()  # noqa: S314 - our own file
    assert [each.get("sslFlags") for each in root.iter("access")] == ["Ssl, SslNegotiateCert, SslRequireCert"]
