"""What a revocation list of a million entries costs.

    python benchmarks/crl.py [ENTRIES]

Three figures:

- seconds to first use: from the file of the list to the first answer, with the table made anew, and with the table that
  another process of the host made;
- microseconds of one look-up, for serial numbers that are on the list and for others, page faults included;
- megabytes of private memory (Private_Dirty and Private_Clean) that the list costs each of four workers. They are
  forked at the same time, read the list each for itself, and look up certificates; one of them makes the table.
"""

from __future__ import annotations

import gc
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mtls_core import ber, der
from mtls_core.certificate import Certificate
from mtls_core.devca import DevelopmentCA
from mtls_core.revocation.crl import CertificateList, IndexFolder, judge
from mtls_core.revocation.policy import RevocationPolicy
from mtls_core.revocation.status import Status

WORKERS = 4
LOOK_UPS = 20_000
_NOW = datetime.now(UTC)
_SERIAL_BYTES = 16
_POSITIVE = (1 << 8 * _SERIAL_BYTES - 1) - 1
_REASON = bytes.fromhex("300c300a0603551d1504030a0101")
_context = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Setting:
    """What all measurements are made with."""

    file: Path
    #: Where the table goes.
    folder: Path
    #: A certificate that is not on the list, and its issuer.
    path: tuple[Certificate, Certificate]
    #: Serial numbers on the list. Few: what a worker looks at of its parent's objects is copied, and counts as its own.
    serials: list[int]


def main() -> None:
    """Measure and print."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        ca = DevelopmentCA.create()
        path = (ca.client("billing").certificate, ca.certificate)
        file = Path(name) / "ca.crl"
        serials = random.Random(5).randbytes(_SERIAL_BYTES * entries)  # noqa: S311 - nothing secret
        # Each part in a process of its own, so that none finds the memory that another one left.
        in_process(lambda: file.write_bytes(make_list(ca, serials)))
        some = every(serials, max(1, entries // LOOK_UPS))
        setting = Setting(file, Path(name) / "tables", path, some)
        print(f"{entries} entries, {file.stat().st_size / 1e6:.1f} MB\n")
        in_process(lambda: print_times(setting))
        print(f"\n{'':44}{'MB':>10}")
        for worker, megabytes in enumerate(in_workers(setting, Path(name) / "others"), 1):
            print(f"{f'private memory, worker {worker}':44}{megabytes:10.2f}")


def in_process(action: Callable[[], object]) -> None:
    """Run something in a process of its own."""
    process = _context.Process(target=action)
    process.start()
    process.join()
    assert process.exitcode == 0


def every(serials: bytes, step: int) -> list[int]:
    """Each ``step``-th serial number, made positive."""
    places = range(0, len(serials), step * _SERIAL_BYTES)
    return [int.from_bytes(serials[place : place + _SERIAL_BYTES]) & _POSITIVE | 1 << 120 for place in places]


def make_list(ca: DevelopmentCA, serials: bytes) -> bytes:
    """A list signed by the CA. Made of bytes: with a million objects it takes a CA library minutes."""
    empty = der.read_all(ca.crl(next_update=_NOW + timedelta(days=7)))
    tbs, algorithm, _signature = empty.children()
    *head, extensions = (field.raw for field in tbs.children())
    date = ber.encode(0x17, b"260101000000Z")
    entries = bytearray()
    for serial in every(serials, 1):
        number = ber.encode(der.INTEGER, serial.to_bytes(_SERIAL_BYTES))
        entries += ber.encode(der.SEQUENCE, number, date, _REASON if serial % 2 else b"")
    signed = ber.encode(der.SEQUENCE, *head, ber.encode(der.SEQUENCE, bytes(entries)), extensions)
    assert isinstance(ca.private_key, ec.EllipticCurvePrivateKey)
    signature = ca.private_key.sign(signed, ec.ECDSA(hashes.SHA256()))
    return ber.encode(der.SEQUENCE, signed, algorithm.raw, ber.encode(der.BIT_STRING, b"\0", signature))


def first_use(setting: Setting, folder: Path) -> tuple[CertificateList, float]:
    """Read, verify, make or map the table, and judge one certificate."""
    start = time.perf_counter()
    crl = CertificateList.from_der(setting.file.read_bytes(), source="ca.crl", folder=IndexFolder(folder))
    answer = judge(setting.path, 0, [crl], at=_NOW, policy=RevocationPolicy())
    assert answer.status is Status.GOOD, answer
    return crl, time.perf_counter() - start


def print_times(setting: Setting) -> None:
    """Print seconds to first use, and microseconds of a look-up."""
    print(f"{'':44}{'seconds':>10}")
    print(f"{'to first use, table made':44}{first_use(setting, setting.folder)[1]:10.2f}")
    crl, seconds = first_use(setting, setting.folder)
    print(f"{'to first use, table found':44}{seconds:10.2f}\n")
    others = [serial + 1 for serial in setting.serials]
    print(f"{'':44}{'µs':>10}")
    for label, serials, found in (("on the list", setting.serials, True), ("not on the list", others, False)):
        assert all((crl.entry(serial, setting.path[0].issuer_name) is not None) is found for serial in serials[:9])
        first = microseconds(crl, setting, serials)
        again = min(microseconds(crl, setting, serials) for _ in range(5))
        print(f"{f'look-up, {label}, the first {len(serials)}':44}{first:10.2f}")
        print(f"{f'look-up, {label}, then':44}{again:10.2f}")


def microseconds(crl: CertificateList, setting: Setting, serials: list[int]) -> float:
    """CPU time of one look-up."""
    issuer = setting.path[0].issuer_name
    start = time.process_time()
    for serial in serials:
        crl.entry(serial, issuer)
    return (time.process_time() - start) / len(serials) * 1e6


def in_workers(setting: Setting, folder: Path) -> list[float]:
    """Megabytes that the private memory of each worker grew by, measured while all of them have the list."""
    pipes = [_context.Pipe() for _ in range(WORKERS)]
    workers = [_context.Process(target=_work, args=(theirs, setting, folder)) for _ours, theirs in pipes]
    for worker in workers:
        worker.start()
    for ours, _theirs in pipes:
        ours.recv()
    for ours, _theirs in pipes:
        ours.send("all have it: measure")
    grown = [ours.recv() for ours, _theirs in pipes]
    for ours, _theirs in pipes:
        ours.send("all have measured: end")
    for worker in workers:
        worker.join()
    return grown


def _work(pipe: Connection, setting: Setting, folder: Path) -> None:
    serials = [int(str(serial)) for serial in setting.serials]  # a copy that belongs to this process
    gc.collect()
    before = private_megabytes()
    crl, _seconds = first_use(setting, folder)
    microseconds(crl, setting, serials)
    gc.collect()
    pipe.send("have it")
    pipe.recv()
    pipe.send(private_megabytes() - before)
    pipe.recv()


def private_megabytes() -> float:
    """Memory that this process shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return (kilobytes["Private_Dirty"] + kilobytes["Private_Clean"]) / 1024


if __name__ == "__main__":
    main()
