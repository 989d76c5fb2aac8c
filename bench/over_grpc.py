"""Validation over gRPC beside an empty unary method of the same server: calls a second, CPU, latency, batches."""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import load, machine
from bench.figures import Section, at_least, at_most
from bench.grpc_beside_empty import EMPTY
from bench.http2 import Http2Connection, Method, call
from bench.options import Options
from bench.world import World
from keyrail.adapters.vault_identities import read_identity
from keyrail.dev.functions import environment
from keyrail.dev.processes import Child
from keyrail.envoy import auth_pb2
from keyrail.v1 import keys_pb2

KEYS, BATCH, CONNECTIONS, WARMING_CALLS = 20, 100, 4, 500
NEEDED = "ml:infer and (data:read or data:admin)"
VALIDATE, BATCHED = "/keyrail.v1.KeyService/ValidateKey", "/keyrail.v1.KeyService/BatchValidate"
CHECK = "/envoy.service.auth.v3.Authorization/Check"
START_SECONDS = 30.0


def measure(options: Options) -> Section:
    section = Section("7  Validation over gRPC, one server core", beside="empty method")
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        keys = world.fill(KEYS)
        (caller,) = world.fill(1, scopes=("keys:validate",))
        with server(world) as (process, port):
            _measure(section, options, _Target(process, port), keys, caller)
    section.notes.append(
        f"{KEYS} keys in memory, a caller with a key of its own, {CONNECTIONS} connections with a call each, one core "
        "for the server and another for the load; JSON lines to a file, metrics on, plaintext."
    )
    return section


@contextlib.contextmanager
def server(world: World, **settings: str) -> Iterator[tuple[Child, int]]:
    """On the measured core, with `settings` on top of its identity."""
    env = environment(world.vault.address, read_identity(world.folder / "identities", "validate_key"))
    env |= {"KEYRAIL_GRPC_ADDRESS": "127.0.0.1:0", "KEYRAIL_GRPC_PROBE_ADDRESS": "127.0.0.1:0"}
    env |= {"KEYRAIL_GRPC_DRAIN_NOTICE_SECONDS": "0", "PYTHONPATH": str(Path(__file__).parent.parent)}
    env |= {"KEYRAIL_GRPC_OPERATIONS": "validate_key", "GRPC_VERBOSITY": "NONE", **settings}
    command = [sys.executable, "-m", "bench.grpc_beside_empty"]
    process = Child("grpc", command, env, world.folder / "logs" / "grpc.log")
    try:
        machine.pin_to_the_measured_core(process.pid)
        yield process, _port(process)
    finally:
        process.stop()


def _port(process: Child) -> int:
    ends_at = time.monotonic() + START_SECONDS
    while True:
        for line in process.log.read_text().splitlines():
            if '"kind": "serving"' in line:
                return int(json.loads(line)["port"])
        if not process.is_running() or time.monotonic() > ends_at:
            raise RuntimeError(f"the gRPC server did not start {process.epitaph()}")
        time.sleep(0.05)


@dataclass(frozen=True)
class _Target:
    process: Child
    port: int


@dataclass
class _Run:
    """One method, and what each round of load on it showed."""

    messages: list[Method]
    expected: bytes = b""
    connections: int = CONNECTIONS
    per_second: list[float] = field(default_factory=list)
    median_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    client_share: list[float] = field(default_factory=list)

    def go(self, target: _Target, seconds: float) -> None:
        before = machine.cpu_seconds(target.process.pid)
        sample = _drive(target, self, seconds=seconds)
        used = machine.cpu_seconds(target.process.pid) - before
        self.per_second.append(sample.requests_per_second)
        self.median_ms.append(median(sample.latencies_ms))
        self.p99_ms.append(sample.quantile_ms(0.99))
        self.cpu_us.append(used / len(sample.latencies_ms) * 1e6)
        self.client_share.append(sample.cpu_seconds / sample.seconds)


def _drive(target: _Target, run: _Run, **until: float) -> load.Sample:
    return load.drive(
        target.port, run.messages, run.expected, connections=run.connections, connect=Http2Connection, **until
    )


def _measure(section: Section, options: Options, target: _Target, keys: list[str], caller: str) -> None:
    single = [call(VALIDATE, _asked(key), caller) for key in keys]
    checks = [call(CHECK, _checked(key), caller) for key in keys]
    beside, ours, envoy = _Run([call(EMPTY, b"", caller)]), _Run(single, b"VALID"), _Run(checks, b"x-keyrail-key-id")
    batch = _Run([call(BATCHED, _batched(keys), caller)], b"VALID")
    alone, envoy_alone = _Run(single, b"VALID", connections=1), _Run(checks, b"x-keyrail-key-id", connections=1)
    order = [beside, ours, envoy, batch, alone, envoy_alone]
    for run in order:
        _drive(target, run, requests=WARMING_CALLS if run is not batch else 20)
    for _ in range(options.rounds):
        for run in order:
            run.go(target, options.round_seconds)
        order.reverse()
    section.compare("ValidateKey: calls/s", "/s", ours.per_second, beside.per_second, at_least(0.7))
    section.compare("ValidateKey: CPU a call", "us", ours.cpu_us, beside.cpu_us)
    section.compare("ValidateKey: p99", "ms", ours.p99_ms, beside.p99_ms)
    section.compare("ext_authz: calls/s", "/s", envoy.per_second, beside.per_second)
    section.value(f"BatchValidate of {BATCH}: validations/s", "/s", _times(batch), at_least(30_000))
    section.value("ext_authz: latency of a call alone", "ms", envoy_alone.median_ms, beside=alone.median_ms)
    ratios = Section("")
    ratios.compare(
        "ext_authz beside ValidateKey: latency of a call alone", "ms", envoy_alone.median_ms, alone.median_ms
    )
    section.value("ext_authz: latency, as a share of ValidateKey's", "x", [ratios.figures[0].judged], at_most(1.2))
    busiest = max(share for run in order for share in run.client_share)
    section.notes.append(f"The load client used at most {busiest:.0%} of its core.")


def _times(run: _Run) -> list[float]:
    return [per_second * BATCH for per_second in run.per_second]


def _asked(key: str) -> bytes:
    return keys_pb2.ValidateKeyRequest(key=key, required_scopes=NEEDED).SerializeToString()


def _batched(keys: list[str]) -> bytes:
    batch = [keys_pb2.PresentedKey(key=keys[n % len(keys)], required_scopes=NEEDED) for n in range(BATCH)]
    return keys_pb2.BatchValidateRequest(batch=batch).SerializeToString()


def _checked(key: str) -> bytes:
    """As Envoy asks, with the headers of a plain client."""
    request = auth_pb2.CheckRequest()
    request.attributes.source.address.socket_address.address = "192.0.2.7"
    headers = {":method": "GET", ":path": "/infer", ":authority": "api.example.com", "user-agent": "python-requests/2"}
    headers |= {"accept": "*/*", "x-forwarded-proto": "https", "x-request-id": "0", "authorization": f"Bearer {key}"}
    request.attributes.request.http.headers.update(headers)
    request.attributes.context_extensions.update({"required_scopes": NEEDED, "remove_key": "true"})
    return request.SerializeToString()
