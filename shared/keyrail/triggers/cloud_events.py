"""CloudEvents 1.0 over HTTP, as Knative's sources send them: in binary mode the attributes are `ce-` headers and the
body is the data; in structured mode the body is the whole event (HTTP Protocol Binding, section 3)."""

import re
from collections.abc import Callable
from typing import Any

from keyrail.domain.errors import InvalidArgument

_STRUCTURED = re.compile(r"application/cloudevents\+json(\s*;.*)?", re.IGNORECASE)
_REQUIRED = ("id", "source", "specversion", "type")  # CloudEvents 1.0, section 3.1


def is_event(header: Callable[[str], str | None]) -> bool:
    return header("ce-specversion") is not None or is_structured_event(header("content-type") or "")


def is_structured_event(content_type: str) -> bool:
    return _STRUCTURED.fullmatch(content_type) is not None


def data_of_structured_event(event: dict[str, Any]) -> dict[str, Any]:
    """Raises: InvalidArgument BAD_EVENT."""
    if event.get("specversion") != "1.0" or not all(_is_text(event.get(name)) for name in _REQUIRED):
        raise InvalidArgument("This is no CloudEvent 1.0.", code="BAD_EVENT")
    data = event.get("data") or {}
    if not isinstance(data, dict):
        raise InvalidArgument("The event's data must be a JSON object.", code="BAD_EVENT")
    return data


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
