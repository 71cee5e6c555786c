"""``python -m mtls_core.devca FOLDER``: a development CA in a folder, and identities of it as PFX files.

``serve FOLDER`` and ``revoke FOLDER NAME`` are in :mod:`mtls_core.devca.commands`.
"""

from __future__ import annotations

import argparse
import getpass
import ipaddress
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from ..errors import MTLSError
from .authority import DevelopmentCA
from .commands import revoke, serve
from .issued import write_certificates, write_private
from .profile import IssueOptions
from .register import FolderRegister

_USAGES: dict[str, tuple[str, ...]] = {"client": ("client",), "server": ("server",), "service": ("client", "server")}
_COMMANDS = {"serve": serve, "revoke": revoke}
_EPILOG = """\
NAME is the common name and the name of the file. Alternative names follow it after "=": DNS names, IP addresses,
URIs and e-mail addresses, told apart by their form. A server without any gets its NAME as DNS name.

  python -m mtls_core.devca pki --service orders=orders.internal,localhost --client billing=spiffe://example.org/billing

writes pki/ca.pem, pki/ca.pfx, pki/orders.pfx and pki/billing.pfx. The next call uses the same CA. All PFX files have
the password of the environment variable MTLS_DEVCA_PASSWORD, which is asked for if it is not set.

  python -m mtls_core.devca revoke pki billing      withdraws an identity
  python -m mtls_core.devca serve pki --port 8889   answers by OCSP and CRL what was revoked

Write ./serve for a folder of that name.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :param arguments: Without the program's name; those of the process if left out.
    :return: 0, or 1 if something did not work.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    command = _COMMANDS.get(arguments[0]) if arguments else None
    try:
        if command is not None:
            command(arguments[1:], _password)
        else:
            _run(_parser().parse_args(arguments))
    except (MTLSError, OSError, ValueError) as error:
        print(f"mtls_core.devca: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mtls_core.devca",
        description="Make a development CA in a folder, and identities of it. Not for production.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="made if it is not there")
    for name, usages in _USAGES.items():
        text = f"an identity for {' and '.join(usages)} authentication; may be repeated"
        parser.add_argument(f"--{name}", action="append", default=[], metavar="NAME[=SAN,...]", help=text)
    parser.add_argument("--days", type=int, default=30, help="lifetime of the identities (default: %(default)s)")
    parser.add_argument(
        "--key", default="ec", help="kind of key: ec, p384, rsa, rsa4096, ed25519 (default: %(default)s)"
    )
    parser.add_argument(
        "--responder",
        metavar="URL",
        help="where the identities can be asked about, as serve prints it; written into them",
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    password = _password()
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca = _authority(options.folder, password)
    register = FolderRegister(options.folder, ca)
    for name, usages in _USAGES.items():
        for text in getattr(options, name):
            common_name, wanted = _parse(text, "server" in usages)
            wanted.update({"usage": usages, "key": options.key, "not_after": ca.at + timedelta(days=options.days)})
            wanted.update(_addresses(options.responder))
            issued = ca.issue(common_name, **wanted)
            register.add(common_name, issued.certificate)
            path = options.folder / f"{common_name}.pfx"
            write_private(path, issued.pfx(password, friendly_name=common_name))
            print(f"{path}  {'+'.join(usages)}  pin sha256/{issued.certificate.spki_pin}")


def _addresses(responder: str | None) -> IssueOptions:
    if responder is None:
        return {}
    base = responder.rstrip("/")
    return {"ocsp_urls": (f"{base}/ocsp",), "crl_urls": (f"{base}/ca.crl",)}


def _password() -> str:
    password = os.environ.get("MTLS_DEVCA_PASSWORD") or ""
    if not password and sys.stdin.isatty():
        password = getpass.getpass("Password of the PFX files: ")
    if not password:
        raise ValueError("no password: set MTLS_DEVCA_PASSWORD")
    return password


def _authority(folder: Path, password: str) -> DevelopmentCA:
    """The folder's CA, made if there is none."""
    path = folder / "ca.pfx"
    if path.exists():
        return DevelopmentCA.from_pfx(path, password)
    ca = DevelopmentCA.create()
    write_private(path, ca.pfx(password))
    write_certificates(folder / "ca.pem", [ca.certificate])
    print(f"{folder / 'ca.pem'}  {ca.certificate.subject}  sha256 {ca.certificate.thumbprint}")
    return ca


def _parse(text: str, is_server: bool) -> tuple[str, IssueOptions]:
    name, _separator, rest = text.partition("=")
    if not name or name == "ca" or "/" in name or name.startswith("."):
        raise ValueError(f"{text!r} does not begin with a name that a file can have (ca is taken)")
    values = [value for value in rest.split(",") if value] or ([name] if is_server else [])
    uris = [value for value in values if "://" in value]
    emails = [value for value in values if "@" in value and value not in uris]
    ips = [value for value in values if _is_address(value)]
    dns = [value for value in values if value not in (*uris, *emails, *ips)]
    return name, {"dns": dns, "ips": ips, "uris": uris, "emails": emails}


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
