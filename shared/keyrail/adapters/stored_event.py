"""A lifecycle event out of an outbox, wherever that lies."""

import logging

from keyrail.domain import stored_form
from keyrail.domain.events import LifecycleEvent
from keyrail.telemetry import log


def decode_event(path: str, data: object) -> LifecycleEvent | None:
    """None where it is malformed: the others must not wait for it, and it stays for whoever mends it."""
    try:
        return stored_form.decode(LifecycleEvent, data)
    except stored_form.Malformed as error:
        log(logging.ERROR, "outbox", path=path, detail=f"malformed: {error}")
        return None
