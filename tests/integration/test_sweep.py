"""The sweep over a real OpenBao, under the policy of the function that offers it and no more."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyrail.domain.access import Caller
from keyrail.domain.errors import InvalidArgument, PermissionDenied
from keyrail.domain.records import KeyRecord, encode
from keyrail.operations import issue_key, list_keys, revoke_key, rotate, rotate_due, sweep, update_key, write_config
from keyrail.sweeping import PAGE
from vault_mount import Mount, a_record
from vault_world import ADMIN, VaultWorld, vault_world

POLICY = Path(__file__).parents[2] / "functions/rotate/policy.hcl"
DAY, HOUR = 86_400, 3600
TICKER = Caller("oidc:scheduler", "system", "scheduler", ("rotation:tick",))


@pytest.fixture
def world(mount: Mount) -> Iterator[VaultWorld]:
    with vault_world(mount) as made:
        yield made


class Sweeping:
    """Sweeps as the function does; everything else is done by somebody mightier."""

    def __init__(self, world: VaultWorld) -> None:
        self.world = world
        rules = re.sub(r'path "keyrail/', f'path "{world.mount.name}/', POLICY.read_text())
        rules = rules.replace("keyrail-config/", f"{world.configs.name}/")
        self.services = world.new_services(VAULT_TOKEN=world.mount.token(rules))

    def __call__(self, **fields: Any) -> Any:
        self.world.clock.seconds += 2
        return sweep.run(sweep.SweepRequest(**fields), TICKER, self.services)


@pytest.fixture
def swept(world: VaultWorld) -> Sweeping:
    return Sweeping(world)


def issue(world: VaultWorld, tenant: str = "acme", **rotation: Any) -> str:
    asked: dict[str, Any] = {"lifetime_seconds": 300 * DAY} | ({"rotation": rotation} if rotation else {})
    key_id: str = world.call(issue_key.OPERATION, tenant=tenant, owner="ml-team", name="a key", **asked).key_id
    return key_id


def scheduled(world: VaultWorld, name: str = "one") -> str:
    return issue(world, interval_seconds=DAY, grace_seconds=HOUR, sink=f"vault:acme/service/{name}")


def record_of(world: VaultWorld, key_id: str) -> KeyRecord:
    stored = world.services.keys.find(key_id)
    assert stored is not None
    return stored.record


def forget_hints(world: VaultWorld) -> int:
    world_due = world.services.due
    entries = world_due.due(world.clock.now() + timedelta(days=400))
    for entry in entries:
        world_due.remove(entry)
    return len(entries)


def put(world: VaultWorld, record: KeyRecord, *, indexed: bool = True) -> str:
    if indexed:
        assert world.services.keys.create(record)
    else:
        world.mount.put(f"keys/{record.key_id[:2]}/{record.key_id}", encode(record))
    return record.key_id


def test_nothing_there_nothing_to_do(swept: Sweeping) -> None:
    reply = swept()
    assert reply.model_dump(exclude_none=True) == {
        "looked_at": 0,
        "rebuilt": 0,
        "tidied": 0,
        "unlisted": 0,
        "failed": 0,
        "unused": [],
        "old_pepper": [],
        "by_pepper_version": {},
        "failures": [],
    }


def test_hints_that_were_lost_are_back_and_the_tick_finds_them(swept: Sweeping, world: VaultWorld) -> None:
    key_id = scheduled(world)
    assert forget_hints(world) > 0
    reply = swept()
    assert (reply.looked_at, reply.next_cursor) == (1, None)
    assert reply.rebuilt > 0
    assert swept().rebuilt == 0
    world.clock.seconds += DAY
    assert world.call(rotate_due.OPERATION).rotated == 1
    assert [g.state for g in record_of(world, key_id).generations] == ["retiring", "current"]
    forget_hints(world)
    world.clock.seconds += HOUR
    assert world.call(rotate_due.OPERATION).retired == 0
    assert swept().rebuilt > 0  # the end of the grace is over, and still nobody has retired it
    assert world.call(rotate_due.OPERATION).retired == 1


def test_a_key_that_nothing_is_to_be_done_with_gets_no_hint(swept: Sweeping, world: VaultWorld) -> None:
    issue(world)
    disabled, revoked = scheduled(world, "disabled"), scheduled(world, "revoked")
    world.call(update_key.OPERATION, key_id=disabled, state="disabled")
    world.call(revoke_key.OPERATION, key_id=revoked)
    forget_hints(world)
    reply = swept()
    assert (reply.looked_at, reply.rebuilt) == (3, 0)


def test_configs_get_their_hints_back_too(swept: Sweeping, world: VaultWorld) -> None:
    for name in ("scorer", "models/openai"):
        fields = {"value": "the first", "rotation": {"kind": "generated", "interval_seconds": DAY}}
        world.call(write_config.OPERATION, tenant="acme", name=name, **fields)
    world.call(write_config.OPERATION, tenant="acme", name="plain", value=1)
    assert forget_hints(world) == 2
    reply = swept()
    assert (reply.looked_at, reply.rebuilt, reply.next_cursor) == (3, 2, None)
    assert swept(cursor="configs:acme/models/openai").looked_at == 2
    assert swept().rebuilt == 0
    world.clock.seconds += DAY
    assert world.call(rotate_due.OPERATION).rotated == 2


def test_generations_retired_for_more_than_a_month_are_forgotten(swept: Sweeping, world: VaultWorld) -> None:
    key_id = issue(world)
    world.call(rotate.OPERATION, key_id=key_id, grace_seconds=0)
    world.clock.seconds += 29 * DAY
    assert swept().tidied == 0
    world.clock.seconds += 2 * DAY
    assert swept().tidied == 1
    assert [g.n for g in record_of(world, key_id).generations] == [2]
    assert swept().tidied == 0


def test_an_index_entry_without_record_goes_after_a_day(swept: Sweeping, world: VaultWorld) -> None:
    kept = issue(world, tenant="acme-2")
    orphan = "0Keyrail0Orphan0"
    world.mount.put(f"tenants/acme/0/{orphan}", {})
    assert swept().unlisted == 0
    world.clock.seconds += DAY + 60
    assert swept().unlisted == 1
    assert world.services.keys.list_ids("acme", None, 10).key_ids == ()
    assert [key.key_id for key in world.call(list_keys.OPERATION, tenant="acme-2").keys] == [kept]


def test_keys_without_use_are_named_and_none_that_is_young_or_was_used(swept: Sweeping, world: VaultWorld) -> None:
    idle, busy = issue(world), issue(world)
    world.clock.seconds += 40 * DAY
    young = issue(world)
    usage: Any = world.services.usage
    usage.used(busy, 1, world.clock.now(), is_retiring=False)
    usage.flush()
    world.clock.seconds += 20 * DAY
    reply = swept(unused_days=30)
    assert reply.unused == [idle]
    assert swept(unused_days=365).unused == []
    world.clock.seconds += 31 * DAY
    assert set(swept(unused_days=30).unused) == {idle, busy, young}


def test_it_counts_pepper_versions_and_names_who_uses_an_old_one(swept: Sweeping, world: VaultWorld) -> None:
    generation = a_record().generations[0]
    old = put(world, a_record(generations=(replace(generation, pepper_version=7),)))
    gone = put(world, a_record(generations=(replace(generation, pepper_version=8),)))
    issue(world)
    world.call(revoke_key.OPERATION, key_id=gone)
    reply = swept()
    assert reply.by_pepper_version == {"1": 1, "7": 1}
    assert reply.old_pepper == [old]


def test_calls_with_the_cursor_look_at_each_key_once(swept: Sweeping, world: VaultWorld) -> None:
    for tenant in ("a", "a-b", "a0", "b"):
        for _ in range(3):
            put(world, a_record(tenant=tenant))
    calls, looked_at, cursor = 0, 0, None
    find = swept.services.keys.find

    def slow_find(key_id: str) -> Any:
        world.clock.seconds += 1.0
        return find(key_id)

    swept.services.keys.find = slow_find  # type: ignore[method-assign]
    while True:
        reply = swept(budget_seconds=4, **({"cursor": cursor} if cursor else {}))
        calls, looked_at, cursor = calls + 1, looked_at + reply.looked_at, reply.next_cursor
        if cursor is None:
            break
    assert looked_at == 12
    assert calls > 5


def test_pages_join_without_a_gap(world: VaultWorld) -> None:
    keys = world.services.keys
    records = [a_record(tenant=tenant) for tenant in ("a", "a-b", "a0") for _ in range(4)]
    for record in records:
        put(world, record)
    world.mount.put("keys/stranger", {})
    world.mount.put("keys/ab/stranger", {})
    world.mount.put("tenants/Stranger/x", {})
    for listed, expected in (
        (keys.list_all_ids, sorted(record.key_id for record in records)),
        (keys.list_index, ["/".join(name) for name in sorted((r.tenant, r.key_id) for r in records)]),
    ):
        for limit in (1, 3, 12, 13, PAGE):
            found: list[str] = []
            after = None
            while True:
                page = listed(after, limit)
                assert len(page.key_ids) <= limit
                found += page.key_ids
                after = page.next_after
                if after is None:
                    break
            assert found == expected, (listed, limit)


def test_a_malformed_record_is_named_and_holds_up_no_other(swept: Sweeping, world: VaultWorld) -> None:
    broken = "0Keyrail0Broken0"
    world.mount.put(f"keys/0K/{broken}", {"no": "record"})
    issue(world)
    reply = swept()
    assert (reply.looked_at, reply.failed, reply.http_status) == (1, 1, 503)
    assert [(failure.subject, failure.code) for failure in reply.failures] == [(broken, "UNAVAILABLE")]


@pytest.mark.parametrize(
    "cursor",
    ["x", "keys", "keys:../../etc", "index:0Keyrail0Broken0", "keys:acme/0Keyrail0Broken0", "configs:acme/../x"],
)
def test_a_cursor_that_is_none_is_refused(cursor: str, swept: Sweeping) -> None:
    with pytest.raises(InvalidArgument) as error:
        swept(cursor=cursor)
    assert error.value.code == "BAD_CURSOR"


def test_it_takes_the_scope_of_a_tick(world: VaultWorld) -> None:
    nobody = ADMIN._replace(scopes=("keys:*",))
    with pytest.raises(PermissionDenied):
        world.call(sweep.OPERATION, caller=nobody)
