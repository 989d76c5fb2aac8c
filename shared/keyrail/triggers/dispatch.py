"""One call of an operation, the same for every trigger: who calls, what is asked, the reply or the error, and what
is written about it. Triggers only turn their own protocol into a Call and an Outcome back into it."""

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from keyrail import tracing
from keyrail.domain.access import FOREIGN, Caller, Principal
from keyrail.domain.decisions import Code, Decision
from keyrail.domain.errors import Internal, KeyrailError, NotFound, PermissionDenied, Unauthenticated
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.operations.operation import Route
from keyrail.ports import Services
from keyrail.telemetry import REQUEST, correlation_id, log, noted
from keyrail.validation import authenticate, authenticate_principal, authenticate_token, refusal

_TOLD_OF_A_DENIAL = ("key_id", "presented_id", "presented_reason")
_OUR_FAULTS = frozenset({"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"})
_ANYONE = Caller(key_id="anyone", tenant=SYSTEM_TENANT, owner="anyone", scopes=("keys:validate",))


class Call(NamedTuple):
    """`credential` finds the caller's key, None where there is none; `parse` makes the request model, and runs only
    for an authenticated caller. Both may raise what the client did wrong. `principal` is who calls where no key says
    otherwise."""

    correlation_id: str
    credential: Callable[[], str | None]
    ip: str | None
    parse: Callable[[], Any]
    principal: Principal | None = None


class Outcome(NamedTuple):
    """What the operation gave, or an error. `caller_decision` tells of the key that the caller itself used."""

    reply: Any = None
    error: KeyrailError | None = None
    caller_decision: Decision | None = None

    @property
    def code(self) -> str:
        if self.error is not None:
            return self.error.code
        return str(getattr(self.reply, "code", "OK"))

    @property
    def is_our_fault(self) -> bool:
        return self.error is not None and self.error.kind in _OUR_FAULTS


def dispatch(operation: Route, call: Call, services: Services) -> Outcome:
    """Never raises: what was not foreseen is Internal, with its place in the log."""
    if tracing.tracer is None:
        return _dispatched(operation, call, services)
    with tracing.tracer.step(operation.name) as span:
        outcome = _dispatched(operation, call, services)
        span.put("keyrail.code", outcome.code)
        if outcome.is_our_fault:
            span.fail(outcome.code)
        return outcome


def _dispatched(operation: Route, call: Call, services: Services) -> Outcome:
    started = time.perf_counter()
    token, facts = correlation_id.set(call.correlation_id), _Facts()
    notes = noted.set(facts.noted)
    try:
        outcome = _outcome(operation, call, services, facts)
        seconds = time.perf_counter() - started
        services.metrics.request(operation.name, outcome.code, seconds)
        _write_line(operation, outcome, facts, seconds, services)
        return outcome
    finally:  # also for a thread that is told to exit
        noted.reset(notes)
        correlation_id.reset(token)


def facts_of(operation: Route, told: Outcome, actor: str | None, notes: dict[str, Any]) -> dict[str, Any]:
    """What the line of a request says, beside when and for how long."""
    detail = (told.error.detail or None) if told.error else None
    return {"operation": operation.name, "code": told.code, "actor": actor, "detail": detail, **notes}


def _outcome(operation: Route, call: Call, services: Services, facts: "_Facts") -> Outcome:
    try:
        return _run(operation, call, services, facts)
    except KeyrailError as error:
        return Outcome(error=error, caller_decision=facts.caller_decision)
    except Exception as error:
        logging.getLogger("keyrail").exception("unforeseen")
        return Outcome(error=Internal(type(error).__name__), caller_decision=facts.caller_decision)


class _Facts:
    __slots__ = ("actor", "caller_decision", "noted")

    def __init__(self) -> None:
        self.actor: str | None = None
        self.caller_decision: Decision | None = None
        self.noted: dict[str, Any] = {}


def _run(operation: Route, call: Call, services: Services, facts: _Facts) -> Outcome:
    credential = call.credential()
    if credential is None and call.principal is not None:
        caller = authenticate_principal(call.principal, services)
        facts.actor = caller.key_id
        return Outcome(reply=operation.run(call.parse(), caller, services))
    if operation.name in services.open_operations and credential is None:
        return Outcome(reply=operation.run(call.parse(), _ANYONE, services))
    if operation.takes_oidc and services.tick_tokens is not None and _is_token(credential or "", services):
        caller = authenticate_token(credential or "", services.tick_tokens, services)
        facts.actor = caller.key_id
        return Outcome(reply=operation.run(call.parse(), caller, services))
    caller, decision = authenticate(credential, call.ip, services)
    facts.actor, facts.caller_decision = caller.key_id, decision
    if not caller.usable and not operation.by_possession:
        raise refusal(decision)
    request = call.parse()
    if not caller.usable and getattr(request, "key_id", None) != caller.key_id:
        raise refusal(decision)
    return Outcome(reply=operation.run(request, caller, services), caller_decision=decision)


def _is_token(credential: str, services: Services) -> bool:
    """A signed one has dots; of keys, only imported ones may have."""
    return "." in credential and not services.key_format.is_imported(credential)


def _write_line(operation: Route, outcome: Outcome, facts: _Facts, seconds: float, services: Services) -> None:
    error, level = outcome.error, logging.ERROR if outcome.is_our_fault else logging.INFO
    log(level, REQUEST, ms=round(seconds * 1000, 3), **facts_of(operation, outcome, facts.actor, facts.noted))
    if error is not None and _is_denial(error):
        told = {name: facts.noted[name] for name in _TOLD_OF_A_DENIAL if name in facts.noted}
        services.audit.write("access.denied", operation=operation.name, code=error.code, actor=facts.actor, **told)


def _is_denial(error: KeyrailError) -> bool:
    """A key that somebody used and that was not let; also where the client is told only that there is no such key."""
    match error:
        case PermissionDenied():
            return True
        case Unauthenticated():
            return error.code is not Code.MISSING
    return isinstance(error, NotFound) and error.detail == FOREIGN
