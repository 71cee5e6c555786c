"""Signals. The sender is the app."""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

#: Sent once a request when its certificate is valid and the principal loader, if there is one, found its
#: principal. A view's rule may still refuse it. Passed: ``peer``, the :class:`~flask_mtls.PeerCertificate`.
certificate_accepted = _signals.signal("certificate-accepted")

#: Sent when a certificate is refused: by validation, by the principal loader, or by a view's rule. Passed:
#: ``rejection``, the :class:`~flask_mtls.CertificateRejected`, whose ``reason`` is ``not_authorized`` for the
#: latter two.
certificate_rejected = _signals.signal("certificate-rejected")

#: Sent when a request needs a certificate and has none. Passed: ``rejection``, whose ``reason`` is
#: ``certificate_required``.
certificate_missing = _signals.signal("certificate-missing")
