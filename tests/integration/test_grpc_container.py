"""The gRPC container before a real Vault: every operation under its own policy, Vault lost and back, and its end."""

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from canary import Canary
from deployed import Deployment
from google.protobuf import struct_pb2
from grpc_container import CALL_SECONDS, Client, Container, Load, running, wait_until
from grpc_health.v1 import health_pb2

from keyrail.dev.functions import answers
from keyrail.dev.openbao import OpenBao
from keyrail.v1 import config_pb2, keys_pb2, rotation_pb2

ROUND_ROBIN = (
    '{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": "keyrail.v1.KeyService"}}'
)


@pytest.fixture(scope="module")
def stricken(own_vault: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """No functions: what they may do is not what the container may."""
    made = Deployment(own_vault, tmp_path_factory.mktemp("grpc"), canary)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def container(stricken: Deployment) -> Iterator[Container]:
    with running(stricken) as made:
        yield made


@pytest.fixture
def client(container: Container, stricken: Deployment) -> Iterator[Client]:
    with grpc.insecure_channel(container.address) as channel:
        yield Client(channel, stricken.admin_key)


def test_a_keys_whole_life(client: Client) -> None:
    made = client.issue(scopes=["ml:infer"])
    key_id = made.record.key_id
    assert client.code_of(made.key, required_scopes="ml:infer") == "VALID"
    rotated = client.call(client.keys.Rotate, keys_pb2.RotateRequest(key_id=key_id, grace_seconds=60))
    wait_until(lambda: client.code_of(rotated.key) == "VALID")
    assert client.code_of(made.key) == "VALID"
    client.call(client.keys.UpdateKey, keys_pb2.UpdateKeyRequest(key_id=key_id, state="disabled"))
    wait_until(lambda: client.code_of(rotated.key) == "DISABLED")
    shown = client.call(client.keys.GetKey, keys_pb2.GetKeyRequest(key_id=key_id)).record
    assert (shown.state, [each.state for each in shown.generations]) == ("disabled", ["retiring", "current"])
    client.call(client.keys.RevokeKey, keys_pb2.RevokeKeyRequest(key_id=key_id, reason="leaked"))
    wait_until(lambda: client.code_of(rotated.key) == "REVOKED")
    page = client.call(client.keys.ListKeys, keys_pb2.ListKeysRequest(tenant="acme", state="revoked"))
    assert key_id in [each.key_id for each in page.keys]


def test_configs_ticks_and_sweeps(client: Client) -> None:
    value = struct_pb2.Value(string_value="gpt")
    written = config_pb2.WriteConfigRequest(name="models/openai", tenant="acme", value=value)
    assert client.call(client.config.WriteConfig, written).version == 1
    asked = config_pb2.ReadConfigRequest(name="models/openai", tenant="acme")
    assert client.call(client.config.ReadConfig, asked).value.string_value == "gpt"
    rotation = {"sink": "vault:acme/svc/key", "interval_seconds": 90_000, "grace_seconds": 60}
    client.issue(rotation=rotation)
    wait_until(lambda: rotated(client) == 1)  # the clock may have to reach the next second
    swept = client.call(client.rotation.Sweep, rotation_pb2.SweepRequest(budget_seconds=10))
    assert (swept.looked_at > 1, swept.failed) == (True, 0)


def rotated(client: Client) -> int:
    tick = client.call(client.rotation.RotateDue, rotation_pb2.RotateDueRequest(budget_seconds=10))
    assert tick.failed == 0
    return int(tick.rotated)


def test_vault_lost_is_told_and_so_is_its_coming_back(container: Container, client: Client, own_vault: OpenBao) -> None:
    made = client.issue()
    assert client.code_of(made.key) == "VALID"
    own_vault.kill()
    try:
        wait_until(lambda: not client.is_serving())
        assert not client.is_serving("keyrail.v1.KeyService")
        assert not answers(f"http://127.0.0.1:{container.probe_port}/readyz")
        assert answers(f"http://127.0.0.1:{container.probe_port}/livez")
        with pytest.raises(grpc.RpcError) as caught:
            client.call(client.keys.GetKey, keys_pb2.GetKeyRequest(key_id=made.record.key_id))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        wait_until(lambda: outcome(client, made.key) != "VALID")  # memory is believed for max_stale_seconds
        assert outcome(client, made.key) == "UNAVAILABLE"
    finally:
        own_vault.start()
    wait_until(client.is_serving)
    wait_until(lambda: outcome(client, made.key) == "VALID")


def outcome(client: Client, key: str) -> str:
    try:
        return client.code_of(key)
    except grpc.RpcError as error:
        return str(error.code().name)


def test_a_container_that_only_validates_needs_no_more_than_that_functions_identity(stricken: Deployment) -> None:
    with (
        running(stricken, "validate_key", KEYRAIL_GRPC_OPERATIONS="validate_key") as container,
        grpc.insecure_channel(container.address) as channel,
    ):
        client = Client(channel, stricken.admin_key)
        assert client.code_of("nonsense") == "MALFORMED"
        assert outcome_of(lambda: client.issue()) == "UNIMPLEMENTED"


def outcome_of(call: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(caught.value.code().name)


def test_a_draining_container_fails_no_call(stricken: Deployment, client: Client) -> None:
    """Two behind one name, each client call to either; one is told to stop, and another takes its place."""
    made = client.issue()
    with running(stricken) as first, running(stricken) as second:
        target = f"ipv4:{first.address},{second.address}"
        options = [("grpc.service_config", ROUND_ROBIN)]
        with grpc.insecure_channel(target, options) as channel:
            balanced = Client(channel, stricken.admin_key)
            with Load(lambda: balanced.code_of(made.key)) as load:
                load.wait_for(500)
                first.process.ask_to_stop()
                wait_until(lambda: not first.process.is_running())
                load.wait_for(500)
        assert set(load.outcomes) == {"VALID"}
        assert first.process.epitaph().startswith("(status 0)")
        assert first.lines("stopped")
        assert len(first.lines("request")) > 100  # both had their share


@pytest.mark.parametrize("service", ["", "keyrail.v1.KeyService", "envoy.service.auth.v3.Authorization"])
def test_a_container_told_to_stop_says_so_and_still_answers_for_a_while(stricken: Deployment, service: str) -> None:
    """And waits for no watcher: it would be for all of the time that calls under way are given."""
    env = {"KEYRAIL_GRPC_DRAIN_NOTICE_SECONDS": "1", "KEYRAIL_GRPC_DRAIN_SECONDS": "60"}
    with running(stricken, **env) as container, grpc.insecure_channel(container.address) as channel:
        client = Client(channel, stricken.admin_key)
        watched = client.health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=CALL_SECONDS)
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        container.process.ask_to_stop()
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert client.code_of("nonsense") == "MALFORMED"
        wait_until(lambda: not container.process.is_running())


def test_a_call_under_way_is_ended_and_no_new_one_begun(stricken: Deployment, own_vault: OpenBao) -> None:
    env = {"KEYRAIL_GRPC_DRAIN_NOTICE_SECONDS": "0"}
    with running(stricken, **env) as container, grpc.insecure_channel(container.address) as channel:
        client, answered = Client(channel, stricken.admin_key), []
        client.code_of("nonsense")
        own_vault.pause()
        try:
            thread = threading.Thread(target=lambda: answered.append(client.issue().record.key_id))
            thread.start()
            time.sleep(0.3)  # it is at Vault now
            container.process.ask_to_stop()
            time.sleep(0.3)
        finally:
            own_vault.resume()
        thread.join(CALL_SECONDS)
        assert len(answered) == 1
        wait_until(lambda: not container.process.is_running())
        assert container.process.epitaph().startswith("(status 0)")


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"KEYRAIL_GRPC_ADDRESS": "0.0.0.0:0"}, "KEYRAIL_GRPC_PLAINTEXT"),
        ({"KEYRAIL_GRPC_TLS_CERT": "missing.pem"}, "KEYRAIL_GRPC_TLS_KEY"),
        ({"KEYRAIL_GRPC_OPERATIONS": "drop_keys"}, "KEYRAIL_GRPC_OPERATIONS"),
        ({"KEYRAIL_GRPC_CLIENTS": "missing.json"}, "KEYRAIL_GRPC_CLIENTS"),
        ({"KEYRAIL_GRPC_THREADS": "none"}, "KEYRAIL_GRPC_THREADS"),
    ],
)
def test_a_wrong_setting_ends_the_start_and_is_named(stricken: Deployment, env: dict[str, str], named: str) -> None:
    container = Container(stricken, **env)
    try:
        wait_until(lambda: not container.process.is_running())
        assert container.process.epitaph().startswith("(status 1)")
        assert named in container.lines("settings")[0]["detail"]
    finally:
        container.stop()


def test_it_stops_on_interrupt_too(stricken: Deployment) -> None:
    import os

    with running(stricken, KEYRAIL_GRPC_DRAIN_NOTICE_SECONDS="0") as container:
        os.kill(container.process.pid, signal.SIGINT)
        wait_until(lambda: not container.process.is_running())
        assert container.process.epitaph().startswith("(status 0)")
