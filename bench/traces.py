"""A warm validation over HTTP with traces, one in a hundred or all of them, beside the same without."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import load
from bench.figures import Section
from bench.options import Options
from bench.warm import EXPECTED, KEYS, WARMING_REQUESTS, Run, message
from bench.world import ROOT, World
from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

RATIOS = ("0", "0.01", "1")


def measure(options: Options) -> Section:
    section = Section("8  A warm validation over HTTP, traced", beside="without traces")
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world, _sink(Path(folder)) as endpoint:
        keys = world.fill(KEYS)
        (caller,) = world.fill(1, scopes=("keys:validate",))
        asked = [message(key, caller) for key in keys]
        with ExitStack() as servers:

            def run(**settings: str) -> Run:
                return Run(servers.enter_context(world.function("validate_key", THREADS="2", **settings)), asked)

            traced = {ratio: run(**_settings(endpoint, ratio)) for ratio in RATIOS}
            _measure(options, section, run(), traced)
    section.notes.append("THREADS=2, parentbased_traceidratio; the receiver of OTLP is on the load's core.")
    return section


def _settings(endpoint: str, ratio: str) -> dict[str, str]:
    sampled = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **sampled}


def _measure(options: Options, section: Section, plain: Run, traced: dict[str, Run]) -> None:
    order = [plain, *traced.values()]
    for run in order:
        load.drive(run.server.port, run.messages, EXPECTED, requests=WARMING_REQUESTS)
    for _ in range(options.rounds):
        for run in order:
            run.go(options.round_seconds)
        order.reverse()
    for ratio, run in traced.items():
        name = f"{float(ratio):.0%} of traces kept: "
        section.compare(name + "requests/s", "/s", run.per_second, plain.per_second)
        section.compare(name + "p99", "ms", run.p99_ms, plain.p99_ms)
        section.compare(name + "CPU a request", "us", run.cpu_us, plain.cpu_us)


@contextmanager
def _sink(folder: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "bench.otlp_sink", str(port)]
    child = Child("otlp-sink", command, {**os.environ, "PYTHONPATH": str(ROOT)}, folder / "sink.log")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stop()
