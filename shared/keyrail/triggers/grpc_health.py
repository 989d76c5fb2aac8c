"""The standard health service (https://grpc.io/docs/guides/health-checking/): overall, and for each service.

SERVING means: the store was really read just now, under this container's own identity. It says NOT_SERVING while the
store is away and while the server drains, so that clients and load balancers turn to others.
"""

import threading
from collections.abc import Callable, Collection
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

OVERALL = ""
CHECK_SECONDS = 1.0
MAX_WATCHERS = 32  # a watcher holds no thread, but counts among the calls under way


class _Servicer(health.HealthServicer):
    """Watchers need no key, so they are counted: nobody keeps others out by watching."""

    def __init__(self) -> None:
        super().__init__()
        self._places = threading.BoundedSemaphore(MAX_WATCHERS)
        self._watching, self._changing = set[Any](), threading.Lock()

    def Watch(self, request: Any, context: Any, send_response_callback: Any = None) -> Any:
        if not self._places.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many are watching. Ask with Check.")
        with self._changing:
            self._watching.add(context)
        context.add_callback(lambda: self._left(context))
        return super().Watch(request, context, send_response_callback)

    def _left(self, context: Any) -> None:
        with self._changing:
            self._watching.discard(context)
        self._places.release()

    def end_watches(self) -> None:
        with self._changing:
            watching = [*self._watching]
        for context in watching:
            context.cancel()


class Health:
    """`fault` says why not, or None; it is asked once a second."""

    def __init__(self, services: Collection[str], fault: Callable[[], str | None]) -> None:
        self.servicer = _Servicer()
        self._names, self._fault = (OVERALL, *services), fault
        self._stopped = threading.Event()
        self._told: bool | None = None
        self._thread = threading.Thread(target=self._watch, name="keyrail-health", daemon=True)

    def start(self) -> None:
        self._tell(is_serving=self._fault() is None)
        self._thread.start()

    def drain(self) -> None:
        """NOT_SERVING from now on, whatever the store says."""
        self._stopped.set()
        self.servicer.enter_graceful_shutdown()

    def end_watches(self) -> None:
        """They end by themselves only with their clients, and the server would wait for them."""
        self.servicer.end_watches()

    def _watch(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            self._tell(is_serving=self._fault() is None)

    def _tell(self, *, is_serving: bool) -> None:
        if is_serving is self._told:
            return
        self._told = is_serving
        status = health_pb2.HealthCheckResponse
        for name in self._names:
            self.servicer.set(name, status.SERVING if is_serving else status.NOT_SERVING)
