"""Keys rotate and are revoked under the clients of a gateway, for a moment; in `make soak` for five minutes each."""

from collections.abc import Iterator

import pytest
from canary import Canary
from deployed import Deployment
from gateway_storm import GatewayStorm, Tally
from gateway_world import echo_service
from guarded import asking_by_grpc, asking_by_http

from keyrail.dev.openbao import OpenBao

SECONDS = 6
FRESH_SECONDS = 3.0  # on a busy machine; `make soak` asks for one and a half


@pytest.fixture(scope="module")
def world(own_vault: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(own_vault, tmp_path_factory.mktemp("storm"), canary)
    try:
        made.start("issue_key", "rotate", "revoke_key", "validate_key", "validate_key")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    with echo_service() as port:
        yield port


@pytest.mark.parametrize("name", ["nginx", "envoy"])
def test_no_wrong_answer_over_http(
    world: Deployment, service: int, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with asking_by_http(world, tmp_path_factory.mktemp(name), service, (name,)) as gateways:
        assert_right(name, GatewayStorm(world.api, gateways[name], seed=1).rage(SECONDS))


def test_no_wrong_answer_by_grpc(world: Deployment, service: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    with asking_by_grpc(world, tmp_path_factory.mktemp("grpc"), service) as (envoy, _):
        assert_right("envoy by gRPC", GatewayStorm(world.api, envoy, seed=1).rage(SECONDS))


def assert_right(name: str, tally: Tally) -> None:
    print(f"\n{name}: {tally}")
    assert tally.wrong == {}
    assert tally.longest_past_end <= FRESH_SECONDS
    assert min(tally.live, tally.ended, *(tally.changes[change] for change in ("rotated", "revoked"))) > 0
