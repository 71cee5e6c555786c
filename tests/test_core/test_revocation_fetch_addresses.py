"""To whom a fetch connects, with and without a proxy, after a fork and among greenlets."""

from __future__ import annotations

import errno
import socket
import sys
import textwrap
import threading
from collections.abc import Sequence

import pytest

from mtls_core.errors import ConfigurationError
from mtls_core.revocation.channel import Endpoint
from mtls_core.revocation.fetch import Fetcher, FetchErrorKind

from ..run import run
from .fetching import failure, fetch, resolving
from .http_peers import answering, peer, silent, swallowing


def test_loopback_is_refused_unless_it_is_listed() -> None:
    with peer(answering()) as server:
        failed = failure(server.url, Fetcher())
        assert failed.kind is FetchErrorKind.REFUSED_ADDRESS
        assert "MTLS_REVOCATION_HOSTS" in failed.detail
        assert server.requests == []
        assert fetch(server.url, Fetcher(hosts=["127.0.0.0/8"])).body == b"signed"


def test_a_name_that_resolves_to_a_private_address_is_refused() -> None:
    with peer(answering()) as server:
        look_up = resolving(("127.0.0.1", server.port))
        url = f"http://ocsp.example:{server.port}/"
        assert failure(url, Fetcher(look_up=look_up)).kind is FetchErrorKind.REFUSED_ADDRESS
        assert server.requests == []
        assert fetch(url, Fetcher(look_up=look_up, hosts=["ocsp.example"])).body == b"signed"


def test_one_private_address_among_several_refuses_the_name() -> None:
    """Which of them is connected to would be up to chance."""
    with peer(answering()) as server:
        fetcher = Fetcher(
            look_up=resolving(("127.0.0.1", server.port), ("127.0.0.2", server.port)), hosts=["127.0.0.1"]
        )
        failed = failure(f"http://ocsp.example:{server.port}/", fetcher)
    assert failed.kind is FetchErrorKind.REFUSED_ADDRESS
    assert "127.0.0.2" in failed.detail
    assert server.requests == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to() -> None:
    """A name server may answer differently the second time (DNS rebinding), so it is asked once."""
    answers = [("127.0.0.1",), ("127.0.0.2",)]

    def rebind(host: str, port: int) -> Sequence[Endpoint]:
        return resolving(*((address, port) for address in answers.pop(0)))(host, port)

    with peer(answering()) as server:
        url = f"http://ocsp.example:{server.port}/ca.crl"
        assert fetch(url, Fetcher(look_up=rebind, hosts=["127.0.0.1"])).body == b"signed"
    assert answers == [("127.0.0.2",)]
    assert server.fields()["host"] == f"ocsp.example:{server.port}"


def test_an_address_that_refuses_is_followed_by_the_next() -> None:
    with peer(silent) as closed:
        pass
    with peer(answering()) as server:
        look_up = resolving(("127.0.0.1", closed.port), ("127.0.0.1", server.port))
        assert fetch("http://ocsp.example/", Fetcher(look_up=look_up, hosts=["127.0.0.1"])).body == b"signed"


def test_an_address_that_swallows_leaves_time_for_the_next() -> None:
    with peer(answering()) as server, swallowing() as port:
        look_up = resolving(("127.0.0.1", port), ("127.0.0.1", server.port))
        fetcher = Fetcher(look_up=look_up, hosts=["127.0.0.1"])
        assert fetch("http://ocsp.example/", fetcher, seconds=1).body == b"signed"


def test_a_real_look_up_finds_localhost() -> None:
    with peer(answering()) as server:
        url = f"http://localhost:{server.port}/"
        assert fetch(url, Fetcher(hosts=["localhost"])).body == b"signed"


@pytest.mark.parametrize(
    "error",
    [socket.gaierror(socket.EAI_NONAME, "Name or service not known"), OSError(errno.EMFILE, "Too many open files")],
)
def test_a_name_that_cannot_be_resolved_is_a_failed_connection(error: OSError) -> None:
    def fail(host: str, port: int) -> Sequence[Endpoint]:
        raise error

    failed = failure("http://ocsp.example/", Fetcher(look_up=fail))
    assert failed.kind is FetchErrorKind.CONNECTION
    assert "ocsp.example cannot be resolved" in failed.detail
    assert str(error.strerror) in failed.detail


def test_a_name_without_addresses_is_a_failed_connection() -> None:
    assert failure("http://ocsp.example/", Fetcher(look_up=resolving())).kind is FetchErrorKind.CONNECTION


# Proxies.


