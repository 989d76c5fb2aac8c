"""adapters/system_clock.py: time that also passed while the process stood still."""

import time
from dataclasses import dataclass
from datetime import UTC, timedelta

import pytest

from keyrail.adapters.system_clock import SystemClock


@dataclass
class Machine:
    """A machine whose two clocks can part."""

    wall: float = 1_900_000_000.0
    monotonic: float = 50.0

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def freeze(self, seconds: float) -> None:
        """The monotonic clock of a sandbox stands while it is frozen."""
        self.wall += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(time, "time", lambda: machine.wall)
    monkeypatch.setattr(time, "monotonic", lambda: machine.monotonic)
    return machine


def elapsed(clock: SystemClock, since: float) -> float:
    return round(clock.elapsed_seconds() - since, 6)


def test_now_is_aware_and_utc() -> None:
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert now.utcoffset() == timedelta(0)


def test_now_and_elapsed_go_with_the_real_clocks() -> None:
    clock = SystemClock()
    assert abs(clock.now().timestamp() - time.time()) < 5
    before = clock.elapsed_seconds()
    time.sleep(0.02)
    assert 0.02 <= clock.elapsed_seconds() - before < 5


def test_elapsed_grows_as_the_machine_runs(machine: Machine) -> None:
    clock = SystemClock()
    start = clock.elapsed_seconds()
    for _ in range(100):
        machine.run(0.25)
    assert elapsed(clock, start) == 25


def test_elapsed_counts_what_passed_while_frozen(machine: Machine) -> None:
    clock = SystemClock()
    start = clock.elapsed_seconds()
    machine.run(1)
    machine.freeze(600)
    machine.run(1)
    assert elapsed(clock, start) == 602
    machine.freeze(30)
    assert elapsed(clock, start) == 632
    assert elapsed(clock, start) == 632  # and once only


def test_a_wall_clock_set_back_takes_nothing(machine: Machine) -> None:
    clock = SystemClock()
    start = clock.elapsed_seconds()
    machine.wall -= 3600
    machine.run(1)
    assert elapsed(clock, start) == 1


def test_a_wall_clock_set_forward_counts_as_time_passed(machine: Machine) -> None:
    """Caches are dropped early then, never late."""
    clock = SystemClock()
    start = clock.elapsed_seconds()
    machine.wall += 3600
    assert elapsed(clock, start) == 3600


def test_a_wall_clock_that_is_slewed_counts_nothing(machine: Machine) -> None:
    clock = SystemClock()
    start = clock.elapsed_seconds()
    for _ in range(100):
        machine.run(1)
        machine.wall += 0.0005  # what NTP may do, 500 ppm
        clock.elapsed_seconds()
    assert elapsed(clock, start) == 100


def test_elapsed_never_goes_back(machine: Machine) -> None:
    clock = SystemClock()
    last = clock.elapsed_seconds()
    for step in (5.0, -7200.0, 0.1, 7200.0, -0.3, 90.0, -3600.0):
        machine.wall += step
        machine.run(0.01)
        now = clock.elapsed_seconds()
        assert now > last
        last = now
