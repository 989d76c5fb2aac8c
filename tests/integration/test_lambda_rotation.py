"""Ticks that the clock sends to the packaged Lambda: killed around any change, fired twice, late, side by side."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from deployed import FULL
from http_api import Reply
from lambda_world import Zips
from rotating import ROTATOR, Rotations, Rotator
from test_rotation_killed import CHANGES, MOMENTS, SAMPLE
from vault_proxy import proxy_to

from keyrail.dev.dist import PYTHONS
from keyrail.dev.lambda_runtime import Lambda, LambdaError

SCHEDULED = Path(__file__).parents[1] / "triggers/lambda_events/scheduler.json"
AT_ONCE = 3


class Instance:
    """As a test's rotator wants it: it may be killed, and another one takes its place."""

    url = ""

    def __init__(self, zips: Zips, env: dict[str, str], stack: ExitStack) -> None:
        self._zips, self._env, self._stack = zips, env, stack
        self._lambda = self._begin()

    def _begin(self) -> Lambda:
        return self._stack.enter_context(self._zips.running("rotate", PYTHONS[-1], self._env))

    def kill(self) -> None:
        self._lambda.process.kill()

    def restart(self) -> None:
        self.kill()
        self._lambda = self._begin()

    def tick(self, **changes: Any) -> Reply:
        """Raises: ConnectionError where the process was killed."""
        try:
            told = self._lambda.invoke(json.loads(SCHEDULED.read_text()) | changes)
        except LambdaError as error:
            if error.kind == "Runtime.ExitError":
                raise ConnectionError(str(error)) from error
            raise
        return Reply(200, http.client.HTTPMessage(), json.dumps(told))


@pytest.fixture(scope="module")
def instances(zips: Zips, rotations: Rotations) -> Iterator[list[Instance]]:
    deployment = rotations.deployment
    with ExitStack() as stack:
        yield [Instance(zips, deployment.environment("rotate", **ROTATOR), stack) for _ in range(AT_ONCE)]


@pytest.fixture(scope="module")
def rotator(zips: Zips, rotations: Rotations) -> Iterator[Rotator]:
    deployment = rotations.deployment
    with ExitStack() as stack:
        proxy = stack.enter_context(proxy_to(deployment.vault.address))
        env = deployment.environment("rotate", proxy.address, **ROTATOR)
        instance: Any = Instance(zips, env, stack)
        yield Rotator(deployment, proxy, instance)


def tick_of(rotator: Rotator) -> Reply:
    instance: Any = rotator.instance
    reply: Reply = instance.tick()
    return reply


def test_a_tick_makes_the_changes_that_one_over_http_makes(rotations: Rotations, rotator: Rotator) -> None:
    key = rotations.issue()
    assert rotator.changes_of(lambda: tick_of(rotator)) == CHANGES
    rotations.assert_rotated_once(key)


@pytest.mark.parametrize(("number", "when"), MOMENTS if FULL else SAMPLE)
def test_killed_around_any_change_the_next_tick_ends_it(
    rotations: Rotations, rotator: Rotator, number: int, when: str
) -> None:
    key = rotations.issue()
    assert rotator.dies(number, when, lambda: tick_of(rotator))
    rotations.assert_sink_alive(key)
    rotator.lives_again()
    rotations.tick_until_done(key)
    rotations.assert_rotated_once(key)
    assert rotations.api.get(key.key_id).ok()["rotation"]["failures"] == 0


def test_fired_again_and_late_a_key_rotates_once(rotations: Rotations, instances: list[Instance]) -> None:
    key = rotations.issue()
    assert instances[0].tick().ok()["rotated"] == 1
    assert instances[0].tick().ok()["rotated"] == 0
    assert instances[1].tick(time="2020-01-01T00:00:00Z").ok()["rotated"] == 0
    rotations.assert_rotated_once(key)


def test_side_by_side_each_key_rotates_once(rotations: Rotations, instances: list[Instance]) -> None:
    keys = rotations.issue_many(6)
    replies: list[Reply] = []
    threads = [threading.Thread(target=lambda each=each: replies.append(each.tick())) for each in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(reply.ok()["rotated"] for reply in replies) == len(keys)
    for key in keys:
        rotations.assert_rotated_once(key)
