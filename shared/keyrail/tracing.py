"""Where spans begin, whoever collects them: a trigger's call -> its operation -> each call of Vault or DynamoDB.

    POST /v1/keys/validate      server: triggers/http_exchange.py, triggers/grpc_calls.py
    └── validate_key            triggers/dispatch.py
        ├── vault read          adapters/vault_channel.py
        └── vault read          or DynamoDB.BatchGetItem: adapters/dynamodb_table.py

Without a tracer a place that could begin a span looks at one attribute and goes on. A span holds what was asked and
what became of it, never by whom or for what: key ids are in the log, whose lines name the same trace.
"""

import atexit
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from keyrail import telemetry

STOP_SECONDS = 2.0  # for what is still to be sent when the process ends; far within gunicorn's 30

Attributes = Mapping[str, str | int]


class Span(Protocol):
    """Current while it is entered, ended after that; an exception that passes through is told by its class alone."""

    def __enter__(self) -> "Span": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def put(self, name: str, value: str | int) -> None: ...

    def fail(self, error_type: str) -> None:
        """The fault is ours. What a client did wrong is no failure of a server's span."""
        ...


class Tracer(Protocol):
    """Never raises, and waits for nobody: what can't be sent in time is dropped."""

    def serve(self, name: str, carrier: Mapping[str, str], attributes: Attributes) -> Span:
        """A call from outside, part of the trace that `carrier`'s traceparent names, if it is valid."""
        ...

    def step(self, name: str) -> Span:
        """Within the current span; none where that is not recorded, so that a poll in the background is no trace."""
        ...

    def call(self, name: str, attributes: Attributes) -> Span:
        """As `step`: we wait for somebody else's answer."""
        ...

    def ids(self) -> dict[str, str]:
        """`trace_id` and `span_id` of the current span, in hex; empty where there is none."""
        ...

    def flush(self, seconds: float) -> bool:
        """Sends what has ended. False where that took longer, and it goes on behind our back."""
        ...

    def stop(self, seconds: float) -> bool:
        """As `flush`, for good."""
        ...


tracer: Tracer | None = None


def start(chosen: Tracer) -> None:
    """For this process, until it ends: then it sends what it still has."""
    global tracer
    if tracer is None:
        atexit.register(stop)
    tracer = chosen
    telemetry.trace_ids = chosen.ids


def stop() -> None:
    global tracer
    stopped, tracer, telemetry.trace_ids = tracer, None, None
    if stopped is not None:
        stopped.stop(STOP_SECONDS)
    atexit.unregister(stop)


def flush(seconds: float = STOP_SECONDS) -> bool:
    """For a trigger of somebody's own, whose process is frozen once it has answered: it calls this before."""
    return tracer is None or tracer.flush(seconds)
