"""Keys that rotate into files: a consumer on the same machine reads the new one before the old one ends."""

import json
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deployed import Instance
from http_api import Key
from rotating import ROTATOR, Rotations

SECOND = 1.01  # a hint is of the second that follows


@pytest.fixture
def rotator(rotations: Rotations, tmp_path: Path) -> Iterator[Instance]:
    instance = rotations.deployment.launch("rotate", KEYRAIL_SINK_DIR=str(tmp_path), **ROTATOR)
    instance.wait()
    yield instance
    rotations.deployment.stop(instance)


def issue(rotations: Rotations, name: str) -> Key:
    rotation = {"grace_seconds": 3600, "interval_seconds": 86_400, "sink": f"file:acme/{name}"}
    made: Key = rotations.api.issue(rotation=rotation)
    time.sleep(SECOND - datetime.now(UTC).microsecond / 1e6)
    return made


def held(rotations: Rotations, file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_text())
    rotations.deployment.canary.knows_key(document["api_key"])
    return document


def test_a_tick_brings_each_new_key_into_its_file(rotations: Rotations, rotator: Instance, tmp_path: Path) -> None:
    key, file = issue(rotations, "services/gateway"), tmp_path / "acme/services/gateway"
    assert rotations.tick(rotator.url)["rotated"] == 1
    first = held(rotations, file)
    assert (first["key_id"], first["generation"]) == (key.key_id, 2)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [rotations.api.code_of(each) for each in (key.text, first["api_key"])] == ["VALID", "VALID"]

    rotations.api.rotate(key.key_id, at=rotator.url, grace_seconds=0).ok()
    second = held(rotations, file)
    assert second["generation"] == 3
    assert rotations.api.code_of(second["api_key"]) == "VALID"
    time.sleep(1.5)
    assert [rotations.api.code_of(each) for each in (key.text, first["api_key"])] == ["ROTATED_OUT", "ROTATED_OUT"]


def test_a_place_that_can_not_be_written_is_told(rotations: Rotations, rotator: Instance, tmp_path: Path) -> None:
    key = issue(rotations, "taken/gateway")
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/taken").write_text("a file where its folder should be")
    failure = rotations.try_tick(rotator.url)
    assert (failure.status, failure.json["failures"]) == (503, [{"subject": key.key_id, "code": "DELIVERY_FAILED"}])
    assert rotations.api.code_of(key.text) == "VALID"
