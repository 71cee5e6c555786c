"""Every ``MTLS_*`` key: what it takes, what it refuses, and what it says then."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_mtls import MTLS, ConfigurationError, Pin
from flask_mtls.config import KEYS, Settings, read_settings, shown
from mtls_core.devca import DevelopmentCA, Issued
from mtls_core.trust import TrustStore

PIN = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

#: A value that cannot be used, and a piece of the advice.
WRONG = {
    "MTLS_IDENTITY": (17, "the path of a file"),
    "MTLS_IDENTITY_PASSWORD": (1e5, "JSON quotes"),
    "MTLS_IDENTITY_KEY": (["key.pem"], "the path of a file"),
    "MTLS_CLIENT_CA": ("", "the path of a file"),
    "MTLS_CLIENT_CERTS": ("optionel", "'optional'"),
    "MTLS_REQUIRE": ("everything", "'all'"),
    "MTLS_CERTIFICATE_TYPES": (["chained", "self-signed"], "'self_signed'"),
    "MTLS_ALLOWED": ("sha256/short", "44 characters of base64"),
    "MTLS_CHECK_VALIDITY": ("maybe", "True or False"),
    "MTLS_CHECK_USAGE": ("lax", "'strict'"),
    "MTLS_CLOCK_SKEW": (-1, "seconds from 0"),
    "MTLS_EXPOSE_REASON": (2, "True or False"),
    "MTLS_MINIMUM_VERSION": ("TLSv1.1", "'TLSv1.3'"),
    "MTLS_HANDSHAKE_TIMEOUT": (0, "seconds from 0.1"),
    "MTLS_CACHE_SIZE": (1.5, "a whole number"),
    "MTLS_CACHE_SECONDS": ("soon", "a number of seconds"),
    "MTLS_RELOAD_INTERVAL": (float("nan"), "a number of seconds"),
    "MTLS_REVOCATION": ("on", "'required'"),
    "MTLS_REVOCATION_SCOPE": ("root", "'leaf'"),
    "MTLS_REVOCATION_UNREACHABLE": ("ignore", "'accept'"),
    "MTLS_REVOCATION_HOSTS": ([17], "a list of words"),
    "MTLS_REVOCATION_PROXY": ("", "leave the key out"),
    "MTLS_REVOCATION_TIMEOUT": (0, "seconds from 0.05"),
    "MTLS_REVOCATION_REFRESH": (0, "seconds from 1"),
    "MTLS_REVOCATION_MAX_CACHE": ("day", "a number of seconds"),
    "MTLS_CRLS": ([""], "a list of paths"),
    "MTLS_CRL_GRACE": (-1, "seconds from 0"),
    "MTLS_CRL_MAX_AGE": ("old", "a number of seconds"),
    "MTLS_OCSP_RESPONDER": (17, "write text"),
    "MTLS_OCSP_TRUSTED": (17, "a list of paths"),
    "MTLS_OCSP_NONCE": ("yes", "'require'"),
    "MTLS_OCSP_MAX_AGE": (0, "seconds from 1"),
    "MTLS_CACHE_URL": ("", "leave the key out"),
    "MTLS_FORWARDED": ("ngnix", "'nginx'"),
    "MTLS_TRUSTED_PROXIES": (["10.0.0.1/8"], "host bits set"),
    "MTLS_FORWARDED_HOPS": (0, "a whole number from 1"),
    "MTLS_FORWARDED_DIRECT": ("perhaps", "True or False"),
    "MTLS_PROXY_CA": ("", "the path of a file"),
}


def settings_of(**values: Any) -> Settings:
    return read_settings({"MTLS_CLIENT_CA": "ca.pem"} | values)


def complaint_about(**values: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings_of(**values)
    return str(caught.value)


def test_every_key_has_a_wrong_value_here() -> None:
    assert WRONG.keys() == KEYS.keys()


@pytest.mark.parametrize("key", WRONG)
def test_wrong_value_is_refused_with_the_key_and_advice(key: str) -> None:
    """P24: a setting that cannot be used does not start."""
    value, advice = WRONG[key]
    text = complaint_about(**{key: value})
    assert text.startswith(key)
    assert advice in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MTLS_CLIENT_CA", []),
        ("MTLS_CLIENT_CA", [b"bytes"]),
        ("MTLS_CLIENT_CA", {"path": "ca.pem"}),
        ("MTLS_CERTIFICATE_TYPES", []),
        ("MTLS_CERTIFICATE_TYPES", 1),
        ("MTLS_ALLOWED", []),
        ("MTLS_ALLOWED", [None]),
        ("MTLS_ALLOWED", 5),
        ("MTLS_IDENTITY", ""),
        ("MTLS_IDENTITY", b""),
        ("MTLS_IDENTITY_PASSWORD", True),
        ("MTLS_CLOCK_SKEW", True),
        ("MTLS_CLOCK_SKEW", 86_401),
        ("MTLS_CACHE_SIZE", -1),
        ("MTLS_CHECK_VALIDITY", None),
        ("MTLS_CHECK_VALIDITY", 1.0),
        ("MTLS_REQUIRE", None),
        ("MTLS_RELOAD_INTERVAL", -5),
    ],
)
def test_other_wrong_values(key: str, value: Any) -> None:
    assert complaint_about(**{key: value}).startswith(key)


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("MTLS_CLIENT_CA", "ca.pem", "client_ca", (Path("ca.pem").absolute(),)),
        ("MTLS_CLIENT_CA", ["a.pem", Path("b")], "client_ca", (Path("a.pem").absolute(), Path("b").absolute())),
        ("MTLS_CLIENT_CERTS", "on_demand", "client_certs", "on_demand"),
        ("MTLS_CERTIFICATE_TYPES", "chained", "certificate_types", {"chained"}),
        ("MTLS_CERTIFICATE_TYPES", {"chained"}, "certificate_types", {"chained"}),
        ("MTLS_ALLOWED", PIN, "allowed", (Pin.parse(PIN),)),
        ("MTLS_ALLOWED", [Pin.parse(PIN)], "allowed", (Pin.parse(PIN),)),
        ("MTLS_CHECK_VALIDITY", "False", "check_validity", False),
        ("MTLS_CHECK_VALIDITY", 0, "check_validity", False),
        ("MTLS_CHECK_VALIDITY", "on", "check_validity", True),
        ("MTLS_CHECK_USAGE", "strict", "check_usage", "strict"),
        ("MTLS_CHECK_USAGE", "no", "check_usage", False),
        ("MTLS_CLOCK_SKEW", timedelta(minutes=5), "clock_skew", 300),
        ("MTLS_CLOCK_SKEW", "60", "clock_skew", 60),
        ("MTLS_RELOAD_INTERVAL", None, "reload_interval", 0),
        ("MTLS_RELOAD_INTERVAL", "0", "reload_interval", 0),
        ("MTLS_CACHE_SIZE", "0", "cache_size", 0),
    ],
)
def test_right_values(key: str, value: Any, field: str, expected: object) -> None:
    assert getattr(settings_of(**{key: value}), field) == expected


def test_defaults() -> None:
    settings = settings_of()
    assert settings.client_certs == "optional"
    assert settings.require == "decorated"
    assert settings.certificate_types == frozenset({"chained"})
    assert settings.check_validity
    assert settings.check_usage is True
    assert settings.clock_skew == 0
    assert settings.expose_reason


def test_pem_text_is_content_and_not_a_path(ca: DevelopmentCA) -> None:
    assert settings_of(MTLS_CLIENT_CA=ca.pem).client_ca == ca.pem.encode()


def test_trust_store_is_taken_as_it_is(ca: DevelopmentCA) -> None:
    store = ca.trust_store()
    assert settings_of(MTLS_CLIENT_CA=store).client_ca is store


def test_typing_error_in_a_key_names_the_near_one() -> None:
    assert "did you mean MTLS_CLIENT_CERTS?" in complaint_about(MTLS_CLIENT_CERT="required")


def test_unknown_key_that_resembles_nothing_lists_the_keys() -> None:
    assert "MTLS_RELOAD_INTERVAL" in complaint_about(MTLS_0123456789=1)


def test_keys_of_others_are_left_alone() -> None:
    assert settings_of(MTLSX=1, SECRET_KEY="x").require == "decorated"


def test_environment_variables_of_the_command_are_left_alone() -> None:
    """``FLASK_MTLS_RUN_PORT=8443`` is the port of ``flask mtls run``, which ``from_prefixed_env()`` cannot know."""
    assert settings_of(MTLS_RUN_PORT=8443, MTLS_CONFIG_FORMAT="json").require == "decorated"


@pytest.mark.parametrize("value", ["off", None])
def test_forwarding_may_be_off(value: str | None) -> None:
    assert settings_of(MTLS_FORWARDED=value).forwarded is None


def test_a_header_is_believed_from_nobody_until_a_proxy_is_named() -> None:
    """P24: it would be everybody's."""
    assert "MTLS_TRUSTED_PROXIES is not" in complaint_about(MTLS_FORWARDED="nginx")
    assert "MTLS_TRUSTED_PROXIES is not" in complaint_about(MTLS_FORWARDED="nginx", MTLS_TRUSTED_PROXIES=[])


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "8000::/1"])
def test_everybody_is_no_proxy(network: str) -> None:
    everybody = {"MTLS_FORWARDED": "nginx", "MTLS_TRUSTED_PROXIES": [network]}
    assert "anyone could then speak for any client" in complaint_about(**everybody)
    everybody["MTLS_TRUSTED_PROXIES"] = [network, PIN]  # where it shows its certificate, it may be anywhere
    assert settings_of(**everybody).trusted_proxies.by_certificate


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MTLS_TRUSTED_PROXIES", "127.0.0.1"),
        ("MTLS_FORWARDED_HOPS", 2),
        ("MTLS_FORWARDED_DIRECT", True),
        ("MTLS_PROXY_CA", "ca.pem"),
    ],
)
def test_parts_of_no_forwarding(key: str, value: Any) -> None:
    assert f"{key} is set, but MTLS_FORWARDED is not" in complaint_about(**{key: value})


