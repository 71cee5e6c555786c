"""What may be imported from ``flask_mtls``."""

from __future__ import annotations

import types

import flask_mtls


def test_all_is_complete() -> None:
    """Every public name of the module that is not a submodule is listed, and nothing else."""
    public = {
        name
        for name, value in vars(flask_mtls).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }
    assert set(flask_mtls.__all__) == public


def test_all_is_sorted_and_unique() -> None:
    assert len(flask_mtls.__all__) == len(set(flask_mtls.__all__))


def test_names_of_the_contract_are_there() -> None:
    promised = (
        "MTLS cert_required cert_exempt current_cert spiffe uri dns email common_name thumbprint public_key issued_by"
        " certificate_accepted certificate_rejected certificate_missing PeerCertificate Reason"
    )
    assert set(promised.split()) <= set(flask_mtls.__all__)
