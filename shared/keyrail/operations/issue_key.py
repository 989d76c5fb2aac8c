"""Makes a key and shows it once. docs/operations/issue_key.md"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import Field, model_validator

from keyrail.announce import announce
from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.digest import fingerprint
from keyrail.domain.errors import Conflict, Internal, InvalidArgument, KeyrailError
from keyrail.domain.fields import ContextField, LimitField, Request, RotationField
from keyrail.domain.key_format import KEY_ID_CHARS, base62, new_key_id, new_secret
from keyrail.domain.life_policy import LifePolicy
from keyrail.domain.records import SYSTEM_TENANT, Context, Generation, KeyRecord, Limit, Rotation, StoredKey
from keyrail.domain.roles import Roles
from keyrail.domain.sinks import parse_sink
from keyrail.domain.views import KeyView
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.rotation import schedule
from keyrail.telemetry import note

SCOPE = "keys:issue"


class IssueRequest(Request):
    """`tenant` may be left out where the caller's key is of that tenant. A key ends at `expires_at`, whatever
    happens, or lives `lifetime_seconds` from its issue and from each rotation; with neither, as long as the
    deployment's default says."""

    owner: fields.Owner
    name: fields.Text
    tenant: fields.Tenant | None = None
    scopes: list[fields.Scope] = Field(default=[], max_length=64)
    roles: list[fields.RoleName] = Field(default=[], max_length=16)
    not_before: fields.Timestamp | None = None
    expires_at: fields.Timestamp | None = None
    lifetime_seconds: fields.Seconds | None = None
    labels: fields.Labels = Field(default={})
    metadata: fields.Metadata = Field(default={})
    context: ContextField = ContextField()
    rate: LimitField | None = None
    quota: LimitField | None = None
    rotation: RotationField = RotationField()
    idempotency_key: fields.IdempotencyKey | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.expires_at is not None and self.lifetime_seconds is not None:
            raise ValueError("give expires_at or lifetime_seconds, not both")
        return self


class IssueReply(KeyView):
    """`key` is the whole key, shown this once; absent where `replayed`: then rotate the key id to get a new one."""

    key: str | None = None
    replayed: bool = False

    @property
    def http_status(self) -> int:
        return 200 if self.replayed else 201


@dataclass(frozen=True, slots=True)
class _Life:
    expires_at: datetime | None
    lifetime_seconds: int | None


def run(request: IssueRequest, caller: Caller, services: Services) -> IssueReply:
    caller.require_scope(SCOPE)
    tenant = _tenant(request, caller)
    roles = services.lookup.roles()
    _require_known_roles(request, roles)
    caller.require_all_of(roles.effective(tuple(request.scopes), tuple(request.roles)))
    now = services.clock.now()
    key_id = _key_id(request, caller, tenant)
    note(key_id=key_id)
    try:
        life = _life(request, services.life_policy, now)
    except KeyrailError:
        if request.idempotency_key is None or services.keys.find(key_id) is None:
            raise
        return _replay(request, key_id, caller, services)  # it was in order when it was first sent
    secret = new_secret()
    record = _record(request, caller, services, tenant, key_id, secret, life, now)
    schedule(record, services)  # before the record, as the index: a hint without a record does no harm
    if not services.keys.create(record):
        return _replay(request, key_id, caller, services)
    _announce(record, caller, services)
    key = services.key_format.assemble(key_id, secret)
    return IssueReply(**KeyView.fields_of(StoredKey(record, version=1), now), key=key)


def _announce(record: KeyRecord, caller: Caller, services: Services, **more: bool) -> None:
    facts: dict[str, Any] = {"owner": record.owner, **more}
    announce(services, "key.issued", record, actor=caller.key_id, change="1", **facts)


def _tenant(request: IssueRequest, caller: Caller) -> str:
    if request.tenant is None and caller.tenant == SYSTEM_TENANT:
        raise InvalidArgument("Say which tenant the key is for: your own key acts in all of them.")
    tenant = request.tenant or caller.tenant
    caller.require_tenant(tenant)
    return tenant


def _require_known_roles(request: IssueRequest, roles: Roles) -> None:
    unknown = [role for role in request.roles if role not in roles.by_name]
    if unknown:
        raise InvalidArgument(f"There is no role {', '.join(unknown)}.", code="UNKNOWN_ROLE")


def _life(request: IssueRequest, policy: LifePolicy, now: datetime) -> _Life:
    """Raises: InvalidArgument where the key would be born dead, or live longer than the deployment allows."""
    lifetime = request.lifetime_seconds
    if request.expires_at is None and lifetime is None:
        lifetime = policy.default_lifetime_seconds
    expires_at = request.expires_at or now + timedelta(seconds=lifetime or 0)
    if expires_at <= max(now, request.not_before or now):
        raise InvalidArgument("The key would expire before it could be used.")
    policy.require_allowed(now, expires_at)
    return _Life(expires_at, lifetime)


def _key_id(request: IssueRequest, caller: Caller, tenant: str) -> str:
    """Random, or derived from the Idempotency-Key: the same request can then never make a second record."""
    if request.idempotency_key is None:
        return new_key_id()
    digest = fingerprint("idempotent issue", tenant, caller.key_id, request.idempotency_key)
    return base62(int(digest, 16), KEY_ID_CHARS)


def _record(
    request: IssueRequest,
    caller: Caller,
    services: Services,
    tenant: str,
    key_id: str,
    secret: str,
    life: _Life,
    now: datetime,
) -> KeyRecord:
    presented = services.key_format.parse(services.key_format.assemble(key_id, secret))
    peppers = services.lookup.peppers()
    first = Generation(
        n=1,
        digest=peppers.current_digest(presented.body),
        pepper_version=peppers.current,
        state="current",
        activated_at=now,
    )
    return KeyRecord(
        key_id=key_id,
        tenant=tenant,
        env=services.key_format.environment,
        prefix=services.key_format.prefix,
        owner=request.owner,
        name=request.name,
        labels=dict(request.labels),
        metadata=dict(request.metadata),
        created_at=now,
        created_by=caller.key_id,
        not_before=request.not_before,
        expires_at=life.expires_at,
        lifetime_seconds=life.lifetime_seconds,
        scopes=tuple(dict.fromkeys(request.scopes)),
        roles=tuple(dict.fromkeys(request.roles)),
        context=Context(cidrs=tuple(request.context.cidrs), audiences=tuple(request.context.audiences)),
        rate=_limit(request.rate),
        quota=_limit(request.quota),
        rotation=_rotation(request, tenant, now),
        generations=(first,),
        request_fingerprint=_fingerprint(request),
    )


def _rotation(request: IssueRequest, tenant: str, now: datetime) -> Rotation:
    """With a sink the first rotation is due now: it brings the consumer its first key."""
    asked = request.rotation
    if asked.sink is not None:
        parse_sink(asked.sink, tenant)
    return Rotation(**asked.model_dump(), next_at=now if asked.sink is not None else None)


def _limit(limit: LimitField | None) -> Limit | None:
    return None if limit is None else Limit(**limit.model_dump())


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
