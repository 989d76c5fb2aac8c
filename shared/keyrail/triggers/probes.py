"""Health and metrics of one function: GET /livez, /readyz, /metrics.

Alive means: the process answers. Ready means: a real read of the store under this function's own identity, just
now, and the process is not on its way out. A health endpoint of the store would not do: it answers 200 while
every read fails.
"""

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keyrail.domain.errors import InvalidArgument, KeyrailError
from keyrail.telemetry import choose_correlation_id
from keyrail.triggers.http_messages import HttpReply, HttpRequest
from keyrail.triggers.problems import problem_reply

if TYPE_CHECKING:  # so that /livez waits for none of what they stand on
    from keyrail.ports import Services

PATHS = ("/livez", "/readyz", "/metrics")
_TEXT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
_READ_EVERY_SECONDS = 1.0  # so that nobody can load the store by asking whether it is up


class Probes:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._fault: str | None = None

    def answer(self, request: HttpRequest, services: Callable[[], "Services"]) -> HttpReply:
        if request.method not in ("GET", "HEAD"):
            refused = InvalidArgument("This path takes GET.", code="METHOD_NOT_ALLOWED")
            return problem_reply(refused, choose_correlation_id(None, None), {"Allow": "GET, HEAD"})
        if request.path == "/livez":
            return HttpReply(200, b"alive\n", _TEXT)
        try:
            return self._metrics(services()) if request.path == "/metrics" else self._readiness(services())
        except KeyrailError as error:  # services could not even be put together
            return _not_ready(f"{error.code}: see the log")

    def _metrics(self, services: "Services") -> HttpReply:
        body, content_type = services.metrics.exposition()
        return HttpReply(200, body, {"Content-Type": content_type})

    def _readiness(self, services: "Services") -> HttpReply:
        fault = self.fault(services)
        return HttpReply(200, b"ready\n", _TEXT) if fault is None else _not_ready(fault)

    def fault(self, services: "Services") -> str | None:
        """Why this process should get no new work."""
        return "draining" if is_draining() else self._store_fault(services)

    def _store_fault(self, services: "Services") -> str | None:
        with self._lock:
            now = services.clock.elapsed_seconds()
            if now - self._read_at >= _READ_EVERY_SECONDS:
                self._read_at, self._fault = now, _read_store(services)
            return self._fault


def _not_ready(why: str) -> HttpReply:
    return HttpReply(503, f"not ready: {why}\n".encode(), _TEXT)


def _read_store(services: "Services") -> str | None:
    try:
        services.feed.head()
    except KeyrailError as error:
        return f"{error.code}: the store can't be read"
    return None


def is_draining() -> bool:
    """True once this process was told to stop: SIGTERM's handler is a method of gunicorn's worker, or of our gRPC
    server, which know."""
    worker: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(worker, "alive", True) is False
