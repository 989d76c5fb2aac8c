"""A rotation that ends in a sink, from wherever it stands to its end. Run by rotate and by the tick alike.

    read the sink -> claim the record (stage, or take over) -> write the sink -> read it back
                  -> validate what it holds, end to end -> promote -> tell everybody

Two runners never both win, however long one of them was stopped in between:
- The record is claimed and promoted by check-and-set, so only who claimed it last can promote.
- The sink is written by check-and-set against the version read BEFORE the claim. A runner that was overtaken
  holds a version that the one who overtook it has written over, so its late write is refused.
A crash leaves the record staged. Then the sink tells whether its secret arrived: it did, and the next runner goes
on with it; or it did not, so it reached nobody, and the next runner replaces it.
"""

from dataclasses import dataclass
from datetime import timedelta

from keyrail.announce import announce
from keyrail.domain.decisions import Code, Need
from keyrail.domain.digest import same_digest
from keyrail.domain.due import due_times
from keyrail.domain.errors import Conflict, MalformedKey, Unavailable
from keyrail.domain.key_format import new_secret
from keyrail.domain.lifecycle import (
    NewSecret,
    find_generation,
    promote,
    require_rotatable,
    retire_pending,
    stage,
    take_over,
)
from keyrail.domain.records import KeyRecord, StoredKey
from keyrail.domain.sinks import Sink, parse_sink
from keyrail.ports import Delivered, DueEntry, Services
from keyrail.validation import examine

_ACCEPTED = (Code.VALID, Code.CONTEXT_DENIED, Code.NOT_YET_VALID)  # the secret is right; the rest is not the sink's


@dataclass(frozen=True, slots=True)
class SinkRotation:
    """What is to be done. `grace_seconds` 0 is an emergency: it also overtakes a grace period."""

    rotation_id: str
    grace_seconds: int
    actor: str


def rotate_into_sink(stored: StoredKey, asked: SinkRotation, services: Services) -> StoredKey:
    """The promoted record. Raises: Conflict where somebody else is at it, Unavailable where a step failed: then the
    next run goes on from there."""
    require_rotatable(stored, services.clock.now())
    sink = parse_sink(stored.record.rotation.sink or "", stored.record.tenant)
    held = services.delivery.read(sink)
    claimed, key = _claim(stored, held, asked, services)
    if key is not None:
        _tell("rotation.staged", claimed, asked, services)
        _deliver(sink, claimed, key, held, services)
        _tell("rotation.delivered", claimed, asked, services)
    _test(sink, claimed, services)
    return _promote(claimed, asked, services)


def _claim(
    stored: StoredKey, held: Delivered | None, asked: SinkRotation, services: Services
) -> tuple[StoredKey, str | None]:
    """The record with our pending generation, and its key where the sink does not hold it yet."""
    now = services.clock.now()
    lease_until = now + timedelta(seconds=services.rotation_lease_seconds)
    emergency = asked.grace_seconds == 0
    record = retire_pending(stored.record, now) if emergency else stored.record
    if find_generation(record, "pending") is None:
        key, secret = _new_key(record, services)
        claimed = stage(
            record, secret, rotation_id=asked.rotation_id, now=now, emergency=emergency, lease_until=lease_until
        )
        return _written(claimed, stored.version, services), key
    if _is_pending_key(held, record, services):
        return _written(take_over(record, None, lease_until=lease_until, now=now), stored.version, services), None
    key, secret = _new_key(record, services)
    return _written(take_over(record, secret, lease_until=lease_until, now=now), stored.version, services), key


def _new_key(record: KeyRecord, services: Services) -> tuple[str, NewSecret]:
    key = services.key_format.assemble(record.key_id, new_secret())
    peppers = services.lookup.peppers()
    return key, NewSecret(peppers.current_digest(services.key_format.parse(key).body), peppers.current)


def _written(record: KeyRecord, version: int, services: Services) -> StoredKey:
    written = services.keys.replace(record, version)
    if written is None:
        raise Conflict("The key was changed at the same moment.", code="ROTATION_IN_PROGRESS")
    return StoredKey(record, written)


def _is_pending_key(held: Delivered | None, record: KeyRecord, services: Services) -> bool:
    pending = find_generation(record, "pending")
    if held is None or pending is None:
        return False
    try:
        body = services.key_format.parse(held.key).body
    except MalformedKey:
        return False
    return same_digest(services.lookup.peppers().digest(body, pending.pepper_version), pending.digest)


def _deliver(sink: Sink, claimed: StoredKey, key: str, held: Delivered | None, services: Services) -> None:
    pending = find_generation(claimed.record, "pending")
    n = pending.n if pending is not None else 0
    if not services.delivery.write(sink, key, claimed.record.key_id, n, held.version if held else 0):
        raise Conflict("Somebody else wrote the sink at the same moment.", code="ROTATION_IN_PROGRESS")


def _test(sink: Sink, claimed: StoredKey, services: Services) -> None:
    """What a consumer would read right now is the pending generation, and validates."""
    held = services.delivery.read(sink)
    pending = find_generation(claimed.record, "pending")
    decision = examine(held.key if held else "", Need(tenant=claimed.record.tenant), services, anew=True)
    if decision.generation is None or pending is None or decision.generation.n != pending.n:
        raise Unavailable("the sink does not give back the key that was delivered to it")
    if decision.code not in _ACCEPTED:
        raise Unavailable(f"the key in the sink is {decision.code}")


def _promote(claimed: StoredKey, asked: SinkRotation, services: Services) -> StoredKey:
    record = promote(claimed.record, grace_seconds=asked.grace_seconds, now=services.clock.now())
    schedule(record, services)  # first: a hint too many does no harm
    promoted = _written(record, claimed.version, services)
    services.feed.publish(record.key_id)
    _tell("rotation.promoted", promoted, asked, services)
    return promoted


def schedule(record: KeyRecord, services: Services) -> None:
    """Hints for every moment at which a tick has something to do with this key."""
    for at in due_times(record):
        services.due.add(DueEntry.of(at, "key", record.key_id))


def _tell(event: str, stored: StoredKey, asked: SinkRotation, services: Services) -> None:
    record = stored.record
    announce(services, event, record, actor=asked.actor, change=record.rotation.rotation_id or "")
