"""Spans over OTLP, as HTTP with protobuf, by OpenTelemetry's own SDK. docs/operations.md "Traces"

A request puts its ended spans into a bounded queue, and a thread of the SDK's sends them: a collector that is slow or
away costs spans, never a request. Made once a process, after gunicorn has forked, and only where an endpoint is set:
this module imports the SDK, which takes as long as a whole cold start.
"""

import threading
from collections.abc import Callable, Mapping
from contextvars import Token
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from keyrail.tracing import Attributes, Span

_ROOTS: dict[str, Callable[[float], sampling.Sampler]] = {
    "always_on": lambda _: sampling.ALWAYS_ON,
    "always_off": lambda _: sampling.ALWAYS_OFF,
    "traceidratio": sampling.TraceIdRatioBased,
}
_PARENT = "parentbased_"


class OtelTracer:
    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("keyrail")
        self._extract = TraceContextTextMapPropagator().extract
        self._behind = _Behind()

    def serve(self, name: str, carrier: Mapping[str, str], attributes: Attributes) -> Span:
        parent = self._extract(carrier, contexts.Context())
        return _OtelSpan(self._tracer.start_span(name, parent, SpanKind.SERVER, attributes))

    def step(self, name: str) -> Span:
        return self._within(name, SpanKind.INTERNAL, None)

    def call(self, name: str, attributes: Attributes) -> Span:
        return self._within(name, SpanKind.CLIENT, attributes)

    def _within(self, name: str, kind: SpanKind, attributes: Attributes | None) -> Span:
        if not trace.get_current_span().is_recording():
            return _NO_SPAN
        return _OtelSpan(self._tracer.start_span(name, None, kind, attributes))

    def ids(self) -> dict[str, str]:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def flush(self, seconds: float) -> bool:
        return self._behind.run(self._provider.force_flush, seconds)

    def stop(self, seconds: float) -> bool:
        return self._behind.run(self._provider.shutdown, seconds)


class _OtelSpan:
    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        self._token: Token[Any] = contexts.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # the SDK itself would send its text, which may hold anything
            self.fail(kind.__name__)
        contexts.detach(self._token)
        self._span.end()

    def put(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))


class _NoSpan:
    __slots__ = ()

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def put(self, name: str, value: str | int) -> None:
        pass

    def fail(self, error_type: str) -> None:
        pass


_NO_SPAN = _NoSpan()


class _Behind:
    """A thread that does what may hang, since the SDK's flush and shutdown keep no time. It waits from the start:
    Python 3.12 lets none be started while the process ends."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], Any], threading.Event]] = SimpleQueue()
        threading.Thread(target=self._work, name="keyrail-traces", daemon=True).start()

    def run(self, job: Callable[[], Any], seconds: float) -> bool:
        done = threading.Event()
        self._jobs.put((job, done))
        return done.wait(seconds)

    def _work(self) -> None:
        while True:
            job, done = self._jobs.get()
            job()
            done.set()


def otlp_tracer(endpoint: str, protocol: str, service_name: str | None, sampler: str, ratio: float) -> OtelTracer:
    """`endpoint`: the whole address, path included. `ratio`: of the samplers whose names end in traceidratio.

    What else the OTEL_ variables say of the exporter, the batches and the resource, the SDK reads itself.
    Raises: ValueError where they are wrong, or ask for what we don't offer.
    """
    if protocol != "http/protobuf":
        raise ValueError(protocol)
    ours = Resource.create({"service.name": "keyrail"})
    told = OTELResourceDetector().detect()  # OTEL_RESOURCE_ATTRIBUTES
    named = Resource({"service.name": service_name} if service_name else {})
    provider = TracerProvider(_sampler(sampler, ratio), ours.merge(told).merge(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return OtelTracer(provider)


def _sampler(name: str, ratio: float) -> sampling.Sampler:
    chosen = _ROOTS.get(name.removeprefix(_PARENT))
    if chosen is None:
        raise ValueError(name)
    root = chosen(ratio)
    return sampling.ParentBased(root) if name.startswith(_PARENT) else root
