"""When each generation was used last, as one document a key, {"<n>": "<RFC 3339>"}, wherever that lies.

Uses are collected in memory and written by a thread of their own, never by the call that used the key: a key with a
retiring generation at most once a minute, since its owner waits for that to fall silent; any other at most once an
hour. Best effort: a process that is killed takes up to that much with it.

Where a process is frozen between requests (`background` is False) no thread gets its turn in time, if ever. So there a
use is written by the call that it comes with, just as seldom: else a key in use would look silent, and lose its grace.
"""

import logging
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from keyrail.domain.errors import KeyrailError, Unavailable
from keyrail.telemetry import log

RETIRING_SECONDS = 60.0
OTHER_SECONDS = 3600.0
BATCH_SECONDS = 10.0
BATCH_KEYS = 200  # not retiring: a process that has just begun to see 10,000 keys is no burst for the store
MAX_KEYS = 50_000  # remembered at a time; beyond it the oldest are forgotten
MAX_GENERATIONS = 16  # in one document: more than a record keeps apart


class UsageDocuments(Protocol):
    """By key id. Raises: KeyrailError where they can't be read or written."""

    def read(self, key_id: str) -> tuple[dict[str, Any], int] | None:
        """A document and its version."""
        ...

    def write(self, key_id: str, document: dict[str, Any], version: int) -> bool:
        """False where the stored version is another one (0: there is none)."""
        ...


class BatchedUsageLog:
    """Requests: used none, without a background 2 where it writes; last_used 1; flush 2 a key."""

    def __init__(
        self,
        documents: UsageDocuments,
        elapsed_seconds: Callable[[], float] = time.monotonic,
        *,
        background: bool = True,
    ) -> None:
        self._documents, self._elapsed_seconds, self._background = documents, elapsed_seconds, background
        self._failed_at = float("-inf")
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[int, datetime]] = {}
        self._retiring: set[str] = set()  # of those that wait
        self._written_at: dict[str, float] = {}
        self._writer: threading.Thread | None = None

    def used(self, key_id: str, generation: int, at: datetime, *, is_retiring: bool) -> None:
        self._remember(key_id, generation, at, is_retiring=is_retiring)
        if not self._background and self._elapsed_seconds() >= self._failed_at + BATCH_SECONDS:
            self._write_all(self._due(key_id))

    def _remember(self, key_id: str, generation: int, at: datetime, *, is_retiring: bool) -> None:
        with self._lock:
            waiting = self._waiting.get(key_id)
            if is_retiring:
                self._retiring.add(key_id)
            if waiting is not None:  # almost always
                waiting[generation] = at
                return
            self._waiting[key_id] = {generation: at}
            if len(self._waiting) > MAX_KEYS:
                self._take(next(iter(self._waiting)))
            if self._background and (self._writer is None or not self._writer.is_alive()):
                self._writer = self._start_writer()

    def last_used(self, key_id: str) -> dict[int, datetime]:
        found = self._documents.read(key_id)
        used = {} if found is None else _decoded(found[0])
        if used is None:
            raise Unavailable(
                f"the use of {key_id} is malformed"
            )  # not "never used": somebody may wait for its silence
        return used

    def flush(self) -> int:
        """Writes what waits and may be written by now; how many keys that were."""
        with self._lock:
            waiting = list(self._waiting)
        return self._write_all(self._due(*waiting))

    def _write_all(self, key_ids: list[str]) -> int:
        written = 0
        for key_id in key_ids:
            with self._lock:
                used, is_retiring = self._take(key_id)
            if not used:  # another thread has just taken it
                continue
            try:
                is_written = self._write(key_id, used)
            except KeyrailError as error:
                self._put_back(key_id, used, is_retiring)
                self._failed_at = self._elapsed_seconds()
                log(logging.WARNING, "usage", key_id=key_id, code=error.code, detail=error.detail)
                break  # nor will the others get through
            if is_written:
                self._note_written(key_id)
                written += 1
            else:
                self._put_back(key_id, used, is_retiring)
        return written

    def _due(self, *key_ids: str) -> list[str]:
        """Of these. The retiring ones first, and all of them."""
        now = self._elapsed_seconds()
        with self._lock:
            since = {key_id: now - self._written_at.get(key_id, float("-inf")) for key_id in key_ids}
            retiring = [key_id for key_id in since if key_id in self._retiring and since[key_id] >= RETIRING_SECONDS]
            others = [key_id for key_id in since if key_id not in self._retiring and since[key_id] >= OTHER_SECONDS]
        return retiring + others[:BATCH_KEYS]

    def _take(self, key_id: str) -> tuple[dict[int, datetime], bool]:
        """The caller holds the lock."""
        is_retiring = key_id in self._retiring
        self._retiring.discard(key_id)
        return self._waiting.pop(key_id, {}), is_retiring

    def _put_back(self, key_id: str, used: dict[int, datetime], is_retiring: bool) -> None:
        """For the next batch, beside what was used since."""
        with self._lock:
            self._waiting[key_id] = used | self._waiting.get(key_id, {})
            if is_retiring:
                self._retiring.add(key_id)

    def _note_written(self, key_id: str) -> None:
        with self._lock:
            self._written_at.pop(key_id, None)
            self._written_at[key_id] = self._elapsed_seconds()
            while len(self._written_at) > MAX_KEYS:
                del self._written_at[next(iter(self._written_at))]

    def _write(self, key_id: str, used: dict[int, datetime]) -> bool:
        """False where another process wrote at the same moment."""
        found = self._documents.read(key_id)
        known = (_decoded(found[0]) if found is not None else None) or {}  # a malformed one is put right
        latest = {n: max(at, known.get(n, at)) for n, at in used.items()}
        kept = sorted((known | latest).items())[-MAX_GENERATIONS:]
        document = {str(n): at.isoformat() for n, at in kept}
        return self._documents.write(key_id, document, 0 if found is None else found[1])

    def _start_writer(self) -> threading.Thread:
        writer = threading.Thread(target=_write_forever, args=(weakref.ref(self),), name="keyrail-usage", daemon=True)
        writer.start()
        return writer


def _write_forever(of: "weakref.ref[BatchedUsageLog]") -> None:
    """Until nobody uses that log any more."""
    while True:
        time.sleep(BATCH_SECONDS)
        log = of()
        if log is None:
            return
        log.flush()
        del log


def _decoded(document: dict[str, Any]) -> dict[int, datetime] | None:
    """None where it is malformed."""
    try:
        return {int(n): datetime.fromisoformat(at).astimezone(UTC) for n, at in document.items()}
    except (ValueError, TypeError):
        return None
