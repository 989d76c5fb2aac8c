"""Traces of real functions and of the gRPC container, before a real Vault, sent to a receiver in a process of its own
(tests/otlp_receiver.py says what it is): what comes, what never does, and what a lost receiver costs."""

import os
import signal
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from canary import Canary
from deployed import Deployment, Instance
from grpc_container import Client, running
from vault_proxy import Asked, proxy_to

from keyrail.dev.openbao import OpenBao
from otlp_receiver import OtlpReceiver, Span, receiving

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
VALIDATE = "POST /v1/keys/validate"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # milliseconds between batches
NEVER = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
END_SECONDS = 5.0


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtlpReceiver]:
    with receiving(tmp_path_factory.mktemp("traces")) as made:
        yield made


@pytest.fixture(scope="module")
def traced(
    openbao: OpenBao, canary: Canary, receiver: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    made = Deployment(openbao, tmp_path_factory.mktemp("traced"), canary)
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"}
    try:
        made.start("issue_key", "rotate", "revoke_key", **env, **SOON)
        made.start("validate_key", OTEL_SERVICE_NAME="validate-key", **env, **SOON)
        yield made
    finally:
        made.stop()
        canary.search("what a receiver of traces got", receiver.raw())


def within(spans: list[Span], outer: Span) -> list[Span]:
    return [span for span in spans if span.parent_id == outer.span_id]


def test_a_validation_is_one_trace_from_the_client_to_vault(traced: Deployment, receiver: OtlpReceiver) -> None:
    key = traced.api.issue()
    body = {"key": key.text}
    reply = traced.api.call("validate_key", "POST", "/v1/keys/validate", body, headers=TRACEPARENT)
    assert reply.ok()["valid"]
    spans = [span for span in receiver.wait_for(1, VALIDATE) if span.trace_id == TRACE]
    (server,) = [span for span in spans if span.parent_id == PARENT]
    assert (server.name, server.kind, server.attributes["http.response.status_code"]) == (VALIDATE, "server", 200)
    assert server.resource["service.name"] == "validate-key"
    assert server.resource["deployment.environment"] == "test"
    (operation,) = within(spans, server)
    assert (operation.name, operation.attributes) == ("validate_key", {"keyrail.code": "VALID"})
    calls = within(spans, operation)
    read = {span.attributes["url.template"].rsplit("/", 1)[1] for span in calls if span.name == "vault read"}
    assert {"keys", "revoked"} <= read
    assert all(span.kind == "client" and span.attributes["server.address"] == "127.0.0.1" for span in calls)
    assert key.key_id not in receiver.raw()
    (line,) = [line for line in lines_of(traced.all_of("validate_key")[0]) if f'"trace_id": "{TRACE}"' in line]
    assert f'"span_id": "{operation.span_id}"' in line


def test_a_key_in_memory_costs_no_call_and_the_feed_is_no_trace(traced: Deployment, receiver: OtlpReceiver) -> None:
    key = traced.api.issue()
    traced.api.code_of(key.text)
    before = len(receiver.wait_for(1, VALIDATE))
    time.sleep(2.5)  # the feed is read in the background twice
    traced.api.code_of(key.text)
    spans = receiver.wait_for([span.name for span in receiver.spans()].count(VALIDATE) + 1, VALIDATE)
    assert [span.name for span in spans[before:] if span.trace_id == spans[-1].trace_id] == ["validate_key", VALIDATE]
    servers = {span.trace_id for span in spans if span.kind == "server"}
    assert {span.trace_id for span in spans} == servers


def test_vault_is_told_no_traceparent(traced: Deployment, receiver: OtlpReceiver) -> None:
    asked: list[Asked] = []
    with proxy_to(traced.vault.address) as proxy:
        proxy.before = asked.append
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
        (instance,) = traced.start("validate_key", vault_address=proxy.address, **env)
        body = {"key": traced.api.issue().text}
        traced.api.call("validate_key", "POST", "/v1/keys/validate", body, at=instance.url, headers=TRACEPARENT)
        traced.stop(instance)
    assert [each for each in asked if each.headers["X-Correlation-ID"] == TRACE]
    assert not [each for each in asked if each.headers["traceparent"] or each.headers["tracestate"]]


def test_each_forked_worker_sends_its_own(traced: Deployment, receiver: OtlpReceiver) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_SERVICE_NAME": "two-workers"}
    (pair,) = traced.start("validate_key", WORKERS="2", **env, **SOON)
    key = traced.api.issue()
    with ThreadPoolExecutor(16) as pool:
        codes = set(pool.map(lambda _: traced.api.code_of(key.text, at=pair.url), range(100)))
    assert codes == {"VALID"}
    ends_at = time.monotonic() + 20
    while len(served := servers_of("two-workers", receiver)) < 100:
        assert time.monotonic() < ends_at
        time.sleep(0.1)
    traced.stop(pair)
    assert len(served) == len({span.span_id for span in served}) == 100
    assert len({span.resource["service.instance.id"] for span in served}) == 2


def test_a_graceful_stop_sends_what_is_left(traced: Deployment, receiver: OtlpReceiver) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_SERVICE_NAME": "stopped"}
    (instance,) = traced.start("validate_key", **env, **NEVER)
    traced.api.code_of(traced.api.issue().text, at=instance.url)
    assert servers_of("stopped", receiver) == []
    assert stop_seconds(instance) < END_SECONDS
    traced.stop(instance)
    assert [span.name for span in servers_of("stopped", receiver)] == [VALIDATE]


@pytest.mark.parametrize("status", ["hang", "503", "gone"])
def test_a_receiver_that_is_lost_costs_spans_and_nothing_else(traced: Deployment, status: str, tmp_path: Path) -> None:
    """A queue of 8 spans is full at once; each call is answered as fast as without traces, and the process ends."""
    (plain,) = traced.start("validate_key")
    with receiving(tmp_path) as lost:
        lost.answers(status)
        if status == "gone":
            lost.kill()
        few = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
        (instance,) = traced.start("validate_key", OTEL_EXPORTER_OTLP_ENDPOINT=lost.endpoint, **few, **SOON)
        key = traced.api.issue().text
        seconds: dict[str, list[float]] = {plain.url: [], instance.url: []}
        for _ in range(100):
            for url, taken in seconds.items():
                began = time.perf_counter()
                assert traced.api.code_of(key, at=url) == "VALID"
                taken.append(time.perf_counter() - began)
        off, on = (statistics.median(taken) * 1000 for taken in seconds.values())
        print(
            f"\n{status}: median {on:.2f} ms, without traces {off:.2f} ms, slowest {max(seconds[instance.url]):.3f} s"
        )
        assert on < 2 * off + 5  # a call that waited for the receiver would take seconds
        ended = stop_seconds(instance)
        print(f"ended {ended:.2f} s after SIGTERM")
        assert ended < END_SECONDS
        assert instance.function.process._process.returncode == 0
        traced.stop(instance, plain)


def test_the_grpc_container(traced: Deployment, receiver: OtlpReceiver) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_SERVICE_NAME": "grpc"}
    with running(traced, **env, **NEVER) as container, grpc.insecure_channel(container.address) as channel:
        client = Client(channel, traced.admin_key)
        assert client.code_of(client.issue().key) == "VALID"
        container.process.ask_to_stop()
        container.process._process.wait(60)
    names = {span.name for span in servers_of("grpc", receiver)}
    assert names == {"keyrail.v1.KeyService/IssueKey", "keyrail.v1.KeyService/ValidateKey"}
    ours = [span for span in receiver.spans() if span.resource["service.name"] == "grpc"]
    assert any(span.name == "vault write" for span in ours)


def test_no_secret_reaches_the_receiver(traced: Deployment, receiver: OtlpReceiver, canary: Canary) -> None:
    """The whole life of a key, and every secret there is looked for in every byte that came."""
    key = traced.api.issue()
    rotated = traced.api.rotate(key.key_id, grace_seconds=60).ok()["key"]
    for text in (key.text, rotated, rotated[:-1]):
        traced.api.validate(text)
        traced.api.call("validate_key", "POST", f"/v1/keys/{text}", {"key": text}, headers={"traceparent": text})
    traced.api.revoke(key.key_id)
    receiver.wait_for(1, "POST /v1/keys/{key_id}/revoke")
    assert canary.known > 5
    hits = len(canary.hits)
    canary.search("what a receiver of traces got", receiver.raw())
    assert len(canary.hits) == hits
    canary_of_canaries = Canary()
    canary_of_canaries.knows("a name", "validate-key")
    canary_of_canaries.search("it", receiver.raw())
    assert canary_of_canaries.hits == {"a name in it"}  # what is searched is text that could hold one


def servers_of(service: str, receiver: OtlpReceiver) -> list[Span]:
    return [span for span in receiver.spans() if span.resource["service.name"] == service and span.kind == "server"]


def stop_seconds(instance: Instance) -> float:
    began = time.monotonic()
    os.kill(instance.function.process.pid, signal.SIGTERM)
    instance.function.process._process.wait(30)
    return time.monotonic() - began


def lines_of(instance: Instance) -> list[str]:
    return instance.logs[-1].read_text().splitlines()
