"""HTTP for certificates' addresses: bounded in time and size, to public addresses, without redirects.

The other side is whoever a certificate names. What it answers is not believed here; it is signed, and whoever parses
it verifies that.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError
from .addresses import Address, AllowedHosts, Network, Target, parse_url
from .channel import Channel, Endpoint, TooMuchData, connect, look_up
from .deadlines import BoundedCalls, PerProcess
from .exchange import HEAD_SIZE, Exchange, Question, is_etag
from .exchange import Fetched as Fetched
from .fetch_error import FetchError as FetchError
from .fetch_error import FetchErrorKind as FetchErrorKind

#: How many names are looked up at once.
_LOOK_UPS = 16
#: More addresses of one name than these are checked, but not tried.
_ADDRESSES_TRIED = 4


class Fetcher:
    """Asks URLs that stand in certificates.

    May be used by several threads at once, and after a fork.

    :param hosts: Names, addresses and networks that may be asked although they are not public; see
        :meth:`AllowedHosts.parse`.
    :param proxy: URL of an HTTP proxy that everything is asked through. It resolves the names, so of the rules about
        addresses only those hold which the URL itself breaks.
    :param look_up: What resolves a name; given the name and the port.
    :raises ConfigurationError: If one of them cannot be used.
    """

    def __init__(
        self,
        *,
        hosts: str | Iterable[str | Address | Network] = (),
        proxy: str | None = None,
        look_up: Callable[[str, int], Sequence[Endpoint]] = look_up,
    ) -> None:
        self._allowed = AllowedHosts.parse(hosts)
        self._proxy = None if proxy is None else _Proxy.parse(proxy)
        self._look_up = look_up
        self._look_ups = PerProcess(lambda: BoundedCalls(limit=_LOOK_UPS))

    def fetch(
        self,
        url: str,
        *,
        deadline: float,
        max_size: int,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str | None = None,
        etag: str | None = None,
    ) -> Fetched:
        """Ask a URL, once.

        :param deadline: Monotonic seconds at which everything, from the name's look-up to the last byte, has ended.
        :param max_size: How many bytes a body may have.
        :param body: What is sent, by POST; without it, GET.
        :param content_type: What the body is.
        :param accept: Media types that are understood.
        :param etag: That of an answer that is at hand; one that no server can have given is not sent.
        :raises FetchError: If it may not be asked, or does not answer with 200 (or, to an ``etag``, 304) and a whole
            body.
        """
        target = parse_url(url)
        self._allowed.check(target)
        fields = {
            **(self._proxy.fields if self._proxy else {}),
            "Content-Type": content_type,
            "Accept": accept or "*/*",
            "If-None-Match": etag if etag and is_etag(etag) else None,
        }
        question = Question(body, {name: value for name, value in fields.items() if value}, max_size)
        endpoints = self._endpoints(target, deadline)
        with _failures(target, endpoints), connect(endpoints, deadline=deadline) as connected:
            channel = Channel(connected, deadline=deadline, allowance=HEAD_SIZE)
            return Exchange(target, question, channel).run(absolute=self._proxy is not None)

    def _endpoints(self, target: Target, deadline: float) -> Sequence[Endpoint]:
        """Where to connect: to what was checked, so that no second answer of a name server counts."""
        if self._proxy is not None:
            return self._resolve(self._proxy.target, target.url, deadline)
        endpoints = self._resolve(target, target.url, deadline)
        self._allowed.check(target, [ipaddress.ip_address(endpoint.host) for endpoint in endpoints])
        return endpoints[:_ADDRESSES_TRIED]

    def _resolve(self, target: Target, url: str, deadline: float) -> Sequence[Endpoint]:
        if target.address is not None:
            return (Endpoint.of(target.address, target.port),)
        key = (target.host, target.port)
        try:
            return self._look_ups.get().call(key, lambda: self._look_up(*key), deadline=deadline)
        except TimeoutError as error:
            detail = f"{target.host} was not resolved in the time allowed"
            raise FetchError(FetchErrorKind.TIMEOUT, detail, url) from error
        except OSError as error:
            why = error.strerror if isinstance(error, socket.gaierror) else error
            raise FetchError(FetchErrorKind.CONNECTION, f"{target.host} cannot be resolved: {why}", url) from error


@dataclass(frozen=True, slots=True)
class _Proxy:
    target: Target
    #: What only the proxy is told.
    fields: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> _Proxy:
        """Read ``http://proxy:3128`` or ``http://user:password@proxy:3128``.

        :raises ConfigurationError: If it is not such a URL. The password is not repeated.
        """
        try:
            credentials, at, _ = urlsplit(url).netloc.rpartition("@")
            target = parse_url(url.replace(f"{credentials}{at}", "", 1))
        except (FetchError, ValueError) as error:
            why = error.detail if isinstance(error, FetchError) else error
            raise ConfigurationError(f"the proxy for revocation cannot be used: {why}") from None
        if not at:
            return cls(target, {})
        basic = base64.b64encode(unquote(credentials).encode()).decode("ascii")
        return cls(target, {"Proxy-Authorization": f"Basic {basic}"})


@contextlib.contextmanager
def _failures(target: Target, endpoints: Sequence[Endpoint]) -> Iterator[None]:
    """Name what went wrong on the way, in one place."""
    tried = ", ".join(endpoint.host for endpoint in endpoints)
    try:
        yield
    except TooMuchData as error:
        raise FetchError(FetchErrorKind.TOO_LARGE, f"{tried} sends without end", target.url) from error
    except TimeoutError as error:
        detail = f"{tried} did not answer, or not to the end, in the time allowed"
        raise FetchError(FetchErrorKind.TIMEOUT, detail, target.url) from error
    except http.client.IncompleteRead as error:
        detail = "the answer ended before all of its body had come"
        raise FetchError(FetchErrorKind.CONNECTION, detail, target.url) from error
    except OSError as error:
        raise FetchError(FetchErrorKind.CONNECTION, f"no answer from {tried}: {error}", target.url) from error
    except (http.client.HTTPException, ValueError) as error:
        detail = f"the answer is not HTTP ({type(error).__name__})"
        raise FetchError(FetchErrorKind.NOT_HTTP, detail, target.url) from error
