"""Fixed windows counted in this process: each instance allows the whole limit. docs/concepts.md "Limits"."""

import threading
from collections.abc import Callable
from math import ceil

from keyrail.domain.records import Limit
from keyrail.ports import Refused

_MAX_KEYS = 100_000  # counters held; beyond it the longest untouched ones start anew


class _Window:
    __slots__ = ("count", "started_at")

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.count = 0


class MemoryRateLimiter:
    def __init__(self, seconds_now: Callable[[], float]) -> None:
        self._seconds_now = seconds_now
        self._windows: dict[tuple[str, str], _Window] = {}
        self._lock = threading.Lock()

    def take(self, key_id: str, rate: Limit | None, quota: Limit | None) -> Refused | None:
        limits = [(name, limit) for name, limit in (("rate", rate), ("quota", quota)) if limit is not None]
        with self._lock:
            now = self._seconds_now()
            windows = [self._window(key_id, name, limit, now) for name, limit in limits]
            for (name, limit), window in zip(limits, windows, strict=True):
                if window.count >= limit.requests:
                    ends_at = window.started_at + limit.window_seconds
                    return Refused(name, max(1, ceil(ends_at - now)))  # rounded up: who waits so long is let
            for window in windows:
                window.count += 1
        return None

    def _window(self, key_id: str, name: str, limit: Limit, now: float) -> _Window:
        window = self._windows.pop((key_id, name), None)
        if window is None or now - window.started_at >= limit.window_seconds:
            window = _Window(now)
        self._windows[key_id, name] = window  # at the end: the first entry is the longest untouched
        if len(self._windows) > _MAX_KEYS:
            del self._windows[next(iter(self._windows))]
        return window
