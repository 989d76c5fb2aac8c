"""Answers whether a key may be used, for what, and by whom. docs/operations/validate_key.md"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, Self

from pydantic import Field, SecretStr, model_validator

from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.decisions import Code, Decision, Need
from keyrail.domain.fields import Reply, Request
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.domain.scopes import Test, parse_expression
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.telemetry import note
from keyrail.validation import check_key

SCOPE = "keys:validate"
MAX_BATCH = 100
MAX_KEY_CHARS = 256


class Presented(Request):
    """`required_scopes` is an expression like `ml:infer and (data:read or data:admin)`. `ip` and `audience` say
    where the key was presented; a key bound to networks or audiences is refused without them."""

    key: SecretStr = Field(max_length=MAX_KEY_CHARS)
    required_scopes: fields.ScopeExpression | None = None
    ip: fields.Ip | None = None
    audience: fields.Owner | None = None


class ValidateRequest(Request):
    """One `key` with what it is needed for, or a `batch` of up to 100. `tenant` narrows to keys of that tenant;
    callers outside the system tenant are narrowed to their own."""

    key: SecretStr | None = Field(default=None, max_length=MAX_KEY_CHARS)
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


@dataclass(slots=True)
class Question:
    """What is asked of one key. Not frozen: that would take longer to make, and there is one for each key."""

    key: str = field(repr=False)
    scopes: Test | None
    ip: str | None
    audience: str | None


class Questions(NamedTuple):
    """A ValidateRequest, checked."""

    asked: list[Question]
    tenant: str | None
    is_batch: bool


class Judged(NamedTuple):
    """What a ValidateReply tells, before it is one. `code`: the first that is not VALID."""

    decisions: list[Decision]
    is_batch: bool
    code: Code

    @property
    def valid(self) -> bool:
        return self.code is Code.VALID

    @property
    def deprecated_at(self) -> datetime | None:
        return self._retirement()[0]

    @property
    def sunset_at(self) -> datetime | None:
        return self._retirement()[1]

    def _retirement(self) -> tuple[datetime | None, datetime | None]:
        """As a Verdict tells it, so only of a key that is valid."""
        only = self.decisions[0]
        return (None, None) if self.is_batch or not only else only.retirement()


def run(request: ValidateRequest, caller: Caller, services: Services) -> ValidateReply:
    judged = judge(questions_of(request), caller, services)
    if not judged.is_batch:
        return ValidateReply(**_verdict(judged.decisions[0]))
    results = [Verdict(**_verdict(decision)) for decision in judged.decisions]
    return ValidateReply(valid=judged.valid, code=judged.code, results=results)


def judge(questions: Questions, caller: Caller, services: Services) -> Judged:
    """`run` without its models, which take longer than a decision: for a trigger with messages of its own."""
    caller.require_scope(SCOPE)
    tenant = _tenant(questions.tenant, caller)
    decisions = [_decision(question, tenant, services) for question in questions.asked]
    if not questions.is_batch:
        only = decisions[0]
        note(reason=only.reason, key_id=only.presented_id)
        return Judged(decisions, is_batch=False, code=only.code)
    refused = [decision.code for decision in decisions if not decision]
    note(batch=len(decisions), valid=len(decisions) - len(refused))
    return Judged(decisions, is_batch=True, code=refused[0] if refused else Code.VALID)


def questions_of(request: ValidateRequest) -> Questions:
    asked: list[Presented] | list[ValidateRequest] = request.batch or [request]
    return Questions([_question(each) for each in asked], request.tenant, request.batch is not None)


def _question(asked: Presented | ValidateRequest) -> Question:
    scopes = parse_expression(asked.required_scopes) if asked.required_scopes else None
    return Question(asked.key.get_secret_value() if asked.key else "", scopes, asked.ip, asked.audience)


def _tenant(asked: str | None, caller: Caller) -> str | None:
    if asked is not None:
        caller.require_tenant(asked)
        return asked
    return None if caller.tenant == SYSTEM_TENANT else caller.tenant


def _decision(question: Question, tenant: str | None, services: Services) -> Decision:
    if not question.key:
        return Decision(Code.MISSING, "missing")
    return check_key(question.key, Need(tenant, question.scopes, question.ip, question.audience), services)


def _verdict(decision: Decision) -> dict[str, Any]:
    return told(decision) | times_told(decision)


def times_told(decision: Decision) -> dict[str, datetime | None]:
    """Those fields of its Verdict that are times."""
    if decision.stored is None or decision.generation is None:
        return {}
    deprecated_at, sunset_at = decision.retirement() if decision else (None, None)
    return {"expires_at": decision.stored.record.expires_at, "sunset_at": sunset_at, "deprecated_at": deprecated_at}


def told(decision: Decision) -> dict[str, Any]:
    """The other fields."""
    fields_told: dict[str, Any] = {"valid": bool(decision), "code": decision.code}
    if decision.retry_after_seconds is not None:
        fields_told["retry_after_seconds"] = decision.retry_after_seconds
    if decision.stored is None or decision.generation is None:
        return fields_told
    record, generation = decision.stored.record, decision.generation
    fields_told |= {
        "key_id": record.key_id,
        "generation": generation.n,
        "tenant": record.tenant,
        "principal": record.owner,
        "name": record.name,
        "scopes": list(decision.scopes),
        "labels": record.labels,
        "metadata": record.metadata,
    }
    return fields_told


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
JUDGING = replace(OPERATION, run=judge)
