"""Answers whether a key may be used, for what, and by whom. docs/operations/validate_key.md"""

from datetime import datetime
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from keyrail.domain import fields
from keyrail.domain.access import Caller
from keyrail.domain.decisions import Code, Decision
from keyrail.domain.fields import Reply, Request
from keyrail.domain.scopes import parse_expression
from keyrail.judging import MAX_BATCH, MAX_KEY_CHARS, SCOPE, Question, Questions, judge, times_told, told
from keyrail.operations.operation import Operation
from keyrail.ports import Services


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


def run(request: ValidateRequest, caller: Caller, services: Services) -> ValidateReply:
    judged = judge(questions_of(request), caller, services)
    if not judged.is_batch:
        return ValidateReply(**_verdict(judged.decisions[0]))
    results = [Verdict(**_verdict(decision)) for decision in judged.decisions]
    return ValidateReply(valid=judged.valid, code=judged.code, results=results)


def questions_of(request: ValidateRequest) -> Questions:
    asked: list[Presented] | list[ValidateRequest] = request.batch or [request]
    return Questions([_question(each) for each in asked], request.tenant, request.batch is not None)


def _question(asked: Presented | ValidateRequest) -> Question:
    scopes = parse_expression(asked.required_scopes) if asked.required_scopes else None
    return Question(asked.key.get_secret_value() if asked.key else "", scopes, asked.ip, asked.audience)


def _verdict(decision: Decision) -> dict[str, Any]:
    return told(decision) | times_told(decision)


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
