"""HTTP to one server, such as Vault, with a wall-clock deadline that nothing outlasts.

A socket's own timeout is counted anew for each read, so a server that sends one byte a second holds a caller for
ever. Here every wait, in the name's resolution, connect, handshake, headers and body, is cut to what is left.
On the standard library alone: hvac and requests would add a third to a function's cold start (bench/).
"""

import http.client
import io
import queue
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import SplitResult

IDLE_SECONDS = 30.0  # older ones are dropped: a frozen function finds its connections dead (FACTS)
BODY_BYTES = 16 * 1024 * 1024  # a LIST of 100,000 names has 2 MB


class Server(Protocol):
    """Where to connect to. `connect_seconds` leaves time for another address of the same name."""

    @property
    def url(self) -> SplitResult: ...
    @property
    def connect_seconds(self) -> float: ...
    @property
    def pool_maxsize(self) -> int: ...

    def tls_context(self) -> ssl.SSLContext:
        """Raises: OSError, ssl.SSLError where a file is missing or is no certificate."""
        ...


class TransportFault(Exception):
    """No whole answer came. `was_sent` is False where Vault certainly never saw the request.

    `cause` is the name of an exception's class: their texts may hold what was sent, or what came.
    """

    def __init__(self, cause: str, *, was_sent: bool, timed_out: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.was_sent = was_sent
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = field(repr=False)


class Deadline:
    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def left_seconds(self) -> float:
        """More than 0. Raises: TimeoutError."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def at_most(self, seconds: float) -> "Deadline":
        """The sooner of this one and one in `seconds`."""
        shorter = Deadline(seconds)
        shorter._ends_at = min(shorter._ends_at, self._ends_at)
        return shorter


class Transport:
    """A pool of connections to one address, shared by threads, never across a fork."""

    def __init__(self, server: Server, elapsed_seconds: Callable[[], float]) -> None:
        self._server = server
        self._elapsed_seconds = elapsed_seconds
        self._idle: deque[tuple[_Connection, float]] = deque()
        self._tls: ssl.SSLContext | None = None

    def exchange(self, method: str, target: str, headers: dict[str, str], body: bytes, deadline: Deadline) -> Reply:
        """The answer, redirects included, which are never followed. Raises: TransportFault.

        A request that changes nothing is sent a second time where a pooled connection turns out to be dead.
        """
        connection = self._pooled()
        if connection is not None:
            try:
                return self._exchange_on(connection, method, target, headers, body, deadline)
            except TransportFault as fault:
                if fault.timed_out or method not in ("GET", "LIST"):
                    raise
        return self._exchange_on(self._connected(deadline), method, target, headers, body, deadline)

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[0].close()

    def _exchange_on(
        self,
        connection: "_Connection",
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        deadline: Deadline,
    ) -> Reply:
        try:
            connection.deadline = deadline
            connection.request(method, target, body or None, headers)
            response = connection.getresponse()
            reply = Reply(response.status, _whole_body(response))
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise _fault(exc, was_sent=True) from None  # their texts and frames hold what was sent
        if response.will_close or len(self._idle) >= self._server.pool_maxsize:
            connection.close()
        else:
            self._idle.append((connection, self._elapsed_seconds()))
        return reply

    def _pooled(self) -> "_Connection | None":
        """The connection used last that is still good; those found old or closed by Vault are dropped."""
        while True:
            try:
                connection, used_at = self._idle.pop()
            except IndexError:
                return None
            if self._elapsed_seconds() - used_at <= IDLE_SECONDS and connection.is_quiet():
                return connection
            connection.close()

    def _connected(self, deadline: Deadline) -> "_Connection":
        url = self._server.url
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        try:
            if url.scheme == "https" and self._tls is None:
                self._tls = self._server.tls_context()
            connection = _Connection(host, port)
            connection.open(self._tls, deadline.at_most(self._server.connect_seconds))
        except (OSError, ValueError) as exc:
            raise _fault(exc, was_sent=False) from None
        return connection


class _Connection(http.client.HTTPConnection):
    sock: Any  # http.client asks for sendall, makefile and close; typeshed for a whole socket
    deadline: Deadline

    def open(self, tls: ssl.SSLContext | None, deadline: Deadline) -> None:
        self.deadline = deadline
        self.default_port = 443 if tls is not None else 80
        real = _connect(self.host, self.port, deadline)
        try:
            real.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                real.settimeout(deadline.left_seconds())  # for the whole handshake: ssl counts it once
                real = tls.wrap_socket(real, server_hostname=self.host)
        except BaseException:
            real.close()
            raise
        self.sock = _TimedSocket(real, self)

    def connect(self) -> None:
        """http.client calls this where it finds itself without a socket: ours was closed under it."""
        raise ConnectionResetError

    def is_quiet(self) -> bool:
        """False where Vault has closed it, or sent what nobody asked for."""
        poll = select.poll()
        poll.register(self.sock.real, select.POLLIN)
        return not poll.poll(0)


class _TimedSocket:
    """What http.client needs of a socket; each wait ends with the deadline of the connection's current call."""

    def __init__(self, real: socket.socket, connection: _Connection) -> None:
        self.real = real
        self._connection = connection

    def set_timeout(self) -> None:
        self.real.settimeout(self._connection.deadline.left_seconds())

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self.set_timeout()
            view = view[self.real.send(view) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self))

    def close(self) -> None:
        self.real.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, owner: _TimedSocket) -> None:
        self._owner = owner
        self._raw = owner.real.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._owner.set_timeout()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _whole_body(response: http.client.HTTPResponse) -> bytes:
    """Raises: http.client.HTTPException where it is cut off or larger than any answer of Vault's."""
    body = response.read(BODY_BYTES + 1)
    if len(body) > BODY_BYTES:
        raise http.client.HTTPException
    if response.length:  # what Content-Length announced and did not come
        raise http.client.IncompleteRead(b"")
    return body


def _fault(exc: Exception, *, was_sent: bool) -> TransportFault:
    return TransportFault(type(exc).__name__, was_sent=was_sent, timed_out=isinstance(exc, TimeoutError))


def _connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """The first address that answers; each gets its share of the time. Raises: OSError."""
    addresses = _resolve(host, port, deadline)
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.left_seconds() / (len(addresses) - tried))
            sock.connect(address)
        except OSError:
            sock.close()
            if tried == len(addresses) - 1:
                raise
        else:
            return sock
    raise ConnectionError


def _resolve(host: str, port: int, deadline: Deadline) -> list[Any]:
    """As socket.getaddrinfo. That call takes no timeout, so a name is looked up by a thread we can leave behind."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name, then
    answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as exc:
            answers.put(exc)

    threading.Thread(target=look_up, name="keyrail-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left_seconds())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, OSError):
        raise answer
    return answer
