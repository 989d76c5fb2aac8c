"""A lifecycle event as it leaves the house: whatever looks like a secret is cut out, as in a log."""

from typing import Any

from keyrail.domain.events import LifecycleEvent
from keyrail.telemetry import redact


def document_of(event: LifecycleEvent) -> dict[str, Any]:
    """In CloudEvents' JSON format."""
    cleaned: dict[str, Any] = _clean(event.as_cloudevent())
    return cleaned


def _clean(value: Any) -> Any:
    """Text by text: within JSON a secret can be glued to an escape."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(name): _clean(inner) for name, inner in value.items()}
        case list():
            return [_clean(inner) for inner in value]
    return value
