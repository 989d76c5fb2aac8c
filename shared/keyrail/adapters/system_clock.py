"""The one reader of the clock."""

import time
from datetime import UTC, datetime

_STEP_SECONDS = 0.5  # a wall clock that moves on this much against the monotonic one means: we were frozen


class SystemClock:
    def __init__(self) -> None:
        self._wall_ahead = time.time() - time.monotonic()
        self._frozen_seconds = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed_seconds(self) -> float:
        """The monotonic clock, plus what the wall clock gained while that one stood still (a frozen sandbox).

        A wall clock set forward counts as time passed: caches are dropped early, never late.
        """
        monotonic = time.monotonic()
        ahead = time.time() - monotonic
        if ahead - self._wall_ahead > _STEP_SECONDS:
            self._frozen_seconds += ahead - self._wall_ahead
        self._wall_ahead = ahead
        return monotonic + self._frozen_seconds
