"""Has a newer list than this one been seen? (Replay of an older one that is still in date.)"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from datetime import datetime

from ..certificate import Certificate
from ..path.distinguished_names import CanonicalName
from .crl_list import CertificateList
from .crl_scope import Scope

_log = logging.getLogger("mtls_core")

_Key = tuple[str, CanonicalName, Scope, bool]


class CRLHistory:
    """Remembers the newest list of each issuer and scope. Serves all threads of a process.

    Somebody who can answer in the place of a CA's web server can show an old list, with a good signature and in date,
    on which a certificate does not yet stand. Nothing in the list tells; that a newer one was there does.

    :param max_scopes: How many issuers and scopes are remembered at most; the one that was not used for longest is
        forgotten first.
    """

    def __init__(self, *, max_scopes: int = 10_000) -> None:
        self._newest: OrderedDict[_Key, tuple[datetime, int]] = OrderedDict()
        self._max_scopes = max_scopes
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._newest)

    def newer_than(self, crl: CertificateList, anchor: Certificate) -> str | None:
        """Remember a list whose signature was found good, unless a newer one was seen: then a sentence's end that says
        which.

        :param anchor: Under which it was found good: two CAs may bear one name below different anchors.
        """
        key = (anchor.thumbprint, crl.issuer_key, crl.scope, crl.is_delta)
        moment, number = crl.age_key
        with self._lock:
            newest_moment, newest_number = self._newest.get(key, (moment, number))
            rolled_back = moment < newest_moment or number < newest_number
            if not rolled_back:
                self._newest[key] = (moment, number)
            self._newest.move_to_end(key)
            while len(self._newest) > self._max_scopes:
                self._newest.popitem(last=False)
        if not rolled_back:
            return None
        found = f"number {newest_number} from {newest_moment:%Y-%m-%dT%H:%M:%SZ}"
        _log.error("The %s is older than one that was seen before: %s. It is not used.", crl.describe(), found)
        return found
