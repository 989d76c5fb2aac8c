"""What each operation asks of Vault, request by request, as Vault's own audit log tells it. The clock stands still, so
that nothing is read because time has passed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from first_admin import make_admin
from keyrail import bootstrap
from keyrail.adapters import vault_usage
from keyrail.adapters.vault_session import VaultSession
from keyrail.adapters.vault_usage import VaultUsageLog
from keyrail.domain.key_format import KeyFormat, new_key_id, new_secret
from keyrail.domain.roles import BUILT_IN_ROLES
from keyrail.operations.catalogue import CATALOGUE
from keyrail.settings import Settings, load_settings
from keyrail.triggers.http_function import HttpFunction
from keyrail.triggers.http_messages import HttpRequest
from vault_mount import Mount, QuietUsageLog

OPERATIONS = {operation.name: HttpFunction(operation) for operation in CATALOGUE}
FIND = ["read keys", "read revoked"]
PUBLISH = ["read feed", "update feed"]
NEW_KEY = {"tenant": "acme", "owner": "ml-team", "name": "a key"}


class StoppedClock:
    def now(self) -> datetime:
        return datetime(2030, 1, 2, tzinfo=UTC)

    def elapsed_seconds(self) -> float:
        return 0.0


class BackgroundUsageLog(QuietUsageLog):
    """As where threads go on between requests; this one has not had its turn yet."""

    def __init__(self, session: VaultSession, elapsed_seconds: Callable[[], float], *, background: bool) -> None:
        super().__init__(session, elapsed_seconds)


class Process:
    """Of all seven functions, just started; `caller` is the key that every call shows, an admin's unless given."""

    def __init__(self, mount: Mount, settings: Settings, caller: str | None = None) -> None:
        self._mount = mount
        self._services = bootstrap.build_services(settings)
        self.caller = caller or make_admin(self._services)

    def call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """At the bare URL of the function, where every field is in the body."""
        sent = json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.caller}", "content-type": "application/json"}
        reply = OPERATIONS[operation].answer(
            HttpRequest("POST", "/", "", headers.get, lambda _limit: sent), self._services
        )
        assert reply.status in (200, 201), reply.body
        answer: dict[str, Any] = json.loads(reply.body)
        return answer

    def cost(self, operation: str, body: dict[str, Any]) -> list[str]:
        """Verb and kind of document of each request, in order."""
        before = len(self._mount.audited())
        self.call(operation, body)
        return [f"{verb} {path.split('/')[1]}" for verb, path in self._mount.audited()[before:]]


