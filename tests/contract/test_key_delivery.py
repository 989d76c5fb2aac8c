"""What every KeyDelivery keeps to: in memory, in a real Vault, in files, in Secrets Manager.

A sink of your own joins by one fixture."""

import json
import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aws_faults import Answer, Between, Fate, aws_error, serving
from keyrail.adapters.delivery_by_kind import DeliveryByKind
from keyrail.adapters.file_delivery import FileKeyDelivery
from keyrail.adapters.memory_delivery import MemoryKeyDelivery
from keyrail.adapters.secrets_manager_delivery import SecretsManagerDelivery
from keyrail.adapters.secrets_manager_secret import STAGED, VersionedSecret
from keyrail.adapters.vault_delivery import VaultKeyDelivery
from keyrail.adapters.vault_session import VaultSession
from keyrail.dev.ports import free_ports
from keyrail.domain.errors import DeliveryFailed
from keyrail.domain.sinks import Sink, parse_sink
from keyrail.rotation_ports import Delivered, KeyDelivery
from vault_mount import Mount, RecordedMetrics

KEY_ID = "0Keyrail0Unit0Id"
SINK = parse_sink("vault:acme/inference/openai", "acme")
RACERS = 16


@pytest.fixture(params=["memory", "vault", "file", "secretsmanager"])
def delivery(request: pytest.FixtureRequest, tmp_path: Path) -> KeyDelivery:
    match request.param:
        case "memory":
            return MemoryKeyDelivery()
        case "vault":
            return VaultKeyDelivery(request.getfixturevalue("vault_session"))
        case "secretsmanager":
            return request.getfixturevalue("aws_secrets")  # type: ignore[no-any-return]
        case _:
            return FileKeyDelivery(tmp_path / "sinks")


def write(delivery: KeyDelivery, key: str, version: int, sink: Sink = SINK, generation: int = 1) -> bool:
    return delivery.write(sink, key, KEY_ID, generation, version)


def test_nothing_is_there_at_first(delivery: KeyDelivery) -> None:
    assert delivery.read(SINK) is None


def test_what_was_written_is_read_and_its_version_grows(delivery: KeyDelivery) -> None:
    assert write(delivery, "one", 0)
    first = delivery.read(SINK)
    assert first is not None
    assert (first.key, first.version > 0) == ("one", True)
    assert write(delivery, "two", first.version)
    second = delivery.read(SINK)
    assert second is not None
    assert (second.key, second.version > first.version) == ("two", True)


@pytest.mark.parametrize("version", [0, 1, 3, 9])
def test_a_write_against_another_version_changes_nothing(delivery: KeyDelivery, version: int) -> None:
    assert write(delivery, "one", 0)
    assert write(delivery, "two", 1)
    before = delivery.read(SINK)
    assert write(delivery, "late", version) is False
    assert delivery.read(SINK) == before == Delivered("two", 2)


@pytest.mark.parametrize("version", [1, 2])
def test_nothing_is_replaced_where_nothing_is(delivery: KeyDelivery, version: int) -> None:
    assert write(delivery, "late", version) is False
    assert delivery.read(SINK) is None


def test_a_write_that_says_the_same_again_is_refused_too(delivery: KeyDelivery) -> None:
    """Else a late runner could not tell its own success from somebody else's."""
    assert write(delivery, "one", 0)
    assert write(delivery, "one", 0) is False


@pytest.mark.parametrize("version", [0, 1])
def test_of_racers_exactly_one_wins(delivery: KeyDelivery, version: int) -> None:
    if version:
        assert write(delivery, "before", 0)
    with ThreadPoolExecutor(RACERS) as pool:
        won = list(pool.map(lambda n: write(delivery, f"key {n}", version), range(RACERS)))
    assert won.count(True) == 1
    assert delivery.read(SINK) == Delivered(f"key {won.index(True)}", version + 1)


def test_sinks_do_not_touch_each_other(delivery: KeyDelivery) -> None:
    sinks = [parse_sink(f"vault:{name}", name.partition("/")[0]) for name in ("acme/a", "acme/a-b", "other/a")]
    for sink in sinks:
        assert write(delivery, str(sink), 0, sink)
    assert [delivery.read(sink) for sink in sinks] == [Delivered(str(sink), 1) for sink in sinks]


