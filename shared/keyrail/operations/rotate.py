"""Gives a key its next secret; the key id stays. docs/operations/rotate.md"""

from typing import Any, Literal

from pydantic import Field

from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.digest import fingerprint
from keyrail.domain.errors import Conflict
from keyrail.domain.fields import Request
from keyrail.domain.key_format import new_key_id
from keyrail.domain.lifecycle import MAX_GRACE_SECONDS, grace_for, require_rotatable, rotate_at_once
from keyrail.domain.records import StoredKey
from keyrail.domain.views import KeyView
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.rotation import SinkRotation, new_key, rotate_into_sink, schedule, tell_promoted
from keyrail.telemetry import note

SCOPE = "keys:rotate"


class RotateRequest(Request):
    """`grace_seconds` 0 is an emergency: it ends every older generation at once, and waits for no other rotation.
    The same Idempotency-Key, sent again within the grace, replaces the secret whose reply was lost and leaves the
    generation in grace as it is; where the key went to a sink, nothing was lost, and it is answered as done."""

    key_id: fields.KeyId
    grace_seconds: int | None = Field(default=None, ge=0, le=MAX_GRACE_SECONDS)
    idempotency_key: fields.IdempotencyKey | None = None


class RotateReply(KeyView):
    """`key` is the whole new key, shown this once; absent where it went to the key's sink instead."""

    key: str | None = None
    delivered_to: str | None = None
    step: Literal["promoted"] = "promoted"


def run(request: RotateRequest, caller: Caller, services: Services) -> RotateReply:
    note(key_id=request.key_id)
    caller.require_scope(SCOPE)
    stored = caller.require_visible(services.keys.find(request.key_id), request.key_id)
    record = stored.record
    require_rotatable(stored, services.clock.now())
    grace_seconds = grace_for(record, request.grace_seconds)
    rotation_id = _rotation_id(request, caller)
    if record.rotation.sink is not None:
        asked = SinkRotation(rotation_id, grace_seconds, caller.key_id, is_emergency=request.grace_seconds == 0)
        rotated = rotate_into_sink(stored, asked, services)
        return _reply(rotated, services, delivered_to=record.rotation.sink)
    # whoever rotates gets a key with all of its rights in hand
    caller.require_all_of(services.lookup.roles().effective(record.scopes, record.roles))
    return _to_the_caller(stored, rotation_id, grace_seconds, caller, services)


def _to_the_caller(
    stored: StoredKey, rotation_id: str, grace_seconds: int, caller: Caller, services: Services
) -> RotateReply:
    record = stored.record
    key, secret = new_key(record, services)
    rotated = rotate_at_once(
        record, secret, rotation_id=rotation_id, grace_seconds=grace_seconds, now=services.clock.now()
    )
    schedule(rotated, services)
    version = services.keys.replace(rotated, stored.version)
    if version is None:
        raise Conflict("The key was changed at the same moment; nothing was rotated.", code="ROTATION_IN_PROGRESS")
    done = StoredKey(rotated, version)
    tell_promoted(done, caller.key_id, services)
    return _reply(done, services, key=key)


def _reply(stored: StoredKey, services: Services, **extra: Any) -> RotateReply:
    return RotateReply(**KeyView.fields_of(stored, services.clock.now()), **extra)


def _rotation_id(request: RotateRequest, caller: Caller) -> str:
    if request.idempotency_key is None:
        return new_key_id()
    return fingerprint("rotation", caller.key_id, request.key_id, request.idempotency_key)


OPERATION = Operation(
    name="rotate",
    summary="Rotate a key",
    method="POST",
    path="/v1/keys/{key_id}/rotate",
    scope=SCOPE,
    request=RotateRequest,
    reply=RotateReply,
    run=run,
    codes=(
        "KEY_NOT_FOUND",
        "ESCALATION",
        "KEY_NOT_LIVE",
        "ROTATION_IN_PROGRESS",
        "CONCURRENT_CHANGE",
        "DELIVERY_FAILED",
    ),
)
