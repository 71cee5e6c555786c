"""How single settings are read: from Python values, and from the text and JSON of environment variables.

A reader takes what stands under a key and returns what it means, or raises :class:`Unusable` with what is wrong
with it and what to write instead.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from mtls_core.certificate import Certificate
from mtls_core.identity import Identity
from mtls_core.pins import Pin
from mtls_core.trust import TrustStore

from .proxies import TrustedProxies, UnusableProxy
from .sources.formats import Format, UnknownFormat, read_format

Reader = Callable[[Any], Any]
#: A file, or the content of one.
Material = Path | bytes
Password = str | bytes | Callable[[], str | bytes] | None

_WORDS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
_PEM = "-----BEGIN "


class Unusable(ValueError):
    """Raised if a value cannot be used; the key is known one level up."""


def one_of(*choices: str) -> Reader:
    """One word of several."""

    def read(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise Unusable(f"is {value!r}; write one of {', '.join(map(repr, choices))}")

    return read


def some_of(*choices: str) -> Reader:
    """Several words, at least one."""

    def read(value: Any) -> frozenset[str]:
        found = frozenset([value] if isinstance(value, str) else _items(value, "a list of words"))
        if not found or not found.issubset(choices):
            raise Unusable(f"is {value!r}; write one or more of {', '.join(map(repr, choices))}")
        return found

    return read


def boolean(value: Any) -> bool:
    """``True`` or ``False``, also as the words an environment variable holds."""
    word = _WORDS.get(str(value).lower()) if isinstance(value, (bool, int, str)) else None
    if word is None:
        raise Unusable(f"is {value!r}; write True or False")
    return word


def boolean_or(*choices: str) -> Reader:
    """As :func:`boolean`, or one of some words."""

    def read(value: Any) -> bool | str:
        if isinstance(value, str) and value in choices:
            return value
        try:
            return boolean(value)
        except Unusable:
            raise Unusable(f"is {value!r}; write True, False or {' or '.join(map(repr, choices))}") from None

    return read


def seconds(*, minimum: float, maximum: float) -> Reader:
    """A duration: a number of seconds, or a :class:`~datetime.timedelta`."""

    def read(value: Any) -> float:
        number = _number(value.total_seconds() if isinstance(value, timedelta) else value)
        if number is None or not minimum <= number <= maximum:
            raise Unusable(f"is {value!r}; write a number of seconds from {minimum:g} to {maximum:g}")
        return number

    return read


def optional_seconds(*, minimum: float, maximum: float) -> Reader:
    """As :func:`seconds`; ``None`` and ``0`` both mean never."""
    read = seconds(minimum=minimum, maximum=maximum)

    def read_optional(value: Any) -> float:
        return 0.0 if value is None or _number(value) == 0 else float(read(value))

    return read_optional


def count(*, minimum: int, maximum: int) -> Reader:
    """A whole number."""

    def read(value: Any) -> int:
        number = _number(value)
        if number is None or number != int(number) or not minimum <= number <= maximum:
            raise Unusable(f"is {value!r}; write a whole number from {minimum} to {maximum}")
        return int(number)

    return read


def identity(value: Any) -> Identity | Material | None:
    """A file, its content, or an identity that is loaded already."""
    return value if value is None or isinstance(value, Identity) else material(value)


def material(value: Any) -> Material | None:
    """A file, or its content as bytes or PEM text. Paths are made absolute: a server may change its folder later."""
    if value is None:
        return None
    if isinstance(value, bytes) and value:
        return value
    if isinstance(value, str) and _PEM in value:
        return value.encode("utf-8")
    if isinstance(value, (str, os.PathLike)) and os.fspath(value):
        return Path(value).absolute()
    raise Unusable(f"is {_shown(value)}; write the path of a file, or its content as bytes")


def password(value: Any) -> Password:
    """Text, bytes, or a callable. Never repeated in a message."""
    # FLASK_MTLS_IDENTITY_PASSWORD=123456 arrives as a number, and its text can be had back; a float's cannot.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, (str, bytes)) or callable(value):
        found: Password = value
        return found
    raise Unusable(
        f"is of type {type(value).__name__}; write text, bytes or a callable that returns one"
        " (in an environment variable, put JSON quotes around it: '\"1e5\"')"
    )


def trust(value: Any) -> TrustStore | bytes | tuple[Path, ...] | None:
    """Files and folders; or the content of one file; or a trust store that is loaded already."""
    if value is None or isinstance(value, TrustStore):
        return value
    if isinstance(value, (str, bytes, os.PathLike)):
        found = material(value)
        return found if isinstance(found, bytes) else (Path(str(found)),)
    paths = tuple(material(item) for item in _items(value, "a path, a list of paths, or PEM text"))
    files = tuple(path for path in paths if isinstance(path, Path))
    if not paths or len(files) != len(paths):
        raise Unusable("must name at least one file or folder; in a list, each item is a path")
    return files


def words(value: Any) -> tuple[str, ...]:
    """Some words, or none."""
    if value is None:
        return ()
    found = tuple([value] if isinstance(value, str) else _items(value, "a list of words"))
    if not all(isinstance(item, str) and item for item in found):
        raise Unusable(f"is {value!r}; write a list of words")
    return found


def optional_word(value: Any) -> str | None:
    """A word, or nothing."""
    if value is None or (isinstance(value, str) and value):
        return value
    raise Unusable(f"is {_shown(value)}; write text, or leave the key out")


def secret_word(value: Any) -> str | None:
    """A word that may hold a password, or nothing. Never repeated in a message."""
    if value is None or (isinstance(value, str) and value):
        return value
    raise Unusable(f"is of type {type(value).__name__}, or empty; write text, or leave the key out")


def files(value: Any) -> tuple[Path, ...]:
    """Files and folders, or none."""
    if value is None:
        return ()
    paths = [value] if isinstance(value, (str, os.PathLike)) else list(_items(value, "a list of paths"))
    if not all(isinstance(path, (str, os.PathLike)) and os.fspath(path) for path in paths):
        raise Unusable(f"is {value!r}; write a path, or a list of paths")
    return tuple(Path(path).absolute() for path in paths)


def forwarded(value: Any) -> Format | None:
    """The name of a proxy's format, or its description."""
    if value is None or value == "off":
        return None
    if not isinstance(value, (str, Mapping)):
        raise Unusable(f"is {_shown(value)}; write the name of a proxy, or a mapping that describes its header")
    try:
        return read_format(value)
    except UnknownFormat as error:
        raise Unusable(str(error)) from None


