"""What must be known about revocation before a certificate is admitted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from ..certificate import Certificate
from ..errors import ConfigurationError

Mode = Literal["available", "required"]
Scope = Literal["chain", "leaf"]
Unreachable = Literal["reject", "accept"]
NoncePolicy = Literal["off", "prefer", "require"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationPolicy:
    """How revocation is decided. Where none is given, nothing is checked.

    :raises ConfigurationError: If a value is not one of those below.
    """

    #: ``"available"``: whatever source the certificate or the configuration names must answer; ``"required"``: a
    #: certificate with no source is refused too.
    mode: Mode = "available"
    #: ``"chain"``: every certificate but the anchor; ``"leaf"``: the leaf alone.
    scope: Scope = "chain"
    #: What happens where no source can be reached, or none says anything that counts.
    unreachable: Unreachable = "reject"
    #: URL of a responder that is asked instead of the one a certificate names.
    ocsp_responder: str | None = None
    #: Certificates whose OCSP answers count besides those of the issuer and of whom it delegated.
    trusted_responders: tuple[Certificate, ...] = ()
    #: ``"prefer"``: sent, and an answer without it counts; ``"require"``: an answer without it does not. A nonce makes
    #: an answer fresh, and useless to anybody else who asks.
    nonce: NoncePolicy = "off"
    #: Oldest ``thisUpdate`` of an OCSP answer that counts, whatever its ``nextUpdate`` says.
    ocsp_max_age: timedelta = timedelta(days=7)
    #: Oldest ``thisUpdate`` of a CRL that counts; ``None`` leaves that to its ``nextUpdate``.
    crl_max_age: timedelta | None = None
    #: How long past its ``nextUpdate`` a CRL still counts.
    crl_grace: timedelta = timedelta(0)
    #: After how long a source is asked again.
    refresh: timedelta = timedelta(minutes=5)
    #: How long an answer is used at most while its source cannot be reached; never past its ``nextUpdate``.
    max_cache_age: timedelta = timedelta(days=1)
    #: How far a source's clock may be ahead of ours.
    clock_skew: timedelta = timedelta(0)
    #: The longest that a request waits for sources, in seconds.
    timeout: float = 3.0

    def __post_init__(self) -> None:
        for name, choices in (("mode", Mode), ("scope", Scope), ("unreachable", Unreachable), ("nonce", NoncePolicy)):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise ConfigurationError(f"revocation {name} is {value!r}; it must be one of {get_args(choices)}")
        for name in ("ocsp_max_age", "crl_grace", "max_cache_age", "clock_skew"):
            if getattr(self, name) < timedelta(0):
                raise ConfigurationError(f"revocation {name} cannot be negative")
        if self.crl_max_age is not None and self.crl_max_age <= timedelta(0):
            raise ConfigurationError("revocation crl_max_age must be positive; leave it out to have no such limit")
        if self.refresh <= timedelta(0):
            raise ConfigurationError("revocation refresh must be positive")
        if not self.timeout > 0:
            raise ConfigurationError("revocation timeout is a number of seconds above 0")
