"""Whoever calls a port stops before it, so that a test decides who makes the next step, and who makes none any more."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

from keyrail.ports import Services

STEP_SECONDS = 10.0  # of real time, for a runner that hangs


class Killed(BaseException):
    """No Exception: like SIGKILL, nothing may catch it."""


class Gate:
    """Stops its runner before each call; whoever moves the runner may have an error raised before or after it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.before: Callable[[int, str], None] = lambda number, name: None
        self.after: Callable[[int, str], None] = lambda number, name: None

    def enter(self, name: str) -> int:
        self.calls.append(name)
        number = len(self.calls)
        self.before(number, name)
        return number


class Gated:
    def __init__(self, name: str, port: Any, gate: Gate) -> None:
        self._name, self._port, self._gate = name, port, gate

    def __getattr__(self, method: str) -> Callable[..., Any]:
        called = getattr(self._port, method)

        def call(*args: Any, **named: Any) -> Any:
            number = self._gate.enter(f"{self._name}.{method}")
            result = called(*args, **named)
            self._gate.after(number, f"{self._name}.{method}")
            return result

        return call


class Gateable(Protocol):
    def services(self, gate: Gate) -> Services:
        """As of a process of its own, each call of a port through the gate."""
        ...


class Runner:
    """A thread that stands before its next call of a port until `move` lets it go on to the one after."""

    def __init__(self, world: Gateable, run: Callable[[Services], Any]) -> None:
        self.gate = Gate()
        self.gate.before = self._stand
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_done = False
        self._kill = False
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        services = world.services(self.gate)
        self._thread = threading.Thread(target=self._run, args=(run, services), daemon=True)
        self._thread.start()
        self._await()

    def _run(self, run: Callable[[Services], Any], services: Services) -> None:
        try:
            self.result = run(services)
        except BaseException as error:  # noqa: BLE001 - a test looks at it
            self.error = error
        self.is_done = True
        self._stands.release()

    def _stand(self, number: int, name: str) -> None:
        self._stands.release()
        self._go.acquire()
        if self._kill:
            raise Killed

    def _await(self) -> None:
        assert self._stands.acquire(timeout=STEP_SECONDS), "a runner hangs"

    @property
    def stands_before(self) -> str:
        return self.gate.calls[-1]

    def move(self) -> None:
        if not self.is_done:
            self._go.release()
            self._await()

    def kill(self) -> None:
        if not self.is_done:
            self._kill = True
            self.move()
            self._thread.join(STEP_SECONDS)

    def finish(self) -> None:
        while not self.is_done:
            self.move()
