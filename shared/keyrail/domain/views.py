"""What is shown of a key: everything but its digests."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self

from keyrail.domain.decisions import is_rotated_out
from keyrail.domain.fields import Reply
from keyrail.domain.key_fields import ContextField, LimitField
from keyrail.domain.records import Generation, KeyRecord, Limit, StoredKey

KeyState = Literal["active", "disabled", "revoked", "expired", "not_yet_valid"]


class GenerationView(Reply):
    """One secret of the key; a retiring one is still accepted until `retire_at`. `imported`: it was made elsewhere.
    `last_used_at` is told by get_key alone, up to two minutes late for a retiring one and an hour for others."""

    n: int
    state: Literal["pending", "current", "retiring", "retired"]
    activated_at: datetime | None = None
    retire_at: datetime | None = None
    imported: bool | None = None
    last_used_at: datetime | None = None

    @classmethod
    def of(cls, generation: Generation, now: datetime, last_used_at: datetime | None = None) -> Self:
        return cls(
            n=generation.n,
            state="retired" if is_rotated_out(generation, now) else generation.state,
            activated_at=generation.activated_at,
            retire_at=generation.retire_at,
            imported=True if generation.digest_scheme == "sha256" else None,
            last_used_at=last_used_at,
        )


class RotationView(Reply):
    """`next_at`: when the next tick after it rotates the key. `failures` of the rotation in flight, in a row."""

    grace_seconds: int
    max_grace_seconds: int
    interval_seconds: int | None = None
    next_at: datetime | None = None
    sink: str | None = None
    silent_seconds: int | None = None
    step: Literal["staged", "promoted"] | None = None
    failures: int = 0
    retry_at: datetime | None = None


class KeyView(Reply):
    """`etag` names this version of the record; send it as If-Match to change just this version."""

    key_id: str
    tenant: str
    owner: str
    name: str
    state: KeyState
    state_reason: str | None = None
    state_at: datetime | None = None
    state_by: str | None = None
    created_at: datetime
    created_by: str
    not_before: datetime | None = None
    expires_at: datetime | None = None
    lifetime_seconds: int | None = None
    scopes: list[str]
    roles: list[str]
    labels: dict[str, str]
    metadata: dict[str, Any]
    context: ContextField
    rate: LimitField | None = None
    quota: LimitField | None = None
    rotation: RotationView
    generations: list[GenerationView]
    etag: str

    @classmethod
    def fields_of(cls, stored: StoredKey, now: datetime) -> dict[str, Any]:
        record, tombstone = stored.record, stored.tombstone
        fields = {name: getattr(record, name) for name in _TAKEN_AS_THEY_ARE}
        if tombstone is not None:
            fields |= {
                "state_reason": tombstone.reason,
                "state_at": tombstone.revoked_at,
                "state_by": tombstone.revoked_by,
            }
        return fields | {
            "state": stored.state_at(now),
            "scopes": list(record.scopes),
            "roles": list(record.roles),
            "context": ContextField(cidrs=list(record.context.cidrs), audiences=list(record.context.audiences)),
            "rate": _limit(record.rate),
            "quota": _limit(record.quota),
            "rotation": _rotation(record),
            "generations": [GenerationView.of(generation, now) for generation in record.generations],
            "etag": f'"{stored.version}"',
        }

    @classmethod
    def of(cls, stored: StoredKey, now: datetime, last_used: Mapping[int, datetime] | None = None) -> Self:
        """`last_used` by generation, where it is known."""
        fields = cls.fields_of(stored, now)
        if last_used:
            generations = stored.record.generations
            fields["generations"] = [GenerationView.of(each, now, last_used.get(each.n)) for each in generations]
        return cls(**fields)


_TAKEN_AS_THEY_ARE = (
    "key_id",
    "tenant",
    "owner",
    "name",
    "state_reason",
    "state_at",
    "state_by",
    "created_at",
    "created_by",
    "not_before",
    "expires_at",
    "lifetime_seconds",
    "labels",
    "metadata",
)


def _limit(limit: Limit | None) -> LimitField | None:
    return None if limit is None else LimitField(requests=limit.requests, window_seconds=limit.window_seconds)


def _rotation(record: KeyRecord) -> RotationView:
    return RotationView(**{name: getattr(record.rotation, name) for name in RotationView.model_fields})
