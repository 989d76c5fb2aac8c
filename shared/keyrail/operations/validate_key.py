"""Answers whether a key may be used, for what, and by whom. docs/operations/validate_key.md"""

from datetime import datetime
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.decisions import Code, Decision, Need
from keyrail.domain.fields import Reply, Request
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.domain.scopes import parse_expression
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.telemetry import note
from keyrail.validation import check_key

SCOPE = "keys:validate"
MAX_BATCH = 100


class Presented(Request):
    """`required_scopes` is an expression like `ml:infer and (data:read or data:admin)`. `ip` and `audience` say
    where the key was presented; a key bound to networks or audiences is refused without them."""

    key: SecretStr = Field(max_length=256)
    required_scopes: fields.ScopeExpression | None = None
    ip: fields.Ip | None = None
    audience: fields.Owner | None = None


class ValidateRequest(Request):
    """One `key` with what it is needed for, or a `batch` of up to 100. `tenant` narrows to keys of that tenant;
    callers outside the system tenant are narrowed to their own."""

    key: SecretStr | None = Field(default=None, max_length=256)
    required_scopes: fields.ScopeExpression | None = None
    ip: fields.Ip | None = None
    audience: fields.Owner | None = None
    tenant: fields.Tenant | None = None
    batch: list[Presented] | None = Field(default=None, min_length=1, max_length=MAX_BATCH)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.key is None) == (self.batch is None):
            raise ValueError("give key or batch, one of the two")
        if self.batch is not None and (self.required_scopes or self.ip or self.audience):
            raise ValueError("in a batch, required_scopes, ip and audience belong to each entry")
        return self


class Verdict(Reply):
    """All but `valid` and `code` is told only of a key whose secret was right. `sunset_at` is set while the
    generation presented is retiring: its holder should pick up the new one by then."""

    valid: bool
    code: Code
    key_id: str | None = None
    generation: int | None = None
    tenant: str | None = None
    principal: str | None = None
    name: str | None = None
    scopes: list[str] | None = None
    labels: dict[str, str] | None = None
    metadata: dict[str, Any] | None = None
    expires_at: datetime | None = None
    sunset_at: datetime | None = None
    deprecated_at: datetime | None = None
    retry_after_seconds: int | None = None


class ValidateReply(Verdict):
    """The verdict on `key`; or, for a batch, `results` in the order of the request, and `valid` where all are."""

    results: list[Verdict] | None = None


def run(request: ValidateRequest, caller: Caller, services: Services) -> ValidateReply:
    caller.require_scope(SCOPE)
    tenant = _tenant(request, caller)
    if request.batch is None:
        decision = _check(request, request.key, tenant, services)
        note(reason=decision.reason, key_id=decision.presented_id)
        return ValidateReply(**_verdict(decision))
    decisions = [_check(presented, presented.key, tenant, services) for presented in request.batch]
    note(batch=len(decisions), valid=sum(map(bool, decisions)))
    valid = all(decisions)
    code = Code.VALID if valid else next(decision.code for decision in decisions if not decision)
    results = [Verdict(**_verdict(decision)) for decision in decisions]
    return ValidateReply(valid=valid, code=code, results=results)


def _tenant(request: ValidateRequest, caller: Caller) -> str | None:
    if request.tenant is not None:
        caller.require_tenant(request.tenant)
        return request.tenant
    return None if caller.tenant == SYSTEM_TENANT else caller.tenant


def _check(
    asked: Presented | ValidateRequest, key: SecretStr | None, tenant: str | None, services: Services
) -> Decision:
    scopes = parse_expression(asked.required_scopes) if asked.required_scopes else None
    text = key.get_secret_value() if key is not None else ""
    if not text:
        return Decision(Code.MISSING, "missing")
    return check_key(text, Need(tenant, scopes, asked.ip, asked.audience), services)


def _verdict(decision: Decision) -> dict[str, Any]:
    told: dict[str, Any] = {"valid": bool(decision), "code": decision.code}
    if decision.retry_after_seconds is not None:
        told["retry_after_seconds"] = decision.retry_after_seconds
    if decision.stored is None or decision.generation is None:
        return told
    record, generation = decision.stored.record, decision.generation
    told |= {
        "key_id": record.key_id,
        "generation": generation.n,
        "tenant": record.tenant,
        "principal": record.owner,
        "name": record.name,
        "scopes": list(decision.scopes),
        "labels": record.labels,
        "metadata": record.metadata,
        "expires_at": record.expires_at,
    }
    if decision:
        told["deprecated_at"], told["sunset_at"] = decision.retirement()
    return told


OPERATION = Operation(
    name="validate_key",
    summary="Validate a key, or up to 100",
    method="POST",
    path="/v1/keys/validate",
    scope=SCOPE,
    request=ValidateRequest,
    reply=ValidateReply,
    run=run,
    codes=("OTHER_TENANT",),
)
