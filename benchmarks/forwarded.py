"""What it costs to read a forwarded certificate.

    python benchmarks/forwarded.py

For each encoding, a header of 10 kB as a proxy writes it, of a certificate that large or of several: the median time of
reading it once, and how much longer 20 kB take, which is twice as long if the time is linear. The same for headers that
are made to take long. Envoy's certificates are looked at when they are new; after that the names are known to be good.
"""

from __future__ import annotations

import hashlib
import ssl
import statistics
import time
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

from flask_mtls.sources import MalformedHeader, der_header, parsed, pem_header, rfc9440, traefik, xfcc
from mtls_core.devca import DevelopmentCA
from mtls_core.devca.keys import make_key

ROUNDS = 60
CALLS = 50
SIZE = 10_000

#: Of a size in bytes, a header of about that size.
Make = Callable[[int], str]

CA = DevelopmentCA.create()
KEY = make_key("ec")


def main() -> None:
    """Measure and print."""
    print(f"{'encoding':34} {'bytes':>7} {'median µs':>10} {'20 kB':>7}   ({ROUNDS} rounds of {CALLS} calls)")
    for name, parse, make in ENCODINGS:
        row(name, parse, make)
    row("xfcc, certificate not seen before", newly(envoy_client), envoy)
    print()
    for name, parse, make in HOSTILE:
        row(name, refused(parse), make)


def row(name: str, parse: Callable[[str], object], make: Make) -> None:
    """One line: a header of 10 kB, and how many times as long one of twice the size takes."""
    value, twice = make(SIZE), make(2 * SIZE)
    # In turn, so that whatever else the machine does falls on both alike.
    pairs = [(microseconds(parse, value), microseconds(parse, twice)) for _ in range(ROUNDS)]
    short, long = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = long / short / (len(twice) / len(value)) * 2
    print(f"{name:34} {len(value):7} {short:10.1f} {'x' + format(ratio, '.2f'):>7}")


def microseconds(parse: Callable[[str], object], value: str) -> float:
    """CPU time of one call."""
    start = time.process_time()
    for _ in range(CALLS):
        parse(value)
    return (time.process_time() - start) / CALLS * 1e6


def certificate(size: int) -> bytes:
    """DER of about that many bytes: what is not the certificate itself are names."""
    names = [f"{number:06}.{'a' * 60}.example.org" for number in range(max(1, (size - 400) // 81))]
    return CA.client("large", dns=names, key=KEY).certificate.der


def base64_of(size: int) -> str:
    return b64encode(certificate(size * 3 // 4)).decode("ascii")


def pem_of(size: int, width: int) -> str:
    """PEM that has ``size`` bytes once its 64 characters of a line have become ``width``."""
    return ssl.DER_cert_to_PEM_cert(certificate(size * 3 // 4 * 64 // width))


def urlencoded(size: int) -> str:
    # A line is 64 characters, of which two in 64 are escaped as three, and its end as three.
    return quote(pem_of(size, 71), safe="")


def several(size: int, write: Callable[[list[bytes]], str]) -> str:
    """A header of nine certificates."""
    return write([certificate(size * 3 // 4 // 9)] * 9)


def envoy(size: int) -> str:
    """One element: a leaf of 1 kB, the rest is its chain."""
    leaf = certificate(1000)
    cert, above = (
        quote(ssl.DER_cert_to_PEM_cert(der), safe="") for der in (leaf, certificate((size - 3500) * 7 // 10))
    )
    digest = hashlib.sha256(leaf).hexdigest()
    return f'Hash={digest};Cert="{cert}";Chain="{cert}{above}";Subject="CN=large";URI=;DNS=a.example.org'


def envoy_client(value: str) -> object:
    return xfcc.client(value, 1)


def newly(parse: Callable[[str], object]) -> Callable[[str], object]:
    """The same, with nothing remembered."""

    def forgetting(value: str) -> object:
        xfcc.refuse_forging_names.cache_clear()
        parsed.cache_clear()
        return parse(value)

    return forgetting


def refused(parse: Callable[[str], object]) -> Callable[[str], object]:
    """The same for values that must be refused."""

    def refusing(value: str) -> None:
        try:
            parse(value)
        except MalformedHeader:
            return
        raise AssertionError("it was read")

    return refusing


ENCODINGS: tuple[tuple[str, Callable[[str], object], Make], ...] = (
    ("rfc9440", rfc9440.certificate, lambda size: f":{base64_of(size)}:"),
    (
        "rfc9440, chain of nine",
        rfc9440.certificates,
        lambda size: several(size, lambda chain: ", ".join(f":{b64encode(der).decode('ascii')}:" for der in chain)),
    ),
    ("pem-urlencoded", pem_header.urlencoded, urlencoded),
    ("pem-spaced", pem_header.spaced, lambda size: pem_of(size, 65).replace("\n", " ")),
    ("der-base64", der_header.base64, base64_of),
    (
        "der-base64, nine concatenated",
        der_header.concatenated,
        lambda size: several(size, lambda chain: b64encode(b"".join(chain)).decode("ascii")),
    ),
    (
        "der-base64-list of nine",
        traefik.certificates,
        lambda size: several(size, lambda chain: ",".join(b64encode(der).decode("ascii") for der in chain)),
    ),
    ("xfcc", envoy_client, envoy),
)

HOSTILE: tuple[tuple[str, Callable[[str], object], Make], ...] = (
    ("xfcc, backslashes, no closing quote", envoy_client, lambda size: 'A="' + '\\"' * (size // 2)),
    ("xfcc, empty pairs", envoy_client, lambda size: "A=;" * (size // 3)),
    ("xfcc, empty quotes", envoy_client, lambda size: 'A="";' * (size // 5)),
    ("xfcc, one long key", envoy_client, lambda size: "A" * size),
    ("rfc9440 list, spaces", rfc9440.certificates, lambda size: ":" + " " * size + ":"),
    ("pem-urlencoded, percent signs", pem_header.urlencoded, lambda size: "%" * size),
    ("pem-urlencoded, begins", pem_header.urlencoded, lambda size: "-----BEGIN%20CERTIFICATE-----%0A" * (size // 32)),
    ("pem-spaced, dashes", pem_header.spaced, lambda size: "-" * size),
    ("der-base64, nested lengths", der_header.concatenated, lambda size: "MAAw" * (size // 4)),
)

if __name__ == "__main__":
    main()
