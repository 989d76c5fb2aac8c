"""Ends a key, all generations, for good. docs/operations/revoke_key.md"""

from datetime import datetime
from typing import Literal

from keyrail.announce import announce
from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.fields import Reply, Request
from keyrail.domain.records import Tombstone
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.telemetry import note

SCOPE = "keys:revoke"


class RevokeRequest(Request):
    """A key may revoke itself without any scope, also when it is expired or disabled."""

    key_id: fields.KeyId
    reason: fields.Text = "unspecified"


class RevokeReply(Reply):
    """Repeating a revocation answers the first one."""

    key_id: str
    state: Literal["revoked"] = "revoked"
    revoked_at: datetime
    revoked_by: str
    reason: str


def run(request: RevokeRequest, caller: Caller, services: Services) -> RevokeReply:
    note(key_id=request.key_id)
    caller.require_scope_or_self(SCOPE, request.key_id)
    stored = caller.require_visible(services.keys.find(request.key_id), request.key_id)
    asked = Tombstone(
        key_id=request.key_id,
        revoked_at=services.clock.now(),
        revoked_by=caller.key_id,
        reason=request.reason,
    )
    tombstone = stored.tombstone or services.keys.revoke(asked)
    services.feed.publish(request.key_id)  # repeated too: the first time may have been cut off this line
    announce(
        services,
        "key.revoked",
        stored.record,
        actor=caller.key_id,
        change="revoked",
        reason=tombstone.reason,
        repeated=tombstone != asked,
    )
    return RevokeReply(
        key_id=tombstone.key_id,
        revoked_at=tombstone.revoked_at,
        revoked_by=tombstone.revoked_by,
        reason=tombstone.reason,
    )


OPERATION = Operation(
    name="revoke_key",
    summary="Revoke a key",
    method="POST",
    path="/v1/keys/{key_id}/revoke",
    scope=SCOPE,
    request=RevokeRequest,
    reply=RevokeReply,
    run=run,
    codes=("KEY_NOT_FOUND",),
    by_possession=True,
)