def test_a_proxy_is_asked_for_the_whole_url_and_resolves_the_name() -> None:
    def never(host: str, port: int) -> Sequence[Endpoint]:
        raise AssertionError(f"{host} was looked up")

    with peer(answering()) as proxy:
        fetcher = Fetcher(proxy=f"http://127.0.0.1:{proxy.port}", look_up=never)
        assert fetch("http://ocsp.example:8080/a?b", fetcher, body=b"?").body == b"signed"
    assert proxy.request_line() == "POST http://ocsp.example:8080/a?b HTTP/1.1"
    assert proxy.fields()["host"] == "ocsp.example:8080"
    assert "proxy-authorization" not in proxy.fields()


def test_a_proxy_is_told_its_password() -> None:
    with peer(answering()) as proxy:
        fetch("http://ocsp.example/", Fetcher(proxy=f"http://us%65r:p%40ss@127.0.0.1:{proxy.port}/"))
    assert proxy.fields()["proxy-authorization"] == "Basic dXNlcjpwQHNz"


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://127.0.0.1/", "http://[::1]/", "http://localhost/"])
def test_a_url_that_names_a_private_address_is_refused_through_a_proxy_too(url: str) -> None:
    with peer(answering()) as proxy:
        failed = failure(url, Fetcher(proxy=f"http://127.0.0.1:{proxy.port}"))
    assert failed.kind is FetchErrorKind.REFUSED_ADDRESS
    assert proxy.requests == []


def test_a_private_address_that_is_listed_is_asked_through_a_proxy() -> None:
    with peer(answering()) as proxy:
        fetcher = Fetcher(proxy=f"http://127.0.0.1:{proxy.port}", hosts=["10.0.0.0/8"])
        assert fetch("http://10.1.2.3/", fetcher).body == b"signed"


@pytest.mark.parametrize(
    "proxy", ["https://user:secret@p.example", "socks5://p", "p.example:3128", "", "http://[secret"]
)
def test_a_proxy_that_cannot_be_used_is_refused_at_once(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy") as refused:
        Fetcher(proxy=proxy)
    assert "user:" not in str(refused.value)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_not_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(answering()) as proxy, peer(answering()) as server:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        fetch(server.url)
    assert (len(server.requests), len(proxy.requests)) == (1, 0)


# Threads, forks, greenlets.


def test_threads_share_a_fetcher() -> None:
    bodies: list[bytes] = []
    with peer(answering()) as server:
        fetcher, url = Fetcher(hosts=["localhost"]), f"http://localhost:{server.port}/"
        threads = [threading.Thread(target=lambda: bodies.append(fetch(url, fetcher).body)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert bodies == [b"signed"] * 16


def test_a_fetcher_works_on_after_a_fork() -> None:
    """P21: threads do not survive a fork; a look-up that hung in the parent is not waited for in the child."""
    with peer(answering()) as server:
        program = f"""
            import os, threading, time
            from mtls_core.revocation.channel import look_up
            from mtls_core.revocation.fetch import Fetcher, FetchError

            parent = os.getpid()

            def hang(host, port):
                if os.getpid() == parent:
                    threading.Event().wait()
                return look_up("127.0.0.1", port)

            fetcher = Fetcher(hosts=["ca.example"], look_up=hang)
            ask = lambda limit: fetcher.fetch(
                "http://ca.example:{server.port}/", deadline=time.monotonic() + limit, max_size=99)
            try:
                ask(0.05)
            except FetchError as error:
                print(error.kind, flush=True)
            if os.fork() == 0:
                print(ask(5).body.decode(), flush=True)
                os._exit(0)
            os.wait()
            """
        printed = run(sys.executable, "-c", textwrap.dedent(program))
    assert printed == "timeout\nsigned\n"


def test_greenlets_wait_at_the_same_time() -> None:
    """P22: the fetcher is imported, and even made, before gevent puts its own sockets and threads in place."""
    with peer(silent) as server:
        program = f"""
            import time
            from mtls_core.revocation.fetch import Fetcher, FetchError
            fetcher = Fetcher(hosts=["localhost"])
            from gevent import monkey
            monkey.patch_all()
            import gevent

            def ask():
                try:
                    fetcher.fetch("http://localhost:{server.port}/", deadline=time.monotonic() + 0.4, max_size=99)
                except FetchError as error:
                    return str(error.kind)

            began = time.monotonic()
            greenlets = [gevent.spawn(ask) for _ in range(10)]
            gevent.joinall(greenlets)
            print(set(greenlet.value for greenlet in greenlets), time.monotonic() - began < 1.5)
            """
        printed = run(sys.executable, "-c", textwrap.dedent(program))
    assert printed == "{'timeout'} True\n"
