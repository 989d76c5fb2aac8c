"""Many changes of one key at the same moment: one wins, the others are told, and a revocation beats them all."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployed import FULL, Deployment, Instance
from http_api import Key, Reply

AT_ONCE = 50
ROUNDS = 20 if FULL else 2
FRESH_SECONDS = 1.5


@pytest.fixture(scope="module")
def rotators(deployment: Deployment) -> Iterator[list[Instance]]:
    """Two, with threads enough that the store decides the race and not a queue before it."""
    started = deployment.start("rotate", "rotate", THREADS="25")
    yield started
    deployment.stop(*started)


def _all_at_once(calls: list[Callable[[], Reply]]) -> list[Reply]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def _rotations(
    deployment: Deployment, rotators: list[Instance], key: Key, idempotency_key: str | None = None, **fields: int
) -> list[Callable[[], Reply]]:
    def at(url: str) -> Callable[[], Reply]:
        return lambda: deployment.api.rotate(key.key_id, idempotency_key, at=url, **fields)

    return [at(rotators[number % len(rotators)].url) for number in range(AT_ONCE)]


def _states(deployment: Deployment, key: Key) -> list[str]:
    return [each["state"] for each in deployment.api.get(key.key_id).ok()["generations"]]


def _codes(deployment: Deployment, keys: list[str]) -> list[str]:
    return [deployment.api.code_of(key) for key in keys]


@pytest.mark.parametrize("number", range(ROUNDS))
def test_of_fifty_rotations_one_wins_and_the_others_are_told(
    deployment: Deployment, rotators: list[Instance], number: int
) -> None:
    key = deployment.api.issue()
    replies = _all_at_once(_rotations(deployment, rotators, key))
    assert Counter((reply.status, reply.code) for reply in replies) == {
        (200, "OK"): 1,
        (409, "ROTATION_IN_PROGRESS"): 49,
    }
    (won,) = [reply.json["key"] for reply in replies if reply.status == 200]
    assert _states(deployment, key) == ["retiring", "current"]
    assert _codes(deployment, [key.text, won]) == ["VALID", "VALID"]


@pytest.mark.parametrize("number", range(ROUNDS))
def test_fifty_repeats_of_one_rotation_leave_one_new_secret(
    deployment: Deployment, rotators: list[Instance], number: int
) -> None:
    key = deployment.api.issue()
    replies = _all_at_once(_rotations(deployment, rotators, key, "the-same"))
    assert {(reply.status, reply.code) for reply in replies} <= {(200, "OK"), (409, "ROTATION_IN_PROGRESS")}
    shown = [reply.json["key"] for reply in replies if reply.status == 200]
    assert shown
    states = _states(deployment, key)
    assert (states.count("current"), states.count("retiring")) == (1, 1)
    assert sorted(_codes(deployment, shown))[-1] == "VALID"
    assert _codes(deployment, shown).count("VALID") == 1
    assert deployment.api.code_of(key.text) == "VALID"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_fifty_rotations_without_grace_leave_one_secret_in_all(
    deployment: Deployment, rotators: list[Instance], number: int
) -> None:
    key = deployment.api.issue()
    replies = _all_at_once(_rotations(deployment, rotators, key, grace_seconds=0))
    assert {(reply.status, reply.code) for reply in replies} <= {(200, "OK"), (409, "ROTATION_IN_PROGRESS")}
    shown = [reply.json["key"] for reply in replies if reply.status == 200]
    states = _states(deployment, key)
    assert (states.count("current"), states.count("retiring")) == (1, 0)
    assert _codes(deployment, [key.text, *shown]).count("VALID") == 1


@pytest.mark.parametrize("number", range(ROUNDS))
def test_after_a_revocation_among_fifty_rotations_nothing_validates(
    deployment: Deployment, rotators: list[Instance], number: int
) -> None:
    """Those that hold the key in memory refuse it within FRESH_SECONDS, one that never saw it at once."""
    warm, cold = deployment.all_of("validate_key")
    key = deployment.api.issue()
    assert deployment.api.code_of(key.text, at=warm.url) == "VALID"
    revoked_at: list[float] = []

    def revoke() -> Reply:
        time.sleep(0.05 * number)
        reply = deployment.api.revoke(key.key_id)
        revoked_at.append(time.monotonic())
        assert deployment.api.code_of(key.text, at=cold.url) == "REVOKED"
        return reply

    replies = _all_at_once([*_rotations(deployment, rotators, key, "the-same"), revoke])
    assert replies[-1].status == 200
    assert {(reply.status, reply.code) for reply in replies} <= {
        (200, "OK"),
        (409, "ROTATION_IN_PROGRESS"),
        (409, "KEY_NOT_LIVE"),
    }
    shown = [reply.json["key"] for reply in replies[:-1] if reply.status == 200]
    time.sleep(max(0.0, revoked_at[0] + FRESH_SECONDS - time.monotonic()))
    for url in (warm.url, cold.url):
        codes = {deployment.api.code_of(text, at=url) for text in [key.text, *shown]}
        assert codes <= {"REVOKED", "NOT_FOUND"}, codes
        assert "REVOKED" in codes
    assert deployment.api.get(key.key_id).ok()["state"] == "revoked"
