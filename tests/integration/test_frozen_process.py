"""A process that stood still, as a frozen sandbox or a starved container does, wakes with an old memory. It reads the
feed before it believes it, also for the very request that woke it."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployed import FULL, Deployment, Instance
from http_api import Key

ROUNDS = 20 if FULL else 4
AT_ONCE = 3  # fewer than its threads


@pytest.fixture(scope="module")
def sleeper(deployment: Deployment) -> Iterator[Instance]:
    (instance,) = deployment.start("validate_key")
    yield instance
    deployment.stop(instance)


@pytest.mark.parametrize("asleep_seconds", [2.0, 3.5, 6.0])
def test_what_was_revoked_while_it_slept_is_refused_by_its_first_answer(
    deployment: Deployment, sleeper: Instance, asleep_seconds: float
) -> None:
    for _ in range(ROUNDS if asleep_seconds < 3 else 1):
        key = deployment.api.issue()
        assert deployment.api.code_of(key.text, at=sleeper.url) == "VALID"
        assert set(_first_answers(deployment, sleeper, key, asleep_seconds)) == {"REVOKED"}


def _first_answers(deployment: Deployment, sleeper: Instance, key: Key, asleep_seconds: float) -> list[str]:
    """To requests that came in while it slept; the key was revoked long enough before it woke."""
    os.killpg(sleeper.function.process.pid, signal.SIGSTOP)
    try:
        deployment.api.revoke(key.key_id).ok()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(deployment.api.code_of, key.text, at=sleeper.url) for _ in range(AT_ONCE)]
            time.sleep(asleep_seconds)
            os.killpg(sleeper.function.process.pid, signal.SIGCONT)
            return [answer.result() for answer in asked]
    finally:
        os.killpg(sleeper.function.process.pid, signal.SIGCONT)
