"""Mutual TLS for Flask: who calls is known by certificate, on every request."""

from __future__ import annotations

from mtls_core.certificate import Certificate as Certificate
from mtls_core.errors import CertificateRejected as CertificateRejected
from mtls_core.errors import ConfigurationError as ConfigurationError
from mtls_core.errors import IdentityError as IdentityError
from mtls_core.errors import IdentityProblem as IdentityProblem
from mtls_core.errors import InvalidName as InvalidName
from mtls_core.errors import MTLSError as MTLSError
from mtls_core.errors import PinError as PinError
from mtls_core.errors import Problem as Problem
from mtls_core.errors import Reason as Reason
from mtls_core.errors import TrustStoreError as TrustStoreError
from mtls_core.identity import Identity as Identity
from mtls_core.pins import Pin as Pin
from mtls_core.pins import PinSet as PinSet
from mtls_core.trust import TrustStore as TrustStore

from .decisions import current_cert as current_cert
from .decorators import cert_exempt as cert_exempt
from .decorators import cert_required as cert_required
from .extension import MTLS as MTLS
from .peer import PeerCertificate as PeerCertificate
from .responses import CertificateRefused as CertificateRefused
from .rules import Rule as Rule
from .rules import common_name as common_name
from .rules import dns as dns
from .rules import email as email
from .rules import issued_by as issued_by
from .rules import public_key as public_key
from .rules import spiffe as spiffe
from .rules import thumbprint as thumbprint
from .rules import uri as uri
from .signals import certificate_accepted as certificate_accepted
from .signals import certificate_missing as certificate_missing
from .signals import certificate_rejected as certificate_rejected

__all__ = [
    "MTLS",
    "Certificate",
    "CertificateRefused",
    "CertificateRejected",
    "ConfigurationError",
    "Identity",
    "IdentityError",
    "IdentityProblem",
    "InvalidName",
    "MTLSError",
    "PeerCertificate",
    "Pin",
    "PinError",
    "PinSet",
    "Problem",
    "Reason",
    "Rule",
    "TrustStore",
    "TrustStoreError",
    "cert_exempt",
    "cert_required",
    "certificate_accepted",
    "certificate_missing",
    "certificate_rejected",
    "common_name",
    "current_cert",
    "dns",
    "email",
    "issued_by",
    "public_key",
    "spiffe",
    "thumbprint",
    "uri",
]