BEHIND_NGINX: dict[str, Any] = {"MTLS_FORWARDED": "nginx", "MTLS_TRUSTED_PROXIES": ["127.0.0.1"]}
BEHIND_PINNED: dict[str, Any] = {"MTLS_FORWARDED": "nginx", "MTLS_TRUSTED_PROXIES": [PIN]}


def test_only_envoy_counts_proxies() -> None:
    assert "only Envoy's header" in complaint_about(**BEHIND_NGINX, MTLS_FORWARDED_HOPS=2)
    envoy = {"MTLS_FORWARDED": "envoy", "MTLS_TRUSTED_PROXIES": ["127.0.0.1"], "MTLS_FORWARDED_HOPS": 2}
    assert settings_of(**envoy).forwarded_hops == 2


def test_a_proxy_is_not_asked_on_demand() -> None:
    on_demand = {"MTLS_CLIENT_CERTS": "on_demand"}
    assert "would ask the proxy" in complaint_about(**BEHIND_NGINX, **on_demand)
    assert settings_of(**BEHIND_NGINX, **on_demand, MTLS_FORWARDED_DIRECT=True).client_certs == "on_demand"


def test_a_proxy_that_is_known_by_its_certificate_must_be_asked_for_it() -> None:
    assert "not asked for theirs" in complaint_about(**BEHIND_PINNED, MTLS_CLIENT_CERTS="off")
    on_demand = {"MTLS_CLIENT_CERTS": "on_demand", "MTLS_FORWARDED_DIRECT": True}
    assert "not asked for theirs" in complaint_about(**BEHIND_PINNED, **on_demand)
    assert settings_of(**BEHIND_NGINX, MTLS_CLIENT_CERTS="off").client_certs == "off"


