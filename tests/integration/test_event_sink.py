"""adapters/http_event_sink.py against real receivers: what they get, and what their answers mean."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import own_tls
from event_receiver import Receiver, receiving
from keyrail.adapters.http_event_sink import TRIES, HttpEventSink, parse_overrides
from keyrail.adapters.web_server import WebServer
from keyrail.dev.ports import free_ports
from keyrail.domain.errors import Unavailable
from keyrail.domain.events import LifecycleEvent, event_id
from keyrail.domain.key_format import KeyFormat, new_key_id, new_secret
from vault_mount import NOW
from vault_servers import answering, drip, reply

Answer = Callable[[socket.socket], None]


def an_event(**facts: Any) -> LifecycleEvent:
    at = NOW + timedelta(microseconds=7)
    name = "rotation.promoted"
    return LifecycleEvent(event_id(name, "k", "1"), name, at, "acme", "7Qm2XvT9bLc4RnYk", {"actor": "x", **facts})


def sink(url: str, **changes: Any) -> HttpEventSink:
    made = HttpEventSink(WebServer(url, "K_SINK"), time.monotonic, **changes)
    made.sleep = lambda seconds: None
    return made


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as made:
        yield made


def test_in_binary_mode_the_attributes_are_headers_and_the_body_is_the_data(receiver: Receiver) -> None:
    assert sink(receiver.url).send(an_event(generation=2), 5.0)
    (request,) = receiver.requests()
    assert request["path"] == "/events?from=keyrail"
    ce = {name: value for name, value in request["headers"].items() if name.startswith("ce-")}
    assert ce == {
        "ce-specversion": "1.0",
        "ce-id": event_id("rotation.promoted", "k", "1"),
        "ce-type": "keyrail.rotation.promoted",
        "ce-source": "/keyrail/tenants/acme",
        "ce-subject": "7Qm2XvT9bLc4RnYk",
        "ce-time": "2030-01-02T03:04:05.000007Z",
    }
    assert request["headers"]["content-type"] == "application/json"
    assert json.loads(request["body"]) == {"tenant": "acme", "actor": "x", "generation": 2}


def test_in_structured_mode_the_body_is_the_whole_event(receiver: Receiver) -> None:
    assert sink(receiver.url, mode="structured", extensions={"region": "eu"}).send(an_event(generation=2), 5.0)
    (request,) = receiver.requests()
    assert request["headers"]["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert json.loads(request["body"]) == an_event(generation=2).as_cloudevent() | {"region": "eu"}
    assert not [name for name in request["headers"] if name.startswith("ce-")]


def test_extensions_of_knative_go_along_and_can_not_end_a_header(receiver: Receiver) -> None:
    nasty = 'a b\r\nX-Evil: "1"%zü'
    extensions = parse_overrides(json.dumps({"extensions": {"region": "eu", "note": nasty}}))
    assert sink(receiver.url, extensions=extensions).send(an_event(), 5.0)
    headers = receiver.requests()[0]["headers"]
    assert headers["ce-region"] == "eu"
    assert unquote(headers["ce-note"]) == nasty
    assert "x-evil" not in headers


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"extensions": ["a"]}',
        '{"extensions": {"Upper": "x"}}',
        '{"extensions": {"a-b": "x"}}',
        '{"extensions": {"n": 1}}',
        '{"extensions": {"id": "x"}}',
        '{"extensions": {"data": "x"}}',
    ],
)
def test_overrides_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="K_CE_OVERRIDES"):
        parse_overrides(text)


@pytest.mark.parametrize("text", [None, "", "{}", '{"extensions": null}'])
def test_no_overrides_are_fine(text: str | None) -> None:
    assert parse_overrides(text) == {}


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_whatever_looks_like_a_secret_is_cut_out(receiver: Receiver, mode: Any) -> None:
    key = KeyFormat().assemble(new_key_id(), new_secret())
    token = "hvs." + "A" * 24
    facts = {"reason": f"leaked\n{key}", "more": {"list": [token, f"x\ns.{'B' * 24}"]}, key: 1}
    assert sink(receiver.url, mode=mode).send(an_event(**facts), 5.0)
    (request,) = receiver.requests()
    for secret in (key, key[-38:], token, "B" * 24):
        assert secret not in json.dumps(request)
    assert "leaked" in request["body"]


@pytest.mark.parametrize("status", ["200", "202", "204"])
def test_2xx_is_taken(receiver: Receiver, status: str) -> None:
    receiver.answers(status)
    assert sink(receiver.url).send(an_event(), 5.0) is True
    assert len(receiver.requests()) == 1


@pytest.mark.parametrize("status", ["400", "413", "415", "422"])
def test_an_answer_about_the_event_is_a_refusal_and_is_not_asked_for_again(receiver: Receiver, status: str) -> None:
    receiver.answers(status)
    assert sink(receiver.url).send(an_event(), 5.0) is False
    assert len(receiver.requests()) == 1


@pytest.mark.parametrize("status", ["301", "307", "401", "403", "404", "408", "429", "500", "503"])
def test_anything_else_is_tried_a_few_times_with_growing_pauses(receiver: Receiver, status: str) -> None:
    receiver.answers(status)
    pauses: list[float] = []
    made = sink(receiver.url)
    made.sleep = pauses.append
    with pytest.raises(Unavailable) as error:
        made.send(an_event(), 30.0)
    assert status in error.value.detail
    assert receiver.ids() == [an_event().event_id] * TRIES
    assert len(pauses) == TRIES - 1
    assert pauses[1] >= 2 * pauses[0] > 0


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    def away(connection: socket.socket) -> None:
        connection.sendall(reply("307 Temporary Redirect", b"", f"Location: {receiver.url}"))

    with answering(away) as address, pytest.raises(Unavailable):
        sink(address).send(an_event(), 5.0)
    assert receiver.requests() == []


def hang(connection: socket.socket) -> None:
    time.sleep(30)


def drip_for_ever(connection: socket.socket) -> None:
    drip(connection, b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 10_000)


@pytest.mark.parametrize("misbehave", [hang, drip_for_ever])
def test_a_receiver_that_never_ends_its_answer_costs_no_more_than_the_time_given(misbehave: Answer) -> None:
    began_at = time.monotonic()
    with answering(misbehave) as address, pytest.raises(Unavailable) as error:
        sink(address).send(an_event(), 1.0)
    assert time.monotonic() - began_at < 3.0
    assert "TimeoutError" in error.value.detail


def test_nobody_listens() -> None:
    with pytest.raises(Unavailable) as error:
        sink(f"http://127.0.0.1:{free_ports(1)[0]}").send(an_event(), 5.0)
    assert "ConnectionRefusedError" in error.value.detail


def test_a_receiver_that_comes_up_between_two_tries_gets_it(tmp_path: Path) -> None:
    receiver = Receiver(free_ports(1)[0], tmp_path / "received.jsonl")
    made = sink(receiver.url)
    made.sleep = lambda seconds: receiver.start()
    try:
        assert made.send(an_event(), 20.0)
    finally:
        receiver.kill()
    assert receiver.ids() == [an_event().event_id]


@pytest.mark.parametrize(("certificate_for", "is_taken"), [("127.0.0.1", True), ("127.0.0.9", False)])
def test_over_tls_only_to_whom_a_trusted_ca_names(certificate_for: str, is_taken: bool, tmp_path: Path) -> None:
    tls, heads = own_tls.make(tmp_path, address=certificate_for), list[str]()
    with answering(lambda connection: connection.sendall(reply("202 Accepted", b"")), heads, tls.server) as address:
        with pytest.raises(Unavailable) as error:
            sink(address).send(an_event(), 5.0)
        assert "SSLCertVerificationError" in error.value.detail
        assert heads == []
        trusting = HttpEventSink(WebServer(address, "K_SINK", tls.ca_pem), time.monotonic)
        if is_taken:
            assert trusting.send(an_event(), 5.0)
        else:
            with pytest.raises(Unavailable):
                trusting.send(an_event(), 5.0)
    assert bool(heads) == is_taken


@pytest.mark.parametrize(
    "address",
    ["ftp://x", "http://", "http://user:secret@x", "http://x/#f", "http://x:99999", "http://x/a b", "http://ü"],
)
def test_an_address_that_is_none_is_refused_without_being_told(address: str) -> None:
    with pytest.raises(ValueError, match="K_SINK") as error:
        WebServer(address, "K_SINK")
    assert "secret" not in str(error.value)
    assert "secret" not in repr(error.value)