def test_a_key_is_in_no_text_of_it(delivery: KeyDelivery) -> None:
    assert write(delivery, "a secret", 0)
    assert "a secret" not in repr(delivery.read(SINK))


class TestInVault:
    @pytest.fixture
    def delivery(self, vault_session: VaultSession) -> VaultKeyDelivery:
        return VaultKeyDelivery(vault_session)

    def test_a_consumer_finds_key_id_and_generation(self, delivery: VaultKeyDelivery, mount: Mount) -> None:
        assert write(delivery, "one", 0, generation=7)
        found = mount.root.read(f"{mount.name}/data/acme/inference/openai")
        assert found["data"]["data"] == {"api_key": "one", "key_id": KEY_ID, "generation": 7}

    def test_the_key_before_is_gone_with_its_version(self, delivery: VaultKeyDelivery, mount: Mount) -> None:
        assert write(delivery, "one", 0)
        assert write(delivery, "two", 1)
        kept = mount.root.secrets.kv.v2.read_secret_metadata("acme/inference/openai", mount_point=mount.name)
        assert list(kept["data"]["versions"]) == ["2"]

    def test_one_that_somebody_deleted_is_written_again(self, delivery: VaultKeyDelivery, mount: Mount) -> None:
        assert write(delivery, "one", 0)
        mount.root.secrets.kv.v2.delete_latest_version_of_secret("acme/inference/openai", mount_point=mount.name)
        held = delivery.read(SINK)
        assert held == Delivered("", 1)
        assert write(delivery, "late", 0) is False
        assert write(delivery, "two", 1)
        assert delivery.read(SINK) == Delivered("two", 2)

    def test_one_that_somebody_purged_begins_anew(self, delivery: VaultKeyDelivery, mount: Mount) -> None:
        assert write(delivery, "one", 0)
        mount.root.secrets.kv.v2.delete_metadata_and_all_versions("acme/inference/openai", mount_point=mount.name)
        assert delivery.read(SINK) is None
        assert write(delivery, "late", 1) is False
        assert write(delivery, "two", 0)

    @pytest.mark.parametrize("document", [{}, {"password": "x"}, {"api_key": None}, {"api_key": ["x"]}])
    def test_something_of_another_kind_is_no_key_of_ours(
        self, delivery: VaultKeyDelivery, mount: Mount, document: dict[str, object]
    ) -> None:
        mount.put("acme/inference/openai", document)
        held = delivery.read(SINK)
        assert held is not None
        assert (held.key, held.version) == ("", 1)
        assert write(delivery, "one", 1)

    def test_each_costs_one_request(self, delivery: VaultKeyDelivery, metrics: RecordedMetrics) -> None:
        for version in (0, 1):
            delivery.read(SINK)
            write(delivery, "one", version)
        assert [verb for verb, _ in metrics.calls] == ["read", "write", "read", "write"]

    def test_a_denied_one_says_so_without_the_key(self, mount: Mount) -> None:
        nothing = 'path "MOUNT/nothing" { capabilities = ["read"] }'
        session = VaultSession(mount.config(token=mount.token(nothing)))
        delivery = VaultKeyDelivery(session)
        for call in (
            lambda: delivery.read(SINK),
            lambda: write(delivery, "a secret", 0),
            lambda: write(delivery, "a secret", 1),
        ):
            with pytest.raises(DeliveryFailed) as failure:
                call()
            assert "403" in failure.value.detail
            assert "a secret" not in failure.value.detail + str(failure.value)
        session.close()


@pytest.fixture
def aws_secrets(aws_endpoint: str, aws_credentials: None) -> SecretsManagerDelivery:
    """In a folder of its own."""
    return SecretsManagerDelivery(f"{secrets.token_hex(4)}/", aws_endpoint)


