"""What each operation asks of DynamoDB, request by request, and that its function's IAM policy allows just that."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aws_world import AwsWorld
from dynamo_process import Process, StoppedClock
from dynamo_rights import leading_keys, rights_allowed, rights_of

from counted_table import CountedTable
from keyrail.adapters import vault_usage
from keyrail.adapters.aws_client import AwsClient
from keyrail.adapters.dynamodb_layout import SHARDS
from keyrail.dev.functions import find_functions, function_of_operation
from keyrail.domain.key_format import KeyFormat, new_key_id, new_secret
from keyrail.rotation_ports import DueEntry
from vault_mount import Mount, QuietUsageLog
from vault_world import vault_world

ROOT = Path(__file__).parents[2]
FUNCTION_OF = function_of_operation(find_functions(ROOT / "functions"))
NEW_KEY = {"tenant": "acme", "owner": "ml-team", "name": "a key", "scopes": ["ml:infer"]}
FIND, CREATE, CHANGE, PUBLISH = ["batch_get_item"], ["put_item"], ["update_item"], ["update_item"]


@pytest.fixture
def env(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    monkeypatch.setattr(vault_usage, "VaultUsageLog", QuietUsageLog)
    with vault_world(mount) as world:
        yield world.env


@pytest.fixture
def started(env: dict[str, str], monkeypatch: pytest.MonkeyPatch, dynamo_table: CountedTable, aws_endpoint: str) -> Any:
    return lambda caller=None: Process(monkeypatch, env, dynamo_table.name, aws_endpoint, caller)


@pytest.fixture
def started_without_vault(process: Process, monkeypatch: pytest.MonkeyPatch, aws_endpoint: str) -> Any:
    """After those with a Vault, of which nothing is known from here on."""
    topic = AwsClient("sns", 10.0, aws_endpoint).get().create_topic(Name="rights")["TopicArn"]
    world = AwsWorld.make(monkeypatch, aws_endpoint, "secretsmanager", KEYRAIL_EVENT_ARN=topic)
    list(world.place.set_up())
    env = world.env | {"KEYRAIL_FEED_POLL": "inline"}
    return lambda caller=None: Process(monkeypatch, env, world.table.name, aws_endpoint, caller)


@pytest.fixture
def process(started: Any) -> Process:
    """Warm: it holds feed, pepper, roles and its caller's key."""
    made: Process = started(started().caller)
    made.call("validate_key", {"key": made.caller})
    return made


@pytest.fixture
def issued(started: Any, process: Process) -> dict[str, Any]:
    """By another process."""
    other: Process = started(process.caller)
    return other.call("issue_key", NEW_KEY)


def cost(process: Process, operation: str, body: dict[str, Any]) -> list[str]:
    return [action for action, _ in process.asked_by(operation, body)]


def test_a_validation_costs_one_request_where_the_key_is_not_in_memory(
    process: Process, issued: dict[str, Any]
) -> None:
    assert cost(process, "validate_key", {"key": issued["key"]}) == FIND
    assert cost(process, "validate_key", {"key": issued["key"]}) == []


def test_an_unknown_key_and_a_wrong_secret_cost_one_each(process: Process, issued: dict[str, Any]) -> None:
    for key_id in (new_key_id(), issued["key_id"]):
        body = {"key": KeyFormat().assemble(key_id, new_secret())}
        assert [cost(process, "validate_key", body) for _ in range(2)] == [FIND, FIND]


def test_an_issue_costs_one_and_one_more_for_the_hint_of_its_rotation(process: Process) -> None:
    assert cost(process, "issue_key", NEW_KEY) == CREATE
    rotated = NEW_KEY | {"rotation": {"interval_seconds": 3600, "grace_seconds": 60, "sink": "vault:acme/a-key"}}
    assert cost(process, "issue_key", rotated) == [*CREATE, *CREATE]


def test_an_issue_costs_three_where_its_caller_is_not_in_memory_and_it_will_rotate(process: Process) -> None:
    process.caller = process.call("issue_key", NEW_KEY | {"scopes": ["keys:issue", "ml:infer"]})["key"]
    rotated = NEW_KEY | {"rotation": {"interval_seconds": 3600, "grace_seconds": 60, "sink": "vault:acme/a-key"}}
    assert cost(process, "issue_key", rotated) == [*FIND, *CREATE, *CREATE]


