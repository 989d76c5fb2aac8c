"""Rotations as runners that stop before each call of a port, so that a test decides who makes the next step.

Every runner is a process of its own: it shares the store, the sink and the index with the others, not memory.
A runner that was killed, or is never moved again, is what SIGKILL and SIGSTOP leave behind.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from builders import KEY_ID, NOW, PEPPERS, key_text, record
from runners import Gate, Gated

from keyrail.adapters.cached_lookup import CacheBounds, CachedLookup
from keyrail.adapters.memory_delivery import MemoryKeyDelivery
from keyrail.adapters.memory_documents import MemoryPepperSource, MemoryRoleSource
from keyrail.adapters.memory_due import MemoryDueIndex
from keyrail.adapters.memory_feed import MemoryChangeFeed
from keyrail.adapters.memory_keys import MemoryKeyStore
from keyrail.adapters.memory_outbox import MemoryEventOutbox
from keyrail.adapters.memory_usage import MemoryUsageLog
from keyrail.bootstrap import build_services
from keyrail.domain.access import Caller
from keyrail.domain.decisions import Code, Decision, Need
from keyrail.domain.key_fields import RotationField
from keyrail.domain.records import KeyRecord, Rotation, StoredKey, Tombstone
from keyrail.domain.sinks import parse_sink
from keyrail.operations import rotate_due, update_key
from keyrail.operations.rotate_due import TickReply, TickRequest
from keyrail.operations.update_key import UpdateRequest
from keyrail.ports import NoMetrics, Services
from keyrail.rotation import SinkRotation, rotate_into_sink, schedule
from keyrail.settings import load_settings
from keyrail.validation import examine

SINK = "vault:acme/gateway"
LEASE_SECONDS = 30.0
BEYOND_LEASE_SECONDS = LEASE_SECONDS + 1
INTERVAL_SECONDS = 24 * 3600
GRACE_SECONDS = 3600
_OTHER_SERVICES = build_services(load_settings({"KEYRAIL_STORE": "memory", "KEYRAIL_METRICS": "none"}))
ACTOR = Caller(key_id="0Keyrail0TickId0", tenant="system", owner="scheduler", scopes=("rotation:tick",))
OWNER = Caller(key_id="0Keyrail0OwnerId", tenant="acme", owner="team-ml", scopes=("*",))


class MovedClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def elapsed_seconds(self) -> float:
        return self.seconds


class Told:
    """An audit log that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def write(self, event: str, **facts: Any) -> None:
        self.events.append((event, facts))


class CountedMetrics(NoMetrics):
    def __init__(self) -> None:
        self.warnings = 0

    def grace_still_used(self) -> None:
        self.warnings += 1


class WatchedKeys(MemoryKeyStore):
    """Notes each promotion: the rotation's id and the generation that became current."""

    def __init__(self) -> None:
        super().__init__()
        self.promotions: list[tuple[str, int]] = []
        self.writes = 0

    def revoke(self, tombstone: Tombstone) -> Tombstone:
        self.writes += 1
        return super().revoke(tombstone)

    def replace(self, record: KeyRecord, version: int) -> int | None:
        self.writes += 1
        before = self.find(record.key_id)
        written = super().replace(record, version)
        current, was = _current(record), _current(before.record) if before else 0
        if written is not None and current != was:
            self.promotions.append((record.rotation.rotation_id or "", current))
        return written


def _current(record: KeyRecord) -> int:
    return next(g.n for g in record.generations if g.state == "current")


