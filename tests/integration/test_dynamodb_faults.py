"""DynamoDB throttled, broken, hanging or away: Unavailable, never a "no", and an outcome nobody knows is found out."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from dynamo_process import Process

from aws_faults import ANSWER_LOST, REQUEST_LOST, Between, Fate, aws_error, serving
from counted_table import CountedTable
from keyrail.adapters import aws_client, vault_usage
from keyrail.adapters.dynamodb_due import DynamoDueIndex
from keyrail.adapters.dynamodb_feed import DynamoChangeFeed, decode_head
from keyrail.adapters.dynamodb_keys import DynamoKeyStore
from keyrail.adapters.dynamodb_layout import record_pk, tombstone_pk
from keyrail.adapters.dynamodb_table import TRIES, DynamoTable
from keyrail.dev.ports import free_ports
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.domain.key_format import KeyFormat, new_key_id, new_secret
from keyrail.domain.records import StoredKey
from vault_mount import NOW, Mount, QuietUsageLog, a_record, a_tombstone
from vault_world import vault_world

THROTTLES = ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"]
REFUSALS = ["ResourceNotFoundException", "AccessDeniedException", "ExpiredTokenException", "ValidationException"]
CANARY = "c4n4ry-c4n4ry"


@pytest.fixture
def between(aws_endpoint: str) -> Between:
    return Between(aws_endpoint)


@pytest.fixture
def table(dynamo_table: CountedTable, between: Between) -> Iterator[DynamoTable]:
    with serving(between.answer) as url:
        yield DynamoTable(dynamo_table.name, 10.0, url)


@pytest.fixture
def keys(table: DynamoTable) -> DynamoKeyStore:
    return DynamoKeyStore(table)


def error(code: str, status: int = 400) -> Fate:
    return Fate(aws_error(code, status))


@pytest.mark.parametrize("code", THROTTLES)
class TestThrottled:
    def test_for_a_moment_nobody_is_told(self, keys: DynamoKeyStore, between: Between, code: str) -> None:
        record = a_record()
        between.fates = [error(code)] * (TRIES - 1)
        assert keys.create(record)
        between.fates = [error(code)] * (TRIES - 1)
        assert keys.find(record.key_id) == StoredKey(record, 1)
        assert between.seen == 2 * TRIES

    def test_for_longer_is_unavailable(self, keys: DynamoKeyStore, between: Between, code: str) -> None:
        for call in (lambda: keys.find(new_key_id()), lambda: keys.create(a_record())):
            between.fates, between.seen = [error(code)] * TRIES, 0
            with pytest.raises(Unavailable, match=r"^The key store can't answer") as refused:
                call()
            assert refused.value.retry_after_seconds >= 1
            assert code in refused.value.detail
            assert between.seen == TRIES


def test_a_part_of_a_batch_that_was_left_out_is_not_absent(
    keys: DynamoKeyStore, between: Between, dynamo_table: CountedTable
) -> None:
    left = f'{{"Responses": {{}}, "UnprocessedKeys": {{"{dynamo_table.name}": {{"Keys": [{{"pk": {{"S": "x"}}}}]}}}}}}'
    between.fates = [Fate((200, left.encode()))]
    with pytest.raises(Unavailable):
        keys.find(new_key_id())


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_no_answer_and_is_not_repeated(keys: DynamoKeyStore, between: Between, code: str) -> None:
    for call in (lambda: keys.find(new_key_id()), lambda: keys.create(a_record())):
        between.fates, between.seen = [error(code)], 0
        with pytest.raises(Unavailable) as refused:
            call()
        assert code in refused.value.detail
        assert between.seen == 1


def test_a_server_that_breaks_is_asked_again_for_what_is_read(keys: DynamoKeyStore, between: Between) -> None:
    between.fates = [error("InternalServerError", 500), REQUEST_LOST]
    assert keys.find(new_key_id()) is None
    between.fates = [error("InternalServerError", 500)] * TRIES
    with pytest.raises(Unavailable):
        keys.find(new_key_id())


@pytest.mark.parametrize("lost", [REQUEST_LOST, error("InternalServerError", 500)])
def test_a_write_that_did_not_arrive_is_never_said_to_be_done_or_refused(
    keys: DynamoKeyStore, between: Between, lost: Fate
) -> None:
    record = a_record()
    between.fates = [lost]
    with pytest.raises(DeadlineExceeded):
        keys.create(record)
    assert keys.create(record)
    between.fates = [lost]
    with pytest.raises(DeadlineExceeded):
        keys.replace(replace(record, name="another"), 1)
    between.fates = [lost]
    with pytest.raises(DeadlineExceeded):
        keys.revoke(a_tombstone(record.key_id))
    assert keys.find(record.key_id) == StoredKey(record, 1)


@pytest.mark.parametrize(
    "lost", [ANSWER_LOST, Fate(aws_error("InternalServerError", 500), arrives=True)], ids=["closed", "500"]
)
class TestAnswerLost:
    def test_what_was_done_is_found_out(self, keys: DynamoKeyStore, between: Between, lost: Fate) -> None:
        record, tombstone = a_record(), None
        between.fates = [lost]
        assert keys.create(record) is True
        between.fates = [lost]
        renamed = replace(record, name="another")
        assert keys.replace(renamed, 1) == 2
        between.fates = [lost]
        tombstone = a_tombstone(record.key_id)
        assert keys.revoke(tombstone) == tombstone
        assert keys.find(record.key_id) == StoredKey(renamed, 2, tombstone)

    def test_so_is_what_another_did_before(self, keys: DynamoKeyStore, between: Between, lost: Fate) -> None:
        record = a_record()
        keys.create(record)
        first = keys.revoke(a_tombstone(record.key_id))
        between.fates = [lost]
        assert keys.create(replace(record, name="rival")) is False
        between.fates = [lost]
        assert keys.revoke(a_tombstone(record.key_id, "later")) == first

    def test_where_the_store_goes_away_as_well_nobody_knows(
        self, keys: DynamoKeyStore, between: Between, lost: Fate
    ) -> None:
        between.fates = [lost, *[REQUEST_LOST] * TRIES]
        with pytest.raises(DeadlineExceeded):
            keys.create(a_record())

    def test_a_change_is_published_once_more_rather_than_not_at_all(
        self, table: DynamoTable, between: Between, lost: Fate
    ) -> None:
        feed = DynamoChangeFeed(table)
        between.fates = [lost]
        feed.publish("one")
        assert set(feed.head().ring) == {"one"}


class TestAway:
    @pytest.fixture
    def away(self, aws_credentials: None) -> DynamoTable:
        return DynamoTable("keyrail", 2.0, f"http://127.0.0.1:{free_ports(1)[0]}")

    def test_is_unavailable_for_all_that_is_asked(self, away: DynamoTable) -> None:
        keys, due, feed, record = DynamoKeyStore(away), DynamoDueIndex(away), DynamoChangeFeed(away), a_record()
        for call in (
            lambda: keys.find(record.key_id),
            lambda: keys.create(record),
            lambda: keys.replace(record, 1),
            lambda: keys.revoke(a_tombstone(record.key_id)),
            lambda: keys.list_ids("acme", None, 10),
            lambda: due.due(NOW),
            feed.head,
            lambda: feed.publish("one"),
        ):
            with pytest.raises(Unavailable) as refused:
                call()
            assert "EndpointConnectionError" in refused.value.detail

    def test_hanging_ends_with_the_deadline(self, aws_credentials: None) -> None:
        with hanging() as url:
            keys, began_at = DynamoKeyStore(DynamoTable("keyrail", 0.5, url)), time.monotonic()
            with pytest.raises(Unavailable):
                keys.find(new_key_id())
            with pytest.raises(DeadlineExceeded):
                keys.create(a_record())
            assert time.monotonic() - began_at < 3

    @pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"])
    def test_without_credentials_or_a_region_is_no_answer(
        self, away: DynamoTable, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        monkeypatch.delenv(missing)
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, "/dev/null")
        monkeypatch.setattr(aws_client, "_session_made", None)  # which has found them already
        with pytest.raises(Unavailable) as refused:
            DynamoKeyStore(away).find(new_key_id())
        assert refused.value.detail.endswith(("NoCredentialsError", "NoRegionError"))


@pytest.mark.parametrize(
    "item",
    [
        {"document": {"S": f'{{"key_id": "{CANARY}"}}'}, "version": {"N": "1"}},
        {"document": {"S": f"{{{CANARY}"}, "version": {"N": "1"}},
        {"document": {"N": "7"}, "version": {"N": "1"}},
        {"version": {"N": "1"}},
    ],
)
def test_a_malformed_item_is_no_answer_and_is_not_quoted(
    keys: DynamoKeyStore, dynamo_table: CountedTable, item: dict[str, Any]
) -> None:
    record = a_record()
    keys.create(record)
    for pk in (tombstone_pk(record.key_id), record_pk(record.key_id)):
        dynamo_table.write("put_item", Item={"pk": {"S": pk}, **item})
        with pytest.raises(Unavailable) as refused:
            keys.find(record.key_id)
        assert CANARY not in refused.value.detail


def test_another_keys_document_is_no_answer(keys: DynamoKeyStore, dynamo_table: CountedTable) -> None:
    record, other = a_record(), a_record()
    keys.create(record)
    item = dynamo_table.read_items([record_pk(record.key_id)])[record_pk(record.key_id)]
    dynamo_table.write("put_item", Item={**item, "pk": {"S": record_pk(other.key_id)}})
    with pytest.raises(Unavailable):
        keys.find(other.key_id)


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"seq": {"N": "1"}},
        {"seq": {"S": "x"}, "ring": {"L": []}},
        {"seq": {"N": "0"}, "ring": {"L": [{"S": "more names than changes"}]}},
        {"seq": {"N": "1"}, "ring": {"L": [{"N": "7"}]}},
    ],
)
def test_a_malformed_feed_is_no_answer(item: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        decode_head(item)


class TestOverTheApi:
    @pytest.fixture
    def process(
        self,
        mount: Mount,
        monkeypatch: pytest.MonkeyPatch,
        dynamo_table: CountedTable,
        between: Between,
        aws_endpoint: str,
    ) -> Iterator[Process]:
        monkeypatch.setattr(vault_usage, "VaultUsageLog", QuietUsageLog)
        with vault_world(mount) as world, serving(between.answer) as url:
            caller = Process(monkeypatch, world.env, dynamo_table.name, aws_endpoint).caller
            yield Process(monkeypatch, world.env, dynamo_table.name, url, caller)

    @pytest.mark.parametrize("fate", [error(THROTTLES[0]), error("InternalServerError", 500), REQUEST_LOST])
    def test_a_caller_that_can_not_be_looked_up_gets_503_and_retry_after(
        self, process: Process, between: Between, fate: Fate
    ) -> None:
        """It shows a key that is good, and must not be told that it isn't."""
        between.fates = [fate] * 100
        for operation, body in (
            ("validate_key", {"key": process.caller}),
            ("issue_key", {"tenant": "acme", "owner": "ml-team", "name": "a key"}),
            ("get_key", {"key_id": new_key_id()}),
            ("revoke_key", {"key_id": new_key_id()}),
        ):
            reply = process.answer(operation, body)
            assert (operation, reply.status) == (operation, 503)
            assert int(reply.headers["Retry-After"]) >= 1
        between.fates = []
        assert process.call("validate_key", {"key": process.caller})["code"] == "VALID"

    def test_a_key_that_can_not_be_looked_up_is_not_said_to_be_unknown(
        self, process: Process, between: Between
    ) -> None:
        process.call("validate_key", {"key": process.caller})  # the caller is in memory now
        between.fates = [error(THROTTLES[0])] * TRIES
        reply = process.answer("validate_key", {"key": KeyFormat().assemble(new_key_id(), new_secret())})
        assert reply.status == 503
        assert int(reply.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    "elsewhere", [{"VAULT_TOKEN": "t"}, {"KEYRAIL_PEPPER": "secretsmanager"}, {"KEYRAIL_PEPPER": "kms"}]
)
@pytest.mark.parametrize(("absent", "said"), [(True, "keyrail[aws]"), (False, "built, and boto3 not imported")])
def test_boto3_is_optional_and_imported_by_the_first_request(
    absent: bool, said: str, elsewhere: dict[str, str]
) -> None:
    script = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ModuleNotFoundError(name)
