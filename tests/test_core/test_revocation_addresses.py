"""Which URLs and addresses a certificate can make this service ask."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_core.errors import ConfigurationError
from mtls_core.revocation.addresses import AllowedHosts, parse_url, why_not_public
from mtls_core.revocation.fetch_error import FetchError, FetchErrorKind

NOBODY = AllowedHosts.parse(())

#: What must be refused, and the same with one thing changed.
BAD_URLS = {
    "file": ("file:///etc/passwd", "http://h.example/etc/passwd"),
    "ftp": ("ftp://h.example/ca.crl", "http://h.example/ca.crl"),
    "gopher": ("gopher://h.example:70/_x", "http://h.example:70/_x"),
    "ldap": ("ldap://h.example/cn=CA?certificateRevocationList", "http://h.example/cn=CA?certificateRevocationList"),
    "https": ("https://h.example/ca.crl", "HTTP://h.example/ca.crl"),
    "no scheme": ("//h.example/ca.crl", "http://h.example/ca.crl"),
    "no slashes": ("http:h.example", "http://h.example"),
    "no host": ("http:///ca.crl", "http://h/ca.crl"),
    "user and password": ("http://user:secret@h.example/", "http://h.example/"),
    "user": ("http://user@h.example/", "http://h.example/"),
    "a host as user": ("http://good.example:80@evil.example/", "http://good.example:80/@evil.example/"),
    "backslash": ("http://good.example\\@evil.example/", "http://good.example/"),
    "CR LF": ("http://h.example/a\r\nX-Evil: 1", "http://h.example/a"),
    "CR LF at the end": ("http://h.example/\r\n", "http://h.example/"),
    "tab in the scheme": ("ht\ttp://h.example/", "http://h.example/"),
    "space": ("http://h.example/a b", "http://h.example/a%20b"),
    "NUL": ("http://h.example/\0", "http://h.example/"),
    "overlong": ("http://h.example/" + "a" * 2032, "http://h.example/" + "a" * 2031),
    "decimal": ("http://2130706433/", "http://a2130706433/"),
    "hexadecimal": ("http://0x7f000001/", "http://x7f000001/"),
    "hexadecimal parts": ("http://0x7f.0.0.0x1/", "http://0x7f.0.0.ax1/"),
    "octal": ("http://0177.0.0.1/", "http://177.0.0.1/"),
    "three parts": ("http://93.184.216/", "http://93.184.216.34/"),
    "two parts": ("http://127.1/", "http://127.1.example/"),
    "five parts": ("http://1.2.3.4.5/", "http://1.2.3.4/"),
    "a part too large": ("http://93.184.216.256/", "http://93.184.216.255/"),
    "number with a dot": ("http://2130706433./", "http://2130706433.example./"),
    "percent-encoded": ("http://%31%32%37.0.0.1/", "http://h.example/%31%32%37.0.0.1"),
    "other digits": ("http://\uff11\uff12\uff17.0.0.1/", "http://93.184.216.34/"),
    "other dot": ("http://127\u30020.0.1/", "http://93.184.216.34/"),
    "zone": ("http://[fe80::1%25eth0]/", "http://[fe80::1]/"),
    "not IPv6": ("http://[::1::]/", "http://[::1]/"),
    "future address": ("http://[v1.x]/", "http://[::1]/"),
    "open bracket": ("http://[::1/", "http://[::1]/"),
    "empty label": ("http://h..example/", "http://h.example/"),
    "port 0": ("http://h.example:0/", "http://h.example:1/"),
    "port too large": ("http://h.example:65536/", "http://h.example:65535/"),
    "port with a sign": ("http://h.example:+80/", "http://h.example:80/"),
    "two ports": ("http://h.example:80:80/", "http://h.example:80/"),
}

#: An address, and the network that lets it pass when it is listed.
NOT_PUBLIC = {
    "loopback": ("127.0.0.1", "127.0.0.0/8"),
    "other loopback": ("127.255.0.9", "127.255.0.9"),
    "private 10": ("10.1.2.3", "10.1.0.0/16"),
    "private 172.16": ("172.31.255.255", "172.16.0.0/12"),
    "private 192.168": ("192.168.0.1", "192.168.0.1"),
    "cloud metadata": ("169.254.169.254", "169.254.169.254"),
    "Azure's platform": ("168.63.129.16", "168.63.129.16"),
    "shared by a carrier": ("100.64.0.1", "100.64.0.0/10"),
    "unspecified": ("0.0.0.0", "0.0.0.0"),  # noqa: S104 - asked, not bound
    "multicast": ("224.0.0.1", "224.0.0.1"),
    "broadcast": ("255.255.255.255", "255.255.255.255"),
    "documentation": ("203.0.113.9", "203.0.113.0/24"),
    "benchmarks": ("198.18.0.1", "198.18.0.0/15"),
    "6to4 relay": ("192.88.99.1", "192.88.99.0/24"),
    "IPv6 loopback": ("::1", "::1"),
    "IPv6 unspecified": ("::", "::"),
    "IPv6 link-local": ("fe80::1", "fe80::/10"),
    "IPv6 private": ("fd00:ec2::254", "fd00::/8"),
    "IPv6 site-local": ("fec0::1", "fec0::/10"),
    "IPv6 multicast": ("ff02::1", "ff02::1"),
    "IPv6 documentation": ("2001:db8::1", "2001:db8::/32"),
    "IPv6 not given out": ("4000::1", "4000::/3"),
    "Teredo": ("2001:0:5ef5:79fd::1", "2001::/32"),
    "IPv4-mapped, loopback": ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    "IPv4-mapped, public": ("::ffff:93.184.216.34", "::ffff:0:0/96"),
    "IPv4-compatible": ("::127.0.0.1", "::127.0.0.1"),
    "6to4 of a private one": ("2002:a01:203::1", "2002::/16"),
    "NAT64 of loopback": ("64:ff9b::127.0.0.1", "64:ff9b::/96"),
    "NAT64 of cloud metadata": ("64:ff9b::169.254.169.254", "64:ff9b::/96"),
    "local NAT64": ("64:ff9b:1::1", "64:ff9b:1::/48"),
}

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "64:ff9b::93.184.216.34"]

#: What an operator may list.
ENTRIES = [
    *("h.example", "*.example", "h", "10.1.2.3", "10.0.0.0/8", "::1", "[::1]", "fd00::/8"),
    *(ipaddress.ip_address("10.1.2.3"), ipaddress.ip_network("10.0.0.0/8")),
]
NO_ENTRIES = [
    *("http://h.example/", "h.example:8080", "10.1.2.3:8080", "10.1.2.3/8", "10.0.0/8", "10.0.0.0/33", "127.1"),
    *("0x7f000001", "", "a..b", "*", "*.*.example", "a.*.example", "fe80::1%eth0", "user@h.example"),
    *(5, None, b"h.example"),
]


def _url(address: str) -> str:
    return f"http://[{address}]/ca.crl" if ":" in address else f"http://{address}/ca.crl"


@pytest.mark.parametrize("url", [bad for bad, _ in BAD_URLS.values()], ids=BAD_URLS)
def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(FetchError) as refused:
        parse_url(url)
    assert refused.value.kind is FetchErrorKind.BAD_URL
    assert "nothing was sent" in refused.value.detail


@pytest.mark.parametrize("url", [good for _, good in BAD_URLS.values()], ids=BAD_URLS)
def test_its_twin_is_read(url: str) -> None:
    assert parse_url(url).url == url


def test_a_password_in_a_url_is_named_as_the_reason() -> None:
    with pytest.raises(FetchError, match="it holds a user name or password; nothing was sent"):
        parse_url("http://user:secret@h.example/")


@pytest.mark.parametrize("address", [address for address, _ in NOT_PUBLIC.values()], ids=NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(FetchError) as refused:
        NOBODY.check(parse_url(_url(address)))
    assert refused.value.kind is FetchErrorKind.REFUSED_ADDRESS


@pytest.mark.parametrize(("address", "listed"), NOT_PUBLIC.values(), ids=NOT_PUBLIC)
def test_a_listed_address_passes(address: str, listed: str) -> None:
    AllowedHosts.parse([listed]).check(parse_url(_url(address)))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_passes(address: str) -> None:
    NOBODY.check(parse_url(_url(address)))


def test_the_sentence_names_the_setting_and_what_to_write_there() -> None:
    with pytest.raises(FetchError) as refused:
        NOBODY.check(parse_url("http://ocsp.corp.example/"), [ipaddress.ip_address("10.1.2.3")])
    assert str(refused.value) == (
        "http://ocsp.corp.example/: ocsp.corp.example resolves to 10.1.2.3, which is private (10.0.0.0/8), not a public"
        " address; nothing was sent; if this is a server of yours, add it to MTLS_REVOCATION_HOSTS:"
        ' MTLS_REVOCATION_HOSTS = ["ocsp.corp.example"]'
    )


def test_what_the_sentence_says_to_write_lets_the_address_pass() -> None:
    target = parse_url("http://[fd00::7]:8080/")
    with pytest.raises(FetchError, match=r'MTLS_REVOCATION_HOSTS = \["fd00::7"\]'):
        NOBODY.check(target)
    AllowedHosts.parse(["fd00::7"]).check(target)


def test_one_private_address_among_public_ones_is_refused() -> None:
    addresses = [ipaddress.ip_address(text) for text in ("93.184.216.34", "10.1.2.3")]
    with pytest.raises(FetchError, match=r"10\.1\.2\.3"):
        NOBODY.check(parse_url("http://ocsp.example/"), addresses)


def test_public_addresses_alone_pass() -> None:
    addresses = [ipaddress.ip_address(text) for text in ("93.184.216.34", "2606:2800:220:1::1")]
    NOBODY.check(parse_url("http://ocsp.example/"), addresses)


def test_a_listed_name_passes_wherever_it_leads() -> None:
    AllowedHosts.parse(["OCSP.corp.example."]).check(
        parse_url("http://ocsp.CORP.example./"), [ipaddress.ip_address("10.1.2.3")]
    )


def test_another_name_of_the_same_address_is_refused() -> None:
    with pytest.raises(FetchError, match="evil"):
        AllowedHosts.parse(["ocsp.corp.example"]).check(
            parse_url("http://evil.example/"), [ipaddress.ip_address("10.1.2.3")]
        )


def test_a_wildcard_stands_for_one_label() -> None:
    allowed, private = AllowedHosts.parse(["*.corp.example"]), [ipaddress.ip_address("10.1.2.3")]
    allowed.check(parse_url("http://ocsp.corp.example/"), private)
    with pytest.raises(FetchError):
        allowed.check(parse_url("http://a.b.corp.example/"), private)


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "LOCALHOST."])
def test_localhost_is_refused_whatever_it_resolves_to(host: str) -> None:
    """A proxy would resolve it to itself."""
    with pytest.raises(FetchError, match="this machine itself"):
        NOBODY.check(parse_url(f"http://{host}/"))


def test_localhost_passes_if_it_is_listed() -> None:
    AllowedHosts.parse("localhost").check(parse_url("http://localhost/"), [ipaddress.ip_address("::1")])


@pytest.mark.parametrize("entry", NO_ENTRIES)
def test_an_entry_that_is_no_host_is_refused(entry: object) -> None:
    with pytest.raises(ConfigurationError, match="MTLS_REVOCATION_HOSTS"):
        AllowedHosts.parse([entry])  # type: ignore[list-item]


@pytest.mark.parametrize("entry", ENTRIES)
def test_names_addresses_and_networks_are_entries(
    entry: str | ipaddress.IPv4Address | ipaddress.IPv4Network,
) -> None:
    allowed = AllowedHosts.parse([entry])
    assert len(allowed.names) + len(allowed.networks) == 1


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("http://H.example", "h.example", "/"),
        ("http://h.example:80/a?b=c", "h.example", "/a?b=c"),
        ("http://h.example:8080/a;b/%2F?", "h.example:8080", "/a;b/%2F"),
        ("http://h.example?x", "h.example", "/?x"),
        ("http://h.example/a#fragment", "h.example", "/a"),
        ("http://[2606:2800:0220:1::1]:8080/", "[2606:2800:220:1::1]:8080", "/"),
    ],
)
def test_a_url_becomes_a_host_field_and_a_path(url: str, authority: str, path: str) -> None:
    target = parse_url(url)
    assert (target.authority, target.path) == (authority, path)


@given(st.text(max_size=60) | st.text("htp:/@[]%.\\\r\n 0x7f1-", max_size=30).map("http://".__add__))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(FetchError):
        assert parse_url(text).host


@given(st.text(max_size=60))
def test_what_is_said_about_a_url_is_harmless_in_a_log(text: str) -> None:
    with pytest.raises(FetchError) as refused:
        parse_url("ftp:" + text)
    assert str(refused.value).isprintable()


@given(st.text("0123456789xXaf.", min_size=1, max_size=18))
def test_whatever_the_c_library_takes_for_an_address_is_seen_as_that_address_or_refused(host: str) -> None:
    try:
        address = socket.inet_aton(host)
        target = parse_url(f"http://{host}/")
    except (OSError, FetchError):
        return
    assert target.address is not None
    assert target.address.packed == address


@given(st.ip_addresses(v=4))
def test_nothing_that_python_calls_private_counts_as_public(address: ipaddress.IPv4Address) -> None:
    assert address.is_global or why_not_public(address) is not None
