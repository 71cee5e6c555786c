"""Why nothing could be fetched from an address that a certificate names."""

from __future__ import annotations

import re
from enum import StrEnum

from ..errors import MTLSError

_USER_INFORMATION = re.compile(r"//[^/?#]*@")
#: How much of a URL stands in a sentence.
_SHOWN = 200


class FetchErrorKind(StrEnum):
    """What went wrong, as a word that does not change."""

    BAD_URL = "bad_url"
    REFUSED_ADDRESS = "refused_address"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    NOT_HTTP = "not_http"
    HTTP_STATUS = "http_status"
    REDIRECT = "redirect"
    TOO_LARGE = "too_large"
    WRONG_TYPE = "wrong_type"


class FetchError(MTLSError):
    """Raised if a URL may not be asked, or did not answer as it must.

    :param kind: What is wrong, as a word that does not change.
    :param detail: A sentence that says what happened and what to do.
    :param url: The URL that was to be asked.
    :param status: For ``http_status``, the status of the answer.
    """

    def __init__(self, kind: FetchErrorKind, detail: str, url: str, status: int | None = None) -> None:
        super().__init__(kind, detail, url, status)
        self.kind = kind
        self.detail = detail
        self.url = url
        self.status = status

    def __str__(self) -> str:
        return f"{shown(self.url)}: {self.detail}"


def shown(text: str) -> str:
    """Text from a certificate or from a server, harmless in a log: short, without control characters and passwords."""
    text = _USER_INFORMATION.sub("//...@", text)
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return short if short.isascii() and short.isprintable() else ascii(short)