class TestInSecretsManager:
    @pytest.fixture
    def delivery(self, aws_secrets: SecretsManagerDelivery) -> SecretsManagerDelivery:
        return aws_secrets

    @pytest.fixture
    def aws(self, delivery: SecretsManagerDelivery) -> Any:
        return delivery._client.get()

    @pytest.fixture
    def name(self, delivery: SecretsManagerDelivery) -> str:
        return f"{delivery._prefix}acme/inference/openai"

    def test_a_consumer_finds_key_id_and_generation(
        self, delivery: SecretsManagerDelivery, aws: Any, name: str
    ) -> None:
        assert write(delivery, "one", 0)
        assert write(delivery, "two", 1, generation=7)
        assert text_of(aws, name) == {"api_key": "two", "key_id": KEY_ID, "generation": 7}
        assert text_of(aws, name, "AWSPREVIOUS")["api_key"] == "one"

    def test_a_secret_that_was_made_empty_is_filled(
        self, delivery: SecretsManagerDelivery, aws: Any, name: str
    ) -> None:
        aws.create_secret(Name=name)
        assert delivery.read(SINK) is None
        assert write(delivery, "one", 0)
        assert delivery.read(SINK) == Delivered("one", 1)

    def test_one_that_somebody_else_wrote_is_replaced_by_whoever_read_it(
        self, delivery: SecretsManagerDelivery, aws: Any, name: str
    ) -> None:
        aws.create_secret(Name=name, SecretString="by hand")
        held = delivery.read(SINK)
        assert held is not None
        assert held.key == ""
        assert write(delivery, "late", held.version + 1) is False
        assert write(delivery, "one", held.version)
        assert delivery.read(SINK) == Delivered("one", held.version + 1)

    def test_a_writer_that_was_killed_before_the_label_moved_leaves_all_as_it_was(
        self, delivery: SecretsManagerDelivery, aws: Any, name: str
    ) -> None:
        assert write(delivery, "one", 0)
        VersionedSecret(delivery._client, name)._put(json.dumps({"api_key": "orphan"}), "x" * 32)
        assert delivery.read(SINK) == Delivered("one", 1)
        assert write(delivery, "two", 1)
        stages = aws.describe_secret(SecretId=name)["VersionIdsToStages"]
        labelled = {label for labels in stages.values() for label in labels}
        assert labelled == {"AWSCURRENT", "AWSPREVIOUS", STAGED}
        assert not stages.get("x" * 32), "AWS drops what has no label"

    def test_a_late_move_is_refused(self, delivery: SecretsManagerDelivery, name: str) -> None:
        assert write(delivery, "one", 0)
        late = VersionedSecret(delivery._client, name)
        overtaken = late.current()
        assert overtaken is not None
        assert write(delivery, "two", 1)
        assert late.replace(overtaken["VersionId"], json.dumps({"api_key": "late"}), "x" * 32) is False
        assert delivery.read(SINK) == Delivered("two", 2)

    def test_one_that_is_to_be_deleted_is_a_failure(
        self, delivery: SecretsManagerDelivery, aws: Any, name: str
    ) -> None:
        assert write(delivery, "one", 0)
        aws.delete_secret(SecretId=name)
        for call in (lambda: delivery.read(SINK), lambda: write(delivery, "a secret", 1)):
            with pytest.raises(DeliveryFailed) as failure:
                call()
            assert "a secret" not in failure.value.detail

    @pytest.mark.parametrize("answer", [None, aws_error("InternalServiceError", 500)], ids=["closed", "500"])
    def test_a_lost_answer_to_the_move_is_found_out(
        self, aws_endpoint: str, delivery: SecretsManagerDelivery, answer: Answer
    ) -> None:
        between = Between(aws_endpoint)
        with serving(between.answer) as url:
            other = SecretsManagerDelivery(delivery._prefix, url)
            assert write(other, "one", 0)
            between.fates = [None, None, Fate(answer, arrives=True)]
            assert write(other, "two", 1)
            between.fates = [None, None, Fate(answer)]
            with pytest.raises(DeliveryFailed):
                write(other, "a secret", 2)
            assert delivery.read(SINK) == Delivered("two", 2)

    @pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "DecryptionFailure"])
    def test_a_refusal_is_a_failure_and_not_an_empty_sink(
        self, aws_endpoint: str, delivery: SecretsManagerDelivery, code: str
    ) -> None:
        between = Between(aws_endpoint)
        with serving(between.answer) as url:
            other = SecretsManagerDelivery(delivery._prefix, url)
            for call in (lambda: other.read(SINK), lambda: write(other, "a secret", 0), lambda: write(other, "x", 1)):
                between.fates = [Fate(aws_error(code))] * 3  # a read is tried so often
                with pytest.raises(DeliveryFailed) as failure:
                    call()
                assert code in failure.value.detail
                assert "a secret" not in failure.value.detail

    def test_away_is_a_failure(self, aws_credentials: None) -> None:
        away = SecretsManagerDelivery("keyrail/", f"http://127.0.0.1:{free_ports(1)[0]}")
        for call in (lambda: away.read(SINK), lambda: write(away, "a secret", 0)):
            with pytest.raises(DeliveryFailed):
                call()


