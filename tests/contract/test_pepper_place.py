"""What every PepperPlace keeps to: a real Vault, Secrets Manager, and KMS beside DynamoDB."""

import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aws_faults import ANSWER_LOST, REQUEST_LOST, Between, Fate, aws_error, serving
from counted_table import CountedTable
from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.dynamodb_documents import DynamoDocuments
from keyrail.adapters.kms_pepper import KmsPepper, KmsPepperPlace
from keyrail.adapters.pepper_admin import PepperPlace, ensure_pepper
from keyrail.adapters.secrets_manager_pepper import SecretsManagerPepper, SecretsManagerPepperPlace
from keyrail.adapters.secrets_manager_secret import STAGED
from keyrail.adapters.system_clock import SystemClock
from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_pepper import VaultPepperPlace
from keyrail.domain.errors import Unavailable
from keyrail.domain.pepper_document import PepperVersions, new_pepper
from vault_mount import Mount

RACERS = 8
LOST = [ANSWER_LOST, Fate(aws_error("InternalServiceError", 500), arrives=True)]


@pytest.fixture
def secret() -> str:
    return f"keyrail/pepper-{secrets.token_hex(4)}"


@pytest.fixture
def hmac_key(aws_endpoint: str, aws_credentials: None) -> str:
    client = AwsClient("kms", 10.0, aws_endpoint).get()
    return str(client.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"])


@pytest.fixture(params=["vault", "secretsmanager", "kms"])
def place(request: pytest.FixtureRequest, aws_endpoint: str, aws_credentials: None, secret: str) -> PepperPlace:
    if request.param == "secretsmanager":
        return SecretsManagerPepperPlace(secret, aws_endpoint)
    if request.param == "kms":
        documents = DynamoDocuments(request.getfixturevalue("dynamo_table"))
        return KmsPepperPlace(documents, request.getfixturevalue("hmac_key"), SystemClock(), aws_endpoint)
    mount: Mount = request.getfixturevalue("mount")
    config = VaultConfig(address=mount.server.address, token=mount.server.root_token, mount=mount.name)
    return VaultPepperPlace(AdminVault(config), mount.name)


def first(place: PepperPlace) -> PepperVersions:
    return PepperVersions(1, {1: place.new_value(1)})


def read(place: PepperPlace) -> tuple[PepperVersions, Any]:
    found = place.read()
    assert found is not None
    return found


def test_nothing_is_there_at_first(place: PepperPlace) -> None:
    assert place.read() is None


def test_it_is_made_once_and_never_overwritten(place: PepperPlace) -> None:
    made = first(place)
    assert place.write(made, None)
    assert not place.write(first(place), None)
    assert read(place)[0] == made
    assert ensure_pepper(place).outcome == "kept"
    assert read(place)[0] == made


def test_a_write_names_what_was_read(place: PepperPlace) -> None:
    place.write(first(place), None)
    versions, mark = read(place)
    second = versions.with_next(place.new_value(2))
    assert place.write(second, mark)
    assert not place.write(versions.with_next(place.new_value(2)), mark), "somebody else was faster"
    found, mark = read(place)
    assert (found, found.current) == (second, 2)
    assert place.write(second.without(1), mark)
    assert read(place)[0].values.keys() == {2}


@pytest.mark.parametrize("is_new", [True, False])
def test_of_many_at_once_one_wins_and_the_others_are_told(place: PepperPlace, is_new: bool) -> None:
    versions, mark = first(place), None
    if not is_new:
        place.write(versions, None)
        versions, mark = read(place)
    attempts = [versions if is_new else versions.with_next(place.new_value(2)) for _ in range(RACERS)]
    with ThreadPoolExecutor(RACERS) as pool:
        outcomes = list(pool.map(lambda attempt: place.write(attempt, mark), attempts))
    assert outcomes.count(True) == 1
    assert read(place)[0] == attempts[outcomes.index(True)]


def test_its_age_is_told(place: PepperPlace) -> None:
    place.write(first(place), None)
    assert -2.0 < place.unchanged_seconds(SystemClock().now()) < 60.0, "AWS and Vault tell whole seconds"


class TestInSecretsManager:
    def test_what_was_dropped_is_left_in_no_labelled_version(
        self, aws_endpoint: str, aws_credentials: None, secret: str
    ) -> None:
        place = SecretsManagerPepperPlace(secret, aws_endpoint)
        place.write(PepperVersions(1, {1: new_pepper()}), None)
        versions, mark = read(place)
        assert place.write(versions.with_next(new_pepper()), mark)
        for _ in range(2):
            place.forget_history()
        client = AwsClient("secretsmanager", 10.0, aws_endpoint).get()
        kept = client.list_secret_version_ids(SecretId=secret, IncludeDeprecated=True)["Versions"]
        assert {each["VersionId"]: set(each.get("VersionStages", ())) for each in kept} == {
            mark: set(),
            read(place)[1]: {"AWSCURRENT", STAGED},
        }

    @pytest.mark.parametrize("lost", LOST, ids=["closed", "500"])
    @pytest.mark.parametrize("at", range(2))
    def test_a_write_whose_answer_was_lost_is_looked_up_or_nobody_knows(
        self, aws_endpoint: str, aws_credentials: None, secret: str, lost: Fate, at: int
    ) -> None:
        between = Between(aws_endpoint)
        with serving(between.answer) as url:
            place = SecretsManagerPepperPlace(secret, url)
            between.fates = [lost]
            assert place.write(PepperVersions(1, {1: new_pepper()}), None)
            versions, mark = read(place)
            second = versions.with_next(new_pepper())
            between.fates = [*[None] * at, lost]  # the new version, or its becoming the current one
            if at == 0:
                with pytest.raises(Unavailable):
                    place.write(second, mark)
                assert read(place)[0] == versions
            else:
                assert place.write(second, mark)
                assert read(place)[0] == second

    def test_a_write_that_did_not_arrive_is_not_said_to_have_lost(
        self, aws_endpoint: str, aws_credentials: None, secret: str
    ) -> None:
        between = Between(aws_endpoint)
        with serving(between.answer) as url:
            place = SecretsManagerPepperPlace(secret, url)
            place.write(PepperVersions(1, {1: new_pepper()}), None)
            versions, mark = read(place)
            between.fates = [None, REQUEST_LOST]
            with pytest.raises(Unavailable) as unknown:
                place.write(versions.with_next(new_pepper()), mark)
            assert not set(versions.values.values()) & set(str(unknown.value.detail).split())
            assert read(place) == (versions, mark)


class TestMadeByKms:
    @pytest.fixture
    def stored(self, dynamo_table: CountedTable) -> Callable[..., KmsPepper]:
        documents = DynamoDocuments(dynamo_table)

        def store(endpoint: str, **keys: str) -> KmsPepper:
            values = {int(name.removeprefix("v")): key for name, key in keys.items()}
            found = documents.read("pepper")
            versions = PepperVersions(max(values), values).document()
            assert documents.write("pepper", versions, 0 if found is None else found[1])
            return KmsPepper(documents, endpoint)

        return store

    def test_a_version_is_the_same_in_every_process_and_unlike_any_other(
        self, stored: Callable[..., KmsPepper], aws_endpoint: str, hmac_key: str
    ) -> None:
        made = stored(aws_endpoint, v1=hmac_key, v2=hmac_key).read()
        assert made.current == 2
        assert {len(pepper) for pepper in made.by_version.values()} == {32}
        assert made.by_version[1] != made.by_version[2]
        assert stored(aws_endpoint, v1=hmac_key, v2=hmac_key).read() == made

    def test_it_is_the_hmac_of_the_versions_name(
        self, stored: Callable[..., KmsPepper], aws_endpoint: str, hmac_key: str
    ) -> None:
        client = AwsClient("kms", 10.0, aws_endpoint).get()
        asked = {"KeyId": hmac_key, "MacAlgorithm": "HMAC_SHA_256", "Message": b"keyrail pepper v7"}
        mac = stored(aws_endpoint, v7=hmac_key).read().by_version[7]
        assert client.verify_mac(**asked, Mac=mac)["MacValid"]

    def test_another_key_makes_another_pepper(
        self, stored: Callable[..., KmsPepper], aws_endpoint: str, hmac_key: str
    ) -> None:
        client = AwsClient("kms", 10.0, aws_endpoint).get()
        other = client.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"]
        assert stored(aws_endpoint, v1=hmac_key).read() != stored(aws_endpoint, v1=other).read()

    def test_kms_is_asked_once_a_process_and_version(
        self, stored: Callable[..., KmsPepper], aws_endpoint: str, hmac_key: str
    ) -> None:
        between = Between(aws_endpoint)
        with serving(between.answer) as url:
            source = stored(url, v1=hmac_key)
            assert [source.read() for _ in range(3)].count(source.read()) == 3
            assert between.seen == 1
            stored(url, v1=hmac_key, v2=hmac_key)
            assert source.read().current == 2
            assert between.seen == 2

    def test_an_alias_is_kept_as_the_key_that_it_was(
        self, dynamo_table: CountedTable, aws_endpoint: str, hmac_key: str
    ) -> None:
        """It may be moved to another key, under which no digest would be found again."""
        alias = f"alias/keyrail-{secrets.token_hex(4)}"
        AwsClient("kms", 10.0, aws_endpoint).get().create_alias(AliasName=alias, TargetKeyId=hmac_key)
        documents = DynamoDocuments(dynamo_table)
        assert ensure_pepper(KmsPepperPlace(documents, alias, SystemClock(), aws_endpoint)).outcome == "made"
        found = documents.read("pepper")
        assert found is not None
        assert found[0]["versions"] == {"1": hmac_key}


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", json.dumps({"current": 2, "versions": {"1": "ab" * 32}})])
def test_what_functions_read_is_a_pepper_or_no_answer(
    aws_endpoint: str, aws_credentials: None, secret: str, text: str
) -> None:
    AwsClient("secretsmanager", 10.0, aws_endpoint).get().create_secret(Name=secret, SecretString=text)
    with pytest.raises(Unavailable) as malformed:
        SecretsManagerPepper(secret, aws_endpoint).read()
    assert malformed.value.detail == f"the pepper in the secret {secret} is malformed"
