"""Bytes of an identity and the password to them, from where a caller says they are."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..errors import ConfigurationError, IdentityError, IdentityProblem

#: A path, or the content itself.
Source = str | os.PathLike[str] | bytes
#: ``None`` if there is none; a function is called when the password is needed.
Password = str | bytes | Callable[[], str | bytes | None] | None

#: Largest file that is read; an identity has some kilobytes.
MAX_SIZE = 1024 * 1024


def read_source(source: Source) -> tuple[bytes, str]:
    """The bytes, and what to call their origin in messages.

    :raises IdentityError: ``unreadable``, ``empty``, or ``wrong_format`` if there is too much.
    :raises ConfigurationError: If ``source`` is neither a path nor bytes.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "<bytes>"
    elif isinstance(source, str | os.PathLike):
        data, name = _read_path(source)
    else:
        raise ConfigurationError(f"an identity is loaded from a path or from bytes, not from {type(source).__name__}")
    if not data.strip():
        raise IdentityError(IdentityProblem.EMPTY, "holds nothing; was it written or copied completely?", source=name)
    if len(data) > MAX_SIZE:
        detail = f"has more than {MAX_SIZE} bytes; a file with a private key and its certificates has some kilobytes"
        raise IdentityError(IdentityProblem.WRONG_FORMAT, detail, source=name)
    return data, name


def resolve_password(password: Password, *, source: str) -> bytes | None:
    """The password as bytes, asked for if it is a function.

    :raises IdentityError: ``wrong_password`` if it is text that has no UTF-8 form.
    :raises ConfigurationError: If it is of another type.
    """
    value = password() if callable(password) else password
    if value is None or isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ConfigurationError(
            f"a password is str, bytes, None or a function that returns one of them, not {type(value).__name__};"
            " digits in a settings file need quotes"
        )
    encoded = _encoded(value)
    if encoded is None:
        detail = "the password holds lone surrogates, which are not characters; it was decoded from bytes the wrong way"
        raise IdentityError(IdentityProblem.WRONG_PASSWORD, detail, source=source)
    return encoded


def _encoded(password: str) -> bytes | None:
    try:
        return password.encode("utf-8")
    except UnicodeEncodeError:
        return None  # not raised from here: the error carries the password


def _read_path(path: str | os.PathLike[str]) -> tuple[bytes, str]:
    name = os.fspath(path)
    if isinstance(name, str) and "\n" in name:
        # Most likely the content of a PEM file; it must not be repeated in a message.
        detail = "text was given where a path is expected; content is passed as bytes (text.encode())"
        raise IdentityError(IdentityProblem.UNREADABLE, detail, source="<text>")
    try:
        with open(path, "rb") as file:
            return file.read(MAX_SIZE + 1), str(name)
    except (OSError, ValueError) as error:
        raise IdentityError(IdentityProblem.UNREADABLE, _why_unreadable(error), source=str(name)) from error


def _why_unreadable(error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return f"there is no such file (looked for from {os.getcwd()})"
        case PermissionError():
            return f"this process (user {os.geteuid()}) may not read it; change the file's owner or mode"
        case IsADirectoryError():
            return "is a folder; name the file in it"
        case OSError():
            return f"cannot be read: {error.strerror}"
    return "is not a path: it holds a NUL character"
