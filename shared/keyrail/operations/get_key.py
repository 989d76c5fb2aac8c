"""Shows one key's record, and when each of its secrets was used last. docs/operations/get_key.md"""

from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.fields import Request
from keyrail.domain.views import KeyView
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.telemetry import note

SCOPE = "keys:read"


class GetRequest(Request):
    """A key may read its own record without any scope."""

    key_id: fields.KeyId


def run(request: GetRequest, caller: Caller, services: Services) -> KeyView:
    note(key_id=request.key_id)
    caller.require_scope_or_self(SCOPE, request.key_id)
    stored = caller.require_visible(services.keys.find(request.key_id), request.key_id)
    return KeyView.of(stored, services.clock.now(), services.usage.last_used(request.key_id))


OPERATION = Operation(
    name="get_key",
    summary="Read a key's record",
    method="GET",
    path="/v1/keys/{key_id}",
    scope=SCOPE,
    request=GetRequest,
    reply=KeyView,
    run=run,
    codes=("KEY_NOT_FOUND",),
)
