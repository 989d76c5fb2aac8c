"""Reads anew what is in memory and in use, in a thread of its own, so that no request waits for it."""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from keyrail.domain.errors import KeyrailError


class Refresher:
    """The thread begins with the first name, also in a process that was forked since."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[str, Callable[[], object]]] = SimpleQueue()
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, name: str, read: Callable[[], object]) -> None:
        """Returns at once. A name that waits already is not read twice."""
        with self._lock:
            if name not in self._names:
                self._names.add(name)
                self._waiting.put((name, read))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._read_forever, name="keyrail-refresh", daemon=True)
                self._thread.start()

    def _read_forever(self) -> None:
        while True:
            name, read = self._waiting.get()
            with self._lock:
                self._names.discard(name)
            try:
                read()
            except KeyrailError:
                pass  # a line for each key in use would drown the one of the feed, which comes from the same store
            except Exception:  # so that the thread goes on, and no text of it reaches standard error
                logging.getLogger("keyrail").exception("unforeseen")
