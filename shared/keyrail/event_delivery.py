"""Posts what the outbox holds to whoever listens, the oldest first. Run after each tick, and by `keyrail events flush`.

An event leaves the outbox when its receiver has taken it. Whoever sends may be killed between the two: then it is sent
again, under the same id. Nothing here fails its caller: what could not be sent waits for the next run.
"""

import logging
from dataclasses import dataclass, field

from keyrail.domain.errors import KeyrailError
from keyrail.domain.events import LifecycleEvent
from keyrail.ports import Services
from keyrail.rotation_ports import EventOutbox, EventSink
from keyrail.telemetry import log

BATCH = 50  # events read at a time
SEND_SECONDS = 5.0  # for one event, its tries included
MAX_REFUSED = 50  # a run; those that stand before them in the outbox are asked for again each time
TURN_MARGIN_SECONDS = 10.0  # beyond the time to send: the last one's answer, and its removal


@dataclass(frozen=True, slots=True)
class EventsReport:
    """`waiting` is None where the outbox could not be read. `failure` says what ended the run before its time."""

    sent: int = 0
    waiting: int | None = 0
    failure: str | None = field(default=None, compare=False)


def deliver_events(services: Services, ends_at: float) -> EventsReport:
    """Until nothing waits, the receiver takes nothing more, or Clock.elapsed_seconds comes to `ends_at`."""
    outbox, sink = services.outbox, services.event_sink
    if outbox is None or sink is None:
        return EventsReport()
    run = _Run(outbox, sink, services, ends_at)
    failure = None
    try:
        run.in_turn()
    except KeyrailError as error:
        failure = error.detail
        log(logging.WARNING, "events", code=error.code, detail=error.detail, sent=run.sent)
    services.metrics.events_sent(run.sent)
    return EventsReport(run.sent, _waiting(outbox, services), failure)


def _waiting(outbox: EventOutbox, services: Services) -> int | None:
    try:
        waiting = outbox.waiting()
    except KeyrailError as error:
        log(logging.WARNING, "events", code=error.code, detail=error.detail)
        return None
    services.metrics.outbox_waiting(waiting)
    return waiting


class _Run:
    def __init__(self, outbox: EventOutbox, sink: EventSink, services: Services, ends_at: float) -> None:
        self._outbox, self._sink, self._services, self._ends_at = outbox, sink, services, ends_at
        self._taken: set[str] = set()
        self._refused: set[str] = set()
        self.sent = 0

    def in_turn(self) -> None:
        """Nothing where somebody else is sending. Raises: KeyrailError."""
        left = self._left_seconds()
        if left <= 0 or not self._outbox.pending(1):
            return
        turn = self._outbox.take_turn(self._services.clock.now(), left + TURN_MARGIN_SECONDS)
        if turn is None:
            return
        try:
            self._all()
        finally:
            self._outbox.end_turn(turn)

    def _all(self) -> None:
        while len(self._refused) < MAX_REFUSED:
            pending = self._outbox.pending(BATCH + len(self._refused))
            fresh = [event for event in pending if event.event_id not in self._refused]
            if not fresh:
                return
            for event in fresh:
                if self._left_seconds() <= 0 or len(self._refused) >= MAX_REFUSED:
                    return
                self._one(event)

    def _one(self, event: LifecycleEvent) -> None:
        """A change told twice lies there twice, under one id: the second is not sent again."""
        if event.event_id not in self._taken:
            if not self._sink.send(event, min(SEND_SECONDS, self._left_seconds())):
                self._refused.add(event.event_id)
                return
            self._taken.add(event.event_id)
            self.sent += 1
        self._outbox.remove(event)

    def _left_seconds(self) -> float:
        return self._ends_at - self._services.clock.elapsed_seconds()
