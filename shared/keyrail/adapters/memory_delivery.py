"""A sink within one process, for tests: what a consumer would read is in `held`."""

import threading

from keyrail.domain.sinks import Sink
from keyrail.rotation_ports import Delivered


class MemoryKeyDelivery:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.held: dict[Sink, Delivered] = {}

    def read(self, sink: Sink) -> Delivered | None:
        return self.held.get(sink)

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        with self._lock:
            held = self.held.get(sink)
            if (held.version if held else 0) != version:
                return False
            self.held[sink] = Delivered(key, version + 1)
            return True
