"""Pages through a tenant's keys. docs/operations/list_keys.md"""

import base64
import binascii
from datetime import datetime

from pydantic import Field

from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.errors import InvalidArgument
from keyrail.domain.fields import Reply, Request
from keyrail.domain.key_format import KEY_ID
from keyrail.domain.views import KeyState, KeyView
from keyrail.operations.operation import Operation
from keyrail.ports import Services

SCOPE = "keys:read"
_CURSOR_VERSION = "1"


class ListRequest(Request):
    """`limit` bounds the keys looked at, so a filtered page may hold fewer, even none, and still have a
    `next_cursor`. `due_before`: only keys that a tick rotates by then."""

    tenant: fields.Tenant | None = None
    owner: fields.Owner | None = None
    state: KeyState | None = None
    due_before: fields.Timestamp | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=128)


class ListReply(Reply):
    """In the order of key ids. Without `next_cursor` this is the last page."""

    keys: list[KeyView]
    next_cursor: str | None = None


def run(request: ListRequest, caller: Caller, services: Services) -> ListReply:
    caller.require_scope(SCOPE)
    tenant = request.tenant or caller.tenant
    caller.require_tenant(tenant)
    page = services.keys.list_ids(tenant, _after(request.cursor, tenant), request.limit)
    now = services.clock.now()
    found = (services.keys.find(key_id) for key_id in page.key_ids)
    # an id without a record is an issue that was cut off: nothing that could ever validate
    views = [KeyView.of(stored, now) for stored in found if stored is not None and stored.record.tenant == tenant]
    return ListReply(
        keys=[view for view in views if _asked_for(view, request)],
        next_cursor=_cursor(page.next_after, tenant),
    )


def _asked_for(view: KeyView, request: ListRequest) -> bool:
    if request.due_before is not None and not _is_due(view, request.due_before):
        return False
    return request.owner in (None, view.owner) and request.state in (None, view.state)


def _is_due(view: KeyView, before: datetime) -> bool:
    """No tick rotates a key that is disabled or at its end (domain/due.py)."""
    next_at = view.rotation.next_at
    return next_at is not None and next_at <= before and view.state in ("active", "not_yet_valid")


def _cursor(after: str | None, tenant: str) -> str | None:
    if after is None:
        return None
    return base64.urlsafe_b64encode(f"{_CURSOR_VERSION}:{tenant}:{after}".encode()).decode().rstrip("=")


def _after(cursor: str | None, tenant: str) -> str | None:
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise InvalidArgument("The cursor is not one of ours.", code="BAD_CURSOR") from error
    version, _, rest = text.partition(":")
    of_tenant, _, after = rest.partition(":")
    if version != _CURSOR_VERSION or of_tenant != tenant or not KEY_ID.fullmatch(after):
        raise InvalidArgument("The cursor belongs to another listing.", code="BAD_CURSOR")
    if cursor != _cursor(after, tenant):  # base64 has many spellings of one text; ours is one
        raise InvalidArgument("The cursor is not one of ours.", code="BAD_CURSOR")
    return after


OPERATION = Operation(
    name="list_keys",
    summary="List keys",
    method="GET",
    path="/v1/keys",
    scope=SCOPE,
    request=ListRequest,
    reply=ListReply,
    run=run,
    codes=("OTHER_TENANT", "BAD_CURSOR"),
)
