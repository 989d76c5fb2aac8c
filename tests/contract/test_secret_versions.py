"""What SecretVersions keeps to: the secret in memory that unit tests use, and Secrets Manager as moto has it."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aws_faults import Answer, Between, Fate, aws_error, serving
from keyrail.adapters.secrets_manager_versions import SecretsManagerVersions
from keyrail.dev.ports import free_ports
from keyrail.domain.errors import DeliveryFailed
from keyrail.rotation_ports import SecretVersion, SecretVersions
from rotated_secret import RotatedSecret
from secret_in_memory import SecretInMemory

KEY_ID = "0Keyrail0Unit0Id"
ROTATION_TOKEN = "r" * 36


@dataclass(frozen=True)
class Rotating:
    """A secret whose current version holds `one`, and how Secrets Manager begins a rotation of it."""

    versions: SecretVersions
    secret_id: str
    begin: Callable[[], str]

    def put(self, token: str, key: str) -> bool:
        return self.versions.put(self.secret_id, token, key, KEY_ID, 2, None)

    def labels_of(self, version: str | None) -> frozenset[str]:
        return self.versions.describe(self.secret_id).labels.get(version or "", frozenset())

    @property
    def current(self) -> str:
        return self.versions.describe(self.secret_id).current or ""

    def held(self, version: str) -> SecretVersion | None:
        return self.versions.read(self.secret_id, version)


def in_memory() -> Rotating:
    secret = SecretInMemory("secretsmanager:acme/gateway")
    secret.fill("one", KEY_ID)
    return Rotating(secret, "arn", secret.begin)


@dataclass(frozen=True)
class AtMoto:
    endpoint: str
    prefix: str

    @property
    def versions(self) -> SecretsManagerVersions:
        return SecretsManagerVersions(self.prefix, self.endpoint)

    @property
    def aws(self) -> Any:
        return self.versions._client.get()

    def made(self) -> Rotating:
        text = json.dumps({"api_key": "one", "key_id": KEY_ID, "generation": 1})
        secret = RotatedSecret(self.aws, f"{self.prefix}acme/gateway", text)
        return Rotating(self.versions, secret.arn, secret.begin)


@pytest.fixture
def moto(aws_endpoint: str, aws_credentials: None) -> AtMoto:
    """In a folder of its own."""
    return AtMoto(aws_endpoint, f"{secrets.token_hex(4)}/")


@pytest.fixture(params=["memory", "secretsmanager"])
def rotating(request: pytest.FixtureRequest) -> Rotating:
    made: Rotating = in_memory() if request.param == "memory" else request.getfixturevalue("moto").made()
    return made


def test_it_tells_sink_rotation_and_labels(rotating: Rotating) -> None:
    token = rotating.begin()
    found = rotating.versions.describe(rotating.secret_id)
    assert (found.sink, found.is_rotated) == ("secretsmanager:acme/gateway", True)
    assert (found.labels[found.current or ""], found.labels[token]) == ({"AWSCURRENT"}, {"AWSPENDING"})


def test_a_version_that_was_just_begun_holds_nothing(rotating: Rotating) -> None:
    assert rotating.held(rotating.begin()) is None
    assert rotating.held(rotating.current) == SecretVersion("one", KEY_ID)


def test_what_was_put_is_pending_and_is_read_back(rotating: Rotating) -> None:
    token = rotating.begin()
    assert rotating.put(token, "two")
    assert rotating.put(token, "two"), "the same again"
    assert rotating.held(token) == SecretVersion("two", KEY_ID)
    assert "AWSPENDING" in rotating.labels_of(token)
    assert rotating.held(rotating.current) == SecretVersion("one", KEY_ID)


def test_another_rotation_takes_the_label(rotating: Rotating) -> None:
    first = rotating.begin()
    assert rotating.put(first, "two")
    rotating.versions.give_up(rotating.secret_id, first)
    second = rotating.begin()
    assert rotating.put(second, "three")
    assert ("AWSPENDING" in rotating.labels_of(first), "AWSPENDING" in rotating.labels_of(second)) == (False, True)


def test_current_moves_once_and_only_from_where_it_was(rotating: Rotating) -> None:
    token, before = rotating.begin(), rotating.current
    assert rotating.put(token, "two")
    assert rotating.versions.make_current(rotating.secret_id, token, before)
    assert rotating.current == token
    assert "AWSPREVIOUS" in rotating.labels_of(before)
    assert rotating.versions.make_current(rotating.secret_id, token, before), "it was done"
    assert rotating.versions.make_current(rotating.secret_id, before, "x" * 32) is False
    assert rotating.current == token


def test_what_was_given_up_is_pending_no_more_and_may_be_given_up_again(rotating: Rotating) -> None:
    token = rotating.begin()
    for _ in range(2):
        rotating.versions.give_up(rotating.secret_id, token)
        assert "AWSPENDING" not in rotating.labels_of(token)


def test_a_key_is_in_no_text_of_it(rotating: Rotating) -> None:
    assert "one" not in repr(rotating.held(rotating.current))


def test_in_memory_a_version_with_a_value_never_changes() -> None:
    """As AWS has it; moto lets a pending one be written over. AWS's refusal is below."""
    rotating = in_memory()
    token = rotating.begin()
    assert rotating.put(token, "two")
    assert rotating.put(token, "three") is False
    assert rotating.held(token) == SecretVersion("two", KEY_ID)


