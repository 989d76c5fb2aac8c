"""A key in a secret that AWS Secrets Manager rotates, over OpenBao and moto: each step as AWS calls it."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from keyrail.adapters.aws_client import AwsClient
from keyrail.operations import get_key, issue_key, validate_key
from keyrail.triggers.lambda_rotation import run
from keyrail.triggers.served import Served
from rotated_secret import RotatedSecret
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


@pytest.fixture
def rotated(
    mount: Mount, aws_endpoint: str, aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rotated]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws_endpoint)
    aws = AwsClient("secretsmanager", 5.0, aws_endpoint).get()
    with vault_world(mount, KEYRAIL_SECRETS_PREFIX=PREFIX) as world:
        yield Rotated(world, aws)


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
