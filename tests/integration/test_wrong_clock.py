"""One instance whose clock is two minutes off, in either direction, beside others whose clocks are right.

Only the time of day is off, as by a wrong NTP server; the time that passes is seen as it is.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deployed import Instance
from rotating import ROTATOR, Rotations

OFF_SECONDS = 120
GRACE_SECONDS = 300  # longer than a clock may be off
SET_WRONG = """
import datetime, os
from keyrail.adapters.system_clock import SystemClock
right = SystemClock.now
SystemClock.now = lambda self: right(self) + datetime.timedelta(seconds=int(os.environ["OFF_SECONDS"]))
"""


@contextmanager
def launched(rotations: Rotations, folder: Path, name: str, off_seconds: int) -> Iterator[Instance]:
    """Python runs sitecustomize.py in each process before anything else."""
    (folder / "sitecustomize.py").write_text(SET_WRONG)
    env = {**ROTATOR, "PYTHONPATH": str(folder), "OFF_SECONDS": str(off_seconds)}
    instance = rotations.deployment.launch(name, **env)
    try:
        instance.wait()
        yield instance
    finally:
        rotations.deployment.stop(instance)


@pytest.fixture(params=[OFF_SECONDS, -OFF_SECONDS], ids=["ahead", "behind"])
def off_seconds(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def wrong(rotations: Rotations, tmp_path: Path, off_seconds: int) -> Iterator[Instance]:
    with launched(rotations, tmp_path, "rotate", off_seconds) as instance:
        yield instance


def test_side_by_side_each_key_is_rotated_once_and_nobody_is_refused(rotations: Rotations, wrong: Instance) -> None:
    keys = rotations.issue_many(2, grace_seconds=GRACE_SECONDS)
    for key in keys:
        assert rotations.try_tick(wrong.url).status == 200
        rotations.assert_sink_alive(key)
        rotations.tick_until_done(key)
    for key in keys:
        rotations.assert_rotated_once(key)


def test_a_grace_is_as_long_as_promised_but_for_the_error(
    rotations: Rotations, wrong: Instance, off_seconds: int
) -> None:
    """Rotated by the wrong clock, asked for by the right one."""
    key = rotations.issue(grace_seconds=GRACE_SECONDS, interval_seconds=None)
    rotations.api.rotate(key.key_id, at=wrong.url).ok()
    retire_at = next(each["retire_at"] for each in rotations.record(key)["generations"] if each["n"] == 1)
    left = (datetime.fromisoformat(retire_at) - datetime.now(UTC)).total_seconds()
    assert abs(left - (GRACE_SECONDS + off_seconds)) < 10
    rotations.assert_rotated_once(key)


def test_what_is_revoked_is_refused_by_a_validator_with_a_wrong_clock(
    rotations: Rotations, tmp_path: Path, off_seconds: int
) -> None:
    api = rotations.api
    with launched(rotations, tmp_path, "validate_key", off_seconds) as validator:
        key = api.issue()
        assert api.code_of(key.text, at=validator.url) == "VALID"
        api.revoke(key.key_id).ok()
        time.sleep(1.5)
        assert api.code_of(key.text, at=validator.url) == "REVOKED"
