"""A rotation that ends in a sink, from wherever it stands to its end. Run by rotate and by the tick alike.

    read the sink -> claim the record (stage, or take over) -> write the sink -> read it back
                  -> validate what it holds, end to end -> promote -> tell everybody

Whoever runs it may be killed at any step, or stopped and go on hours later, while others take it over. Then:
- Only who claimed the record last can promote: claiming and promoting are check-and-set.
- A secret is pending, and so accepted, from before it is written to the sink. Whoever takes over leaves the pending
  ones as they are and adds one more, unless the sink holds one already: so it goes on with that.
- The sink is written by check-and-set against the version read BEFORE the claim. Once a generation is promoted, the
  sink has been written since every other one was claimed, so the late write of an overtaken runner is refused: it
  can't put a secret into the sink that is no longer accepted.
So the sink never holds a key that does not validate, and of any number of runners one promotes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from keyrail.announce import announce
from keyrail.domain.decisions import Code, Need
from keyrail.domain.digest import same_digest
from keyrail.domain.due import due_times
from keyrail.domain.errors import Conflict, DeliveryFailed, KeyrailError, MalformedKey
from keyrail.domain.key_format import new_secret
from keyrail.domain.lifecycle import (
    NewSecret,
    find_generation,
    in_grace,
    is_promoted,
    note_failure,
    promote,
    require_free,
    require_rotatable,
    stage,
    take_over,
)
from keyrail.domain.records import Generation, KeyRecord, StoredKey
from keyrail.domain.secrets_manager_rotation import is_secrets_managers
from keyrail.domain.sinks import Sink, parse_sink
from keyrail.ports import Services
from keyrail.rotation_ports import Delivered, DueEntry
from keyrail.telemetry import note
from keyrail.validation import examine

TRIES = 5  # of a write against others: late runners write the sink once each, and owners update their key
ACCEPTED = (Code.VALID, Code.CONTEXT_DENIED, Code.NOT_YET_VALID, Code.DISABLED)  # the secret is right: all of ours
NOT_LIVE = (Code.REVOKED, Code.EXPIRED)


@dataclass(frozen=True, slots=True)
class SinkRotation:
    """What is asked for. An emergency has no grace and waits for nobody: it ends every other generation."""

    rotation_id: str
    grace_seconds: int
    actor: str
    is_emergency: bool = False


def rotate_into_sink(stored: StoredKey, asked: SinkRotation, services: Services) -> StoredKey:
    """The promoted record; of a rotation that was done before, the record as it is.

    Raises: Conflict where somebody else is at it, or the key is at its end; Unavailable, DeadlineExceeded where a step
    failed: that is noted in the record, and the next run goes on from there.
    """
    require_rotatable(stored, services.clock.now())
    if is_promoted(stored.record, asked.rotation_id) and not (asked.is_emergency and _in_grace(stored, services)):
        tell_promoted(stored, asked.actor, services)
        return stored
    require_free(stored.record, services.clock.now(), is_emergency=asked.is_emergency)
    with failure_noted(stored, asked, services):
        sink = parse_sink(stored.record.rotation.sink or "", stored.record.tenant)
        held = services.delivery.read(sink)
        claimed, key = _claim(stored, held, asked, services)
    with failure_noted(claimed, asked, services):
        if key is not None:
            tell("rotation.staged", claimed, asked.actor, services, _newest(claimed).n)
            _deliver(sink, claimed, key, held, services)
        tested, n = _tested(sink, claimed, services)
        tell("rotation.delivered", claimed, asked.actor, services, n)
        promoted = _promote(tested, n, claimed, services)
    tell_promoted(promoted, asked.actor, services)
    if claimed.record.rotation.rotation_id == asked.rotation_id:
        for hint in _resume_hints(stored, claimed.record):
            services.due.remove(hint)
    return promoted


def tell_promoted(stored: StoredKey, actor: str, services: Services) -> None:
    """Said again of the same rotation and generation, it is the same event."""
    record, current = stored.record, find_generation(stored.record, "current")
    n, at = (current.n, current.activated_at) if current is not None else (0, None)
    services.feed.publish(record.key_id)
    change = f"{record.rotation.rotation_id}:{n}"
    announce(services, "rotation.promoted", record, actor=actor, change=change, at=at, generation=n)


def schedule(record: KeyRecord, services: Services) -> None:
    """Hints for every moment at which a tick has something to do with this key."""
    for at in due_times(record):
        services.due.add(DueEntry.of(at, "key", record.key_id))


def new_key(record: KeyRecord, services: Services) -> tuple[str, NewSecret]:
    """The whole key, and what is kept of it."""
    key = services.key_format.assemble(record.key_id, new_secret())
    peppers = services.lookup.peppers()
    return key, NewSecret(peppers.current_digest(services.key_format.parse(key).body), peppers.current)


# -- claim --------------------------------------------------------------------------------------------------------


def _claim(
    stored: StoredKey, held: Delivered | None, asked: SinkRotation, services: Services
) -> tuple[StoredKey, str | None]:
    """The record that is ours until the lease ends, and the newest pending generation's key where the sink holds none
    of the pending ones yet."""
    now, record = services.clock.now(), stored.record
    lease_until = now + timedelta(seconds=services.rotation_lease_seconds)
    is_new = asked.is_emergency or find_generation(record, "pending") is None
    if not is_new:
        record = _made_ours(record, asked)
        is_held = _holds_pending(held, record, services)
        key, secret = (None, None) if is_held else new_key(record, services)
        claimed = take_over(record, secret, lease_until=lease_until, now=now)
    else:
        key, secret = new_key(record, services)
        claimed = stage(
            record,
            secret,
            rotation_id=asked.rotation_id,
            grace_seconds=asked.grace_seconds,
            is_emergency=asked.is_emergency,
            lease_until=lease_until,
            now=now,
        )
    if is_new or is_secrets_managers(stored.record):
        for hint in _resume_hints(stored, claimed):
            services.due.add(hint)
    return _written(claimed, stored.version, services), key


def _made_ours(record: KeyRecord, asked: SinkRotation) -> KeyRecord:
    """A rotation in flight keeps its id, whoever ends it. But where AWS Secrets Manager drove it, its later steps, and
    ticks, must see that it no longer does."""
    if not is_secrets_managers(record):
        return record
    return replace(record, rotation=replace(record.rotation, rotation_id=asked.rotation_id))


def _resume_hints(before: StoredKey, claimed: KeyRecord) -> list[DueEntry]:
    """Where a tick would not come by anyway, one is to see to it that the rotation is brought to its end."""
    next_at, lease_until = before.record.rotation.next_at, claimed.rotation.lease_until
    if lease_until is None or (next_at is not None and next_at <= lease_until):
        return []
    return [DueEntry.of(lease_until, "key", claimed.key_id)]


def _written(record: KeyRecord, version: int, services: Services) -> StoredKey:
    written = services.keys.replace(record, version)
    if written is None:
        raise _overtaken()
    return StoredKey(record, written)


def _ours(claimed: StoredKey, services: Services) -> StoredKey:
    """The record as it is now, where it still is ours. Raises: Conflict."""
    stored = services.keys.find(claimed.record.key_id)
    if stored is None:
        raise _overtaken()
    require_rotatable(stored, services.clock.now())
    _require_ours(stored, claimed)
    return stored


def _require_ours(stored: StoredKey, claimed: StoredKey) -> None:
    """Others may have changed the key since it was claimed, but not claimed it."""
    now, then = stored.record, claimed.record
    if (now.rotation.rotation_id, now.rotation.lease_until) != (then.rotation.rotation_id, then.rotation.lease_until):
        raise _overtaken()
    if _pending(now) != _pending(then):
        raise _overtaken()


def _overtaken() -> Conflict:
    return Conflict("The key was changed at the same moment.", code="ROTATION_IN_PROGRESS")


# -- deliver and test -----------------------------------------------------------------------------------------------


def _deliver(sink: Sink, claimed: StoredKey, key: str, held: Delivered | None, services: Services) -> None:
    """Until the sink holds a pending key, this one or one whose late write came first. That the record still is ours
    is looked up after the sink was read again: else we would write over what somebody promoted in between."""
    for _ in range(TRIES):
        version = held.version if held else 0
        if services.delivery.write(sink, key, claimed.record.key_id, _newest(claimed).n, version):
            return
        held = services.delivery.read(sink)
        _ours(claimed, services)
        if _holds_pending(held, claimed.record, services):
            return
    raise DeliveryFailed("others keep writing the sink")


def _tested(sink: Sink, claimed: StoredKey, services: Services) -> tuple[StoredKey, int]:
    """What a consumer would read right now validates, and is a pending generation: the record, read anew for that,
    and which one."""
    held = services.delivery.read(sink)
    decision = examine(held.key if held else "", Need(tenant=claimed.record.tenant), services, anew=True)
    stored, generation = decision.stored, decision.generation
    if stored is None or generation is None:
        raise DeliveryFailed("the sink does not give back the key that was delivered to it")
    _require_ours(stored, claimed)
    if decision.code in NOT_LIVE:
        raise Conflict("The key has ended since its rotation began.", code="KEY_NOT_LIVE")
    if generation.state != "pending" or decision.code not in ACCEPTED:
        raise DeliveryFailed(f"the key in the sink is {generation.state} and {decision.code}")
    return stored, generation.n


def _holds_pending(held: Delivered | None, record: KeyRecord, services: Services) -> bool:
    if held is None:
        return False
    try:
        body = services.key_format.parse(held.key).body
    except MalformedKey:
        return False
    return any(_is_of(body, generation, services) for generation in _pending(record))


def _is_of(body: bytes, generation: Generation, services: Services) -> bool:
    peppers = services.lookup.peppers()
    if not peppers.knows(generation.pepper_version):
        peppers = services.lookup.peppers(anew=True)
    version = generation.pepper_version
    return peppers.knows(version) and same_digest(peppers.digest(body, version), generation.digest)


def _pending(record: KeyRecord) -> list[Generation]:
    return [generation for generation in record.generations if generation.state == "pending"]


def _newest(claimed: StoredKey) -> Generation:
    return _pending(claimed.record)[-1]


# -- promote and tell -----------------------------------------------------------------------------------------------


def _promote(tested: StoredKey, n: int, claimed: StoredKey, services: Services) -> StoredKey:
    for _ in range(TRIES):
        record = promote(tested.record, n=n, now=services.clock.now())
        schedule(record, services)  # first: a hint too many does no harm
        version = services.keys.replace(record, tested.version)
        if version is not None:
            return StoredKey(record, version)
        tested = _ours(claimed, services)  # with what its owner changed meanwhile
    raise Conflict("Others keep changing this key.", code="CONCURRENT_CHANGE")


@contextmanager
def failure_noted(stored: StoredKey, asked: SinkRotation, services: Services) -> Iterator[None]:
    """A tick then waits before it tries again. To be overtaken is no failure."""
    try:
        yield
    except Conflict:
        raise
    except KeyrailError as error:
        _note_failure(stored, error, asked, services)
        raise


def _note_failure(stored: StoredKey, error: KeyrailError, asked: SinkRotation, services: Services) -> None:
    """Best effort, since the store may be what failed; and only where nobody changed the record since."""
    try:
        record = note_failure(stored.record, services.clock.now())
        version = services.keys.replace(record, stored.version)
        if version is not None:
            change = f"{record.rotation.rotation_id or asked.rotation_id}:{record.rotation.failures}"
            facts: dict[str, Any] = {"code": error.code, "detail": error.detail, "failures": record.rotation.failures}
            announce(services, "rotation.failed", record, actor=asked.actor, change=change, **facts)
    except KeyrailError as second:
        note(failure_not_noted=second.code)


def _in_grace(stored: StoredKey, services: Services) -> bool:
    return in_grace(stored.record, services.clock.now())


def tell(event: str, stored: StoredKey, actor: str, services: Services, n: int) -> None:
    change = stored.record.rotation.rotation_id or ""
    announce(services, event, stored.record, actor=actor, change=change, generation=n)
