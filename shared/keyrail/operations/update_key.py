"""Changes what a key may do, or stops it for a while. docs/operations/update_key.md"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from keyrail.announce import announce
from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.errors import Conflict, EtagMismatch, InvalidArgument
from keyrail.domain.fields import Request
from keyrail.domain.key_fields import ContextField, LimitField, RotationField
from keyrail.domain.lifecycle import abandon_pending, next_rotation_at
from keyrail.domain.records import Context, KeyRecord, Limit, StoredKey
from keyrail.domain.sinks import parse_sink
from keyrail.domain.views import KeyView
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.rotation import schedule
from keyrail.telemetry import note

SCOPE = "keys:update"
MAX_TRIES = 5  # of a change without If-Match, against others writing the same record

_STOPPING_FIELDS = {"key_id", "if_match", "state", "state_reason"}


class UpdateRequest(Request):
    """Fields left out stay as they are; a given one is replaced as a whole. null takes away `not_before`,
    `expires_at` (where the deployment allows keys without end), `rate` and `quota`."""

    key_id: fields.KeyId
    state: Literal["active", "disabled"] | None = None
    state_reason: fields.Text | None = None
    name: fields.Text | None = None
    owner: fields.Owner | None = None
    scopes: list[fields.Scope] | None = Field(default=None, max_length=64)
    roles: list[fields.RoleName] | None = Field(default=None, max_length=16)
    not_before: fields.Timestamp | None = None
    expires_at: fields.Timestamp | None = None
    labels: fields.Labels | None = None
    metadata: fields.Metadata | None = None
    context: ContextField | None = None
    rate: LimitField | None = None
    quota: LimitField | None = None
    rotation: RotationField | None = None
    if_match: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _some_change(self) -> Self:
        changed = self.model_fields_set - {"key_id", "if_match", "state_reason"}
        if not changed:
            raise ValueError("name at least one field to change")
        if "state_reason" in self.model_fields_set and "state" not in changed:
            raise ValueError("state_reason goes with state")
        nulls = {name for name in changed if getattr(self, name) is None} - _MAY_BE_NULL
        if nulls:
            raise ValueError(f"{', '.join(sorted(nulls))} can't be null")
        return self


_MAY_BE_NULL = {"not_before", "expires_at", "rate", "quota"}


def run(request: UpdateRequest, caller: Caller, services: Services) -> KeyView:
    note(key_id=request.key_id)
    caller.require_scope(SCOPE)
    for _ in range(MAX_TRIES):
        stored = caller.require_visible(services.keys.find(request.key_id), request.key_id)
        now = services.clock.now()
        if _is_made(request, stored, caller, services, now):
            return _told(request, stored, caller, services, now, repeated=True)
        _require_match(request, stored)
        changed = _changed(request, stored, caller, services, now)
        schedule(changed, services)
        version = services.keys.replace(changed, stored.version)
        if version is not None:
            return _told(request, StoredKey(changed, version), caller, services, now)
    raise Conflict("Others keep changing this key. Read it and try again.", code="CONCURRENT_CHANGE")


def _is_made(request: UpdateRequest, stored: StoredKey, caller: Caller, services: Services, now: datetime) -> bool:
    """By an earlier try of this request, which was cut off: what stands on the version that it names is what it asks
    for, and asking again would change nothing but a time."""
    if request.if_match != f'"{stored.version - 1}"':
        return False
    again = _changed(request, stored, caller, services, now)
    return replace(again, state_at=stored.record.state_at) == stored.record


def _told(
    request: UpdateRequest, stored: StoredKey, caller: Caller, services: Services, now: datetime, **more: bool
) -> KeyView:
    """To every instance, to who listens, and to the caller."""
    services.feed.publish(request.key_id)
    fields = sorted(request.model_fields_set - {"key_id", "if_match"})
    facts: dict[str, Any] = {"fields": fields, "state": stored.record.state, **more}
    change = str(stored.version)
    announce(services, "key.updated", stored.record, actor=caller.key_id, change=change, **facts)
    return KeyView.of(stored, now)


def _require_match(request: UpdateRequest, stored: StoredKey) -> None:
    if request.if_match not in (None, "*", f'"{stored.version}"'):
        raise EtagMismatch("The key was changed since you read it. Read it again and repeat what still holds.")


def _changed(request: UpdateRequest, stored: StoredKey, caller: Caller, services: Services, now: datetime) -> KeyRecord:
    if stored.tombstone is not None:
        raise Conflict("The key is revoked; nothing can change it.", code="KEY_NOT_LIVE")
    record = replace(stored.record, **_changes(request, stored.record, caller, now))
    roles = services.lookup.roles()
    unknown = [role for role in request.roles or () if role not in roles.by_name]
    if unknown:
        raise InvalidArgument(f"There is no role {', '.join(unknown)}.", code="UNKNOWN_ROLE")
    if not _only_stops(request):  # stopping a mightier key is allowed; giving it more is not
        caller.require_all_of(roles.effective(record.scopes, record.roles))
        caller.require_all_of(roles.effective(stored.record.scopes, stored.record.roles))
    if "expires_at" in request.model_fields_set:
        services.life_policy.require_allowed(now, record.expires_at)
    if record.expires_at and record.not_before and record.expires_at <= record.not_before:
        raise InvalidArgument("The key would expire before it could be used.")
    return record


def _only_stops(request: UpdateRequest) -> bool:
    return request.state == "disabled" and request.model_fields_set <= _STOPPING_FIELDS


def _changes(request: UpdateRequest, record: KeyRecord, caller: Caller, now: datetime) -> dict[str, Any]:
    given = {name: getattr(request, name) for name in request.model_fields_set - {"key_id", "if_match"}}
    for name in ("scopes", "roles"):
        if name in given:
            given[name] = tuple(dict.fromkeys(given[name]))
    for name in ("rate", "quota"):
        if given.get(name) is not None:
            given[name] = Limit(**given[name].model_dump())
    if "context" in given:
        given["context"] = Context(cidrs=tuple(given["context"].cidrs), audiences=tuple(given["context"].audiences))
    if request.rotation is not None:
        changed = _with_rotation(record, request.rotation, now)
        given |= {"rotation": changed.rotation, "generations": changed.generations}
    if "expires_at" in given:
        given["lifetime_seconds"] = None  # an end that was set by hand is not moved by the next rotation
    if "state" in given:
        given |= {"state_reason": request.state_reason, "state_at": now, "state_by": caller.key_id}
    return given


def _with_rotation(record: KeyRecord, asked: RotationField, now: datetime) -> KeyRecord:
    """A new sink is due now: it holds nothing yet. A rotation in flight into the sink before is not finished, and what
    may have got there is accepted for a grace. Another interval counts from now."""
    if asked.sink is not None:
        parse_sink(asked.sink, record.tenant)
    is_moved = asked.sink != record.rotation.sink
    if is_moved:
        record = abandon_pending(record, now + timedelta(seconds=asked.grace_seconds))
    is_paced_anew = asked.interval_seconds != record.rotation.interval_seconds
    record = replace(record, rotation=replace(record.rotation, **asked.model_dump()))
    if is_moved:
        rotation = replace(record.rotation, next_at=now if asked.sink is not None else None, failures=0, retry_at=None)
    elif is_paced_anew:
        rotation = replace(record.rotation, next_at=next_rotation_at(record, now))
    else:
        rotation = record.rotation
    return replace(record, rotation=rotation)


OPERATION = Operation(
    name="update_key",
    summary="Change, disable or enable a key",
    method="PATCH",
    path="/v1/keys/{key_id}",
    scope=SCOPE,
    request=UpdateRequest,
    reply=KeyView,
    run=run,
    codes=(
        "KEY_NOT_FOUND",
        "ESCALATION",
        "UNKNOWN_ROLE",
        "LIFETIME_TOO_LONG",
        "KEY_NOT_LIVE",
        "CONCURRENT_CHANGE",
        "ETAG_MISMATCH",
        "BAD_SINK",
    ),
)