def proxies(value: Any) -> TrustedProxies:
    """Addresses, networks, ``"unix"``, pins and SPIFFE IDs."""
    try:
        return TrustedProxies.parse(words(value))
    except UnusableProxy as error:
        raise Unusable(str(error)) from None


def allowed(value: Any) -> tuple[Pin | Certificate | Material, ...] | None:
    """Pins, certificates, and files of certificates."""
    if value is None:
        return None
    alone = isinstance(value, (str, bytes, os.PathLike, Pin, Certificate))
    items = [value] if alone else list(_items(value, "a list of pins and certificates"))
    if not items:
        raise Unusable("is empty, which admits nobody; name a certificate, or leave the key out to pin nothing")
    return tuple(_allowed_one(item) for item in items)


def _allowed_one(item: Any) -> Pin | Certificate | Material:
    if isinstance(item, (Pin, Certificate)):
        return item
    if isinstance(item, str) and _PEM not in item and not os.path.exists(item):
        return Pin.parse(item)  # says what is wrong with it, a SHA-1 thumbprint above all
    found = material(item)
    if found is None:
        raise Unusable("holds None; write a pin, or the path of a certificate")
    return found


def _items(value: Any, wanted: str) -> Iterable[Any]:
    # Not Mapping, not a number: an iterable of single values.
    if isinstance(value, (list, tuple, set, frozenset)) or (isinstance(value, Iterable) and not hasattr(value, "keys")):
        return value
    raise Unusable(f"is {_shown(value)}; write {wanted}")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _shown(value: Any) -> str:
    """A value that may be key material: its type, unless it is plain."""
    return repr(value) if isinstance(value, (bool, int, float, str)) else f"of type {type(value).__name__}"
