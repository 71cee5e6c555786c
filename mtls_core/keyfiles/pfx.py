"""PFX files (PKCS#12, RFC 7292): what is in them, and why one does not open.

cryptography opens them. It hands out the first key only, and has one error for every cause; both are made good here.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.utils import CryptographyDeprecationWarning

from ..certificate import Certificate
from ..errors import IdentityError, IdentityProblem, MalformedCertificate
from .pairing import NamedCertificate
from .panic import without_panic
from .pfx_structure import PfxStructure, read_structure, repack
from .recognise import check_looks_like_pfx


def load_pfx(
    data: bytes, password: Callable[[], bytes | None], *, source: str
) -> tuple[list[PrivateKeyTypes], list[NamedCertificate]]:
    """All private keys and certificates of a PFX.

    :param password: Called once the file has turned out to be a PFX.
    :raises IdentityError: With the problem that fits; nothing else leaves, whatever the bytes are.
    """
    check_looks_like_pfx(data, source=source)
    structure = read_structure(data, source=source)
    secret = password()
    _check_password(secret, source=source)
    try:
        loaded = _open(structure.der, secret)
    except Exception as error:
        # Besides ValueError there are TypeError for kinds of keys and others out of the parser of certificates.
        raise _diagnosis(error, structure, secret, source) from error
    certificates = _named_certificates(loaded, source)
    return _all_keys(loaded, certificates, structure, secret, source), certificates


def _check_password(password: bytes | None, *, source: str) -> None:
    text = "" if password is None else _decoded(password)
    if text is None:
        detail = "the password is bytes that are not UTF-8; a PFX password is text: pass it as str"
    elif "\0" in text:
        # cryptography would panic over it, and print the password.
        detail = "the password holds a NUL character, which no PFX password can"
    else:
        return
    raise IdentityError(IdentityProblem.WRONG_PASSWORD, detail, source=source)


def _decoded(password: bytes) -> str | None:
    try:
        return password.decode("utf-8")
    except UnicodeDecodeError:
        return None  # not raised from here: the error carries the password


def _open(data: bytes, password: bytes | None) -> pkcs12.PKCS12KeyAndCertificates:
    with warnings.catch_warnings():
        # About certificates that the verifier refuses with a reason, such as those with a negative serial number,
        # and about BER, of which what is signed cannot be made DER here.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        warnings.filterwarnings("ignore", "PKCS#12 bundle could not be parsed as DER", UserWarning)
        return without_panic(pkcs12.load_pkcs12, data, password)


def _named_certificates(loaded: pkcs12.PKCS12KeyAndCertificates, source: str) -> list[NamedCertificate]:
    try:
        return [
            NamedCertificate(
                Certificate.from_x509(item.certificate),
                None if item.friendly_name is None else item.friendly_name.decode("utf-8", "replace"),
            )
            for item in ([loaded.cert] if loaded.cert else []) + loaded.additional_certs
        ]
    except MalformedCertificate as error:
        detail = f"holds a certificate that cannot be read: {error.detail}"
        raise IdentityError(IdentityProblem.DAMAGED, detail, source=source) from error


def _all_keys(
    loaded: pkcs12.PKCS12KeyAndCertificates,
    certificates: list[NamedCertificate],
    structure: PfxStructure,
    password: bytes | None,
    source: str,
) -> list[PrivateKeyTypes]:
    """Every key, of which cryptography hands out the first: the others are opened each in a PFX of its own."""
    if loaded.key is None:
        return []
    leaves = [named.certificate for named in certificates if not named.certificate.is_ca]
    if len(structure.key_bags) <= 1 and len(leaves) <= 1:
        return [loaded.key]  # nothing to tell apart, and checking an RSA key twice takes its time
    try:
        opened = [_open(repack(bag), password).key for bag in structure.key_bags]
    except Exception as error:
        detail = f"is damaged: it holds {len(structure.key_bags)} private keys, of which one does not open"
        raise IdentityError(IdentityProblem.DAMAGED, detail, source=source) from error
    keys = [key for key in opened if key is not None]
    if all(key.public_key() != loaded.key.public_key() for key in keys):
        _check_alone([loaded.key, *keys], leaves, source)
    return [loaded.key, *keys]


def _check_alone(keys: list[PrivateKeyTypes], leaves: list[Certificate], source: str) -> None:
    """A key within an encrypted part may have company that nobody sees: then nobody else's certificate may be here."""
    publics = [key.public_key() for key in keys]
    strangers = [leaf.subject for leaf in leaves if all(leaf.public_key != public for public in publics)]
    if strangers:
        detail = (
            "keeps a private key within an encrypted part, where others cannot be counted, and holds certificates that"
            f" may belong to them ({', '.join(strangers)}); write it anew with one identity: {_rewrite_command(source)}"
        )
        raise IdentityError(IdentityProblem.SEVERAL_IDENTITIES, detail, source=source)


