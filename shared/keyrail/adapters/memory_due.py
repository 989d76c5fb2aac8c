"""The due index within one process."""

import threading
from datetime import datetime

from keyrail.rotation_ports import DueEntry


class MemoryDueIndex:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: set[DueEntry] = set()

    def add(self, entry: DueEntry) -> bool:
        with self._lock:
            is_new = entry not in self._entries
            self._entries.add(entry)
            return is_new

    def remove(self, entry: DueEntry) -> None:
        with self._lock:
            self._entries.discard(entry)

    def due(self, now: datetime) -> list[DueEntry]:
        with self._lock:
            return sorted((entry for entry in self._entries if entry.at <= now), key=lambda entry: entry.at)
