"""Steps of a key's life, for the tests of domain/lifecycle.py. Secret `number` is the one of builders.py."""

from datetime import datetime, timedelta

from builders import HOUR_SECONDS, NOW, decided, new_secret

from keyrail.domain.decisions import Code
from keyrail.domain.lifecycle import NewSecret, rotate_at_once, stage, take_over
from keyrail.domain.records import KeyRecord, StoredKey

HOUR = timedelta(seconds=HOUR_SECONDS)
LEASE = timedelta(seconds=30)


def code_of(kept: KeyRecord, number: int, now: datetime = NOW) -> Code:
    return decided(StoredKey(kept, version=1), number, now=now).code


def states(kept: KeyRecord) -> dict[int, str]:
    return {g.n: g.state for g in kept.generations}


def rotated(
    kept: KeyRecord, number: int, rotation_id: str = "", *, grace_seconds: int = HOUR_SECONDS, now: datetime = NOW
) -> KeyRecord:
    """`kept` with secret `number` as its new one."""
    rotation_id = rotation_id or f"rotation {number}"
    return rotate_at_once(kept, new_secret(number), rotation_id=rotation_id, grace_seconds=grace_seconds, now=now)


def staged(
    kept: KeyRecord,
    number: int = 2,
    rotation_id: str = "r",
    *,
    grace_seconds: int = HOUR_SECONDS,
    now: datetime = NOW,
    is_emergency: bool = False,
) -> KeyRecord:
    """`kept` with secret `number` pending, and a lease of 30 seconds."""
    return stage(
        kept,
        new_secret(number),
        rotation_id=rotation_id,
        grace_seconds=grace_seconds,
        is_emergency=is_emergency,
        lease_until=now + LEASE,
        now=now,
    )


def taken_over(kept: KeyRecord, number: int | None = None, now: datetime = NOW + LEASE) -> KeyRecord:
    secret: NewSecret | None = None if number is None else new_secret(number)
    return take_over(kept, secret, lease_until=now + LEASE, now=now)
