"""A call of VaultSession ends within its deadline by the clock on the wall, whatever the server does."""

import socket
import time
from collections.abc import Callable

import pytest

from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_paths import FEED_HEAD
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from vault_mount import RecordedMetrics
from vault_servers import answering, drip, reply

DEADLINE_SECONDS = 0.4
SLACK_SECONDS = 0.5  # a loaded machine; a server that wins holds us for ten seconds and more

GOOD = b'{"data":{"data":{"seq":0,"ring":[]},"metadata":{"version":1}}}'


def drips_headers(connection: socket.socket) -> None:
    drip(connection, reply("200 OK", GOOD, *[f"X-{n}: {'x' * 60}" for n in range(5)]))


def drips_the_body(connection: socket.socket) -> None:
    head, _, body = reply("200 OK", GOOD + b" " * 500).partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    drip(connection, body)


def drips_chunks(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(connection, b"1\r\n \r\n" * 100)


def drips_interim_replies(connection: socket.socket) -> None:
    for _ in range(200):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


def says_nothing(connection: socket.socket) -> None:
    connection.recv(1)


SLOW = [drips_headers, drips_the_body, drips_chunks, drips_interim_replies, says_nothing]


def session_to(address: str, metrics: RecordedMetrics) -> VaultSession:
    return VaultSession(VaultConfig(address=address, token="t", deadline_seconds=DEADLINE_SECONDS), metrics)


@pytest.mark.parametrize("answer", SLOW)
def test_a_read_from_a_server_that_never_finishes_is_unavailable_in_time(
    answer: Callable[[socket.socket], None], metrics: RecordedMetrics
) -> None:
    with answering(answer) as address:
        started_at = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            session_to(address, metrics).read(FEED_HEAD)
        assert DEADLINE_SECONDS <= time.monotonic() - started_at < DEADLINE_SECONDS + SLACK_SECONDS
    assert caught.value.detail == "read at Vault failed: TimeoutError"
    assert metrics.calls == [("read", "timeout")]


@pytest.mark.parametrize("answer", SLOW)
def test_a_write_whose_answer_never_comes_has_an_unknown_outcome_in_time(
    answer: Callable[[socket.socket], None], metrics: RecordedMetrics
) -> None:
    with answering(answer) as address:
        started_at = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            session_to(address, metrics).replace(FEED_HEAD, {}, version=1)
        assert time.monotonic() - started_at < 2 * DEADLINE_SECONDS + SLACK_SECONDS
    assert metrics.calls == [("write", "timeout"), ("read", "timeout")], "one write, then one look whether it arrived"


def test_a_server_that_accepts_no_connection_costs_a_connects_time_at_most(metrics: RecordedMetrics) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]  # more than the backlog takes; further ones get no answer
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        config = VaultConfig(address=f"http://127.0.0.1:{port}", token="t", connect_seconds=0.2, deadline_seconds=5)
        started_at = time.monotonic()
        with pytest.raises(Unavailable):
            VaultSession(config, metrics).read(FEED_HEAD)
        assert time.monotonic() - started_at < 0.2 + SLACK_SECONDS
        for each in waiting:
            each.close()
    assert metrics.calls == [("read", "timeout")]


def test_a_write_that_found_no_connection_is_certainly_not_done(metrics: RecordedMetrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(Unavailable):
        session_to(address, metrics).replace(FEED_HEAD, {}, version=1)
    assert metrics.calls == [("write", "fault")]


def test_a_body_that_is_cut_off_is_a_fault(metrics: RecordedMetrics) -> None:
    def cuts_off(connection: socket.socket) -> None:
        connection.sendall(reply("200 OK", GOOD)[:-5])
        connection.shutdown(socket.SHUT_RDWR)

    with answering(cuts_off) as address, pytest.raises(Unavailable) as caught:
        session_to(address, metrics).read(FEED_HEAD)
    assert caught.value.detail == "read at Vault failed: IncompleteRead"


def test_an_endless_body_is_a_fault_before_it_fills_the_memory(metrics: RecordedMetrics) -> None:
    def never_stops(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")

    with answering(never_stops) as address, pytest.raises(Unavailable) as caught:
        VaultSession(VaultConfig(address=address, token="t", deadline_seconds=20), metrics).read(FEED_HEAD)
    assert caught.value.detail == "read at Vault failed: HTTPException"


def test_a_name_that_does_not_resolve_is_a_fault(metrics: RecordedMetrics) -> None:
    with pytest.raises(Unavailable) as caught:
        session_to("http://vault.invalid:8200", metrics).read(FEED_HEAD)
    assert caught.value.detail in ("read at Vault failed: gaierror", "read at Vault failed: TimeoutError")


def test_a_resolver_that_hangs_does_not_outlast_the_deadline(
    metrics: RecordedMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def hangs_over_names(*args: object, **kwargs: object) -> object:
        if not kwargs.get("flags"):  # not the look whether it is an address
            time.sleep(5)
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hangs_over_names)
    started_at = time.monotonic()
    with pytest.raises(Unavailable):
        session_to("http://vault.invalid:8200", metrics).read(FEED_HEAD)
    assert time.monotonic() - started_at < DEADLINE_SECONDS + SLACK_SECONDS