class TestInSecretsManager:
    def test_a_secret_of_another_prefix_is_no_sink(self, moto: AtMoto) -> None:
        secret_id = moto.made().secret_id
        assert SecretsManagerVersions("other/", moto.endpoint).describe(secret_id).sink is None

    def test_without_rotation_it_says_so(self, moto: AtMoto) -> None:
        assert moto.versions.describe(moto.made().secret_id).is_rotated is False

    def test_an_empty_secret_has_no_version(self, moto: AtMoto) -> None:
        arn = moto.aws.create_secret(Name=f"{moto.prefix}acme/empty")["ARN"]
        assert moto.versions.describe(arn).current is None

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key_id": 5}', '{"api_key": ["x"]}', "[" * 100_000])
    def test_what_is_none_of_our_documents_names_nothing(self, moto: AtMoto, text: str) -> None:
        rotating = moto.made()
        moto.aws.put_secret_value(SecretId=rotating.secret_id, SecretString=text or " ")
        assert rotating.held(rotating.current) == SecretVersion("", "")

    @pytest.mark.parametrize("token", [None, ROTATION_TOKEN])
    def test_the_proof_that_a_write_is_of_the_rotation_goes_with_it(self, moto: AtMoto, token: str | None) -> None:
        rotating, sent, versions = moto.made(), [], moto.versions
        versions._client.get().meta.events.register(
            "provide-client-params.secretsmanager.PutSecretValue", lambda params, **_: sent.append(params)
        )
        assert versions.put(rotating.secret_id, rotating.begin(), "two", KEY_ID, 2, token)
        assert [params.get("RotationToken") for params in sent] == [token]

    def test_a_refusal_to_change_a_version_is_told(self, moto: AtMoto) -> None:
        rotating, between = moto.made(), Between(moto.endpoint)
        with serving(between.answer) as url:
            between.fates = [Fate(aws_error("ResourceExistsException"))]
            versions = SecretsManagerVersions(moto.prefix, url)
            assert versions.put(rotating.secret_id, "t" * 32, "two", KEY_ID, 2, None) is False

    @pytest.mark.parametrize(
        "answer", [None, aws_error("InternalServiceError", 500), aws_error("AccessDeniedException")]
    )
    def test_no_answer_and_a_refusal_are_failures_without_the_key(self, moto: AtMoto, answer: Answer) -> None:
        rotating, between = moto.made(), Between(moto.endpoint)
        with serving(between.answer) as url:
            other, arn = SecretsManagerVersions(moto.prefix, url), rotating.secret_id
            for call in (
                lambda: other.describe(arn),
                lambda: other.read(arn, "t" * 32),
                lambda: other.put(arn, "t" * 32, "a secret", KEY_ID, 2, ROTATION_TOKEN),
                lambda: other.make_current(arn, "t" * 32, "u" * 32),
                lambda: other.give_up(arn, "t" * 32),
            ):
                between.fates = [Fate(answer)] * 3  # a read is tried so often
                with pytest.raises(DeliveryFailed) as failure:
                    call()
                assert "a secret" not in failure.value.detail + str(failure.value)
                assert ROTATION_TOKEN not in failure.value.detail + str(failure.value)

    def test_away_is_a_failure(self, aws_credentials: None) -> None:
        with pytest.raises(DeliveryFailed):
            SecretsManagerVersions("keyrail/", f"http://127.0.0.1:{free_ports(1)[0]}").describe("arn")


def test_the_iam_policy_names_what_is_asked_and_nothing_else(moto: AtMoto) -> None:
    rotating, asked, versions = moto.made(), set(), moto.versions
    versions._client.get().meta.events.register(
        "before-call.secretsmanager.*", lambda model, **_: asked.add(f"secretsmanager:{model.name}")
    )
    secret_id, token = rotating.secret_id, rotating.begin()
    before = versions.describe(secret_id).current or ""
    versions.read(secret_id, before)
    versions.put(secret_id, token, "two", KEY_ID, 2, None)
    versions.make_current(secret_id, token, before)
    versions.give_up(secret_id, token)
    (statement,) = json.loads(Path("infra/aws/secret_rotation.json").read_text())["Statement"]
    assert set(statement["Action"]) == asked
    assert statement["Resource"] == "${secrets_arn}*"
