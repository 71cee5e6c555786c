"""Who plays, and with which certificates."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from mtls_core.devca import DevelopmentCA, Issued

from .formats import Format, all_formats

#: How the victim is called in its certificate.
VICTIM_NAMES = frozenset({"victim", "victim.example.org", "spiffe://example.org/victim"})


@dataclass(frozen=True)
class Cast:
    """Certificates. With those of the good CA even the attacker is let in, as the attacker.

    Certificates are public: the attacker has the victim's, without its private key.
    """

    #: Certificates of the CAs as PEM, intermediates too, since several formats carry none.
    authorities: str
    victim: Issued
    attacker: Issued
    #: Of the attacker's own making, and trusted by nobody.
    own_ca: Issued
    formats: tuple[Format, ...]
    #: By the format's name, another certificate of the attacker's, in whose names stands what a proxy would send for
    #: the victim.
    injecting: dict[str, Issued]


def make_cast() -> Cast:
    """Issue all certificates."""
    root = DevelopmentCA.create("Spoofing CA")
    issuing = root.intermediate("Spoofing issuing CA")
    victim = issuing.client("victim", dns=["victim.example.org"], uris=["spiffe://example.org/victim"])
    own = DevelopmentCA.create("attacker's own CA")
    formats = all_formats(edge=issuing.client("edge", uris=["spiffe://example.org/edge"]))
    return Cast(
        authorities=root.pem + issuing.pem,
        victim=victim,
        attacker=issuing.client("attacker", uris=["spiffe://example.org/attacker"]),
        own_ca=Issued(own.certificate, (), own.private_key),
        formats=formats,
        injecting={each.name: _injecting(issuing, each, victim) for each in formats},
    )


def _injecting(issuing: DevelopmentCA, form: Format, victim: Issued) -> Issued:
    """A certificate of a CA that signs whatever names it is asked to."""
    headers = form.headers(victim)
    uris, organization = [], "attackers"
    if form.is_list:
        # Another element. Its chain is left out, as headers have a limit.
        forged = headers[0][1].partition(";Chain=")[0]
        uris = [f"spiffe://example.org/attacker,{forged};URI=spiffe://example.org/victim"]
    else:
        lines = "\r\n".join(f"{name}: {value}" for name, value in headers)
        organization = f'"\r\n{lines}\r\nX-Rest: "'
    subject = [
        x509.NameAttribute(NameOID.COMMON_NAME, "attacker"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
    ]
    return issuing.client("attacker", uris=uris, subject=x509.Name(subject))
