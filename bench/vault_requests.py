"""Requests to Vault by operation, as Vault's own audit log tells them; logins apart."""

import contextlib
import http.client
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench.figures import Section, Target, at_most
from bench.options import Options
from bench.world import FORMAT, FUNCTIONS, TENANT, Server, World
from keyrail.dev.functions import find_functions
from keyrail.domain.key_format import new_key_id, new_secret

# The longest pause that is allowed: a reading of the feed that is due by the clock should fall on nobody's request.
SETTINGS = {"KEYRAIL_FEED_POLL": "inline", "KEYRAIL_FEED_POLL_SECONDS": "5"}


def measure(_: Options) -> Section:
    section = Section("3  Requests to Vault, logins apart")
    with (
        tempfile.TemporaryDirectory() as folder,
        World(Path(folder), audit=True) as world,
        contextlib.ExitStack() as stack,
    ):
        servers = {name: stack.enter_context(world.function(name, **SETTINGS)) for name in find_functions(FUNCTIONS)}
        _count_all(section, world, _Counter(world, servers))
    section.notes.append(
        "A process that holds the caller's key, roles and pepper asks for none of them again, but reads the feed once "
        "a second. A caller that it does not hold costs 2 reads."
    )
    return section


def _count_all(section: Section, world: World, counter: "_Counter") -> None:
    key, other = world.fill(2)
    key_id = FORMAT.parse(key).key_id
    unknown = FORMAT.assemble(new_key_id(), new_secret())
    issue = {"tenant": TENANT, "owner": "team-ml", "name": "a key", "scopes": ["ml:infer"]}
    rows: tuple[tuple[str, str, dict[str, Any], Target | None], ...] = (
        ("validate_key, first of a process", "validate_key", {"key": key}, None),
        ("validate_key, key in memory", "validate_key", {"key": key}, at_most(0)),
        ("validate_key, key not in memory", "validate_key", {"key": other}, at_most(2)),
        ("validate_key, unknown key", "validate_key", {"key": unknown}, at_most(2)),
        ("issue_key, first of a process", "issue_key", issue, None),
        ("issue_key", "issue_key", issue, at_most(4)),
        ("issue_key with Idempotency-Key", "issue_key", issue | {"idempotency_key": "bench"}, at_most(4)),
        ("issue_key, the same again", "issue_key", issue | {"idempotency_key": "bench"}, None),
        ("get_key, first of a process", "get_key", {"key_id": key_id}, None),
        ("get_key", "get_key", {"key_id": key_id}, None),
        ("update_key, first of a process", "update_key", {"key_id": key_id, "name": "one"}, None),
        ("update_key", "update_key", {"key_id": key_id, "name": "two"}, None),
        ("rotate, first of a process", "rotate", {"key_id": FORMAT.parse(other).key_id}, None),
        ("rotate", "rotate", {"key_id": key_id}, None),
        ("list_keys, first of a process", "list_keys", {"tenant": TENANT, "limit": 2}, None),
        ("list_keys, a page of two", "list_keys", {"tenant": TENANT, "limit": 2}, None),
        ("revoke_key, first of a process", "revoke_key", {"key_id": FORMAT.parse(other).key_id}, None),
        ("revoke_key", "revoke_key", {"key_id": key_id}, None),
    )
    for name, operation, body, target in rows:
        requests = counter.requests_of(operation, body)
        section.count(name, sum(requests.values()), _told(requests), target)


class _Counter:
    def __init__(self, world: World, servers: dict[str, Server]) -> None:
        self._world, self._servers = world, servers
        self._caller = world.admin_key

    def requests_of(self, operation: str, body: dict[str, Any]) -> Counter[str]:
        """The number of requests by verb that one call caused."""
        before = len(self._audited())
        self._call(operation, body)
        return Counter(self._audited()[before:])

    def _call(self, operation: str, body: dict[str, Any]) -> None:
        """At the bare URL of the function, where every field may be in the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self._servers[operation].port)
        headers = {"Authorization": f"Bearer {self._caller}", "Content-Type": "application/json"}
        connection.request("POST", "/", json.dumps(body), headers)
        status = connection.getresponse().status
        connection.close()
        if status >= 300:
            raise RuntimeError(f"{operation} answered {status}")

    def _audited(self) -> list[str]:
        """The verb of every request so far for our mount."""
        log = self._world.vault.audit_log
        assert log is not None
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        requests = [entry["request"] for entry in entries if entry["type"] == "request"]
        return [each["operation"] for each in requests if each.get("path", "").startswith("keyrail/")]


def _told(requests: Counter[str]) -> str:
    return f"({', '.join(f'{count} {verb}' for verb, count in requests.items())})" if requests else ""