if {absent}:
    sys.meta_path.insert(0, Absent())
import keyrail.bootstrap, keyrail.adapters.dynamodb_keys, keyrail.adapters.dynamodb_due, keyrail.adapters.dynamodb_feed
from keyrail.domain.errors import Internal
from keyrail.settings import load_settings
keyrail.bootstrap.build_services(load_settings({{"KEYRAIL_STORE": "memory"}}))
try:
    keyrail.bootstrap.build_services(load_settings({{"KEYRAIL_STORE": "dynamodb", **{elsewhere}}}))
    print("built, and boto3", "imported" if "botocore" in sys.modules else "not imported")
except Internal as error:
    print(error.detail)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert said in done.stdout


def test_without_vault_nothing_of_it_is_loaded_and_no_administrators_part() -> None:
    script = """
import sys
import keyrail.bootstrap
from keyrail.settings import load_settings
keyrail.bootstrap.build_services(load_settings({"KEYRAIL_STORE": "dynamodb", "KEYRAIL_PEPPER": "kms"}))
print(*sorted(name.removeprefix("keyrail.adapters.") for name in sys.modules if name.startswith("keyrail.adapters.")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    loaded = done.stdout.split()
    assert "kms_pepper" in loaded
    assert not {"vault_session", "vault_transport", "pepper_admin", "aws_setup", "secrets_manager"} & set(loaded)


@contextmanager
def hanging() -> Iterator[str]:
    """Takes connections, and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
