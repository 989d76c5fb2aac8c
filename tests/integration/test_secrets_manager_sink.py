"""A key whose sink is a secret of AWS: a tick brings it there, the next ones make it new."""

import json
from typing import Any

import pytest

from keyrail.adapters.aws_client import AwsClient
from keyrail.bootstrap import build_services
from keyrail.domain.errors import Internal
from keyrail.operations import issue_key, rotate_due, validate_key
from keyrail.settings import load_settings
from vault_mount import Mount
from vault_world import VaultWorld, vault_world

SINK = "secretsmanager:acme/gateway"


def held(aws: Any, stage: str = "AWSCURRENT") -> dict[str, Any]:
    found = aws.get_secret_value(SecretId="sinks/acme/gateway", VersionStage=stage)
    document: dict[str, Any] = json.loads(found["SecretString"])
    return document


def code_of(world: VaultWorld, key: str) -> str:
    return str(world.call(validate_key.OPERATION, key=key).code)


def test_ticks_deliver_and_renew_it(
    mount: Mount, aws_endpoint: str, aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws_endpoint)
    aws = AwsClient("secretsmanager", 5.0, aws_endpoint).get()
    with vault_world(mount, KEYRAIL_SECRETS_PREFIX="sinks/") as world:
        rotation = {"sink": SINK, "interval_seconds": 3600, "grace_seconds": 600}
        issued = world.call(issue_key.OPERATION, tenant="acme", owner="a", name="a key", rotation=rotation)
        assert world.call(rotate_due.OPERATION).rotated == 1
        first = held(aws)
        assert (first["key_id"], code_of(world, first["api_key"])) == (issued.key_id, "VALID")
        world.clock.seconds += 3600
        assert world.call(rotate_due.OPERATION).rotated == 1
        second = held(aws)
        assert second["generation"] == first["generation"] + 1
        assert held(aws, "AWSPREVIOUS") == first
        assert [code_of(world, each["api_key"]) for each in (first, second)] == ["VALID", "VALID"]
        world.clock.seconds += 700
        assert [code_of(world, each["api_key"]) for each in (first, second)] == ["ROTATED_OUT", "VALID"]


def test_without_the_setting_there_is_no_such_sink(mount: Mount) -> None:
    with vault_world(mount) as world:
        rotation = {"sink": SINK, "interval_seconds": 3600, "grace_seconds": 600}
        world.call(issue_key.OPERATION, tenant="acme", owner="a", name="a key", rotation=rotation)
        reply = world.call(rotate_due.OPERATION)
        assert [failure.code for failure in reply.failures] == ["DELIVERY_FAILED"]


def test_without_boto3_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyrail.bootstrap_aws.find_spec", lambda _name: None)
    with pytest.raises(Internal) as refused:
        build_services(load_settings({"VAULT_TOKEN": "t", "KEYRAIL_SECRETS_PREFIX": "sinks/"}))
    assert "KEYRAIL_SECRETS_PREFIX" in refused.value.detail
    assert "keyrail[aws]" in refused.value.detail
