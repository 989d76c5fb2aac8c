"""The two that a gateway asks are replaced one after the other, under load: no client is refused."""

from collections.abc import Iterator

import pytest
from canary import Canary
from deployed import Deployment
from gateway_world import Gateway, echo_service
from grpc_container import Load
from guarded import asking_by_grpc, asking_by_http, replace_one_after_the_other
from http_api import Key
from http_gateways import HttpGateway

from keyrail.dev.openbao import OpenBao

THREADS = 2


@pytest.fixture(scope="module")
def world(own_vault: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(own_vault, tmp_path_factory.mktemp("restarts"), canary)
    try:
        made.start("issue_key", "validate_key", "validate_key")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    with echo_service() as port:
        yield port


@pytest.fixture(scope="module")
def key(world: Deployment) -> Key:
    return world.api.issue()


@pytest.fixture(scope="module")
def by_http(
    world: Deployment, service: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, HttpGateway]]:
    with asking_by_http(world, tmp_path_factory.mktemp("http"), service, ("nginx", "envoy")) as made:
        yield made


def status_at(gateway: Gateway, key: Key) -> int:
    return gateway.get("/infer", ("X-API-Key", key.text)).status


@pytest.mark.parametrize("name", ["nginx", "envoy"])
def test_instances_of_validate_key_behind(
    by_http: dict[str, HttpGateway], world: Deployment, key: Key, name: str
) -> None:
    with Load(lambda: status_at(by_http[name], key), THREADS) as load:
        replace_one_after_the_other(world.all_of("validate_key"), load)
    assert_none_failed(name, load, "200")


def test_instances_behind_nginx_as_a_load_balancer(
    by_http: dict[str, HttpGateway], world: Deployment, key: Key
) -> None:
    balancer = f"http://127.0.0.1:{by_http['nginx'].balancer_port}"
    with Load(lambda: world.api.validate(key.text, at=balancer).code, THREADS) as load:
        replace_one_after_the_other(world.all_of("validate_key"), load)
    assert_none_failed("nginx as a load balancer", load, "VALID")


def test_containers_behind_envoy(
    world: Deployment, service: int, key: Key, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        asking_by_grpc(world, tmp_path_factory.mktemp("grpc"), service) as (envoy, containers),
        Load(lambda: status_at(envoy, key), THREADS) as load,
    ):
        replace_one_after_the_other(containers, load)
    assert_none_failed("envoy by gRPC", load, "200")


def assert_none_failed(name: str, load: Load, wanted: str) -> None:
    print(f"\n{name}: {dict(load.outcomes)}")
    assert set(load.outcomes) == {wanted}
