"""The change feed within one process."""

import threading

from keyrail.ports import FEED_RING_SIZE, FeedHead


class MemoryChangeFeed:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._head = FeedHead(0, ())

    def head(self) -> FeedHead:
        return self._head

    def publish(self, name: str) -> None:
        with self._lock:
            self._head = FeedHead(self._head.seq + 1, (*self._head.ring, name)[-FEED_RING_SIZE:])
