"""What the clock calls, through EventBridge (its scheduler or a rule) or a queue of SQS.

Whoever may invoke the function, or put messages into its queue, may have it tick and nothing else: IAM is the proof.
The event's `detail`, or the message, holds the operation's fields, and in `operation` its name where it is not the
first that takes events.
"""

from typing import Any

from keyrail.domain.access import Principal
from keyrail.domain.errors import InvalidArgument, KeyrailError
from keyrail.domain.records import SYSTEM_TENANT
from keyrail.operations.operation import Operation
from keyrail.telemetry import choose_correlation_id
from keyrail.triggers.dispatch import Call, Outcome
from keyrail.triggers.eventbridge import data_of_scheduled_event, is_eventbridge_event
from keyrail.triggers.lambda_http import own_id, part
from keyrail.triggers.request_models import as_request
from keyrail.triggers.served import Served
from keyrail.triggers.strict_json import parse_object
from keyrail.validation import TICK_SCOPES

RESERVE_SECONDS = 5  # of the time that Lambda gives: a look under way may outlast the budget by two calls of Vault
_SCHEDULER = Principal("iam:scheduler", SYSTEM_TENANT, TICK_SCOPES)


class EventFailed(Exception):
    """Has Lambda call again, and hand the event to its dead-letter queue in the end. Its text is a code."""


def is_scheduled(served: Served, event: dict[str, Any]) -> bool:
    return is_eventbridge_event(event) and _taking_events(served) != []


def is_queued(served: Served, event: dict[str, Any]) -> bool:
    """Messages of SQS; of no other source that has `Records`."""
    records = event.get("Records")
    return (
        isinstance(records, list)
        and all(isinstance(each, dict) and each.get("eventSource") == "aws:sqs" for each in records)
        and _taking_events(served) != []
    )


def run(served: Served, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The reply, for a destination of Lambda's. Raises: EventFailed, also where anything is left undone."""
    outcome = _outcome(served, event, event.get("id"), context)
    failed = _failure(outcome)
    if failed is not None:
        raise EventFailed(failed)
    told: dict[str, Any] = outcome.reply.model_dump(mode="json", exclude_none=True)
    return told


def run_queued(served: Served, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Which messages are to come again, as SQS wants it with ReportBatchItemFailures."""
    failed = [
        record.get("messageId")
        for record in event["Records"]
        if _failure(_outcome(served, record.get("body"), record.get("messageId"), context)) is not None
    ]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def _taking_events(served: Served) -> list[Operation]:
    return [operation for operation in served.operations if operation.takes_events]


def _outcome(served: Served, event: Any, event_id: object, context: Any) -> Outcome:
    given = event_id if isinstance(event_id, str) else own_id(context)("x-correlation-id")
    chosen = choose_correlation_id(None, given)
    try:
        operation, fields = _asked(served, event)
    except InvalidArgument as error:
        served.unserved(lambda name: chosen if name == "x-correlation-id" else None, error)
        return Outcome(error=error)
    parse = lambda: as_request(operation.request, _in_time(operation, fields, context))  # noqa: E731
    return served.outcome(operation, Call(chosen, lambda: None, None, parse, _SCHEDULER))


def _asked(served: Served, event: Any) -> tuple[Operation, dict[str, Any]]:
    """Raises: InvalidArgument."""
    fields = parse_object(event.encode("utf-8", "surrogatepass")) if isinstance(event, str) else event
    if not isinstance(fields, dict):
        raise InvalidArgument("The event holds no fields.", code="BAD_EVENT")
    fields = dict(data_of_scheduled_event(fields) if is_eventbridge_event(fields) else fields)
    taking = {operation.name: operation for operation in _taking_events(served)}
    name = part(fields, "operation", str, next(iter(taking)))
    fields.pop("operation", None)
    if name not in taking:
        raise InvalidArgument("The event names no operation that the clock may call here.", code="BAD_EVENT")
    return taking[name], fields


def _in_time(operation: Operation, fields: dict[str, Any], context: Any) -> dict[str, Any]:
    """No budget beyond the time that Lambda has left for this call."""
    budget = fields.get("budget_seconds", operation.request.model_fields["budget_seconds"].default)
    if not isinstance(budget, int) or not hasattr(context, "get_remaining_time_in_millis"):
        return fields
    left = int(context.get_remaining_time_in_millis() / 1000) - RESERVE_SECONDS
    return fields | {"budget_seconds": min(budget, max(left, 1))}


def _failure(outcome: Outcome) -> str | None:
    """A code; the tick's own reply says in its status that something is left undone."""
    error: KeyrailError | None = outcome.error
    if error is not None:
        return str(error.code)
    return "UNAVAILABLE" if getattr(outcome.reply, "http_status", 200) >= 300 else None
