"""The public face of the package."""

from __future__ import annotations

from types import ModuleType

import requests_mtls
from mtls_core.errors import MTLSError


def test_all_names_every_public_name() -> None:
    public = {
        name
        for name, value in vars(requests_mtls).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }

    assert sorted(public) == requests_mtls.__all__


def test_every_error_is_one_of_the_project() -> None:
    errors = [v for v in vars(requests_mtls).values() if isinstance(v, type) and issubclass(v, Exception)]

    assert all(issubclass(error, MTLSError) for error in errors)
