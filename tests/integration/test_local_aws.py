"""The service as Terraform deploys it, and what Secrets Manager rotates with it, on servers that stand for AWS.

What each shows is in keyrail/dev/local_aws, which `make localstack` runs as well: docs/deploy/local-aws.md.
"""

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from keyrail.dev.local_aws import checks, rotation, service
from keyrail.dev.local_aws.environments import ROOT
from keyrail.dev.local_aws.report import Report

CACHE = ROOT / "build/localstack"  # as make localstack has it: it takes minutes to fill
FUNCTIONS = ("issue_key", "validate_key", "rotate", "revoke_key")  # each takes Terraform seven seconds
REPORT = Report(as_json=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("local-aws")


@pytest.fixture(scope="module", autouse=True)
def _with_terraform() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")


@pytest.fixture(scope="module")
def services(folder: Path) -> Iterator[Mapping[str, service.Service]]:
    """Side by side, since Terraform waits more than it works."""
    with ExitStack() as running, ThreadPoolExecutor() as pool:
        starting = {}
        for name, with_vault in {"with": True, "without": False}.items():
            made = service.deployed(CACHE, folder / name, REPORT, functions=FUNCTIONS, with_vault=with_vault)
            starting[name] = pool.submit(running.enter_context, made)
        yield {name: each.result() for name, each in starting.items()}


@pytest.fixture(scope="module")
def deployed(services: Mapping[str, service.Service]) -> service.Service:
    return services["with"]


def test_the_life_of_a_key_the_authorizer_a_second_plan_and_the_clock(deployed: service.Service) -> None:
    service.check(deployed, REPORT)


def test_secrets_manager_rotates_a_key_of_the_service(deployed: service.Service, folder: Path) -> None:
    with rotation.deployed(deployed, CACHE, folder, REPORT) as rotated:
        rotation.check(rotated, deployed, REPORT)


def test_without_a_vault_a_key_lives_the_same(services: Mapping[str, service.Service]) -> None:
    service.check_life(services["without"], REPORT)


def test_a_check_can_fail(deployed: service.Service) -> None:
    stranger = checks.Api(deployed.api.url, "nobody")
    with pytest.raises(checks.CheckFailed, match=r"/v1/keys: \(401, 'MALFORMED'.*instead of 201"):
        checks.guards(stranger, deployed.model_url)
