"""Mutual TLS for requests: an identity is shown to the hosts it is meant for, and servers are pinned.

.. code-block:: python

    identity = Identity.from_pfx("billing.pfx", password="…")
    with MTLSSession(identity, hosts=["orders.internal"], ca="ca.pem") as session:
        session.get("https://orders.internal/orders")
"""

from __future__ import annotations

from mtls_core.certificate import Certificate as Certificate
from mtls_core.errors import ConfigurationError as ConfigurationError
from mtls_core.errors import IdentityError as IdentityError
from mtls_core.errors import IdentityProblem as IdentityProblem
from mtls_core.errors import MTLSError as MTLSError
from mtls_core.errors import PinError as PinError
from mtls_core.errors import TrustStoreError as TrustStoreError
from mtls_core.identity import Identity as Identity
from mtls_core.pins import Pin as Pin
from mtls_core.pins import PinSet as PinSet
from mtls_core.trust import TrustStore as TrustStore

from .adapter import MTLSAdapter as MTLSAdapter
from .errors import HostNotAllowed as HostNotAllowed
from .errors import IdentityExpired as IdentityExpired
from .errors import IdentityRejected as IdentityRejected
from .errors import InsecureRequest as InsecureRequest
from .errors import MTLSRequestError as MTLSRequestError
from .errors import PinMismatch as PinMismatch
from .errors import ServerVerificationError as ServerVerificationError
from .session import MTLSSession as MTLSSession

__all__ = [
    "Certificate",
    "ConfigurationError",
    "HostNotAllowed",
    "Identity",
    "IdentityError",
    "IdentityExpired",
    "IdentityProblem",
    "IdentityRejected",
    "InsecureRequest",
    "MTLSAdapter",
    "MTLSError",
    "MTLSRequestError",
    "MTLSSession",
    "Pin",
    "PinError",
    "PinMismatch",
    "PinSet",
    "ServerVerificationError",
    "TrustStore",
    "TrustStoreError",
]
