"""Makes a key and shows it once. docs/operations/issue_key.md"""

import json
from datetime import datetime
from typing import Any

from keyrail.announce import announce
from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.digest import fingerprint
from keyrail.domain.errors import Conflict, Internal, KeyrailError
from keyrail.domain.key_format import KEY_ID_CHARS, base62, new_key_id, new_secret
from keyrail.domain.new_keys import NewKeyRequest, first_record, life_of, require_grantable, tenant_for
from keyrail.domain.records import Generation, KeyRecord, StoredKey
from keyrail.domain.views import KeyView
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.rotation import schedule
from keyrail.telemetry import note

SCOPE = "keys:issue"


class IssueRequest(NewKeyRequest):
    """`tenant` may be left out where the caller's key is of that tenant. A key ends at `expires_at`, whatever
    happens, or lives `lifetime_seconds` from its issue and from each rotation; with neither, as long as the
    deployment's default says."""

    idempotency_key: fields.IdempotencyKey | None = None


class IssueReply(KeyView):
    """`key` is the whole key, shown this once; absent where `replayed`: then rotate the key id to get a new one."""

    key: str | None = None
    replayed: bool = False

    @property
    def http_status(self) -> int:
        return 200 if self.replayed else 201


def run(request: IssueRequest, caller: Caller, services: Services) -> IssueReply:
    caller.require_scope(SCOPE)
    tenant = tenant_for(request, caller)
    require_grantable(request, caller, services.lookup.roles())
    now = services.clock.now()
    key_id = _key_id(request, caller, tenant)
    note(key_id=key_id)
    try:
        life = life_of(request, services.life_policy, now)
    except KeyrailError:
        if request.idempotency_key is None or services.keys.find(key_id) is None:
            raise
        return _replay(request, key_id, caller, services)  # it was in order when it was first sent
    key = services.key_format.assemble(key_id, new_secret())
    record = first_record(
        request,
        key_id=key_id,
        tenant=tenant,
        generation=_generation(key, now, services),
        life=life,
        key_format=services.key_format,
        created_by=caller.key_id,
        fingerprint=_fingerprint(request),
        now=now,
    )
    schedule(record, services)  # before the record, as the index: a hint without a record does no harm
    if not services.keys.create(record):
        return _replay(request, key_id, caller, services)
    _announce(record, caller, services)
    return IssueReply(**KeyView.fields_of(StoredKey(record, version=1), now), key=key)


def _generation(key: str, now: datetime, services: Services) -> Generation:
    peppers = services.lookup.peppers()
    return Generation(
        n=1,
        digest=peppers.current_digest(services.key_format.parse(key).body),
        pepper_version=peppers.current,
        state="current",
        activated_at=now,
    )


def _announce(record: KeyRecord, caller: Caller, services: Services, **more: bool) -> None:
    facts: dict[str, Any] = {"owner": record.owner, **more}
    announce(services, "key.issued", record, actor=caller.key_id, change="1", **facts)


def _key_id(request: IssueRequest, caller: Caller, tenant: str) -> str:
    """Random, or derived from the Idempotency-Key: the same request can then never make a second record."""
    if request.idempotency_key is None:
        return new_key_id()
    digest = fingerprint("idempotent issue", tenant, caller.key_id, request.idempotency_key)
    return base62(int(digest, 16), KEY_ID_CHARS)


def _fingerprint(request: IssueRequest) -> str | None:
    if request.idempotency_key is None:
        return None
    asked = request.model_dump(mode="json", exclude={"idempotency_key"})
    return fingerprint(json.dumps(asked, sort_keys=True))  # the order of names is no part of a JSON object


def _replay(request: IssueRequest, key_id: str, caller: Caller, services: Services) -> IssueReply:
    """The key that the same Idempotency-Key made before; its secret was shown then and is kept nowhere."""
    stored, asked = services.keys.find(key_id), _fingerprint(request)
    if stored is None or asked is None:
        raise Internal(f"id {key_id} is taken and can't be read")
    if stored.record.request_fingerprint != asked:
        raise Conflict("This Idempotency-Key was used with another body.", code="IDEMPOTENCY_CONFLICT")
    _announce(stored.record, caller, services, repeated=True)  # the first may have been cut off before its event
    return IssueReply(**KeyView.fields_of(stored, services.clock.now()), replayed=True)


OPERATION = Operation(
    name="issue_key",
    summary="Issue a key",
    method="POST",
    path="/v1/keys",
    scope=SCOPE,
    request=IssueRequest,
    reply=IssueReply,
    run=run,
    success_status=201,
    codes=("ESCALATION", "OTHER_TENANT", "UNKNOWN_ROLE", "LIFETIME_TOO_LONG", "BAD_SINK", "IDEMPOTENCY_CONFLICT"),
)
