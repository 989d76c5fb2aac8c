"""A small honest HTTP client: raw sockets, keep-alive, a closed loop over a few connections, every reply checked."""

import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

REPLY_SECONDS = 30.0


class WrongReply(Exception):
    """A reply that is not the expected one; its first bytes, which are a status line."""


@dataclass
class Sample:
    """`seconds` is wall time, `cpu_seconds` this client's own CPU: near `seconds`, it was the client that was slow."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def requests_per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def get(path: str, key: str) -> bytes:
    """The whole message, with the key in X-API-Key."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {key}\r\n\r\n".encode()


def post(path: str, body: bytes, credential: str | None = None) -> bytes:
    """The whole message, ready to be sent over and over."""
    head = [f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    if credential is not None:
        head.append(f"Authorization: Bearer {credential}")
    return "\r\n".join([*head, "", ""]).encode() + body


def drive(
    port: int,
    messages: Sequence[Any],
    expected: bytes,
    *,
    seconds: float = float("inf"),
    requests: float = float("inf"),
    connections: int = 4,
    connect: Callable[[int], Any] | None = None,
) -> Sample:
    """Sends `messages` in turn for so long, or so many; each reply must be a 2xx that holds `expected`. `connect`
    opens another kind of connection than HTTP/1.1, whose messages are then its own.

    Raises: WrongReply, OSError.
    """
    sample, poll = Sample(), select.epoll()
    pool = {each.fileno(): each for each in ((connect or Connection)(port) for _ in range(connections))}
    for fileno in pool:
        poll.register(fileno, select.EPOLLIN)
    started, cpu = time.perf_counter(), time.process_time()
    sent = 0
    try:
        for each in pool.values():
            each.send(messages[sent % len(messages)])
            sent += 1
        waiting = len(pool)
        while waiting:
            ready = poll.poll(REPLY_SECONDS)
            if not ready:
                raise TimeoutError("a reply did not come")
            for fileno, _ in ready:
                each = pool[fileno]
                if not each.receive(expected):
                    continue
                now = time.perf_counter()
                sample.latencies_ms.append((now - each.sent_at) * 1000)
                if sent < requests and now - started < seconds:
                    each.send(messages[sent % len(messages)])
                    sent += 1
                else:
                    waiting -= 1
        sample.seconds, sample.cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        return sample
    finally:
        poll.close()
        for each in pool.values():
            each.close()


class Connection:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), REPLY_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""
        self.sent_at = 0.0
        self.fileno, self.close = self._socket.fileno, self._socket.close

    def send(self, message: bytes) -> None:
        self.sent_at = time.perf_counter()
        self._socket.sendall(message)

    def receive(self, expected: bytes) -> bool:
        """True when the reply is whole. Raises: WrongReply."""
        piece = self._socket.recv(65536)
        held = self._held = self._held + piece
        head, ends, body = held.partition(b"\r\n\r\n")
        if piece and (not ends or len(body) < _content_length(head)):
            return False
        if not head.startswith(b"HTTP/1.1 2") or expected not in body:
            raise WrongReply(held[:200])
        self._held = b""
        return True


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise WrongReply(head[:200])
    return int(rest.partition(b"\r\n")[0])