@pytest.fixture
def settings(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(bootstrap, "SystemClock", StoppedClock)
    monkeypatch.setattr(vault_usage, "VaultUsageLog", BackgroundUsageLog)
    mount.put("pepper", {"current": 1, "versions": {"1": "5a" * 32}})
    mount.put("rbac/roles", {name: list(scopes) for name, scopes in BUILT_IN_ROLES.items()})
    mount.put("feed/head", {"seq": 0, "ring": []})
    given = {"VAULT_ADDR": mount.server.address, "VAULT_TOKEN": mount.token(), "KEYRAIL_VAULT_MOUNT": mount.name}
    return load_settings(given | {"KEYRAIL_FEED_POLL": "inline", "KEYRAIL_METRICS": "none"})


@pytest.fixture
def just_started(mount: Mount, settings: Settings) -> Process:
    return Process(mount, settings, Process(mount, settings).caller)


@pytest.fixture
def process(just_started: Process) -> Process:
    """Warm: it holds feed, pepper, roles and its caller's key."""
    just_started.call("validate_key", {"key": just_started.caller})
    return just_started


@pytest.fixture
def issued(mount: Mount, settings: Settings, just_started: Process) -> list[dict[str, Any]]:
    """Two keys that another process issued."""
    other = Process(mount, settings, just_started.caller)
    return [other.call("issue_key", NEW_KEY) for _ in range(2)]


class TestValidating:
    def test_a_key_in_memory_costs_nothing(self, process: Process, issued: list[dict[str, Any]]) -> None:
        body = {"key": issued[0]["key"]}
        process.call("validate_key", body)
        assert [process.cost("validate_key", body) for _ in range(20)] == [[]] * 20

    def test_a_key_not_in_memory_costs_two_reads(self, process: Process, issued: list[dict[str, Any]]) -> None:
        assert process.cost("validate_key", {"key": issued[0]["key"]}) == FIND

    def test_an_unknown_key_costs_two_reads_each_time(self, process: Process) -> None:
        body = {"key": KeyFormat().assemble(new_key_id(), new_secret())}
        assert [process.cost("validate_key", body) for _ in range(2)] == [FIND, FIND]

    def test_a_wrong_secret_of_a_key_in_memory_costs_two_reads(
        self, process: Process, issued: list[dict[str, Any]]
    ) -> None:
        process.call("validate_key", {"key": issued[0]["key"]})
        wrong = {"key": KeyFormat().assemble(issued[0]["key_id"], new_secret())}
        assert process.cost("validate_key", wrong) == FIND

    def test_what_is_no_key_costs_nothing(self, process: Process) -> None:
        assert process.cost("validate_key", {"key": "mistyped"}) == []

    def test_a_batch_costs_two_reads_a_key_not_in_memory(self, process: Process, issued: list[dict[str, Any]]) -> None:
        batch = [{"key": each["key"]} for each in issued] + [{"key": process.caller}]
        assert process.cost("validate_key", {"batch": batch}) == FIND * 2

    def test_the_first_of_a_process_reads_the_caller_and_what_everyone_needs(
        self, just_started: Process, issued: list[dict[str, Any]]
    ) -> None:
        cost = just_started.cost("validate_key", {"key": issued[0]["key"]})
        assert cost == ["read feed", *FIND, "read pepper", "read rbac", *FIND]

    def test_where_a_process_is_frozen_between_requests_its_use_costs_two_more(
        self,
        mount: Mount,
        settings: Settings,
        just_started: Process,
        issued: list[dict[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(vault_usage, "VaultUsageLog", VaultUsageLog)
        process, body = Process(mount, settings, just_started.caller), {"key": issued[0]["key"]}
        process.call("validate_key", {"key": process.caller})
        assert process.cost("validate_key", body) == [*FIND, "read usage", "create usage"]
        assert process.cost("validate_key", body) == []


class TestIssuing:
    def test_costs_two_writes(self, process: Process) -> None:
        assert process.cost("issue_key", NEW_KEY) == ["create tenants", "create keys"]

    def test_for_a_caller_not_in_memory_costs_four(self, process: Process) -> None:
        process.caller = process.call("issue_key", NEW_KEY | {"scopes": ["keys:issue"]})["key"]
        assert process.cost("issue_key", NEW_KEY) == [*FIND, "create tenants", "create keys"]

    def test_again_with_its_idempotency_key_costs_what_it_takes_to_see_that(self, process: Process) -> None:
        body = NEW_KEY | {"idempotency_key": "once"}
        assert process.cost("issue_key", body) == ["create tenants", "create keys"]
        seen = ["update tenants", "read tenants", "update keys", "read keys"]
        assert process.cost("issue_key", body) == [*seen, *FIND]


class TestManaging:
    def test_reading_costs_three_reads(self, process: Process, issued: list[dict[str, Any]]) -> None:
        assert process.cost("get_key", {"key_id": issued[0]["key_id"]}) == [*FIND, "read usage"]

    def test_a_change_costs_two_reads_a_write_and_its_publishing(
        self, process: Process, issued: list[dict[str, Any]]
    ) -> None:
        body = {"key_id": issued[0]["key_id"], "name": "another"}
        assert process.cost("update_key", body) == [*FIND, "update keys", *PUBLISH]

    def test_a_rotation_costs_two_hints_too_of_its_graces_last_tenth_and_end(
        self, process: Process, issued: list[dict[str, Any]]
    ) -> None:
        body = {"key_id": issued[0]["key_id"]}
        assert process.cost("rotate", body) == [*FIND, "create due", "create due", "update keys", *PUBLISH]

    def test_revoking_costs_two_reads_one_write_that_is_never_repeated_and_its_publishing(
        self, process: Process, issued: list[dict[str, Any]]
    ) -> None:
        body = {"key_id": issued[0]["key_id"]}
        assert process.cost("revoke_key", body) == [*FIND, "create revoked", *PUBLISH]
        assert process.cost("revoke_key", body) == [*FIND, *PUBLISH]

    def test_a_page_costs_a_list_a_folder_and_two_reads_a_key(
        self, process: Process, issued: list[dict[str, Any]]
    ) -> None:
        shards = {each["key_id"][0] for each in issued}
        lists = ["list tenants"] * (1 + len(shards))
        assert process.cost("list_keys", {"tenant": "acme"}) == [*lists, *FIND * len(issued)]
