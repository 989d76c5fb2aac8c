"""The spans that ended, as the SDK would hand them to an exporter."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from keyrail import tracing
from keyrail.adapters.otel_tracer import OtelTracer


class Collected:
    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter
        self.clear = exporter.clear

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.all() if span.name == name]
        return found

    def text(self) -> str:
        return "\n".join(span.to_json() for span in self.all())


@contextmanager
def collecting(sampler: sampling.Sampler | None = None) -> Iterator[Collected]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler or sampling.DEFAULT_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.start(OtelTracer(provider))
    try:
        yield Collected(exporter)
    finally:
        tracing.stop()
