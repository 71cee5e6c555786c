"""Every attempt under every server, and what came of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mtls_core.devca import Issued

from .cast import VICTIM_NAMES, Cast, make_cast
from .exchange import Answer, ask
from .formats import Format, Headers
from .origins import CONTROL, ORIGINS, Origin
from .servers import SERVERS, Places, Server, write_settings
from .tricks import TRICKS, Trick

#: What may come of an attempt besides the reason of a refusal, or the status of an answer that is none of these.
ITSELF = "itself"
SOMEBODY_ELSE = "SOMEBODY ELSE"
NOT_RUN = "NOT RUN"

#: Of the control: the client is the victim, and needs none.
NO_TRICK = "no trick"


@dataclass(frozen=True)
class Result:
    """One cell."""

    server: str
    origin: str
    form: str
    trick: str
    outcome: str

    @property
    def is_wrong(self) -> bool:
        """Whether somebody passed for somebody else, or whether nobody knows."""
        return self.outcome.startswith((SOMEBODY_ELSE, NOT_RUN))

    def __str__(self) -> str:
        return f"{self.server}, {self.form}, {self.origin}, {self.trick}: {self.outcome}"


def run(servers: Mapping[str, Server] = SERVERS) -> list[Result]:
    """Play against all servers at once."""
    cast = make_cast()
    with tempfile.TemporaryDirectory(prefix="mtls-spoofing-") as folder, ThreadPoolExecutor() as threads:
        settings = write_settings(cast, Path(folder))
        games = [threads.submit(_run_under, name, server, cast, settings) for name, server in servers.items()]
        return [result for game in games for result in game.result()]


def _run_under(name: str, server: Server, cast: Cast, settings: Path) -> list[Result]:
    with server(settings, settings.parent) as places:
        return list(play(name, places, cast))


def play(server: str, places: Places, cast: Cast) -> Iterator[Result]:
    """Make all attempts, and for each format first what they imitate."""
    for form in cast.formats:
        outcome = _control(form, cast, places)
        yield Result(server, CONTROL.name, form.name, NO_TRICK, outcome)
        for origin in ORIGINS:
            if origin.exists(form):
                for trick in TRICKS:
                    own = _shown(origin, form, trick, cast)
                    outcome = _outcome(origin, form, trick.headers(form, cast), own, places)
                    yield Result(server, origin.name, form.name, trick.name, outcome)


def _shown(origin: Origin, form: Format, trick: Trick, cast: Cast) -> Issued | None:
    match origin.shows:
        case "nothing":
            return None
        case "a certificate":
            return trick.certificate(form, cast)
        case "a CA's":
            return cast.own_ca


def _control(form: Format, cast: Cast, places: Places) -> str:
    """Unless the victim is known, it says nothing that others are not taken for it."""
    outcome = _outcome(CONTROL, form, (), cast.victim, places)
    return outcome if outcome == ITSELF else f"{NOT_RUN}: the victim itself is not known: {outcome}"


def _outcome(origin: Origin, form: Format, sent: Headers, own: Issued | None, places: Places) -> str:
    """What comes of what a client sends.

    :param own: The client's certificate.
    """
    place = places(origin.mount(form))
    try:
        answer = ask(place.port, place.path, origin.received(form, sent, own), source=origin.source)
    except (OSError, ValueError) as error:
        return f"{NOT_RUN}: {error}"
    match answer.status:
        case 200:
            return _who(answer, own)
        case 403 if "reason" in answer.document:
            return str(answer.document["reason"])
        case 400:
            return "400"
    return f"{NOT_RUN}: nobody expects a {answer.status}"


def _who(answer: Answer, own: Issued | None) -> str:
    names = set(answer.document["names"])
    if own is not None and answer.document["thumbprint"] == own.certificate.thumbprint:
        certificate = own.certificate
        if names <= {*certificate.common_names, *certificate.dns_names, *certificate.uris}:
            return ITSELF
    return f"{SOMEBODY_ELSE}: {', '.join(sorted(names & VICTIM_NAMES or names))}"