def test_issuers_of_proxies_are_for_proxies_that_show_certificates() -> None:
    assert "no pin or SPIFFE ID" in complaint_about(**BEHIND_NGINX, MTLS_PROXY_CA="ca.pem")
    assert settings_of(**BEHIND_PINNED, MTLS_PROXY_CA="ca.pem").proxy_ca == (Path("ca.pem").absolute(),)


def test_certificates_of_proxies_need_an_issuer() -> None:
    self_signed = {"MTLS_CLIENT_CA": None, "MTLS_CERTIFICATE_TYPES": ["self_signed"], "MTLS_ALLOWED": PIN}
    assert "set MTLS_PROXY_CA" in complaint_about(**self_signed, **BEHIND_PINNED)
    assert settings_of(**self_signed, **BEHIND_PINNED, MTLS_PROXY_CA="ca.pem").proxy_ca


def test_files_of_proxies_are_watched() -> None:
    assert Path("proxies.pem").absolute() in settings_of(**BEHIND_PINNED, MTLS_PROXY_CA="proxies.pem").paths


def test_a_client_ca_is_needed() -> None:
    assert "MTLS_CLIENT_CA is not set" in complaint_about(MTLS_CLIENT_CA=None)


def test_a_client_ca_is_not_needed_for_self_signed_certificates_alone() -> None:
    settings = settings_of(MTLS_CLIENT_CA=None, MTLS_CERTIFICATE_TYPES=["self_signed"], MTLS_ALLOWED=PIN)
    assert settings.client_ca is None


