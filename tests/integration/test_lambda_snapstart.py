"""Instances that begin from one snapshot, under AWS's own runtime client, don't draw the same numbers."""

import sys
import sysconfig
from pathlib import Path

import pytest

from keyrail.dev.lambda_runtime import Lambda, install_client

ROOT = Path(__file__).parents[2]
MAIN = """
import random
random.seed(1)  # what each instance finds in the snapshot

from keyrail.triggers.entry_points import entry_points
entry_points("validate_key")

def lambda_handler(event, context):
    return [random.random() for _ in range(3)]
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("snapshot")
    (folder / "main.py").write_text(MAIN)
    install_client(Path(sys.executable), folder / "client")
    return folder


def drawn(task: Path, initialization: str) -> list[float]:
    paths = (task, task / "client", ROOT / "shared", sysconfig.get_path("purelib"))
    env = {"PYTHONPATH": ":".join(map(str, paths)), "AWS_LAMBDA_INITIALIZATION_TYPE": initialization}
    with Lambda(Path(sys.executable), task / "client", task, task / "log", env) as instance:
        numbers: list[float] = instance.invoke({})
        return numbers


def test_restored_instances_go_on_unlike_each_other(task: Path) -> None:
    first, second = drawn(task, "snap-start"), drawn(task, "snap-start")
    assert not {*first} & {*second}


def test_without_a_snapshot_nothing_is_seeded(task: Path) -> None:
    """So that the test above sees what the hook does, and not what starting does."""
    assert drawn(task, "on-demand") == drawn(task, "on-demand")
