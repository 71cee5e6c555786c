"""``python -m mtls_core.devca serve FOLDER`` and ``revoke FOLDER NAME``: what a CA does after it issued."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509

from ..certificate import Certificate
from ..errors import IdentityError
from ..identity import Identity
from .authority import DevelopmentCA
from .modes import Mode
from .register import FolderRegister
from .responder import Responder

_REASONS = {reason.value: reason for reason in x509.ReasonFlags if reason is not x509.ReasonFlags.remove_from_crl}


def serve(arguments: Sequence[str], password: Callable[[], str]) -> None:
    """Say over HTTP what the CA of a folder revoked, until the process is interrupted.

    :param password: Gives that of the folder's files.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mtls_core.devca serve",
        description="Answer OCSP, and serve the revocation list and the certificate of the CA in a folder.",
        epilog="Make identities with --responder and the address this prints, and they will be asked about here.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8889, help="0: one that is free (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    help_on_mode = f"behave, or make one fault: {', '.join(Mode)} (default: %(default)s)"
    parser.add_argument("--mode", type=Mode, choices=list(Mode), default=Mode.GOOD, metavar="MODE", help=help_on_mode)
    options = parser.parse_args(arguments)
    ca, register = _open(options.folder, password())
    with Responder(register=register, host=options.host, port=options.port, log=_log) as responder:
        responder.mode = options.mode
        print(f"{responder.url}  OCSP {responder.ocsp_url}  CRL {responder.crl_url(ca)}", flush=True)
        _wait_for_the_end()


def revoke(arguments: Sequence[str], password: Callable[[], str]) -> None:
    """Withdraw an identity of a folder.

    :param password: Gives that of the folder's files.
    :raises ValueError: If there is none of that name that is not revoked already.
    """
    parser = argparse.ArgumentParser(
        prog="python -m mtls_core.devca revoke",
        description="Revoke every certificate that was issued under a name. A responder that runs knows at once.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", help="as it was given to --client, --server or --service")
    parser.add_argument("--reason", choices=sorted(_REASONS), metavar="REASON", help=", ".join(sorted(_REASONS)))
    options = parser.parse_args(arguments)
    _ca, register = _open(options.folder, password())
    revoked = register.revoke(options.name, reason=_REASONS.get(options.reason))
    if not revoked:
        raise ValueError(f"no certificate of {options.name!r} is left to revoke in {options.folder}")
    for serial_number in revoked:
        print(f"revoked {options.name}  serial {serial_number:x}")


def _open(folder: Path, password: str) -> tuple[DevelopmentCA, FolderRegister]:
    """The CA of a folder, and its index, into which identities come that are older than it."""
    path = folder / "ca.pfx"
    if not path.exists():
        raise ValueError(f"{folder} holds no CA; python -m mtls_core.devca {folder} makes one")
    ca = DevelopmentCA.from_pfx(path, password)
    register = FolderRegister(folder, ca)
    for pfx in folder.glob("*.pfx"):
        certificate = _certificate(pfx, password)
        if certificate is not None and _issued(ca, certificate):
            register.add(pfx.stem, certificate)
    return ca, register


def _issued(ca: DevelopmentCA, certificate: Certificate) -> bool:
    return certificate != ca.certificate and certificate.authority_key_id == ca.certificate.subject_key_id


def _certificate(pfx: Path, password: str) -> Certificate | None:
    try:
        return Identity.from_pfx(pfx, password).certificate
    except IdentityError:
        # Somebody else's file.
        return None


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _wait_for_the_end() -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
