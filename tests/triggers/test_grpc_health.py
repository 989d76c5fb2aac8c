"""Health, probes and reflection, asked by the public clients."""

import time
import urllib.error
import urllib.request

import grpc
import pytest
from deployment import Deployment, unavailable
from grpc_client import GrpcClient, serving
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from keyrail.triggers.grpc_health import CHECK_SECONDS

SERVICES = (
    "keyrail.v1.KeyService",
    "keyrail.v1.RotationService",
    "keyrail.v1.ConfigService",
    "envoy.service.auth.v3.Authorization",
)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def status_of(client: GrpcClient, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(client.channel)
    return int(stub.Check(health_pb2.HealthCheckRequest(service=service)).status)


def wait_for(client: GrpcClient, status: int) -> None:
    ends_at = time.monotonic() + 10 * CHECK_SECONDS
    while status_of(client) != status:
        client.deployment.clock.seconds += 2.0
        assert time.monotonic() < ends_at
        time.sleep(0.05)


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_each_service_and_all_of_them_are_serving(grpc_client: GrpcClient, service: str) -> None:
    assert status_of(grpc_client, service) == SERVING


def test_a_service_that_is_not_there_is_unknown(grpc_client: GrpcClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        status_of(grpc_client, "nonsense")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_store_that_goes_away_and_comes_back_is_told(grpc_client: GrpcClient, deployment: Deployment) -> None:
    stub = health_pb2_grpc.HealthStub(grpc_client.channel)
    watched = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICES[0]))
    assert next(watched).status == SERVING
    feed = type(deployment.services.feed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "head", unavailable)
        wait_for(grpc_client, NOT_SERVING)
        assert [status_of(grpc_client, service) for service in SERVICES] == [NOT_SERVING] * len(SERVICES)
    wait_for(grpc_client, SERVING)
    assert [next(watched).status, next(watched).status] == [NOT_SERVING, SERVING]
    watched.cancel()


def test_a_draining_server_says_so_before_it_stops(deployment: Deployment) -> None:
    with serving(deployment) as client:
        client.server.health.drain()
        assert status_of(client) == NOT_SERVING
        assert client.validate("x").code == "MALFORMED"


def test_probes_and_metrics_are_on_a_port_of_their_own(grpc_client: GrpcClient) -> None:
    grpc_client.validate("x")
    port = grpc_client.server.probe_port()
    try:
        assert fetched(port.port, "/livez") == (200, "alive\n")
        assert fetched(port.port, "/readyz") == (200, "ready\n")
        assert fetched(port.port, "/v1/keys")[0] == 404
        assert (
            'keyrail_requests_total{code="MALFORMED",operation="validate_key"} 1.0' in fetched(port.port, "/metrics")[1]
        )
        grpc_client.server.stop_signal()
    finally:
        port.close()


def fetched(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_a_reflection_client_finds_every_service_and_its_messages(grpc_client: GrpcClient) -> None:
    found = ProtoReflectionDescriptorDatabase(grpc_client.channel)
    assert set(SERVICES) < set(found.get_services())
    file = found.FindFileContainingSymbol("keyrail.v1.KeyService")
    assert "ValidateKey" in [rpc.name for rpc in file.service[0].method]


def test_reflection_can_be_turned_off(deployment: Deployment) -> None:
    with serving(deployment, KEYRAIL_GRPC_REFLECTION="false") as client, pytest.raises(grpc.RpcError) as caught:
        ProtoReflectionDescriptorDatabase(client.channel).get_services()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
