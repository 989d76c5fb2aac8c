"""When each generation was used last: usage/<first 2 of id>/<key id> {"<n>": "<RFC 3339>"}.

Uses are collected in memory and written by a thread of their own: a retiring generation's at most once a minute a
key, since its owner waits for it to fall silent; any other's at most once an hour. Best effort: a process that is
killed takes up to that much with it, and a write that loses its race is tried again with the next batch.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from keyrail.adapters.vault_paths import SecretPath
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import KeyrailError, Unavailable
from keyrail.telemetry import log

RETIRING_SECONDS = 60.0
OTHER_SECONDS = 3600.0
MAX_KEYS = 50_000  # remembered at a time; beyond it the oldest are forgotten


class VaultUsageLog:
    def __init__(self, session: VaultSession, elapsed_seconds: Callable[[], float] = time.monotonic) -> None:
        self._session, self._elapsed_seconds = session, elapsed_seconds
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, int], datetime] = {}
        self._written_at: dict[tuple[str, int], float] = {}
        self._writer: threading.Thread | None = None

    def used(self, key_id: str, generation: int, at: datetime, *, is_retiring: bool) -> None:
        place = (key_id, generation)
        pause = RETIRING_SECONDS if is_retiring else OTHER_SECONDS
        if self._elapsed_seconds() - self._written_at.get(place, float("-inf")) < pause:
            return
        self._waiting[place] = at
        if self._writer is None or not self._writer.is_alive():
            self._start_writer()

    def last_used(self, key_id: str) -> dict[int, datetime]:
        found = self._session.read(_path(key_id))
        if found is None:
            return {}
        try:
            return {int(n): datetime.fromisoformat(at) for n, at in found.data.items()}
        except (ValueError, TypeError) as error:
            raise Unavailable(f"usage of {key_id} is malformed") from error

    def flush(self) -> int:
        """Writes what waits; the number of keys written."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            by_key: dict[str, dict[int, datetime]] = {}
            for (key_id, generation), at in waiting.items():
                by_key.setdefault(key_id, {})[generation] = at
                self._written_at.pop((key_id, generation), None)
                self._written_at[key_id, generation] = self._elapsed_seconds()
            while len(self._written_at) > MAX_KEYS:
                del self._written_at[next(iter(self._written_at))]
        return sum(self._write(key_id, used) for key_id, used in by_key.items())

    def _write(self, key_id: str, used: dict[int, datetime]) -> bool:
        path = _path(key_id)
        try:
            found = self._session.read(path)
            known = {} if found is None else dict(found.data)
            document = known | {str(n): at.isoformat() for n, at in used.items()}
            if found is None:
                return self._session.create(path, document) is None
            return self._session.replace(path, document, found.version) is not None
        except KeyrailError as error:
            log(logging.WARNING, "usage", key_id=key_id, code=error.code, detail=error.detail)
            return False

    def _start_writer(self) -> None:
        with self._lock:
            if self._writer is None or not self._writer.is_alive():
                self._writer = threading.Thread(target=self._write_forever, name="keyrail-usage", daemon=True)
                self._writer.start()

    def _write_forever(self) -> None:
        while True:
            time.sleep(RETIRING_SECONDS / 6)
            self.flush()


def _path(key_id: str) -> SecretPath:
    return SecretPath(("usage", key_id[:2], key_id))