def test_changes_cost_a_read_a_write_and_their_publishing(process: Process, issued: dict[str, Any]) -> None:
    key_id = {"key_id": issued["key_id"]}
    assert cost(process, "update_key", key_id | {"name": "another"}) == [*FIND, *CHANGE, *PUBLISH]
    assert cost(process, "rotate", key_id) == [*FIND, *CREATE, *CREATE, *CHANGE, *PUBLISH]
    assert cost(process, "revoke_key", key_id) == [*FIND, *CREATE, *PUBLISH]


def test_a_page_costs_one_a_shard_and_one_a_key(process: Process, issued: dict[str, Any]) -> None:
    assert sorted(cost(process, "list_keys", {"tenant": "acme"})) == ["batch_get_item"] + ["query"] * SHARDS


def test_without_vault_an_event_costs_two_and_a_tick_looks_for_them(started_without_vault: Any) -> None:
    process: Process = started_without_vault(started_without_vault().caller)
    process.call("validate_key", {"key": process.caller})
    due, looks = SHARDS, 2 * SHARDS
    assert cost(process, "rotate_due", {}) == ["query"] * (due + looks)
    assert cost(process, "issue_key", NEW_KEY) == [*CREATE, *CREATE]
    asked = cost(process, "rotate_due", {})
    assert asked.count("delete_item") == 1 + 1, "the event, and the turn"
    assert len(asked) == due + looks + 20 + 1


class TestRights:
    """Each function is allowed what it asks for, by its policy in infra/aws, and nothing that it never asks for."""

    def test_every_function_has_a_policy(self) -> None:
        policies = {file.stem for file in (ROOT / "infra/aws/policies").iterdir()}
        assert policies == set(find_functions(ROOT / "functions"))

    @pytest.mark.parametrize("function", sorted(find_functions(ROOT / "functions")))
    def test_no_action_and_no_resource_is_left_open(self, function: str) -> None:
        for statement in statements_of(function):
            assert not [action for action in statement["Action"] if "*" in action]
            assert "*" not in statement["Resource"]
            assert statement["Condition"]["Null"] == {"dynamodb:LeadingKeys": "false"}
            assert all(keys in ("feed", "rbac/roles") or keys.endswith("#*") for keys in leading_keys(statement))

    def test_a_policy_allows_what_its_function_asks_and_nothing_else(
        self, started: Any, process: Process, issued: dict[str, Any], started_without_vault: Any
    ) -> None:
        """With a Vault and without: what lies in the table where there is none is nobody else's."""
        asked = {function: set[tuple[str, str, str]]() for function in find_functions(ROOT / "functions")}
        for operation, body in life(process, issued):
            other: Process = started(process.caller)
            for action, request in other.asked_by(operation, body):
                asked[FUNCTION_OF[operation]] |= set(rights_of(action, request))
        first: Process = started_without_vault()
        for operation, body in life(first, first.call("issue_key", NEW_KEY), "secretsmanager:acme/a-key"):
            alone: Process = started_without_vault(first.caller)
            alone.table.asked.clear()
            assert alone.answer(operation, body).status in ((422,) if "config" in operation else (200, 201))
            usage: Any = alone.services.usage
            usage.flush()
            for action, request in alone.table.asked:
                asked[FUNCTION_OF[operation]] |= set(rights_of(action, request))
        for function, rights in asked.items():
            assert rights == rights_allowed(statements_of(function)), function


def life(
    process: Process, issued: dict[str, Any], sink: str = "vault:acme/a-key"
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Calls that bring each function to all that it ever asks of DynamoDB."""
    key_id = {"key_id": issued["key_id"]}
    soon = {"rotation": {"interval_seconds": 3600, "grace_seconds": 60, "sink": sink}}
    yield "validate_key", {"key": issued["key"]}
    yield "issue_key", NEW_KEY | soon
    yield "get_key", key_id
    yield "list_keys", {"tenant": "acme"}
    yield "update_key", key_id | soon
    yield "rotate", key_id
    process.services.due.add(DueEntry.of(StoppedClock().now() - timedelta(hours=1), "key", new_key_id()))
    yield "rotate_due", {}
    yield "sweep", {}
    yield (
        "write_config",
        {"tenant": "acme", "name": "a", "value": 1, "rotation": {"kind": "generated", "interval_seconds": 3600}},
    )
    yield "read_config", {"tenant": "acme", "name": "a"}
    yield "revoke_key", key_id


def statements_of(function: str) -> list[dict[str, Any]]:
    document = json.loads((ROOT / f"infra/aws/policies/{function}.json").read_text())
    found: list[dict[str, Any]] = document["Statement"]
    return found
