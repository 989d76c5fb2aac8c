"""Secrets Manager's four steps at the packaged Lambda: killed around any change, doubled, with Vault or AWS away."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from deployed import FULL
from lambda_world import Zips
from rotated_by_aws import Function, Rotated, functions, issue
from rotating import Rotations

from keyrail.adapters.aws_client import AwsClient
from keyrail.dev.aws import CREDENTIALS
from keyrail.dev.lambda_runtime import LambdaError
from rotated_secret import STEPS

CREATE, FINISH = STEPS[0], STEPS[-1]
CHANGES = {
    # a hint, claim, told; delivered
    CREATE: ["due", "keys", "outbox", "PutSecretValue"],
    # moved, told; two hints; promoted, fed, told; the first hint is removed
    FINISH: ["UpdateSecretVersionStage", "outbox", "due", "due", "keys", "feed", "outbox", "-due"],
}
MOMENTS = [
    (step, number, when)
    for step, changes in CHANGES.items()
    for number in range(1, len(changes) + 1)
    for when in ("before", "after")
]
SAMPLE = [
    (CREATE, 2, "after"),
    (CREATE, 4, "before"),
    (CREATE, 4, "after"),
    (FINISH, 1, "before"),
    (FINISH, 1, "after"),
    (FINISH, 5, "after"),
    (FINISH, 7, "before"),
]
VAULT, AWS = 0, 1
POLL_SECONDS = 0.02


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield AwsClient("secretsmanager", 5.0, aws_endpoint).get()


@pytest.fixture(scope="module")
def two(
    zips: Zips, rotations: Rotations, aws_endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Function]]:
    with functions(zips, rotations, aws_endpoint, tmp_path_factory.mktemp("runtime"), count=2) as made:
        yield made


@pytest.fixture
def function(two: list[Function]) -> Function:
    return two[0]


def key_in(rotated: Rotated, rotations: Rotations) -> str:
    key = str(rotated.secret.document()["api_key"])
    rotations.deployment.canary.knows_key(key)
    return key


def assert_alive(rotated: Rotated, rotations: Rotations) -> None:
    assert rotations.api.code_of(key_in(rotated, rotations)) == "VALID"


def assert_rotated_once(rotated: Rotated, rotations: Rotations, token: str) -> None:
    verdict = rotations.api.validate(key_in(rotated, rotations)).ok()
    record = rotations.deployment.document(f"keys/{rotated.key_id[:2]}/{rotated.key_id}")
    states = {each["n"]: each["state"] for each in record["generations"]}
    assert (verdict["code"], states[verdict["generation"]]) == ("VALID", "current"), states
    assert list(states.values()).count("current") == 1
    assert "pending" not in states.values()
    assert rotations.api.code_of(rotated.text) == "VALID", "its grace"
    assert "AWSCURRENT" in rotated.secret.labels[token]
    assert rotations.told("rotation.promoted")[rotated.key_id] == 1


def test_the_changes_of_each_step_are_those_above(function: Function, rotations: Rotations, aws: Any) -> None:
    rotated = issue(rotations, aws)
    token = rotated.secret.begin()
    changes = {step: function.changes_of(rotated.secret.event(step, token)) for step in STEPS}
    assert changes == {step: CHANGES.get(step, []) for step in STEPS}
    assert_rotated_once(rotated, rotations, token)


@pytest.mark.parametrize(("step", "number", "when"), MOMENTS if FULL else SAMPLE)
def test_killed_around_any_change_the_next_try_ends_it(
    function: Function, rotations: Rotations, aws: Any, step: str, number: int, when: str
) -> None:
    rotated = issue(rotations, aws)
    token = rotated.secret.begin()
    for before in STEPS[: STEPS.index(step)]:
        function.invoke(rotated.secret.event(before, token))
    function.dies(number, when, rotated.secret.event(step, token))
    assert_alive(rotated, rotations)
    function.restart()
    rotated.secret.rotate(function.invoke, token)
    assert_rotated_once(rotated, rotations, token)


@pytest.mark.parametrize("away", [VAULT, AWS], ids=["vault", "aws"])
@pytest.mark.parametrize("step", STEPS)
def test_with_vault_or_aws_away_a_step_fails_and_the_next_try_ends_it(
    function: Function, rotations: Rotations, aws: Any, step: str, away: int
) -> None:
    rotated = issue(rotations, aws)
    token = rotated.secret.begin()
    for before in STEPS[: STEPS.index(step)]:
        function.invoke(rotated.secret.event(before, token))
    with function.without(away), pytest.raises(LambdaError) as failed:
        function.invoke(rotated.secret.event(step, token))
    assert failed.value.kind == "RotationFailed"
    assert str(failed.value).startswith(("UNAVAILABLE: ", "DEADLINE_EXCEEDED: ", "DELIVERY_FAILED: "))
    assert_alive(rotated, rotations)
    rotated.secret.retry(function.invoke, token)
    assert_rotated_once(rotated, rotations, token)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_comes_twice_at_once_rotates_once(
    two: list[Function], rotations: Rotations, aws: Any, step: str
) -> None:
    """One of them may fail of the other; then Secrets Manager tries again."""
    rotated = issue(rotations, aws)
    token = rotated.secret.begin()
    for before in STEPS[: STEPS.index(step)]:
        two[0].invoke(rotated.secret.event(before, token))
    failed: list[LambdaError] = []

    def invoke(function: Function) -> None:
        try:
            function.invoke(rotated.secret.event(step, token))
        except LambdaError as error:
            failed.append(error)

    threads = [threading.Thread(target=invoke, args=(each,)) for each in two]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(error.kind == "RotationFailed" for error in failed)
    assert_alive(rotated, rotations)
    rotated.secret.retry(two[0].invoke, token)
    assert_rotated_once(rotated, rotations, token)


def test_a_consumer_that_reads_the_secret_is_never_refused(function: Function, rotations: Rotations, aws: Any) -> None:
    """While it is rotated again and again, by a function that is killed in each rotation."""
    rotated = issue(rotations, aws, grace_seconds=1)
    ended, codes = threading.Event(), []

    def consume() -> None:
        while not ended.is_set():
            codes.append(rotations.api.code_of(key_in(rotated, rotations)))
            time.sleep(POLL_SECONDS)

    consumer = threading.Thread(target=consume)
    consumer.start()
    try:
        for step, number, when in MOMENTS if FULL else SAMPLE[1::2]:
            token = rotated.secret.begin()
            for before in STEPS[: STEPS.index(step)]:
                function.invoke(rotated.secret.event(before, token))
            function.dies(number, when, rotated.secret.event(step, token))
            function.restart()
            rotated.secret.retry(function.invoke, token)
            time.sleep(1.1)  # the grace
    finally:
        ended.set()
        consumer.join()
    print(f"\n{len(codes)} uses")
    assert set(codes) == {"VALID"}
    assert rotations.api.code_of(rotated.text) in ("ROTATED_OUT", "NOT_FOUND"), "of 24 rotations it is forgotten"


def test_what_is_refused_says_why_to_secrets_manager(function: Function, rotations: Rotations, aws: Any) -> None:
    rotated = issue(rotations, aws)
    rotated.secret.begin()
    with pytest.raises(LambdaError, match=r"^BAD_ROTATION: .*AWSPENDING") as failed:
        function.invoke(rotated.secret.event(CREATE, "0" * 36))
    assert failed.value.kind == "RotationFailed"
    assert_alive(rotated, rotations)
