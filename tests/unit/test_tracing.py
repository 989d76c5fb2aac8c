"""tracing.py and adapters/otel_tracer.py: off unless an endpoint is set, optional, and waiting for nobody."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from keyrail import telemetry, tracing
from keyrail.adapters.otel_tracer import OtelTracer, otlp_tracer
from keyrail.settings import load_settings

RUN = """
import io, os, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name=name)
if {absent}:
    sys.meta_path.insert(0, Absent())
os.environ.update(KEYRAIL_STORE="memory", {env})
from keyrail import tracing
from keyrail.bootstrap import process_services
import keyrail.operations.catalogue, keyrail.triggers.http_exchange
process_services()
print(tracing.tracer is not None, "opentelemetry" in sys.modules)
"""
ENDPOINT = 'OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9"'


def said_by(env: str = "", *, absent: bool = False) -> list[str]:
    script = RUN.format(absent=absent, env=env)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_nothing_is_imported_without_an_endpoint() -> None:
    assert said_by() == ["False False"]
    assert said_by(f'{ENDPOINT}, OTEL_SDK_DISABLED="true"') == ["False False"]


def test_an_endpoint_turns_it_on() -> None:
    assert said_by(ENDPOINT)[-1] == "True True"


def test_where_the_extra_is_missing_a_line_says_so_and_all_else_works() -> None:
    line, result = said_by(ENDPOINT, absent=True)
    assert '"kind": "traces"' in line
    assert "keyrail[otel]" in line
    assert result == "False False"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),  # less than a batch
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
    ],
)
def test_what_does_not_suit_us_costs_traces_and_nothing_else(variable: str, value: str) -> None:
    """A platform may have set it for all of its containers."""
    *lines, result = said_by(f'{ENDPOINT}, {variable}="{value}"')
    assert result.startswith("False")
    assert '"kind": "traces"' in lines[-1]
    assert value not in json.loads(lines[-1])["detail"]


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"}, "http://t/x"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_where_traces_go(environ: dict[str, str], url: str | None) -> None:
    """As https://opentelemetry.io/docs/specs/otel/protocol/exporter/ says of OTLP/HTTP."""
    assert load_settings(environ).traces_url() == url


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
@pytest.mark.parametrize(("ratio", "expected"), [(0.0, (0, 0)), (0.25, (150, 350)), (1.0, (1000, 1000))])
def test_a_ratio_is_kept(sampler: str, ratio: float, expected: tuple[int, int]) -> None:
    made = otlp_tracer("http://127.0.0.1:9/v1/traces", "http/protobuf", None, sampler, ratio)
    contexts = [made._tracer.start_span("x").get_span_context() for _ in range(1000)]
    made.stop(5)
    assert expected[0] <= sum(context.trace_flags.sampled for context in contexts) <= expected[1]


class Stuck(SpanExporter):
    """Takes what it is given once it is let go."""

    def __init__(self) -> None:
        self.go, self.taken = threading.Event(), 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.go.wait()
        self.taken += len(spans)
        return SpanExportResult.SUCCESS


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    exporter, provider = Stuck(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracing.start(OtelTracer(provider))
    try:
        yield exporter
    finally:
        exporter.go.set()
        tracing.stop()


def serve_one() -> None:
    assert tracing.tracer is not None
    with tracing.tracer.serve("x", {}, {}):
        pass


def test_a_flush_sends_what_has_ended(stuck: Stuck) -> None:
    """What a process calls that is about to be frozen."""
    serve_one()
    stuck.go.set()
    assert tracing.flush(5)
    assert stuck.taken == 1


def test_neither_flush_nor_stop_outlasts_its_time(stuck: Stuck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "STOP_SECONDS", 0.2)
    serve_one()
    began = time.monotonic()
    assert not tracing.flush(0.2)
    tracing.stop()
    assert time.monotonic() - began < 2
    assert tracing.tracer is telemetry.trace_ids is None


def test_without_traces_a_flush_has_nothing_to_do() -> None:
    assert tracing.flush(0)


def test_an_exception_is_told_by_its_class_alone(stuck: Stuck) -> None:
    assert tracing.tracer is not None
    with pytest.raises(ValueError, match="a secret"), tracing.tracer.serve("x", {}, {}) as span:
        raise ValueError("a secret")
    told = span._span  # type: ignore[attr-defined]
    assert told.attributes == {"error.type": "ValueError"}
    assert (told.events, told.status.description) == ((), None)
