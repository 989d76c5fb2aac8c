"""What validate_key does, without the models that its API is described by: making those takes longer than a decision,
and importing what they stand on most of a start. docs/operations/validate_key.md"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from keyrail.domain.access import Caller
from keyrail.domain.decisions import Code, Decision, Need
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.domain.scopes import Test
from keyrail.ports import Services
from keyrail.telemetry import note
from keyrail.validation import check_key

SCOPE = "keys:validate"
MAX_BATCH = 100
MAX_KEY_CHARS = 256


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


def judge(questions: Questions, caller: Caller, services: Services) -> Judged:
    """Raises: PermissionDenied, Unavailable."""
    caller.require_scope(SCOPE)
    tenant = _tenant(questions.tenant, caller)
    decisions = [_decision(question, tenant, services) for question in questions.asked]
    if not questions.is_batch:
        only = decisions[0]
        note(**noted_of(only))
        return Judged(decisions, is_batch=False, code=only.code)
    refused = [decision.code for decision in decisions if not decision]
    note(batch=len(decisions), valid=len(decisions) - len(refused))
    return Judged(decisions, is_batch=True, code=refused[0] if refused else Code.VALID)


def noted_of(decision: Decision) -> dict[str, Any]:
    """What the log tells of one key."""
    return {"reason": decision.reason, "key_id": decision.presented_id}


def _tenant(asked: str | None, caller: Caller) -> str | None:
    if asked is not None:
        caller.require_tenant(asked)
        return asked
    return None if caller.tenant == SYSTEM_TENANT else caller.tenant


def _decision(question: Question, tenant: str | None, services: Services) -> Decision:
    if not question.key:
        return Decision(Code.MISSING, "missing")
    return check_key(question.key, Need(tenant, question.scopes, question.ip, question.audience), services)


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
