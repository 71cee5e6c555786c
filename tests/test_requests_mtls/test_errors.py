"""Errors that fit where requests' own are expected."""

from __future__ import annotations

import pickle

import pytest
import requests

from mtls_core.devca import Issued
from requests_mtls import (
    HostNotAllowed,
    IdentityExpired,
    IdentityRejected,
    InsecureRequest,
    MTLSRequestError,
    PinMismatch,
    ServerVerificationError,
)

ERRORS = [
    HostNotAllowed,
    IdentityExpired,
    IdentityRejected,
    InsecureRequest,
    MTLSRequestError,
    PinMismatch,
    ServerVerificationError,
]


@pytest.mark.parametrize("error", ERRORS)
def test_handlers_for_requests_errors_catch_it(error: type[MTLSRequestError]) -> None:
    with pytest.raises(requests.exceptions.SSLError, match="what happened"):
        raise error("what happened")


@pytest.mark.parametrize("error", ERRORS)
def test_it_crosses_process_borders(error: type[MTLSRequestError]) -> None:
    """A worker process hands its exceptions over as pickles."""
    copy = pickle.loads(pickle.dumps(error("what happened")))  # noqa: S301 - made in this line

    assert (type(copy), str(copy)) == (error, "what happened")


def test_what_it_knows_crosses_process_borders_too(orders: Issued) -> None:
    error = ServerVerificationError("no", host="orders.internal", problem="expired", chain=(orders.certificate,))

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in the line above

    assert (copy.host, copy.problem, copy.certificate) == ("orders.internal", "expired", orders.certificate)


def test_an_insecure_request_is_a_wrong_argument() -> None:
    assert issubclass(InsecureRequest, ValueError)
