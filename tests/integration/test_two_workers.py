"""WORKERS=2: two forked processes behind one port, which share no connection, no memory and no reply."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployed import FULL, Deployment, Instance
from http_api import Key

KEYS = 2000 if FULL else 150
VALIDATIONS = 2000 if FULL else 600
AT_A_TIME = 24
FRESH_SECONDS = 1.5


@pytest.fixture(scope="module")
def pair(deployment: Deployment) -> Iterator[Instance]:
    (instance,) = deployment.start("validate_key", WORKERS="2", THREADS="8")
    yield instance
    deployment.stop(instance)


def test_there_are_two(pair: Instance) -> None:
    found = subprocess.run(["pgrep", "-P", str(pair.function.process.pid)], capture_output=True, text=True, check=True)
    assert len(found.stdout.split()) == 2


def test_each_of_many_keys_at_once_gets_its_own_answer(deployment: Deployment, pair: Instance) -> None:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        keys = list(pool.map(lambda _: deployment.api.issue(), range(KEYS)))
        asked = [keys[number % KEYS] for number in range(VALIDATIONS)]
        answers = list(pool.map(lambda key: deployment.api.validate(key.text, at=pair.url).ok(), asked))
    print(f"\n{VALIDATIONS} concurrent validations of {KEYS} keys by two workers")
    assert [answer["key_id"] for answer in answers] == [key.key_id for key in asked]
    assert all(answer["valid"] for answer in answers)


def test_both_refuse_a_revoked_key(deployment: Deployment, pair: Instance) -> None:
    key = deployment.api.issue()
    assert set(_codes(deployment, pair, key)) == {"VALID"}
    deployment.api.revoke(key.key_id).ok()
    time.sleep(FRESH_SECONDS)
    assert set(_codes(deployment, pair, key)) == {"REVOKED"}


def _codes(deployment: Deployment, pair: Instance, key: Key) -> list[str]:
    """Of so many connections at once that both are asked."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(lambda _: deployment.api.code_of(key.text, at=pair.url), range(100)))
