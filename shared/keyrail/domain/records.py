"""What is kept of a key. Datetimes are aware and UTC; a whole key is in none of this.

Stored form: the JSON of `encode`; unknown fields of a newer schema version are refused, never dropped.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from keyrail.domain import stored_form
from keyrail.domain.digest import DigestScheme
from keyrail.domain.stored_form import UNLESS

SCHEMA_VERSION = 1
SYSTEM_TENANT = "system"  # its keys act in every tenant; made by `keyrail bootstrap` only, or by each other

GenerationState = Literal["pending", "current", "retiring", "retired"]
RotationStep = Literal["staged", "promoted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One secret of a key. One is current. Several are pending only where runners of a rotation were cut off before
    they wrote the sink, and several retiring only where such a rotation was abandoned (domain/lifecycle.py).

    `digest_scheme` is written only where it is not "key": releases that don't know it read every other record."""

    n: int
    digest: str = field(repr=False)
    pepper_version: int
    state: GenerationState
    activated_at: datetime | None = None
    retire_at: datetime | None = None
    digest_scheme: DigestScheme = field(default="key", metadata={UNLESS: "key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """From where and for whom a key may be used; empty means anywhere, for anyone."""

    cidrs: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """`rotation_id` and `step` speak of the rotation in flight, or of the last one where step is "promoted".

    lease_until           whoever runs the rotation in flight is left alone until then
    staged_grace_seconds  what the rotation in flight was asked for: whoever ends it keeps to that
    silent_seconds        the grace ends early once the retiring generation was not used for so long; None: it does not
    failures              of the rotation in flight, in a row; no tick tries again before `retry_at`
    """

    grace_seconds: int
    max_grace_seconds: int
    interval_seconds: int | None = None
    next_at: datetime | None = None
    sink: str | None = None
    rotation_id: str | None = None
    step: RotationStep | None = None
    lease_until: datetime | None = None
    staged_grace_seconds: int | None = None
    silent_seconds: int | None = None
    failures: int = 0
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `requests` in each window of `window_seconds`."""

    requests: int
    window_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """`lifetime_seconds` is the life of each generation: a rotation sets `expires_at` anew from it."""

    key_id: str
    tenant: str
    env: str
    prefix: str
    owner: str
    name: str
    created_at: datetime
    created_by: str
    generations: tuple[Generation, ...]
    rotation: Rotation
    labels: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    state: Literal["active", "disabled"] = "active"
    state_reason: str | None = None
    state_at: datetime | None = None
    state_by: str | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    lifetime_seconds: int | None = None
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    context: Context = Context()
    rate: Limit | None = None
    quota: Limit | None = None
    request_fingerprint: str | None = None
    schema_version: Literal[1] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """A key is revoked once and for all when this exists."""

    key_id: str
    revoked_at: datetime
    revoked_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A record as read, with its version in the store and its tombstone where there is one."""

    record: KeyRecord
    version: int
    tombstone: Tombstone | None = None

    def state_at(self, now: datetime) -> str:
        """revoked, disabled, expired, not_yet_valid or active: the first that holds."""
        if self.tombstone is not None:
            return "revoked"
        if self.record.state == "disabled":
            return "disabled"
        if is_expired(self.record, now):
            return "expired"
        return "not_yet_valid" if is_early(self.record, now) else "active"


def is_expired(record: KeyRecord, now: datetime) -> bool:
    return record.expires_at is not None and record.expires_at <= now


def is_early(record: KeyRecord, now: datetime) -> bool:
    return record.not_before is not None and now < record.not_before


def encode(value: KeyRecord | Tombstone) -> dict[str, Any]:
    """Plain JSON types."""
    encoded: dict[str, Any] = stored_form.encode(value)
    return encoded


def decode_record(data: object) -> KeyRecord:
    """Raises: stored_form.Malformed on a document that is no record of this schema version."""
    return stored_form.decode(KeyRecord, data)


def decode_tombstone(data: object) -> Tombstone:
    """Raises: stored_form.Malformed."""
    return stored_form.decode(Tombstone, data)
