"""What goes in and out of a function over HTTP, whatever server it runs under."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`header` looks one up by its lower-case name. `read_body` reads at most the given number of bytes; it is
    called once, and only for a request whose head was in order."""

    method: str
    path: str
    query: str
    header: Callable[[str], str | None]
    read_body: Callable[[int], bytes]
    ip: str | None = None


@dataclass(frozen=True, slots=True)
class HttpReply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
