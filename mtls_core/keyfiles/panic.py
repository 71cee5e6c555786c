"""cryptography's panics as errors that can be handled."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class LibraryPanic(Exception):
    """Raised if the Rust part of cryptography met something that it holds to be impossible."""


def without_panic(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of cryptography on bytes that nobody has looked at.

    A panic in Rust arrives as a ``BaseException``, past every ``except Exception``, and would end the worker; a short
    IV in a PEM file is enough. Its class is created by the extension module and cannot be imported.

    :raises LibraryPanic: In its place.
    """
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        if type(error).__module__ == "pyo3_runtime":
            raise LibraryPanic("cryptography gave up on this input") from None
        raise
