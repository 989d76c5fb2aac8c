"""Garbage and half-sent requests, at a function itself and behind the local gateway: everyone else is answered."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployed import FUNCTION_OF, Deployment
from http_api import Api, Key, encoded

from keyrail.dev import gateway
from keyrail.dev.functions import answers
from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child
from keyrail.operations.catalogue import CATALOGUE

HALF_SENT = 40
ANSWER_SECONDS = 1.5
GARBAGE = [
    b"\x00\xff\xfe\x80 \r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,  # a TLS hello
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/keys/validate HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/keys/validate HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nContent-Length: 11\r\n\r\n{}",
    b"POST /v1/keys/validate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /v1/keys/validate HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000,
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\r\n" * 1000,
]


@pytest.fixture(scope="module")
def before(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the gateway that `keyrail dev` puts before all functions."""
    folder = tmp_path_factory.mktemp("gateway")
    (port,) = free_ports(1)
    ports = {each.name: deployment.all_of(FUNCTION_OF[each.name])[0].function.port for each in CATALOGUE}
    config = folder / "caddy.json"
    config.write_text(gateway.configuration(port, CATALOGUE, ports))
    caddy = Child("gateway", gateway.command(config), gateway.environment(folder), folder / "gateway.log")
    try:
        ends_at = time.monotonic() + 15
        while not answers(f"http://127.0.0.1:{port}/health/validate_key/livez"):
            assert time.monotonic() < ends_at, caddy.log_tail()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        caddy.stop()
        _search(deployment, folder)


def _search(deployment: Deployment, folder: Path) -> None:
    deployment.canary.search("the output of the gateway", (folder / "gateway.log").read_text(errors="replace"))


@pytest.fixture(scope="module")
def key(deployment: Deployment) -> Key:
    return deployment.api.issue()


def _connected(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), 5)


def _half_a_request(api: Api, key: Key) -> bytes:
    body = encoded({"key": key.text}) or b""
    head = f"POST /v1/keys/validate HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api.key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body[: len(body) // 2]


def _assert_others_are_answered(api: Api, key: Key, url: str) -> None:
    for _ in range(20):
        asked_at = time.monotonic()
        assert api.code_of(key.text, at=url) == "VALID"
        assert time.monotonic() - asked_at < ANSWER_SECONDS


def test_forty_half_sent_bodies_behind_the_gateway_hold_up_nobody(
    deployment: Deployment, before: str, key: Key
) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(HALF_SENT):
            connection = held.enter_context(_connected(before))
            connection.sendall(_half_a_request(deployment.api, key))
        time.sleep(0.2)
        _assert_others_are_answered(deployment.api, key, before)
    _assert_others_are_answered(deployment.api, key, before)


each_garbage = pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))


@each_garbage
def test_garbage_behind_the_gateway_is_refused_and_holds_up_nobody(
    deployment: Deployment, before: str, key: Key, garbage: bytes
) -> None:
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(_garbage_sent(before, garbage)) for _ in range(3)]
        _assert_others_are_answered(deployment.api, key, before)
        for connection in connections:
            _assert_refused(connection)


@each_garbage
def test_garbage_at_a_function_is_refused(deployment: Deployment, key: Key, garbage: bytes) -> None:
    """gunicorn waits in its one accepting thread, for at most 2 s, that a client it refused closes the connection;
    so here each one does, and the gateway is there for those that don't."""
    url = deployment.url_of("validate_key")
    for _ in range(3):
        with _garbage_sent(url, garbage) as connection:
            _assert_refused(connection)
    _assert_others_are_answered(deployment.api, key, url)


def _garbage_sent(url: str, garbage: bytes) -> socket.socket:
    connection = _connected(url)
    with contextlib.suppress(ConnectionError):  # refused before all of it was sent
        connection.sendall(garbage)
    return connection


def _assert_refused(connection: socket.socket) -> None:
    """A 4xx or 5xx, or no answer at all."""
    connection.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionError):
        answer = connection.recv(65536)
        assert not answer or answer.split(b" ")[1][:1] in b"45", answer


def test_half_a_body_that_goes_away_is_no_request(deployment: Deployment, key: Key) -> None:
    url = deployment.url_of("validate_key")
    for _ in range(HALF_SENT):
        with _connected(url) as connection:
            connection.sendall(_half_a_request(deployment.api, key))
    _assert_others_are_answered(deployment.api, key, url)


def test_forty_slow_bodies_at_the_rotator_behind_the_gateway_hold_up_no_tick(
    deployment: Deployment, before: str
) -> None:
    """A byte now and then, for as long as the ticks run."""
    head = f"POST /v1/rotation/tick HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {deployment.api.key}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 60\r\n\r\n{"
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(_connected(before)) for _ in range(HALF_SENT)]
        for connection in connections:
            connection.sendall(head.encode())
        for _ in range(5):
            for connection in connections:
                connection.sendall(b" ")
            asked_at = time.monotonic()
            deployment.api.call("rotate", "POST", "/v1/rotation/tick", {}, at=before).ok()
            assert time.monotonic() - asked_at < 2 * ANSWER_SECONDS
