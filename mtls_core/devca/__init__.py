"""A development CA: what tests, demos and a laptop need, and nothing that should ever sign for production.

It issues good certificates, and on request every kind of bad one that a verifier must refuse::

    ca = DevelopmentCA.create()
    billing = ca.client("billing", uris=["spiffe://example.org/billing"])
    orders = ca.intermediate().server("orders.internal")
    expired = ca.client("old", not_after=yesterday)

``python -m mtls_core.devca FOLDER --server orders --client billing`` does it in a folder.
"""

from __future__ import annotations

from .authority import DevelopmentCA as DevelopmentCA
from .authority import self_signed as self_signed
from .crl import Revocation as Revocation
from .crl import scope as scope
from .issued import Issued as Issued
from .profile import IssueOptions as IssueOptions

__all__ = ["DevelopmentCA", "IssueOptions", "Issued", "Revocation", "scope", "self_signed"]
