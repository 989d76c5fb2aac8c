"""Small builders of keys and records; every test names only what it is about.

Secret number n is base62(n), so that generation n of a record accepts `presented(n)` and nothing else.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keyrail.domain.decisions import Decision, Need, decide
from keyrail.domain.digest import Peppers
from keyrail.domain.key_format import SECRET_CHARS, KeyFormat, PresentedKey, base62
from keyrail.domain.lifecycle import NewSecret
from keyrail.domain.records import Generation, GenerationState, KeyRecord, Rotation, StoredKey, Tombstone
from keyrail.domain.roles import BUILT_IN_ROLES, Roles

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)  # the smallest step a datetime can take
HOUR_SECONDS = 3600

FORMAT = KeyFormat()
KEY_ID = "0Keyrail0Unit0Id"
PEPPERS = Peppers(current=1, by_version={1: b"\x01" * 32, 2: b"\x02" * 32})
ROLES = Roles(BUILT_IN_ROLES)


def key_text(number: int = 1, key_id: str = KEY_ID) -> str:
    return FORMAT.assemble(key_id, base62(number, SECRET_CHARS))


def presented(number: int = 1) -> PresentedKey:
    return FORMAT.parse(key_text(number))


def digest(number: int = 1, pepper_version: int = 1) -> str:
    return PEPPERS.digest(presented(number).body, pepper_version)


def new_secret(number: int) -> NewSecret:
    return NewSecret(digest(number), 1)


def generation(n: int = 1, state: GenerationState = "current", **changes: Any) -> Generation:
    return replace(Generation(n=n, digest=digest(n), pepper_version=1, state=state, activated_at=NOW), **changes)


def record(*generations: Generation, **changes: Any) -> KeyRecord:
    """An active key of tenant acme with one current generation, a grace of an hour and no end."""
    plain = KeyRecord(
        key_id=KEY_ID,
        tenant="acme",
        env="live",
        prefix="krl",
        owner="team-ml",
        name="notebook",
        created_at=NOW,
        created_by="0Keyrail0AdminId",
        generations=generations or (generation(),),
        rotation=Rotation(grace_seconds=HOUR_SECONDS, max_grace_seconds=24 * HOUR_SECONDS),
        scopes=("ml:infer", "data:read"),
    )
    return replace(plain, **changes)


def stored(*generations: Generation, tombstone: Tombstone | None = None, **changes: Any) -> StoredKey:
    return StoredKey(record(*generations, **changes), version=1, tombstone=tombstone)


def tombstone() -> Tombstone:
    return Tombstone(key_id=KEY_ID, revoked_at=NOW, revoked_by="0Keyrail0AdminId", reason="leaked")


def decided(key: StoredKey | None, number: int = 1, need: Need | None = None, now: datetime = NOW) -> Decision:
    """The decision on secret `number` of a key."""
    return decide(presented(number), key, PEPPERS, ROLES, need or Need(), now)
