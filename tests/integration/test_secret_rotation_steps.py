"""A key in a secret that AWS Secrets Manager rotates, over OpenBao and moto: each step as AWS calls it."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from counted_table import new_table
from keyrail.adapters.aws_client import AwsClient
from keyrail.operations import get_key, issue_key, rotate, rotate_due, validate_key
from keyrail.triggers.lambda_rotation import RotationFailed, run
from keyrail.triggers.served import Served
from rotated_secret import STEPS, RotatedSecret
from vault_mount import Mount
from vault_world import VaultWorld, vault_world

PREFIX = "rotated/"


class Rotated:
    """One key, its secret, and the function that rotates it."""

    def __init__(self, world: VaultWorld, aws: Any, **rotation: Any) -> None:
        self.world, name = world, f"acme/app-{secrets.token_hex(4)}"
        rotation = {"sink": f"secretsmanager:{name}", "grace_seconds": 600, **rotation}
        self.issued = world.call(issue_key.OPERATION, tenant="acme", owner="a", name="a key", rotation=rotation)
        self.secret = RotatedSecret(aws, PREFIX + name, json.dumps({"key_id": self.issued.key_id}))

    def invoke(self, event: dict[str, Any]) -> Any:
        self.world.clock.seconds += 2.0
        return run(Served("rotate", services=lambda: self.world.services), event, None)

    def code_of(self, key: str) -> str:
        return str(self.world.call(validate_key.OPERATION, key=key).code)

    @property
    def states(self) -> dict[int, str]:
        reply = self.world.call(get_key.OPERATION, key_id=self.issued.key_id)
        return {each.n: each.state for each in reply.generations}


@pytest.fixture(params=["vault", "dynamodb"])
def rotated(
    request: pytest.FixtureRequest,
    mount: Mount,
    aws_endpoint: str,
    aws_credentials: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Rotated]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    store = {"KEYRAIL_STORE": request.param, "KEYRAIL_DYNAMODB_TABLE": new_table(aws_endpoint).name}
    with vault_world(mount, KEYRAIL_SECRETS_PREFIX=PREFIX, **store) as world:
        yield Rotated(world, AwsClient("secretsmanager", 5.0, aws_endpoint).get())


def test_four_steps_rotate_it(rotated: Rotated) -> None:
    token = rotated.secret.rotate(rotated.invoke)
    first = rotated.secret.document()
    assert "AWSCURRENT" in rotated.secret.labels[token]
    assert [rotated.code_of(key) for key in (rotated.issued.key, first["api_key"])] == ["VALID", "VALID"]
    rotated.world.clock.seconds += 700
    rotated.secret.rotate(rotated.invoke)
    assert [rotated.code_of(each) for each in (rotated.issued.key, first["api_key"])] == ["ROTATED_OUT", "VALID"]
    assert rotated.secret.document("AWSPREVIOUS") == first
    assert rotated.code_of(rotated.secret.document()["api_key"]) == "VALID"


def test_a_rotation_that_was_cancelled_is_cleaned_up_by_the_next(rotated: Rotated) -> None:
    secret = rotated.secret
    cancelled = secret.begin()
    rotated.invoke(secret.event("createSecret", cancelled))
    left = secret.document("AWSPENDING")["api_key"]
    secret.aws.cancel_rotate_secret(SecretId=secret.arn)
    token = secret.rotate(rotated.invoke)
    labelled = {label: version for version, labels in secret.labels.items() for label in labels}
    assert (labelled["AWSCURRENT"], labelled.get("AWSPENDING", token)) == (token, token)
    assert cancelled not in labelled.values()
    assert [rotated.code_of(key) for key in (left, secret.document()["api_key"])] == ["ROTATED_OUT", "VALID"]
    assert sorted(rotated.states.values()) == ["current", "retired", "retiring"]


def test_by_hand_and_by_ticks_the_same_secret_is_written(rotated: Rotated) -> None:
    """The first delivery is a tick's, where it comes first. AWS goes on from what was rotated by hand."""
    secret, world = rotated.secret, rotated.world
    assert world.call(rotate_due.OPERATION).rotated == 1
    first = secret.document()
    world.clock.seconds += 700
    assert world.call(rotate_due.OPERATION).rotated == 0, "without an interval there is no next one"
    world.call(rotate.OPERATION, key_id=rotated.issued.key_id)
    assert secret.document()["generation"] == first["generation"] + 1
    world.clock.seconds += 700
    secret.rotate(rotated.invoke)
    assert secret.document()["generation"] == first["generation"] + 2
    assert rotated.code_of(secret.document()["api_key"]) == "VALID"


def test_rotated_by_hand_meanwhile_the_version_of_aws_is_given_up(rotated: Rotated) -> None:
    secret, world = rotated.secret, rotated.world
    token = secret.begin()
    rotated.invoke(secret.event("createSecret", token))
    world.call(rotate.OPERATION, key_id=rotated.issued.key_id, grace_seconds=0)
    current = secret.document()
    for step in STEPS:
        with pytest.raises(RotationFailed, match=r"^(CONCURRENT_CHANGE|BAD_ROTATION)"):
            rotated.invoke(secret.event(step, token))
    assert "AWSPENDING" not in {label for labels in secret.labels.values() for label in labels}
    assert secret.document() == current
    secret.rotate(rotated.invoke)
    assert rotated.code_of(secret.document()["api_key"]) == "VALID"


def test_a_key_of_another_secret_is_not_rotated(rotated: Rotated) -> None:
    """Somebody who may write one secret has it name the key in another."""
    theirs = RotatedSecret(rotated.secret.aws, f"{PREFIX}acme/theirs-{secrets.token_hex(4)}", None)
    theirs.aws.put_secret_value(SecretId=theirs.arn, SecretString=json.dumps({"key_id": rotated.issued.key_id}))
    with pytest.raises(RotationFailed, match=r"^BAD_SINK"):
        theirs.rotate(rotated.invoke)
    assert list(rotated.states.values()) == ["current"]
