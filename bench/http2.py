"""Just enough HTTP/2 to call unary gRPC methods from a client that costs less than the server (RFC 9113).

grpc's own Python client takes as long for a call as its server does, and would be what is measured.
"""

import socket
import struct
import time
from dataclasses import dataclass

from bench.load import REPLY_SECONDS, WrongReply

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_LARGEST_WINDOW = 2**31 - 1
_INITIAL_WINDOW_SIZE = 4  # the setting's number


@dataclass(frozen=True)
class Method:
    """`head` and `data` of one call, ready to be sent over and over."""

    head: bytes
    data: bytes


def call(method: str, message: bytes, credential: str | None = None) -> Method:
    fields = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "bench")]
    fields += [("te", "trailers"), ("content-type", "application/grpc")]
    if credential is not None:
        fields.append(("authorization", f"Bearer {credential}"))
    head = b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)  # literals, never indexed
    return Method(head, b"\x00" + struct.pack(">I", len(message)) + message)


def _text(text: str) -> bytes:
    assert len(text) < 127  # longer ones need more than one byte of length
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Http2Connection:
    """One call at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), REPLY_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        window = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _LARGEST_WINDOW)
        more = struct.pack(">I", _LARGEST_WINDOW - 65_535)  # for the connection
        self._socket.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, window) + _frame(_WINDOW, 0, 0, more))
        self._stream, self._held, self._body = -1, b"", b""
        self.sent_at = 0.0
        self.fileno, self.close = self._socket.fileno, self._socket.close

    def send(self, message: Method) -> None:
        self._stream += 2
        self._body = b""
        self.sent_at = time.perf_counter()
        head = _frame(_HEADERS, _END_HEADERS, self._stream, message.head)
        self._socket.sendall(head + _frame(_DATA, _END_STREAM, self._stream, message.data))

    def receive(self, expected: bytes) -> bool:
        """True when the reply is whole. Raises: WrongReply."""
        piece = self._socket.recv(65_536)
        if not piece:
            raise WrongReply(b"the server hung up")
        held = self._held + piece
        is_whole = False
        while len(held) >= 9 and len(held) >= 9 + (length := int.from_bytes(held[:3], "big")):
            is_whole |= self._take(held[3], held[4], held[9 : 9 + length])
            held = held[9 + length :]
        self._held = held
        if is_whole and (len(self._body) < 5 or expected not in self._body):
            raise WrongReply(self._body[:200])
        return is_whole

    def _take(self, kind: int, flags: int, payload: bytes) -> bool:
        """True at the end of the call."""
        if kind in (_RESET, _GOAWAY):
            raise WrongReply(payload[:200])
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._socket.sendall(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        if kind == _DATA:
            self._body += payload
        return kind in (_DATA, _HEADERS) and bool(flags & _END_STREAM)
