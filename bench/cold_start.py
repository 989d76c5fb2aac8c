"""From the start of a process to its first answer: wall time and CPU time, beside an empty function."""

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, machine
from bench.figures import Section, at_most
from bench.options import Options
from bench.warm import EXPECTED, message
from bench.world import World
from keyrail.dev.functions import Function

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: bench\r\n\r\n"
CONNECT_EVERY_SECONDS = 0.001


def measure(options: Options) -> Section:
    section = Section("6  A cold start: process start to first answer", beside="empty function")
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        (key,) = world.fill(1)
        (caller,) = world.fill(1, scopes=("keys:validate",))
        asked = message(key, caller)
        beside = _Starts(world.start_empty, asked, EXPECTED)
        alive = _Starts(lambda: world.start("validate_key"), LIVEZ, b"alive")
        validated = _Starts(lambda: world.start("validate_key"), asked, EXPECTED)
        order = [beside, alive, validated]
        for each in order:
            each.go()  # writes the .pyc files that are missing
            each.forget()
        for _ in range(options.starts):
            for each in order:
                each.go()
            order.reverse()
    for starts, name, most in ((alive, "first 200 on /livez", 1.15), (validated, "first validated key", 1.4)):
        section.compare(f"{name}, wall", "ms", starts.wall_ms, beside.wall_ms, at_most(most))
        section.compare(f"{name}, CPU", "ms", starts.cpu_ms, beside.cpu_ms, at_most(most))
    section.notes.append("The first validation logs in and reads feed, caller, pepper, roles and record.")
    return section


@dataclass
class _Starts:
    start: Callable[[], Function]
    asked: bytes
    expected: bytes
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def go(self) -> None:
        started = time.perf_counter()
        function = self.start()
        try:
            self._first_answer(function)
            self.wall_ms.append((time.perf_counter() - started) * 1000)
            pid = function.process.pid
            self.cpu_ms.append(machine.cpu_seconds(pid, *machine.children_of(pid)) * 1000)
        finally:
            function.process.stop()

    def _first_answer(self, function: Function) -> None:
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                load.drive(function.port, [self.asked], self.expected, requests=1, connections=1)
                return
            function.require_running()
            time.sleep(CONNECT_EVERY_SECONDS)

    def forget(self) -> None:
        self.wall_ms.clear()
        self.cpu_ms.clear()
