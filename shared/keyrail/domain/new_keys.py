"""What a key that is about to be is asked to be, and its first record. Shared by issue_key and import_key."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from pydantic import Field, model_validator

from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.errors import InvalidArgument
from keyrail.domain.fields import Request
from keyrail.domain.key_fields import ContextField, LimitField, RotationField
from keyrail.domain.key_format import KeyFormat
from keyrail.domain.life_policy import LifePolicy
from keyrail.domain.records import SYSTEM_TENANT, Context, Generation, KeyRecord, Limit, Rotation
from keyrail.domain.roles import Roles
from keyrail.domain.sinks import parse_sink


class NewKeyRequest(Request):
    """A key ends at `expires_at`, whatever happens, or lives `lifetime_seconds` from now and from each rotation."""

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

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.expires_at is not None and self.lifetime_seconds is not None:
            raise ValueError("give expires_at or lifetime_seconds, not both")
        return self


@dataclass(frozen=True, slots=True)
class Life:
    expires_at: datetime | None
    lifetime_seconds: int | None


def tenant_for(request: NewKeyRequest, caller: Caller) -> str:
    """Raises: InvalidArgument, PermissionDenied OTHER_TENANT."""
    if request.tenant is None and caller.tenant == SYSTEM_TENANT:
        raise InvalidArgument("Say which tenant the key is for: your own key acts in all of them.")
    tenant = request.tenant or caller.tenant
    caller.require_tenant(tenant)
    return tenant


def require_grantable(request: NewKeyRequest, caller: Caller, roles: Roles) -> None:
    """Raises: InvalidArgument UNKNOWN_ROLE, PermissionDenied ESCALATION."""
    unknown = [role for role in request.roles if role not in roles.by_name]
    if unknown:
        raise InvalidArgument(f"There is no role {', '.join(unknown)}.", code="UNKNOWN_ROLE")
    caller.require_all_of(roles.effective(tuple(request.scopes), tuple(request.roles)))


def life_of(request: NewKeyRequest, policy: LifePolicy, now: datetime) -> Life:
    """Raises: InvalidArgument where the key would be born dead, PermissionDenied LIFETIME_TOO_LONG."""
    lifetime = request.lifetime_seconds
    if request.expires_at is None and lifetime is None:
        lifetime = policy.default_lifetime_seconds
    expires_at = request.expires_at or now + timedelta(seconds=lifetime or 0)
    if expires_at <= max(now, request.not_before or now):
        raise InvalidArgument("The key would expire before it could be used.")
    policy.require_allowed(now, expires_at)
    return Life(expires_at, lifetime)


def first_record(
    request: NewKeyRequest,
    *,
    key_id: str,
    tenant: str,
    generation: Generation,
    life: Life,
    key_format: KeyFormat,
    created_by: str,
    fingerprint: str | None,
    now: datetime,
) -> KeyRecord:
    """Raises: InvalidArgument BAD_SINK."""
    return KeyRecord(
        key_id=key_id,
        tenant=tenant,
        env=key_format.environment,
        prefix=key_format.prefix,
        owner=request.owner,
        name=request.name,
        labels=dict(request.labels),
        metadata=dict(request.metadata),
        created_at=now,
        created_by=created_by,
        not_before=request.not_before,
        expires_at=life.expires_at,
        lifetime_seconds=life.lifetime_seconds,
        scopes=tuple(dict.fromkeys(request.scopes)),
        roles=tuple(dict.fromkeys(request.roles)),
        context=Context(cidrs=tuple(request.context.cidrs), audiences=tuple(request.context.audiences)),
        rate=_limit(request.rate),
        quota=_limit(request.quota),
        rotation=_rotation(request, tenant, now),
        generations=(generation,),
        request_fingerprint=fingerprint,
    )


def _rotation(request: NewKeyRequest, tenant: str, now: datetime) -> Rotation:
    """With a sink the first rotation is due now: it brings the consumer its first key."""
    asked = request.rotation
    if asked.sink is not None:
        parse_sink(asked.sink, tenant)
    return Rotation(**asked.model_dump(), next_at=now if asked.sink is not None else None)


def _limit(limit: LimitField | None) -> Limit | None:
    return None if limit is None else Limit(**limit.model_dump())