def _diagnosis(error: Exception, structure: PfxStructure, password: bytes | None, source: str) -> IdentityError:
    fits = structure.mac.fits(structure.content, password) if structure.mac else None
    if fits is None:
        problem, detail = _without_mac(structure, password, source)
    elif fits:
        problem, detail = _password_right(error, structure, source)
    elif not password:
        problem, detail = _PASSWORD_REQUIRED if password is None else _EMPTY_PASSWORD_WRONG
    elif _opens_a_key(structure, password):
        problem = IdentityProblem.DAMAGED
        detail = "is damaged: the password opens its key, but the checksum does not fit; copy or export it again"
    else:
        problem = IdentityProblem.WRONG_PASSWORD
        detail = "the password is wrong (the file's structure is sound, its checksum does not fit the password)"
    return IdentityError(problem, detail, source=source)


_PASSWORD_REQUIRED = (IdentityProblem.PASSWORD_REQUIRED, "is protected by a password, and none was given")
_EMPTY_PASSWORD_WRONG = (
    IdentityProblem.WRONG_PASSWORD,
    "the password is wrong: it is empty, and that of the file is not",
)


def _password_right(error: Exception, structure: PfxStructure, source: str) -> tuple[IdentityProblem, str]:
    if structure.unusual_algorithms:
        return IdentityProblem.ALGORITHM_UNAVAILABLE, _unavailable(structure, source)
    if isinstance(error, TypeError):
        detail = "the password is right, but the private key is of a kind that does not sign (such as X25519)"
        return IdentityProblem.ALGORITHM_UNAVAILABLE, detail
    detail = (
        "the password is right, but the content does not open: it is damaged, or its key has a password of its own;"
        " copy or export it again"
    )
    return IdentityProblem.DAMAGED, detail


def _without_mac(structure: PfxStructure, password: bytes | None, source: str) -> tuple[IdentityProblem, str]:
    if structure.unusual_algorithms:
        return IdentityProblem.ALGORITHM_UNAVAILABLE, _unavailable(structure, source)
    if password is None and structure.protections:
        return _PASSWORD_REQUIRED
    if not structure.protections:
        return IdentityProblem.DAMAGED, "is damaged: its content, which is not encrypted, does not open"
    detail = "the password is wrong, or the file is damaged; it has no checksum that would tell which"
    return IdentityProblem.WRONG_PASSWORD, detail


def _opens_a_key(structure: PfxStructure, password: bytes) -> bool:
    shrouded = [bag for bag in structure.key_bags if bag.protection is not None]
    try:
        return any(_open(repack(bag), password).key is not None for bag in shrouded)
    except Exception:
        # The same error for every cause; that it does not open is the answer.
        return False


def _unavailable(structure: PfxStructure, source: str) -> str:
    return (
        f"is encrypted with {', '.join(structure.unusual_algorithms)}, which is not offered here;"
        f" write it anew: {_rewrite_command(source)}"
    )


def _rewrite_command(source: str) -> str:
    # In two steps with an encrypted file between, since "openssl pkcs12 -export" does not read from a pipe.
    old = "old.pfx" if source.startswith("<") else shlex.quote(source)
    return f"openssl pkcs12 -legacy -in {old} -out old.pem && openssl pkcs12 -export -in old.pem -out new.pfx"
