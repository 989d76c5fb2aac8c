"""One gRPC call through dispatch: metadata -> who calls -> the request -> the reply, or a status with details."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from urllib.parse import unquote

import grpc

from keyrail import tracing
from keyrail.domain.access import Principal
from keyrail.domain.errors import RateLimited
from keyrail.operations.operation import Route
from keyrail.ports import Services
from keyrail.telemetry import choose_correlation_id
from keyrail.time_limit import reading_until
from keyrail.triggers.dispatch import Call, Outcome, dispatch
from keyrail.triggers.grpc_errors import Metadata, abort, number_of
from keyrail.triggers.headers import credential_of, sunset_headers

_OURS = frozenset({"authorization", "x-api-key", "traceparent", "tracestate", "x-correlation-id"})
_READING = frozenset({"validate_key", "get_key", "list_keys", "read_config"})
_arrived = threading.local()

PrincipalOf = Callable[[grpc.ServicerContext], Principal | None]


class Threads(ThreadPoolExecutor):
    """Remembers when each call came, so that one that waited too long is not begun."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return super().submit(_run, time.monotonic(), fn, args, kwargs)


def _run(at: float, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    _arrived.at = at
    return fn(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds`: for a call to wait for a thread, and for one that only reads to end. `streams`: open at once, of all
    kinds; each holds a thread. `stream_seconds`: the life of one."""

    seconds: float = 10.0
    streams: int = 4
    stream_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Serving:
    """What every call needs."""

    services: Services
    principal_of: PrincipalOf
    limits: Limits
    streams: "Streams"


class Head:
    """What a call says about itself, beside its message. `rpc` is its service and method, with a slash between."""

    __slots__ = ("_carrier", "_context", "_ends_at", "_metadata", "_rpc", "correlation_id", "ip", "principal")

    def __init__(
        self, context: grpc.ServicerContext, serving: Serving, rpc: str, before: Mapping[str, str] = {}
    ) -> None:
        """`before`: metadata that the call does not have itself."""
        self._context, self._rpc = context, rpc
        self._metadata: dict[str, str] = {}
        for name, value in context.invocation_metadata():
            if name in _OURS:
                text = str(value)  # bytes only where a name ends in -bin
                self._metadata[name] = f"{self._metadata[name]}, {text}" if name in self._metadata else text
        self._carrier = {**before, **self._metadata} if before else self._metadata
        header = self._carrier.get
        self.correlation_id = choose_correlation_id(header("traceparent"), header("x-correlation-id"))
        self.ip = _ip(context.peer())
        self.principal = serving.principal_of(context)
        self._ends_at: float = _arrived.at + serving.limits.seconds

    def caller(self) -> str:
        """All that says who calls."""
        return repr((self._metadata.get("authorization"), self._metadata.get("x-api-key"), self.ip, self.principal))

    def _until(self) -> float:
        """When nobody waits for the call any more, by time.monotonic."""
        left = self._context.time_remaining()
        return self._ends_at if left is None else min(self._ends_at, time.monotonic() + left)

    def credential(self) -> str | None:
        """Raises: RateLimited where it is late."""
        if time.monotonic() > self._until():
            raise RateLimited("Too many calls at once; nothing was done. Try again shortly.", retry_after_seconds=1)
        return credential_of(self._metadata.get)

    def ask(
        self,
        operation: Route,
        parse: Callable[[], Any],
        services: Services,
        *,
        replies_with_errors: bool = False,
    ) -> Outcome:
        """Within a span of its own, where traces are collected. `replies_with_errors`: in a response of status OK."""
        if tracing.tracer is None:
            return self._asked(operation, parse, services)
        with tracing.tracer.serve(self._rpc, self._carrier, _told(self._rpc)) as span:
            outcome = self._asked(operation, parse, services)
            told = None if replies_with_errors else outcome.error
            span.put("rpc.grpc.status_code", 0 if told is None else number_of(told))
            if outcome.is_our_fault:
                span.fail(outcome.code)
            return outcome

    def _asked(self, operation: Route, parse: Callable[[], Any], services: Services) -> Outcome:
        call = Call(self.correlation_id, self.credential, self.ip, parse, self.principal)
        if operation.name not in _READING:
            return dispatch(operation, call, services)
        with reading_until(self._until()):
            return dispatch(operation, call, services)

    def restart(self, seconds: float) -> None:
        """For the next message of a stream."""
        self._ends_at = time.monotonic() + seconds

    def metadata(self, outcome: Outcome) -> Metadata:
        told = sunset_headers(outcome)
        return (("x-correlation-id", self.correlation_id), *((name.lower(), value) for name, value in told.items()))


class Unary:
    """One rpc of one operation."""

    def __init__(
        self,
        operation: Route,
        parse: Callable[[bytes], Any],
        encode: Callable[[Any], bytes],
        serving: Serving,
        rpc: str,
    ) -> None:
        self._operation, self._parse, self._encode, self._serving = operation, parse, encode, serving
        self._rpc = rpc

    def __call__(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        head = Head(context, self._serving, self._rpc)
        outcome = head.ask(self._operation, lambda: self._parse(data), self._serving.services)
        return self._encode(reply_or_abort(outcome, head, context))


def reply_or_abort(outcome: Outcome, head: Head, context: grpc.ServicerContext) -> Any:
    metadata = head.metadata(outcome)
    if outcome.error is not None:
        abort(context, outcome.error, metadata, head.correlation_id)
    context.set_trailing_metadata(metadata)
    return outcome.reply


class Streams:
    """A place for each open stream; they must leave threads to others."""

    def __init__(self, limits: Limits) -> None:
        self._places = threading.BoundedSemaphore(limits.streams)
        self._seconds = limits.stream_seconds

    def limited(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """`requests`, until the stream's time is over: then the client opens another one."""
        if not self._places.acquire(blocking=False):
            error = RateLimited("Too many streams are open. Try again shortly.", retry_after_seconds=1)
            abort(context, error, (), choose_correlation_id(None, None))
        silent = threading.Timer(self._seconds + 1, context.cancel)  # one that sends nothing more
        silent.daemon = True
        silent.start()
        ends_at = time.monotonic() + self._seconds
        try:
            for request in requests:
                yield request
                if time.monotonic() > ends_at:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "This stream's time is over; open another one.")
        finally:
            silent.cancel()
            self._places.release()


@cache
def _told(rpc: str) -> tracing.Attributes:
    """https://opentelemetry.io/docs/specs/semconv/rpc/grpc/"""
    service, _, method = rpc.partition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}


@lru_cache(maxsize=1024)
def _ip(peer: str) -> str | None:
    """Of `ipv4:127.0.0.1:50123` or `ipv6:%5B::1%5D:50123`; None of a Unix socket."""
    family, _, address = unquote(peer).partition(":")
    return address.rpartition(":")[0].strip("[]") if family in ("ipv4", "ipv6") else None
