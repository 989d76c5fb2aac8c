"""No client takes more of the server than its share: sizes, calls at once, waiting, streams."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from deployment import UNKNOWN_ID, Deployment
from google.protobuf.empty_pb2 import Empty
from grpc_client import SECONDS, GrpcClient, refusal_of, serving
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from keyrail.triggers.grpc_health import MAX_WATCHERS
from keyrail.v1 import keys_pb2, keys_pb2_grpc

WAIT = "/test.Test/Wait"


@contextmanager
def held_calls(deployment: Deployment, **env: str) -> Iterator[tuple[GrpcClient, threading.Event, threading.Semaphore]]:
    """A server with a call that lasts until the event is set; the semaphore counts those under way."""
    release, begun = threading.Event(), threading.Semaphore(0)

    def wait(_: bytes, __: Any) -> bytes:
        begun.release()
        assert release.wait(SECONDS)
        return b""

    more = {"test.Test": {"Wait": grpc.unary_unary_rpc_method_handler(wait)}}
    with serving(deployment, more, **env) as client:
        try:
            yield client, release, begun
        finally:
            release.set()


def test_a_message_of_5_mib_is_refused(grpc_client: GrpcClient) -> None:
    refused = grpc_client.refused("validate_key", key="x" * 5 * 1024 * 1024)
    assert refused.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert grpc_client.validate("x").code == "MALFORMED"


def test_metadata_over_its_limit_is_refused(grpc_client: GrpcClient) -> None:
    refused = grpc_client.refused("validate_key", sent=[("x-filler", "x" * 20_000)], key="x")
    assert refused.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert grpc_client.call("validate_key", sent=[("x-filler", "x" * 8000)], key="x").code == "MALFORMED"


def test_calls_beyond_threads_and_waiting_ones_are_refused_at_once(deployment: Deployment) -> None:
    threads, waiting, beyond = 2, 1, 20
    env = {"KEYRAIL_GRPC_THREADS": str(threads), "KEYRAIL_GRPC_WAITING": str(waiting)}
    with held_calls(deployment, **env) as (client, release, begun):
        taken = threads + waiting + MAX_WATCHERS  # nobody watches: these places serve waiting calls
        rpc = client.channel.unary_unary(WAIT)
        calls = [rpc.future(b"", timeout=SECONDS) for _ in range(taken + beyond)]
        for _ in range(threads):
            assert begun.acquire(timeout=SECONDS)
        ends_at = time.monotonic() + SECONDS / 2
        while sum(each.done() for each in calls) < beyond:
            assert time.monotonic() < ends_at
            time.sleep(0.01)
        refused = [each for each in calls if each.done()]
        assert {each.code() for each in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        release.set()
        assert [each.result() for each in calls if each not in refused] == [b""] * taken
        assert client.validate("x").code == "MALFORMED"


def test_a_call_that_waited_too_long_is_not_begun(deployment: Deployment) -> None:
    env, before = {"KEYRAIL_GRPC_THREADS": "2", "KEYRAIL_GRPC_DEADLINE_SECONDS": "0.2"}, deployment.records()
    with held_calls(deployment, **env) as (client, release, begun):
        rpc = client.channel.unary_unary(WAIT)
        held = [rpc.future(b"", timeout=SECONDS) for _ in range(2)]
        for _ in range(2):
            assert begun.acquire(timeout=SECONDS)
        threading.Timer(2.0, release.set).start()
        refused = client.refused("issue_key", owner="o", name="n", tenant="acme")
        assert (refused.status, refused.code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert refused.retry_seconds == 1
        assert [each.result() for each in held] == [b""] * 2
    assert deployment.records() == before


def test_a_call_that_only_reads_stops_at_the_end_of_its_time(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keyrail.time_limit import require_time_left

    def slow(*_: object) -> None:
        time.sleep(0.3)
        require_time_left()  # as each request to Vault does

    monkeypatch.setattr(type(deployment.services.keys), "find", slow)
    with serving(deployment, KEYRAIL_GRPC_DEADLINE_SECONDS="0.2") as client:
        refused = client.refused("get_key", key_id=UNKNOWN_ID, by=None)
        assert refused.code == "MISSING"
        refused = client.refused("get_key", key_id=UNKNOWN_ID)
        assert (refused.status, refused.code) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


def test_streams_leave_threads_to_other_calls(deployment: Deployment) -> None:
    with serving(deployment, KEYRAIL_GRPC_THREADS="2") as client:
        stub = keys_pb2_grpc.KeyServiceStub(client.channel)
        ended = threading.Event()
        silent = stub.ValidateStream(asking(["nonsense"], ended), metadata=client.bearer(deployment.admin))
        assert next(silent).verdict.code == "MALFORMED"
        second = stub.ValidateStream(asking(["nonsense"], ended), metadata=client.bearer(deployment.admin))
        with pytest.raises(grpc.RpcError) as caught:
            next(second)
        refused = refusal_of(caught.value)
        assert (refused.status, refused.retry_seconds) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1)
        assert client.validate("x").code == "MALFORMED"
        ended.set()
        assert list(silent) == []
        third = stub.ValidateStream(asking(["nonsense"], ended), metadata=client.bearer(deployment.admin))
        assert [each.verdict.code for each in third] == ["MALFORMED"]


def asking(keys: list[str], ended: threading.Event) -> Iterator[keys_pb2.ValidateStreamRequest]:
    for key in keys:
        yield keys_pb2.ValidateStreamRequest(presented={"key": key})
    assert ended.wait(SECONDS)


def test_streams_of_all_kinds_share_their_places(deployment: Deployment) -> None:
    with serving(deployment, KEYRAIL_GRPC_THREADS="2") as client:
        ended = threading.Event()
        stub = keys_pb2_grpc.KeyServiceStub(client.channel)
        first = stub.ValidateStream(asking(["x"], ended), metadata=client.bearer(deployment.admin))
        assert next(first).verdict.code == "MALFORMED"
        other = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        with pytest.raises(grpc.RpcError) as caught:
            next(other.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        ended.set()
        assert list(first) == []


def test_watchers_keep_no_call_out(deployment: Deployment) -> None:
    with serving(deployment, KEYRAIL_GRPC_THREADS="2", KEYRAIL_GRPC_WAITING="1") as client:
        stub = health_pb2_grpc.HealthStub(client.channel)
        watched = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(MAX_WATCHERS)]
        assert [next(each).status for each in watched] == [health_pb2.HealthCheckResponse.SERVING] * MAX_WATCHERS
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.Watch(health_pb2.HealthCheckRequest()))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert client.validate("x").code == "MALFORMED"
        for each in watched:
            each.cancel()
        ends_at = time.monotonic() + SECONDS
        while not _can_watch(stub):
            assert time.monotonic() < ends_at


def _can_watch(stub: Any) -> bool:
    watching = stub.Watch(health_pb2.HealthCheckRequest())
    try:
        return bool(next(watching).status == health_pb2.HealthCheckResponse.SERVING)
    except grpc.RpcError:
        return False
    finally:
        watching.cancel()


def test_reflection_streams_are_counted_too(deployment: Deployment) -> None:
    with serving(deployment, KEYRAIL_GRPC_THREADS="2") as client:
        stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        ended = threading.Event()

        def ask() -> Iterator[reflection_pb2.ServerReflectionRequest]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            assert ended.wait(SECONDS)

        first = stub.ServerReflectionInfo(ask())
        assert next(first).list_services_response.service
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.ServerReflectionInfo(ask()))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert client.validate("x").code == "MALFORMED"
        ended.set()


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_stream_ends_with_its_time(deployment: Deployment, is_silent: bool) -> None:
    with serving(deployment, KEYRAIL_GRPC_STREAM_SECONDS="1") as client:
        stub = keys_pb2_grpc.KeyServiceStub(client.channel)

        def ask() -> Iterator[keys_pb2.ValidateStreamRequest]:
            ends_at = time.monotonic() + SECONDS
            while time.monotonic() < ends_at:
                yield keys_pb2.ValidateStreamRequest(presented={"key": "x"})
                time.sleep(SECONDS if is_silent else 0.1)

        answers = stub.ValidateStream(ask(), metadata=client.bearer(deployment.admin))
        began_at = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            list(answers)
        expected = grpc.StatusCode.CANCELLED if is_silent else grpc.StatusCode.UNAVAILABLE
        assert caught.value.code() is expected
        assert time.monotonic() - began_at < 5


def test_a_connection_ends_with_its_time_and_no_call_does(deployment: Deployment) -> None:
    with serving(deployment, KEYRAIL_GRPC_CONNECTION_AGE_SECONDS="1") as client:
        seen: list[grpc.ChannelConnectivity] = []
        client.channel.subscribe(seen.append)
        ends_at = time.monotonic() + SECONDS
        while seen.count(grpc.ChannelConnectivity.READY) < 2:
            assert client.validate("x").code == "MALFORMED"
            assert time.monotonic() < ends_at, seen
            time.sleep(0.02)
        client.channel.unsubscribe(seen.append)


def test_a_second_server_can_not_take_half_of_the_calls(grpc_client: GrpcClient, deployment: Deployment) -> None:
    from keyrail.domain.errors import Internal

    taken = f"127.0.0.1:{grpc_client.server.port}"
    with pytest.raises(Internal) as caught, serving(deployment, KEYRAIL_GRPC_ADDRESS=taken):
        pass
    assert "KEYRAIL_GRPC_ADDRESS" in caught.value.detail


def test_an_rpc_that_there_is_not_is_unimplemented(grpc_client: GrpcClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        grpc_client.send("/keyrail.v1.KeyService/DropAllKeys", Empty(), Empty)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
