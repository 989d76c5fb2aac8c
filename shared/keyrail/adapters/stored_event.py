"""A lifecycle event as an outbox keeps it, wherever that lies."""

import logging
from typing import Any

from keyrail.domain import stored_form
from keyrail.domain.events import LifecycleEvent
from keyrail.telemetry import log


def encode_event(event: LifecycleEvent) -> dict[str, Any]:
    document: dict[str, Any] = stored_form.encode(event)
    return document


def decode_event(path: str, data: object) -> LifecycleEvent | None:
    """None where it is malformed: the others must not wait for it, and it stays for whoever mends it."""
    try:
        return stored_form.decode(LifecycleEvent, data)
    except stored_form.Malformed as error:
        log(logging.ERROR, "outbox", path=path, detail=f"malformed: {error}")
        return None