def test_self_signed_certificates_must_be_named() -> None:
    assert "anybody can make" in complaint_about(MTLS_CERTIFICATE_TYPES=["self_signed"])


@pytest.mark.parametrize("key", ["MTLS_IDENTITY_PASSWORD", "MTLS_IDENTITY_KEY"])
def test_parts_of_no_identity(key: str) -> None:
    assert "MTLS_IDENTITY is not" in complaint_about(**{key: "something"})


def test_password_for_an_identity_that_is_loaded(orders: Issued) -> None:
    text = complaint_about(MTLS_IDENTITY=orders.identity, MTLS_IDENTITY_PASSWORD="hunter2")
    assert "loaded already" in text


def test_number_for_a_password_is_its_text() -> None:
    """What ``from_prefixed_env()`` makes of a password of digits."""
    assert settings_of(MTLS_IDENTITY="x.pfx", MTLS_IDENTITY_PASSWORD=123456).identity_password == "123456"


def test_password_shows_nowhere() -> None:
    settings = settings_of(MTLS_IDENTITY="x.pfx", MTLS_IDENTITY_PASSWORD="hunter2")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in json.dumps(shown(settings))


def test_shown_settings_are_plain(billing: Issued, ca: DevelopmentCA) -> None:
    settings = settings_of(MTLS_ALLOWED=[PIN, billing.certificate], MTLS_CLIENT_CA=ca.trust_store())
    document = shown(settings)
    assert document.keys() == KEYS.keys()
    assert document["MTLS_ALLOWED"][0] == PIN
    assert json.loads(json.dumps(document))["MTLS_CERTIFICATE_TYPES"] == ["chained"]


def test_environment_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ca: DevelopmentCA) -> None:
    """Text, numbers, lists and words, as ``from_prefixed_env()`` makes them of text and JSON."""
    (tmp_path / "ca.pem").write_text(ca.pem)
    values = {
        "MTLS_CLIENT_CA": json.dumps([str(tmp_path / "ca.pem")]),
        "MTLS_CERTIFICATE_TYPES": '["chained"]',
        "MTLS_ALLOWED": PIN,
        "MTLS_CHECK_VALIDITY": "true",
        "MTLS_CHECK_USAGE": "strict",
        "MTLS_CLOCK_SKEW": "60",
        "MTLS_EXPOSE_REASON": "False",
        "MTLS_RELOAD_INTERVAL": "null",
    }
    for key, value in values.items():
        monkeypatch.setenv(f"FLASK_{key}", value)
    app = Flask(__name__)
    app.config.from_prefixed_env()
    MTLS(app)
    settings = app.extensions["mtls"].settings
    assert settings.check_validity
    assert not settings.expose_reason
    assert settings.clock_skew == 60
    assert settings.check_usage == "strict"
    assert settings.reload_interval == 0


def test_paths_are_those_of_files(ca: DevelopmentCA) -> None:
    """What is given as content or object does not change on a disk."""
    settings = settings_of(MTLS_IDENTITY="x.pfx", MTLS_ALLOWED=[PIN], MTLS_CLIENT_CA=TrustStore.from_pem(ca.pem))
    assert settings.paths == (Path("x.pfx").absolute(),)
