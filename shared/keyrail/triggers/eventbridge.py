"""Scheduled events of Amazon EventBridge, by its scheduler or a rule: the fields of the call are its `detail`.

Shape: https://docs.aws.amazon.com/eventbridge/latest/userguide/event-reference.html. A rule's `detail` is an object,
the scheduler's is a text that holds one.
"""

from typing import Any

from keyrail.domain.errors import InvalidArgument
from keyrail.triggers.strict_json import parse_object

_TYPE = "Scheduled Event"
_SOURCES = ("aws.events", "aws.scheduler")


def is_eventbridge_event(payload: dict[str, Any]) -> bool:
    return "detail-type" in payload


def data_of_scheduled_event(event: dict[str, Any]) -> dict[str, Any]:
    """Raises: InvalidArgument BAD_EVENT where it is another event, or malformed."""
    if event["detail-type"] != _TYPE or event.get("source") not in _SOURCES:
        raise InvalidArgument("This is no scheduled event of EventBridge.", code="BAD_EVENT")
    detail = event.get("detail")
    if isinstance(detail, str):
        detail = parse_object(detail.encode())
    if not isinstance(detail, dict):
        raise InvalidArgument("The event's detail must be a JSON object.", code="BAD_EVENT")
    return detail