@dataclass
class World:
    """One key with a sink that holds its first generation, due now unless told otherwise."""

    MOVED: ClassVar[str] = "vault:acme/another"
    clock: MovedClock = field(default_factory=MovedClock)
    keys: WatchedKeys = field(default_factory=WatchedKeys)
    delivery: MemoryKeyDelivery = field(default_factory=MemoryKeyDelivery)
    due: MemoryDueIndex = field(default_factory=MemoryDueIndex)
    feed: MemoryChangeFeed = field(default_factory=MemoryChangeFeed)
    usage: MemoryUsageLog = field(default_factory=MemoryUsageLog)
    outbox: MemoryEventOutbox = field(default_factory=MemoryEventOutbox)
    audit: Told = field(default_factory=Told)
    metrics: CountedMetrics = field(default_factory=CountedMetrics)
    _codes: dict[tuple[str, int, float], Code] = field(default_factory=dict)

    @classmethod
    def with_key(cls, *, is_delivered: bool = True, **rotation: Any) -> "World":
        world = cls()
        settings: dict[str, Any] = {
            "grace_seconds": GRACE_SECONDS,
            "max_grace_seconds": 24 * GRACE_SECONDS,
            "interval_seconds": INTERVAL_SECONDS,
            "next_at": NOW,
            "sink": SINK,
        }
        made = record(rotation=Rotation(**settings | rotation))
        assert world.keys.create(made)
        schedule(made, world.services())
        if is_delivered:
            assert world.delivery.write(world.sink, key_text(1), KEY_ID, 1, 0)
        return world

    @property
    def sink(self) -> Any:
        return parse_sink(SINK, "acme")

    def services(self, gate: Gate | None = None) -> Services:
        def gated(name: str, port: Any) -> Any:
            return port if gate is None else Gated(name, port, gate)

        keys, feed = gated("keys", self.keys), gated("feed", self.feed)
        peppers = gated("peppers", MemoryPepperSource(PEPPERS))
        bounds = CacheBounds(background=False)
        return replace(
            _OTHER_SERVICES,
            keys=keys,
            lookup=CachedLookup(keys, peppers, MemoryRoleSource(), feed, self.clock, NoMetrics(), bounds),
            feed=feed,
            audit=self.audit,
            clock=self.clock,
            delivery=gated("delivery", self.delivery),
            due=gated("due", self.due),
            usage=gated("usage", self.usage),
            outbox=gated("outbox", self.outbox),
            rotation_lease_seconds=LEASE_SECONDS,
            metrics=self.metrics,
        )

    # -- what there is to see ---------------------------------------------------------------------------------------

    def stored(self) -> StoredKey:
        found = self.keys.find(KEY_ID)
        assert found is not None
        return found

    def states(self) -> dict[int, str]:
        return {g.n: g.state for g in self.stored().record.generations}

    def in_sink(self, sink: str = SINK) -> str:
        held = self.delivery.held.get(parse_sink(sink, "acme"))
        return "" if held is None else held.key

    def decision(self, key: str) -> Decision:
        return examine(key, Need(tenant="acme"), self.services())

    def code_of(self, key: str) -> Code:
        """Asked after every step, of which most change nothing."""
        asked = (key, self.keys.writes, self.clock.seconds)
        if asked not in self._codes:
            self._codes = {asked: self.decision(key).code}
        return self._codes[asked]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event.facts for event in self.outbox.pending(1000) if event.name == name]

    # -- what may happen --------------------------------------------------------------------------------------------

    def tick(self, services: Services | None = None, **request: Any) -> TickReply:
        return rotate_due.run(TickRequest(**request), ACTOR, services or self.services())

    def rotate(self, services: Services | None = None, rotation_id: str = "by hand", **asked: Any) -> StoredKey:
        """As the operation rotate does it."""
        services = services or self.services()
        stored = services.keys.find(KEY_ID)
        assert stored is not None
        grace_seconds = 0 if asked.get("is_emergency") else GRACE_SECONDS
        return rotate_into_sink(stored, SinkRotation(rotation_id, grace_seconds, "0Keyrail0OwnerId", **asked), services)

    def calls_of(self, run: Callable[["World", Services], Any]) -> list[str]:
        """The calls of ports that `run` makes here, in their order; it is run, so this world is used up."""
        gate = Gate()
        run(self, self.services(gate))
        return gate.calls

    def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def change(self, **changes: Any) -> None:
        """As update_key writes it."""
        stored = self.stored()
        assert self.keys.replace(replace(stored.record, **changes), stored.version)

    def update(self, **asked: Any) -> None:
        """By the operation itself."""
        update_key.run(UpdateRequest(key_id=KEY_ID, **asked), OWNER, self.services())

    def move_sink(self) -> None:
        rotation = self.stored().record.rotation
        kept = {name: getattr(rotation, name) for name in ("grace_seconds", "max_grace_seconds", "interval_seconds")}
        self.update(rotation=RotationField(sink=self.MOVED, **kept))

    def revoke(self) -> None:
        self.keys.revoke(Tombstone(key_id=KEY_ID, revoked_at=self.clock.now(), revoked_by="owner", reason="leaked"))
