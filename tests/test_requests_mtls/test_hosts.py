"""Which hosts a list means, and where a URL leads."""

from __future__ import annotations

import pytest
from requests.exceptions import InvalidURL

from requests_mtls import ConfigurationError
from requests_mtls.hosts import HostList, target_of


def allows(hosts: list[str], url: str) -> bool:
    return HostList.parse(hosts).allows(target_of(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://orders.internal/",
        "https://orders.internal",
        "https://orders.internal:443/",
        "https://orders.internal:8443/",
        "https://ORDERS.Internal/",
        "https://orders.internal./",
        "https://user:secret@orders.internal/",
        "https://evil.example@orders.internal/",
        "HTTPS://orders.internal?a=@evil.example",
        "https://orders.internal#@evil.example",
    ],
)
def test_a_name_is_allowed_however_the_url_writes_it(url: str) -> None:
    assert allows(["orders.internal"], url)


@pytest.mark.parametrize(
    "url",
    [
        "https://orders.internal.evil.example/",
        "https://orders.internalx/",
        "https://orders.internal@evil.example/",
        "https://orders.internal:443@evil.example/",
        "https://orders.internal%40evil.example/",
        "https://orders.internal..evil.example/",
        "https://orders.internal../",
        "https://sub.orders.internal/",
        "https://evil.example/orders.internal",
        "https://evil.example/?https://orders.internal/",
        "https://evil.example#@orders.internal/",
        "https://internal/",
        "https://127.0.0.1/",
    ],
)
def test_another_host_is_not_allowed_however_the_url_writes_it(url: str) -> None:
    """P26: never the identity to another host."""
    assert not allows(["orders.internal"], url)


@pytest.mark.parametrize(
    "url", ["https://orders.internal\\@evil.example/", "https://evil.example\\@orders.internal/", "https:///x", "", "x"]
)
def test_a_url_that_programs_read_differently_is_refused(url: str) -> None:
    """P26: urllib.parse and urllib3 see different hosts in ``https://a\\@b/``."""
    with pytest.raises(InvalidURL):
        target_of(url)


def test_a_control_character_cannot_hide_a_host() -> None:
    with pytest.raises(InvalidURL):
        target_of("https://orders.internal\x00.evil.example/")


def test_a_wildcard_stands_for_one_label() -> None:
    assert allows(["*.stock.internal"], "https://a.stock.internal/")


@pytest.mark.parametrize(
    "host", ["stock.internal", "a.b.stock.internal", ".stock.internal", "astock.internal", "a.stock.internal.evil"]
)
def test_a_wildcard_stands_for_nothing_else(host: str) -> None:
    assert not allows(["*.stock.internal"], f"https://{host}/")


def test_a_port_in_the_list_is_the_only_one() -> None:
    assert allows(["orders.internal:8443"], "https://orders.internal:8443/")
    assert not allows(["orders.internal:8443"], "https://orders.internal/")


def test_the_default_port_may_be_written_or_not() -> None:
    assert allows(["orders.internal:443"], "https://orders.internal/")


def test_a_wildcard_may_have_a_port() -> None:
    assert allows(["*.stock.internal:8443"], "https://a.stock.internal:8443/")
    assert not allows(["*.stock.internal:8443"], "https://a.stock.internal:9443/")


@pytest.mark.parametrize("host", ["::1", "[::1]", "0:0::1", "[0::1]:8443"])
def test_an_ipv6_address_is_an_address_however_it_is_written(host: str) -> None:
    assert allows([host], "https://[::0001]:8443/")
    assert not allows([host], "https://[::2]:8443/")


def test_an_ipv4_address_is_exact() -> None:
    assert allows(["10.0.0.7"], "https://10.0.0.7:8443/")
    assert not allows(["10.0.0.7"], "https://10.0.0.70:8443/")


def test_a_name_in_another_script_is_its_a_labels() -> None:
    assert allows(["bücher.example"], "https://xn--bcher-kva.example/")


def test_one_host_needs_no_list() -> None:
    assert HostList.parse("orders.internal").allows(target_of("https://orders.internal/"))


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        "",
        [""],
        ["*"],
        ["*."],
        ["a.*.internal"],
        ["orders*.internal"],
        ["**.internal"],
        ["*.0.0.1"],
        ["*.10.0.0.1"],
        ["https://orders.internal/"],
        ["orders.internal/"],
        ["user@orders.internal"],
        ["orders.internal:x"],
        ["orders..internal"],
        ["orders internal"],
        [None],
        [b"orders.internal"],
    ],
)
def test_what_is_not_a_host_is_refused_at_once(hosts: list[str]) -> None:
    """P24: a configuration that would be insecure does not start."""
    with pytest.raises(ConfigurationError):
        HostList.parse(hosts)


def test_the_list_prints_as_it_is_written() -> None:
    assert str(HostList.parse(["b.example:8443", "*.a.example", "[::1]:1", "c.example"])) == (
        "*.a.example, [::1]:1, b.example:8443, c.example"
    )


def test_the_trailing_dot_is_kept_for_the_lookup_alone() -> None:
    """It says that search domains are not to be tried."""
    target = target_of("https://orders.internal.:8443/")

    assert (target.host, target.dial, str(target)) == ("orders.internal", "orders.internal.", "orders.internal:8443")
