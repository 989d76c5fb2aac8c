"""event_delivery.py: what is sent, in which order, and what stays. The receiver and the outbox are in memory."""

from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from builders import NOW

from keyrail.adapters.memory_outbox import MemoryEventOutbox
from keyrail.domain.errors import Unavailable
from keyrail.domain.events import LifecycleEvent
from keyrail.event_delivery import MAX_REFUSED, EventsReport, deliver_events
from keyrail.ports import NoMetrics, Services

BUDGET_SECONDS = 45.0


def event(number: int, **changes: Any) -> LifecycleEvent:
    given: dict[str, Any] = {"event_id": f"{number:032x}", "name": "key.issued", "at": NOW + timedelta(seconds=number)}
    return LifecycleEvent(**given | {"tenant": "acme", "subject": "a key", "facts": {"n": number}} | changes)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> Any:
        return NOW + timedelta(seconds=self.seconds)

    def elapsed_seconds(self) -> float:
        return self.seconds


@dataclass
class Sink:
    clock: Clock
    refuses: set[str] = field(default_factory=set)
    is_down: bool = False
    seconds_each: float = 0.0
    taken: list[str] = field(default_factory=list)
    asked: int = 0
    given_seconds: list[float] = field(default_factory=list)

    def send(self, event: LifecycleEvent, seconds: float) -> bool:
        self.asked += 1
        self.given_seconds.append(seconds)
        self.clock.seconds += self.seconds_each
        if self.is_down:
            raise Unavailable("down")
        if event.event_id in self.refuses:
            return False
        self.taken.append(event.event_id)
        return True


class Counted(NoMetrics):
    def __init__(self) -> None:
        self.sent, self.waiting = 0, -1

    def events_sent(self, count: int) -> None:
        self.sent += count

    def outbox_waiting(self, count: int) -> None:
        self.waiting = count


class World:
    def __init__(self, *events: LifecycleEvent) -> None:
        self.clock, self.outbox, self.metrics = Clock(), MemoryEventOutbox(), Counted()
        self.sink = Sink(self.clock)
        for each in events:
            self.outbox.put(each)

    def services(self, **changes: Any) -> Services:
        given = {"clock": self.clock, "outbox": self.outbox, "event_sink": self.sink, "metrics": self.metrics}
        return cast(Services, SimpleNamespace(**given | changes))

    def deliver(self, budget_seconds: float = BUDGET_SECONDS, **changes: Any) -> EventsReport:
        return deliver_events(self.services(**changes), self.clock.seconds + budget_seconds)


def ids(*numbers: int) -> list[str]:
    return [f"{number:032x}" for number in numbers]


def test_the_oldest_goes_first_and_what_was_taken_is_gone() -> None:
    world = World(event(3), event(1), event(2))
    assert world.deliver() == EventsReport(sent=3, waiting=0)
    assert world.sink.taken == ids(1, 2, 3)
    assert (world.metrics.sent, world.metrics.waiting) == (3, 0)


def test_more_than_a_batch_goes_in_one_run_in_order() -> None:
    world = World(*(event(n) for n in range(137)))
    assert world.deliver() == EventsReport(sent=137, waiting=0)
    assert world.sink.taken == ids(*range(137))


def test_a_receiver_that_is_down_is_asked_once_and_everything_stays() -> None:
    world = World(*(event(n) for n in range(5)))
    world.sink.is_down = True
    assert world.deliver() == EventsReport(sent=0, waiting=5)
    assert world.sink.asked == 1
    world.sink.is_down = False
    assert world.deliver() == EventsReport(sent=5, waiting=0)


def test_a_refused_event_stays_and_holds_up_no_other() -> None:
    world = World(*(event(n) for n in range(120)))
    world.sink.refuses = set(ids(0, 7, 60))
    assert world.deliver() == EventsReport(sent=117, waiting=3)
    assert world.sink.asked == 120


def test_a_run_ends_when_so_many_are_refused() -> None:
    world = World(*(event(n) for n in range(MAX_REFUSED + 20)))
    world.sink.refuses = set(ids(*range(MAX_REFUSED + 20)))
    assert world.deliver() == EventsReport(sent=0, waiting=MAX_REFUSED + 20)
    assert world.sink.asked == MAX_REFUSED


def test_it_stops_within_its_time_and_says_what_waits() -> None:
    world = World(*(event(n) for n in range(10)))
    world.sink.seconds_each = 1.0
    assert world.deliver(budget_seconds=4.5) == EventsReport(sent=5, waiting=5)
    assert world.sink.given_seconds == [4.5, 3.5, 2.5, 1.5, 0.5]


def test_without_any_time_nothing_is_tried() -> None:
    world = World(event(1))
    assert world.deliver(budget_seconds=0) == EventsReport(sent=0, waiting=1)
    assert world.sink.asked == 0


def test_nobody_listens_nothing_happens() -> None:
    world = World(event(1))
    assert world.deliver(event_sink=None) == EventsReport()
    assert world.deliver(outbox=None) == EventsReport()


def test_while_another_sends_nobody_else_does_until_its_turn_is_over() -> None:
    world = World(event(1))
    assert world.outbox.take_turn(world.clock.now(), 60) is not None  # and is killed
    assert world.deliver() == EventsReport(sent=0, waiting=1)
    world.clock.seconds += 61
    assert world.deliver() == EventsReport(sent=1, waiting=0)


def test_a_turn_ends_with_its_run_also_where_the_receiver_is_down() -> None:
    world = World(event(1))
    world.sink.is_down = True
    world.deliver()
    assert world.outbox.take_turn(world.clock.now(), 60) is not None


class Broken(MemoryEventOutbox):
    def __init__(self, broken: str) -> None:
        super().__init__()
        self.put(event(1))
        setattr(self, broken, self._fail)

    def _fail(self, *_: object) -> Any:
        raise Unavailable("the store is down")


@pytest.mark.parametrize("broken", ["pending", "take_turn", "remove", "end_turn"])
def test_a_store_that_is_away_fails_nobody(broken: str) -> None:
    world = World()
    report = world.deliver(outbox=Broken(broken))
    assert report.waiting == (0 if broken == "end_turn" else 1)


def test_what_waits_is_left_unsaid_where_the_store_can_not_tell() -> None:
    assert World().deliver(outbox=Broken("waiting")) == EventsReport(sent=1, waiting=None)


def test_killed_between_post_and_removal_it_is_sent_again_under_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(_: LifecycleEvent) -> None:
        raise Killed

    world = World(event(1), event(2))
    with monkeypatch.context() as patched:
        patched.setattr(world.outbox, "remove", kill)
        with pytest.raises(Killed):
            world.deliver()
    world.clock.seconds += 3600
    assert world.deliver() == EventsReport(sent=2, waiting=0)
    assert world.sink.taken == ids(1, 1, 2)


def test_one_change_told_twice_lies_there_twice_and_is_sent_once() -> None:
    class ByPath(MemoryEventOutbox):
        """As Vault keeps them: under their time and id."""

        def put(self, event: LifecycleEvent) -> None:
            self._events[f"{event.at}{event.event_id}"] = event

        def remove(self, event: LifecycleEvent) -> None:
            del self._events[f"{event.at}{event.event_id}"]

    world, outbox = World(), ByPath()
    outbox.put(event(1))
    outbox.put(event(1, at=NOW + timedelta(seconds=90)))
    assert world.deliver(outbox=outbox) == EventsReport(sent=1, waiting=0)
