"""Events on their way out, within one process."""

from keyrail.domain.events import LifecycleEvent


class MemoryEventOutbox:
    def __init__(self) -> None:
        self._events: dict[str, LifecycleEvent] = {}

    def put(self, event: LifecycleEvent) -> None:
        self._events.setdefault(event.event_id, event)

    def pending(self, limit: int) -> list[LifecycleEvent]:
        return sorted(self._events.values(), key=lambda event: event.at)[:limit]

    def remove(self, event: LifecycleEvent) -> None:
        self._events.pop(event.event_id, None)
