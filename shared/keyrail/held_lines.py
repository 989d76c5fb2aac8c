"""Lines that may wait a moment, written together: one system call a request costs a server of threads more than a
decision on a key does, since each lets another thread take the interpreter."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable

Line = str | Callable[[], str]  # as it is, or made when it is written: many, one after the other, take less each

HELD_SECONDS = 0.02  # what a process that is killed may lose; making the lines of more would hold up who asks
_MOST_LINES = 1000  # then whoever logs writes them


class HeldLines:
    """`write` is called with whole lines, in their order. From the first line on there is a thread that calls it."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lines: deque[Line] = deque()
        self._waiting = threading.Event()
        self._writing = threading.RLock()  # else a later line could overtake; one that is being made may log
        self._thread: threading.Thread | None = None

    def add(self, line: Line) -> None:
        self._lines.append(line)
        if not self._waiting.is_set():
            self._waiting.set()
            self._start()
        if len(self._lines) > _MOST_LINES:
            self.flush()

    def flush(self) -> None:
        """Never raises: whose turn it is to write has nothing to do with what is written."""
        with self._writing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            try:
                if lines:
                    self._write("".join([line if isinstance(line, str) else line() for line in lines]))
            except Exception as error:  # noqa: BLE001 - such as a full disk; later lines may find room
                sys.stderr.write(f"log lines are lost: {type(error).__name__}\n")

    def _start(self) -> None:
        with self._writing:
            if self._thread is None:
                self._thread = threading.Thread(target=self._flush_forever, name="keyrail-lines", daemon=True)
                self._thread.start()

    def _flush_forever(self) -> None:
        while True:
            self._waiting.wait()
            time.sleep(HELD_SECONDS)
            self._waiting.clear()  # before flushing: a line that comes from here on sets it again
            self.flush()
