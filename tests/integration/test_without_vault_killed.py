"""`keyrail bootstrap` on AWS killed (SIGKILL) around each of its writes, and run again: it always ends up the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_world import AwsWorld

from aws_faults import Answer, Between, serving
from keyrail.domain.decisions import Need
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.validation import check_key

WRITES = ("CreateSecret", "PutItem", "PutSecretValue", "UpdateItem", "UpdateSecretVersionStage")
COUNT = 5  # pepper, roles; of the admin key: claim, record, mark
MADE_BY_KMS = 1  # the one write that differs from those with Secrets Manager


class Killing(Between):
    """`kill` is told of each write before it is passed on and after; True drops the connection."""

    def __init__(self, endpoint: str, kill: Callable[[int, str], bool]) -> None:
        super().__init__(endpoint)
        self.writes, self._kill = 0, kill

    def answer(self, headers: Any, body: bytes) -> Answer:
        is_write = headers["X-Amz-Target"].partition(".")[2] in WRITES
        self.writes += is_write
        if is_write and self._kill(self.writes, "before"):
            return None
        answer = super().answer(headers, body)
        return None if is_write and self._kill(self.writes, "after") else answer


def run_until(world: AwsWorld, key_file: Path, number: int, moment: str) -> int:
    """The command, killed around its write `number`; the writes that were begun."""

    def kill(write: int, when: str) -> bool:
        if (write, when) != (number, moment):
            return False
        process.kill()
        process.wait()
        return True

    between = Killing(world.env["AWS_ENDPOINT_URL"], kill)
    with serving(between.answer) as url:
        process = world.start("bootstrap", "--admin-key-file", str(key_file), AWS_ENDPOINT_URL=url)
        with process:
            process.communicate(timeout=120)
        return between.writes


def assert_whole(world: AwsWorld, key_file: Path) -> None:
    """Of all admin keys ever made only the one in the file is alive, and a further run finds nothing to do."""
    done = world.keyrail_here("doctor", "--json")
    assert done.returncode == 0, done.stdout
    key, services = key_file.read_text().strip(), world.services()
    assert str(check_key(key, Need(), services).code) == "VALID"
    found = [services.keys.find(key_id) for key_id in services.keys.list_ids(SYSTEM_TENANT, None, 100).key_ids]
    now = services.clock.now()
    assert [each.record.key_id for each in found if each and each.state_at(now) == "active"] == [key.split("_")[2]]
    assert set(world.bootstrap()[0].values()) == {"kept"}
    assert json.loads(done.stdout)["ok"]


@pytest.mark.parametrize(
    ("pepper", "number", "moment"),
    [
        ("kms", MADE_BY_KMS, "before"),
        ("kms", MADE_BY_KMS, "after"),
        *(("secretsmanager", number, moment) for number in range(1, COUNT + 1) for moment in ("before", "after")),
    ],
)
def test_the_next_run_finishes(
    monkeypatch: pytest.MonkeyPatch, aws_endpoint: str, tmp_path: Path, pepper: str, number: int, moment: str
) -> None:
    world = AwsWorld.make(monkeypatch, aws_endpoint, pepper)
    assert run_until(world, tmp_path / "admin.key", number, moment) == number
    run_until(world, tmp_path / "admin.key", 0, "never")
    assert_whole(world, tmp_path / "admin.key")


@pytest.mark.parametrize("pepper", ["secretsmanager", "kms"])
def test_the_writes_are_as_counted(
    monkeypatch: pytest.MonkeyPatch, aws_endpoint: str, tmp_path: Path, pepper: str
) -> None:
    world = AwsWorld.make(monkeypatch, aws_endpoint, pepper)
    assert run_until(world, tmp_path / "admin.key", 0, "never") == COUNT
    assert_whole(world, tmp_path / "admin.key")
