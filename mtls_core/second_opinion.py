"""OpenSSL's verdict on a path that was found acceptable already.

Two implementations that share no code of path validation must both agree. OpenSSL gets one anchor, the intermediates of
that path and no others, and one moment; so it cannot find another path, only judge this one. What the leaf may be used
for stays with our own rules: pyOpenSSL has no way to ask for a purpose.

The flag ``X509_STRICT`` is not set: it refuses certificates for lacking what RFC 5280 asks of CAs but lets verifiers do
without.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from OpenSSL import crypto

from .certificate import Certificate

#: ``X509_V_FLAG_NO_CHECK_TIME`` of OpenSSL's ``x509_vfy.h``, which pyOpenSSL does not name.
_NO_CHECK_TIME = 0x200000


def disagreement(path: Sequence[Certificate], *, at: datetime | None) -> str | None:
    """Why OpenSSL does not accept a path, in its words; ``None`` if it accepts it.

    :param path: Leaf first; the last one is the anchor. One certificate alone is its own anchor, and its own signature
        is checked.
    :param at: The moment for which to ask, in UTC. ``None``: dates do not count.
    """
    try:
        accepted = _verified_chain(path, at)
    except crypto.X509StoreContextError as error:
        return f"{error} (error {error.errors[0]} at depth {error.errors[1]})"
    except Exception as error:
        # Whatever keeps OpenSSL from answering is not a yes (CVE-2021-4044).
        return f"no answer: {type(error).__name__}: {error}"
    if accepted != [certificate.der for certificate in path]:
        return "accepted, but along another path"
    return None


def _verified_chain(path: Sequence[Certificate], at: datetime | None) -> list[bytes]:
    certificates = [crypto.X509.from_cryptography(certificate.parsed) for certificate in path]
    store = crypto.X509Store()
    store.add_cert(certificates[-1])
    flags = crypto.X509StoreFlags.POLICY_CHECK
    # The operator makes a certificate an anchor, not what it says or signs about itself; one alone has nothing else.
    flags |= crypto.X509StoreFlags.PARTIAL_CHAIN if len(path) > 1 else crypto.X509StoreFlags.CHECK_SS_SIGNATURE
    if at is None:
        flags |= _NO_CHECK_TIME
    else:
        store.set_time(at)
    store.set_flags(flags)
    chain = crypto.X509StoreContext(store, certificates[0], certificates[1:-1]).get_verified_chain()
    return [crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in chain]
