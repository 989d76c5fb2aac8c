"""One deployment for all tests that leave its Vault alone, and what others need to bring up their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from canary import Canary
from deployed import ALL, Deployment
from rotating import OTHERS, ROTATOR, Rotations

from keyrail.dev.openbao import OpenBao

Deploy = Callable[..., Deployment]


@pytest.fixture(scope="session")
def canary() -> Canary:
    """Of the whole run: what one test was shown must not come out in another either."""
    return Canary()


@pytest.fixture(scope="session")
def deployment(openbao: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Every function once, and validate_key twice: `deployment.instances[-1]` is the second."""
    made = Deployment(openbao, tmp_path_factory.mktemp("deployment"), canary)
    try:
        made.start(*ALL, "validate_key")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def rotations(openbao: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotations]:
    """A deployment in which nothing is due but what a test makes due; its only `rotate` never dies."""
    made = Deployment(openbao, tmp_path_factory.mktemp("rotations"), canary)
    try:
        made.start(*OTHERS)
        made.start("rotate", **ROTATOR)
        yield Rotations(made)
    finally:
        made.stop()


@pytest.fixture(scope="module")
def own_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """One that a test may kill, stop, seal or break, and must leave answering."""
    with OpenBao(tmp_path_factory.mktemp("own-vault"), audit=True) as server:
        yield server


@pytest.fixture
def deploy(openbao: OpenBao, canary: Canary, tmp_path: Path) -> Iterator[Deploy]:
    """A deployment of the test's own, without functions yet; on the shared Vault unless another is given."""
    made: list[Deployment] = []

    def build(vault: OpenBao = openbao) -> Deployment:
        made.append(Deployment(vault, tmp_path / f"deployment-{len(made)}", canary))
        return made[-1]

    yield build
    for each in made:
        each.stop()
