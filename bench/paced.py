"""Load at a constant rate: what is asked does not wait for answers, and latency counts from when it was due.

A closed loop asks less while the server is slow, and so misses what its clients would have seen (coordinated omission).
"""

import select
import time
from collections import deque
from collections.abc import Sequence

from bench.load import REPLY_SECONDS, Connection, Sample

CONNECTIONS = 16


def drive(port: int, messages: Sequence[bytes], expected: bytes, *, per_second: float, seconds: float) -> Sample:
    """Sends `messages` in turn, evenly spaced; each reply must be a 2xx that holds `expected`.

    One that is due while all connections wait is sent as soon as one is free.

    Raises: WrongReply, OSError.
    """
    sample, pool = Sample(), [Connection(port) for _ in range(CONNECTIONS)]
    idle, waiting, due_at = deque(pool), dict[int, Connection](), dict[int, float]()
    sent, total = 0, int(per_second * seconds)
    started, cpu = time.perf_counter(), time.process_time()
    try:
        while sent < total or waiting:
            next_at = started + sent / per_second
            if sent < total and idle and time.perf_counter() >= next_at:
                connection = idle.popleft()
                waiting[connection.fileno()], due_at[connection.fileno()] = connection, next_at
                connection.send(messages[sent % len(messages)])
                sent += 1
                continue
            for fileno in _readable(waiting, next_at if sent < total and idle else None):
                if waiting[fileno].receive(expected):
                    sample.latencies_ms.append((time.perf_counter() - due_at[fileno]) * 1000)
                    idle.append(waiting.pop(fileno))
        sample.seconds, sample.cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        return sample
    finally:
        for each in pool:
            each.close()


def _readable(waiting: dict[int, Connection], until: float | None) -> list[int]:
    """`until` is when the next one is due. By select, which sleeps for microseconds; epoll counts in milliseconds."""
    timeout = REPLY_SECONDS if until is None else max(0.0, until - time.perf_counter())
    ready, _, _ = select.select(list(waiting), (), (), timeout)
    if not ready and until is None:
        raise TimeoutError("a reply did not come")
    return ready
