"""Events on their way out, within one process."""

import secrets
import threading
from datetime import datetime, timedelta

from keyrail.domain.events import LifecycleEvent


class MemoryEventOutbox:
    def __init__(self) -> None:
        self._events: dict[str, LifecycleEvent] = {}
        self._lock = threading.Lock()
        self._turn: tuple[str, datetime] | None = None

    def put(self, event: LifecycleEvent) -> None:
        self._events.setdefault(event.event_id, event)

    def pending(self, limit: int) -> list[LifecycleEvent]:
        return sorted(self._events.values(), key=lambda event: event.at)[:limit]

    def remove(self, event: LifecycleEvent) -> None:
        self._events.pop(event.event_id, None)

    def waiting(self) -> int:
        return len(self._events)

    def take_turn(self, now: datetime, seconds: float) -> str | None:
        with self._lock:
            if self._turn is not None and self._turn[1] > now:
                return None
            self._turn = secrets.token_hex(8), now + timedelta(seconds=seconds)
            return self._turn[0]

    def end_turn(self, turn: str) -> None:
        with self._lock:
            if self._turn is not None and self._turn[0] == turn:
                self._turn = None