def test_the_iam_policy_of_such_sinks_names_what_is_asked_and_nothing_else(aws_secrets: SecretsManagerDelivery) -> None:
    asked: set[str] = set()
    aws_secrets._client.get().meta.events.register(
        "before-call.secretsmanager.*", lambda model, **_: asked.add(f"secretsmanager:{model.name}")
    )
    for version in (0, 1):
        assert write(aws_secrets, "one", version)
    (statement,) = json.loads(Path("infra/aws/sinks.json").read_text())["Statement"]
    assert set(statement["Action"]) == asked
    assert statement["Resource"] == "${secrets_arn}*"


def text_of(aws: Any, name: str, stage: str = "AWSCURRENT") -> dict[str, Any]:
    text: dict[str, Any] = json.loads(aws.get_secret_value(SecretId=name, VersionStage=stage)["SecretString"])
    return text


class TestInFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "sinks"

    @pytest.fixture
    def delivery(self, folder: Path) -> FileKeyDelivery:
        return FileKeyDelivery(folder)

    def test_the_file_is_for_its_owner_alone(self, delivery: FileKeyDelivery, folder: Path) -> None:
        os.umask(0)
        assert write(delivery, "one", 0, generation=7)
        file = folder / "acme" / "inference" / "openai"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert json.loads(file.read_text()) == {"api_key": "one", "key_id": KEY_ID, "generation": 7, "version": 1}
        assert [each.name for each in file.parent.iterdir()] == ["openai"], "no scratch file is left"

    def test_a_reader_sees_the_old_one_or_the_new_one(self, delivery: FileKeyDelivery, folder: Path) -> None:
        assert write(delivery, "key 0", 0)
        file, seen = folder / "acme" / "inference" / "openai", set()
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(lambda: [write(delivery, f"key {n}", n) for n in range(1, 100)])
            while not writing.done():
                seen.add(json.loads(file.read_text())["api_key"])
        assert all(writing.result())
        assert seen <= {f"key {n}" for n in range(100)}

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"api_key": "x"}', '{"version": 1}', "\udcff"])
    def test_a_file_that_is_not_ours_is_neither_read_nor_written_over(
        self, delivery: FileKeyDelivery, folder: Path, text: str
    ) -> None:
        file = folder / "acme" / "inference" / "openai"
        file.parent.mkdir(parents=True)
        file.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(DeliveryFailed):
            delivery.read(SINK)
        with pytest.raises(DeliveryFailed):
            write(delivery, "a secret", 0)
        assert file.read_bytes() == text.encode(errors="surrogateescape")

    def test_a_folder_that_can_not_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DeliveryFailed, match="sink"):
            write(FileKeyDelivery(tmp_path / "file"), "a secret", 0)


class TestByKind:
    def test_each_kind_has_its_own(self) -> None:
        vault, file = MemoryKeyDelivery(), MemoryKeyDelivery()
        delivery = DeliveryByKind({"vault": vault, "file": file})
        for kind in ("vault", "file"):
            assert write(delivery, kind, 0, Sink(kind, ("acme", "a")))
        assert [held.key for each in (vault, file) for held in each.held.values()] == ["vault", "file"]

    def test_a_kind_that_is_not_set_up_is_a_failure_of_the_sink(self) -> None:
        delivery = DeliveryByKind({})
        for call in (lambda: delivery.read(SINK), lambda: write(delivery, "x", 0)):
            with pytest.raises(DeliveryFailed) as failure:
                call()
            assert "vault" in failure.value.detail
