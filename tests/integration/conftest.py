"""One deployment for all tests that leave its Vault alone, and what others need to bring up their own."""

import fcntl
import os
from collections.abc import Iterator

import pytest
from canary import Canary
from deployed import ALL, Deployment, look_through_logs
from dev_process import Running
from lambda_world import Zips, make_zips
from rotating import OTHERS, ROTATOR, Rotations

from keyrail.dev.openbao import OpenBao

LONGEST = (
    "test_local_aws",
    "test_compose_up",
    "test_terraform_aws",
    "test_function_container",
    "test_lambda_zips",
    "test_google_source",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first, so that no process of the tests is left with it at the end. The canary looks for
    what all others were shown, so it comes last."""
    items.sort(key=lambda item: (item.path.name == "test_canary.py", item.path.stem not in LONGEST))


@pytest.fixture(scope="session")
def canary() -> Iterator[Canary]:
    """Of the whole run of a worker: what one test was shown must not come out in another either."""
    watching = Canary()
    yield watching
    assert watching.hits == set()


@pytest.fixture(scope="session")
def deployment(openbao: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Every function once, and validate_key twice: `deployment.instances[-1]` is the second."""
    made = Deployment(openbao, tmp_path_factory.mktemp("deployment"), canary)
    try:
        made.start(*ALL, "validate_key", KEYRAIL_IMPORTED_PREFIXES="sk-,pk_")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Everything as `keyrail dev` runs it, for the command line to talk to. Nothing in it ticks by itself."""
    made = Running.start(tmp_path_factory.mktemp("cli") / "keyrail", KEYRAIL_IMPORTED_PREFIXES="sk-,pk_")
    try:
        made.wait_until_up()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def rotations(openbao: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotations]:
    """A deployment whose only `rotate` never dies."""
    made = Deployment(openbao, tmp_path_factory.mktemp("rotations"), canary)
    try:
        made.start(*OTHERS)
        made.start("rotate", **ROTATOR)
        yield Rotations(made)
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def only_its_own_is_due(request: pytest.FixtureRequest) -> None:
    """A test of rotations counts what a tick does: what earlier ones left to come back to is not to come back in it."""
    if "rotations" in request.fixturenames:
        rotations: Rotations = request.getfixturevalue("rotations")
        rotations.forget_due()


@pytest.fixture(scope="session")
def zips(tmp_path_factory: pytest.TempPathFactory) -> Zips:
    """Made once in a run, since it takes a minute; pytest's processes have their folders beside each other."""
    own = tmp_path_factory.getbasetemp()
    of_all = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (of_all / "zips.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return make_zips(of_all / "zips", tmp_path_factory.mktemp("lambdas"))


@pytest.fixture(scope="module")
def own_vault(canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """One that a test may kill, stop, seal or break, and must leave answering."""
    with OpenBao(tmp_path_factory.mktemp("own-vault"), audit=True) as server:
        yield server
    look_through_logs(server, canary)
