"""Use of generations, remembered within one process."""

from datetime import datetime


class MemoryUsageLog:
    def __init__(self) -> None:
        self._used: dict[str, dict[int, datetime]] = {}

    def used(self, key_id: str, generation: int, at: datetime, *, is_retiring: bool) -> None:
        self._used.setdefault(key_id, {})[generation] = at

    def last_used(self, key_id: str) -> dict[int, datetime]:
        return dict(self._used.get(key_id, {}))
