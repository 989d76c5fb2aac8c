"""A dead Vault must not hold every thread for a whole deadline: after a few faults in a row, fail at once.

closed ──3 faults in a row──▶ open ──0.5 s──▶ one probe ──answered──▶ closed
                                ▲────────────failed──────┘
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

FAULTS_IN_A_ROW = 3
OPEN_SECONDS = 0.5
PROBE_SECONDS = 1.0  # a probe's deadline: with the pause before it, recovery is seen in under two seconds


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to make one call, to be handed back with its end."""

    epoch: int
    is_probe: bool


class Breaker:
    """Safe to share among threads. A fault is a connection that failed or an answer that did not come in time."""

    def __init__(self, elapsed_seconds: Callable[[], float], on_change: Callable[[bool], None]) -> None:
        self._elapsed_seconds = elapsed_seconds
        self._on_change = on_change
        self._lock = threading.Lock()
        self._epoch = 0  # counts openings and closings, so that a call from before one can't undo it
        self._faults = 0
        self._probe_at: float | None = None  # None while closed
        self._is_probing = False

    def admit(self) -> Admission | None:
        """None while open."""
        with self._lock:
            if self._probe_at is None:
                return Admission(self._epoch, is_probe=False)
            if self._is_probing or self._elapsed_seconds() < self._probe_at:
                return None
            self._is_probing = True
            return Admission(self._epoch, is_probe=True)

    def report(self, admission: Admission, *, answered: bool) -> None:
        with self._lock:
            if admission.epoch != self._epoch:
                return
            if answered:
                self._faults = 0
                if admission.is_probe:
                    self._turn(None)
            elif admission.is_probe:
                self._is_probing = False
                self._probe_at = self._elapsed_seconds() + OPEN_SECONDS
            else:
                self._faults += 1
                if self._faults >= FAULTS_IN_A_ROW:
                    self._turn(self._elapsed_seconds() + OPEN_SECONDS)

    def _turn(self, probe_at: float | None) -> None:
        self._epoch += 1
        self._faults = 0
        self._is_probing = False
        self._probe_at = probe_at
        self._on_change(probe_at is not None)
