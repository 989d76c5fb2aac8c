"""The pepper throttled, refused, hanging or away: 503, never 401, and the log names AWS's code and nothing else."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_world import PEPPERS, AwsWorld
from dynamo_process import OPERATIONS

from aws_faults import REQUEST_LOST, Answer, Between, Fate, aws_error, serving
from keyrail.adapters import aws_client
from keyrail.adapters.aws_answer import TRIES
from keyrail.dev.ports import free_ports
from keyrail.ports import Services
from keyrail.triggers.http_exchange import HttpReply
from keyrail.triggers.http_messages import HttpRequest

SERVICE = {"secretsmanager": "SECRETS_MANAGER", "kms": "KMS"}
REFUSALS = {
    "secretsmanager": ["AccessDeniedException", "ResourceNotFoundException", "DecryptionFailure"],
    "kms": ["AccessDeniedException", "DisabledException", "KMSInvalidStateException", "NotFoundException"],
}
KINDS = [(pepper, code) for pepper in PEPPERS for code in REFUSALS[pepper]]


class Faulty:
    """A bootstrapped deployment whose pepper is behind `between`."""

    def __init__(self, world: AwsWorld, key: str, between: Between) -> None:
        self.world, self.key, self.between = world, key, between

    def answer(self, services: Services, operation: str = "validate_key", **body: Any) -> HttpReply:
        sent = json.dumps(body or {"key": self.key}).encode()
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        request = HttpRequest("POST", "/", "", headers.get, lambda _limit: sent)
        return OPERATIONS[operation].answer(request, services)


@pytest.fixture(params=PEPPERS)
def faulty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, aws_endpoint: str) -> Iterator[Faulty]:
    yield from made(request.param, monkeypatch, aws_endpoint)


def made(pepper: str, monkeypatch: pytest.MonkeyPatch, aws_endpoint: str) -> Iterator[Faulty]:
    world, between = AwsWorld.make(monkeypatch, aws_endpoint, pepper), Between(aws_endpoint)
    _, (key,) = world.bootstrap()
    with serving(between.answer) as url:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{SERVICE[pepper]}", url)
        yield Faulty(world, key, between)


@pytest.mark.parametrize(
    "fate", [Fate(aws_error("ThrottlingException")), Fate(aws_error("InternalServiceError", 500)), REQUEST_LOST]
)
def test_for_a_moment_nobody_is_told_and_for_longer_it_is_503(
    faulty: Faulty, fate: Fate, caplog: pytest.LogCaptureFixture
) -> None:
    faulty.between.fates = [fate] * (TRIES - 1)
    assert faulty.answer(faulty.world.services()).status == 200
    services = faulty.world.services()
    for operation, body in (
        ("validate_key", {"key": faulty.key}),
        ("issue_key", {"tenant": "acme", "owner": "ml-team", "name": "a key"}),
        ("revoke_key", {"key_id": faulty.key.split("_")[2]}),
    ):
        faulty.between.fates = [fate] * TRIES
        reply = faulty.answer(services, operation, **body)
        assert (operation, reply.status, reply.headers["Retry-After"]) == (operation, 503, "1")
        assert faulty.between.fates == []
    assert faulty.answer(services).status == 200
    assert faulty.key not in caplog.text


@pytest.mark.parametrize(("pepper", "code"), KINDS)
def test_a_refusal_is_no_answer_and_is_not_repeated(
    pepper: str,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
    aws_endpoint: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for faulty in made(pepper, monkeypatch, aws_endpoint):
        services = faulty.world.services()
        faulty.between.fates, faulty.between.seen = [Fate(aws_error(code))], 0
        with caplog.at_level(logging.INFO, "keyrail"):
            assert faulty.answer(services).status == 503
        assert faulty.between.seen == 1
        assert any(code in str(vars(record)) or "no pepper" in str(vars(record)) for record in caplog.records)


def test_what_is_in_memory_is_believed_while_the_pepper_is_away(faulty: Faulty) -> None:
    services = faulty.world.services()
    assert faulty.answer(services).status == 200
    faulty.between.fates = [REQUEST_LOST] * 100
    assert faulty.answer(services).status == 200


def test_away_altogether_it_is_503(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{SERVICE[faulty.world.env['KEYRAIL_PEPPER']]}", nobody)
    assert faulty.answer(faulty.world.services()).status == 503


def test_without_credentials_it_is_503(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(aws_client, "_session_made", None)  # which has found them already
    assert faulty.answer(faulty.world.services()).status == 503


class Noting(Between):
    """What was asked: the action as IAM names it, and the request."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def answer(self, headers: Any, body: bytes) -> Answer:
        service, _, action = headers["X-Amz-Target"].partition(".")
        self.asked.append((f"{service.replace('TrentService', 'kms')}:{action}", json.loads(body)))
        return super().answer(headers, body)


@pytest.mark.parametrize("pepper", PEPPERS)
def test_its_iam_policy_allows_what_reading_it_asks_and_nothing_else(
    pepper: str, monkeypatch: pytest.MonkeyPatch, aws_endpoint: str
) -> None:
    world, between = AwsWorld.make(monkeypatch, aws_endpoint, pepper), Noting(aws_endpoint)
    world.bootstrap()
    with serving(between.answer) as url:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{SERVICE[pepper]}", url)
        world.services().lookup.peppers()
    ((action, request),) = between.asked
    statement, *others = json.loads(Path("infra/aws/pepper.json").read_text())[pepper]["Statement"]
    assert statement["Action"] == [action]
    for name, value in statement["Condition"]["StringEquals"].items():
        assert request[name.partition(":")[2]] == value
    keys = [each["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] for each in others]
    assert keys == ([["pepper"]] if pepper == "kms" else [])
    assert [each["Action"] for each in others] == [["dynamodb:GetItem"]] * len(keys)
