"""A real Envoy with the configuration of infra/gateways, asking real containers by mTLS."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from canary import Canary
from deployed import Deployment
from gateway_world import Gateway, certificates, echo_service, envoy
from grpc_container import Client, Container, running, wait_until

from keyrail.dev.openbao import OpenBao
from keyrail.v1 import keys_pb2


@pytest.fixture(scope="module")
def world(own_vault: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(own_vault, tmp_path_factory.mktemp("envoy"), canary)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("envoy-tls")


@pytest.fixture(scope="module")
def mutual(tls: Path) -> dict[str, str]:
    return certificates(tls)


@pytest.fixture(scope="module")
def admin(world: Deployment) -> Iterator[Client]:
    """Over plaintext, past Envoy."""
    import grpc

    with running(world) as container, grpc.insecure_channel(container.address) as channel:
        yield Client(channel, world.admin_key)


@pytest.fixture(scope="module")
def containers(world: Deployment, mutual: dict[str, str]) -> Iterator[list[Container]]:
    with running(world, **mutual) as first, running(world, **mutual) as second:
        yield [first, second]


@pytest.fixture(scope="module")
def gateway(
    world: Deployment, tls: Path, containers: list[Container], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("envoy-run")
    with echo_service() as port, envoy(folder, tls, [each.port for each in containers], port) as made:
        yield made
    world.canary.search("Envoy's log", (folder / "envoy.log").read_text(errors="replace"))


def bearer(key: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {key}"


def test_a_good_key_reaches_the_service_with_its_identity_and_without_the_key(gateway: Gateway, admin: Client) -> None:
    made = admin.issue(scopes=["ml:infer"])
    forged = (("X-Keyrail-Tenant", "evil"), ("X_Keyrail_Tenant", "evil"), ("x_keyrail-scopes", "*"))
    answer = gateway.get("/infer", bearer(made.key), *forged, ("Accept", "text/plain"))
    assert answer.status == 200
    told = [(name, value) for name, value in answer.passed_on if "keyrail" in name.replace("_", "-")]
    assert sorted(told) == [
        ("x-keyrail-generation", "1"),
        ("x-keyrail-key-id", made.record.key_id),
        ("x-keyrail-principal", "ml-team"),
        ("x-keyrail-scopes", "ml:infer"),
        ("x-keyrail-tenant", "acme"),
    ]
    assert made.key not in answer.text
    assert ("accept", "text/plain") in answer.passed_on


def test_the_key_goes_on_where_the_route_does_not_take_it_away(gateway: Gateway, admin: Client) -> None:
    made = admin.issue()
    assert ("x-api-key", made.key) in gateway.get("/other", ("X-API-Key", made.key)).passed_on


def test_each_refusal_keeps_its_status_and_headers(gateway: Gateway, admin: Client) -> None:
    poor, limited = admin.issue(), admin.issue(scopes=["ml:infer"], rate={"requests": 1, "window_seconds": 600})
    missing = gateway.get("/infer")
    assert (missing.status, missing.code) == (401, "MISSING")
    assert missing.headers["www-authenticate"] == 'Bearer realm="keyrail"'
    assert missing.headers["content-type"] == "application/problem+json"
    unscoped = gateway.get("/infer", bearer(poor.key), ("required_scopes", ""), ("x-required-scopes", ""))
    assert (unscoped.status, unscoped.code) == (403, "INSUFFICIENT_SCOPE")
    seen = [gateway.get("/infer", bearer(limited.key)) for _ in range(5)]  # each container counts for itself
    used_up = seen[-1]
    assert (used_up.status, used_up.code) == (429, "RATE_LIMITED")
    assert 0 < int(used_up.headers["retry-after"]) <= 600


def test_two_credentials_are_no_way_around(gateway: Gateway, admin: Client) -> None:
    good, poor = admin.issue(scopes=["ml:infer"]), admin.issue()
    answer = gateway.get("/infer", bearer(poor.key), bearer(good.key))
    assert (answer.status, answer.code) == (401, "MALFORMED")
    answer = gateway.get("/infer", bearer(poor.key), ("X-API-Key", good.key))
    assert (answer.status, answer.code) == (401, "MALFORMED")


def test_no_connection_header_takes_the_identity_away(gateway: Gateway, admin: Client) -> None:
    """RFC 9110 section 7.6.1: what Connection names is dropped by the next hop; what we set must not be."""
    made = admin.issue(scopes=["ml:infer"])
    answer = gateway.get("/infer", bearer(made.key), ("Connection", "close, X-Keyrail-Tenant, X-Keyrail-Key-Id"))
    told = dict(answer.passed_on)
    assert (told["x-keyrail-tenant"], told["x-keyrail-key-id"]) == ("acme", made.record.key_id)


def test_a_client_can_not_say_where_it_comes_from(gateway: Gateway, admin: Client) -> None:
    made = admin.issue(scopes=["ml:infer"], context={"cidrs": ["10.0.0.0/8"], "audiences": ["inference"]})
    answer = gateway.get("/infer", bearer(made.key), ("X-Forwarded-For", "10.0.0.1"), ("X-Real-IP", "10.0.0.1"))
    assert (answer.status, answer.code) == (403, "CONTEXT_DENIED")
    local = admin.issue(scopes=["ml:infer"], context={"cidrs": ["127.0.0.0/8"], "audiences": ["inference"]})
    assert gateway.get("/infer", bearer(local.key)).status == 200


def test_a_retiring_key_passes_and_its_client_is_told(gateway: Gateway, admin: Client) -> None:
    made = admin.issue(scopes=["ml:infer"])
    admin.call(admin.keys.Rotate, keys_pb2.RotateRequest(key_id=made.record.key_id, grace_seconds=600))
    wait_until(lambda: "sunset" in gateway.get("/infer", bearer(made.key)).headers)
    answer = gateway.get("/infer", bearer(made.key))
    assert (answer.status, answer.headers["deprecation"][0]) == (200, "@")


def test_a_revoked_key_is_refused_within_about_a_second(gateway: Gateway, admin: Client) -> None:
    made = admin.issue(scopes=["ml:infer"])
    assert gateway.get("/infer", bearer(made.key)).status == 200
    admin.call(admin.keys.RevokeKey, keys_pb2.RevokeKeyRequest(key_id=made.record.key_id))
    wait_until(lambda: from_both(gateway, made.key) == {401}, seconds=3)
    assert gateway.get("/infer", bearer(made.key)).code == "REVOKED"


def from_both(gateway: Gateway, key: str) -> set[int]:
    """The statuses of some requests in a row: Envoy asks the containers by turns."""
    return {gateway.get("/infer", bearer(key)).status for _ in range(4)}


def test_a_route_without_the_filter_asks_nobody(gateway: Gateway) -> None:
    assert gateway.get("/healthz").text == "ok\n"


def test_a_lost_vault_is_503_with_a_time_to_try_again_and_never_401(
    gateway: Gateway, admin: Client, own_vault: OpenBao
) -> None:
    made = admin.issue(scopes=["ml:infer"])
    assert gateway.get("/infer", bearer(made.key)).status == 200
    own_vault.kill()
    try:
        statuses = {gateway.get("/infer", bearer(made.key)).status for _ in range(20)}
        wait_until(lambda: from_both(gateway, made.key) == {503})
        assert statuses <= {200, 503}
        answer = gateway.get("/infer", bearer(made.key))
        assert (answer.code, answer.headers["retry-after"]) == ("UNAVAILABLE", "1")
        assert "correlation_id" in answer.text  # it is Keyrail's own, not Envoy's
    finally:
        own_vault.start()
    wait_until(lambda: from_both(gateway, made.key) == {200})


def test_containers_that_do_not_answer_let_nothing_pass(
    gateway: Gateway, admin: Client, containers: list[Container]
) -> None:
    made = admin.issue(scopes=["ml:infer"])
    assert from_both(gateway, made.key) == {200}
    for container in containers:
        os.kill(container.process.pid, signal.SIGSTOP)
    try:
        answers = [gateway.get("/infer", bearer(made.key)) for _ in range(3)]
    finally:
        for container in containers:
            os.kill(container.process.pid, signal.SIGCONT)
    told = {(answer.status, answer.code, answer.headers.get("retry-after")) for answer in answers}
    assert told == {(503, "UNAVAILABLE", "1")}
    wait_until(lambda: from_both(gateway, made.key) == {200})
