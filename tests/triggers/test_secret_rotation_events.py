"""The function `rotate` asked by AWS Secrets Manager: whom it answers, what it refuses, and what it writes about it."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from deployment import Deployment, Issued, unavailable
from hypothesis import given
from hypothesis import strategies as some
from lambda_client import Context, handler_of
from process_output import Output
from test_any_message import VALUES
from test_lambda_events import FUZZED

from keyrail import bootstrap
from keyrail.triggers.lambda_rotation import RotationFailed
from secret_in_memory import SecretInMemory

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
ROTATION_TOKEN = "7d8b3f5e-rotation-token-that-nobody-may-see"
FIELDS = ("Step", "SecretId", "ClientRequestToken", "RotationToken")


class Asked:
    """A key in a secret, and the function that rotates both."""

    def __init__(self, deployment: Deployment, key: Issued, secret: SecretInMemory) -> None:
        self.deployment, self.key, self.secret = deployment, key, secret

    def event(self, step: str, token: str) -> dict[str, Any]:
        """As AWS sends it: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda.html"""
        arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keyrail/acme/gateway-AbCdEf"
        return {"Step": step, "SecretId": arn, "ClientRequestToken": token, "RotationToken": ROTATION_TOKEN}

    def run(self, event: Any, operation: str = "rotate") -> Any:
        return handler_of(operation)(event, Context())


@pytest.fixture
def asked(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Asked:
    sink = "secretsmanager:acme/gateway"
    key = deployment.issue(rotation={"sink": sink, "grace_seconds": 600})
    secret = SecretInMemory(sink)
    secret.fill(key.key, key.key_id)
    built = bootstrap._built
    assert built is not None
    monkeypatch.setattr(bootstrap, "_built", (built[0], replace(built[1], secret_versions=secret)))
    return Asked(deployment, key, secret)


def test_four_events_rotate_the_key_in_the_secret(asked: Asked, output: Output) -> None:
    token = asked.secret.begin()
    told = [asked.run(asked.event(step, token)) for step in STEPS]
    assert told == [{"step": step, "key_id": asked.key.key_id, "generation": 2} for step in STEPS]
    assert [asked.deployment.code_of(key) for key in (asked.key.key, asked.secret.key)] == ["VALID", "VALID"]


def test_each_step_is_a_line_with_its_caller_and_lambdas_own_id(asked: Asked, output: Output) -> None:
    token = asked.secret.begin()
    output.clear()
    for step in STEPS:
        asked.run(asked.event(step, token))
    lines = [line for line in output.lines("request") if line["operation"] == "rotate_secret"]
    assert [(line["step"], line["code"], line["key_id"]) for line in lines] == [
        (step, "OK", asked.key.key_id) for step in STEPS
    ]
    assert {line["actor"] for line in lines} == {"iam:secretsmanager"}
    assert {line["correlation_id"] for line in lines} == {Context().aws_request_id}


def test_no_secret_is_in_what_is_written(asked: Asked, output: Output) -> None:
    token = asked.secret.begin()
    for step in STEPS:
        asked.run(asked.event(step, token))
    for event in (asked.event("createSecret", "t" * 40), asked.event("nothing", token)):
        with pytest.raises(RotationFailed) as failed:
            asked.run(event)
        assert ROTATION_TOKEN not in str(failed.value)
    for secret in (ROTATION_TOKEN, asked.key.key, asked.secret.key):
        assert secret not in output.text


@pytest.mark.parametrize("step", STEPS)
def test_a_store_that_is_away_fails_the_step(asked: Asked, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    token = asked.secret.begin()
    for before in STEPS[: STEPS.index(step)]:
        asked.run(asked.event(before, token))
    with monkeypatch.context() as patch:
        patch.setattr(asked.deployment.services.keys, "find", unavailable)
        with pytest.raises(RotationFailed, match=r"^UNAVAILABLE: "):
            asked.run(asked.event(step, token))
    for each in STEPS:
        asked.run(asked.event(each, token))
    assert asked.deployment.code_of(asked.secret.key) == "VALID"


def test_a_field_that_aws_may_add_one_day_does_no_harm(asked: Asked) -> None:
    token = asked.secret.begin()
    assert asked.run(asked.event("createSecret", token) | {"Added": {"later": 1}})["generation"] == 2


@pytest.mark.parametrize("name", FIELDS[:3])
@pytest.mark.parametrize("value", [None, 5, "", [], {}, "x" * 5000, ...])
def test_a_malformed_event_fails_and_is_never_answered(asked: Asked, name: str, value: object) -> None:
    """An answer would tell Secrets Manager that the step is done."""
    token = asked.secret.begin()
    event = asked.event("createSecret", token) | {name: value}
    if value is ...:
        del event[name]
    with pytest.raises(RotationFailed, match=r"^INVALID_FIELD: "):
        asked.run(event)
    assert asked.secret.key == asked.key.key


@FUZZED
@given(data=some.data())
def test_a_broken_event_fails_or_is_done(asked: Asked, output: Output, data: Any) -> None:
    """Nothing else than RotationFailed is ever raised, and nothing secret written."""
    output.clear()
    asked.secret.cancel()
    token = asked.secret.begin()
    event = asked.event(data.draw(some.sampled_from(STEPS)), token)
    for name in data.draw(some.sets(some.sampled_from(FIELDS), min_size=1)):
        event[name] = data.draw(VALUES | some.text(some.characters(), max_size=40))
    with suppress(RotationFailed):
        json.dumps(asked.run(event))
    assert not {secret for secret in (ROTATION_TOKEN, asked.key.key, asked.secret.key) if secret in output.text}
    assert asked.deployment.code_of(asked.secret.key) == "VALID"


@pytest.mark.parametrize("operation", ["validate_key", "issue_key", "revoke_key"])
def test_no_other_function_takes_such_an_event(asked: Asked, operation: str) -> None:
    reply = asked.run(asked.event("createSecret", asked.secret.begin()), operation)
    assert (reply["statusCode"], json.loads(reply["body"])["code"]) == (400, "MALFORMED_REQUEST")


def test_a_client_of_the_gateway_can_not_ask_for_it(asked: Asked) -> None:
    """Its body may hold what it likes: the event is still the gateway's."""
    token = asked.secret.begin()
    reply = asked.deployment.call("rotate", asked.event("createSecret", token), key_id=asked.key.key_id)
    assert reply.status_code == 422
    assert asked.secret.read("", token) is None


def test_without_the_setting_it_says_so(deployment: Deployment) -> None:
    event = {"Step": "createSecret", "SecretId": "arn", "ClientRequestToken": "t" * 36}
    with pytest.raises(RotationFailed, match=r"^DELIVERY_FAILED: .*no sinks in Secrets Manager"):
        handler_of("rotate")(event, None)
