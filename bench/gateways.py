"""What our decision adds to a request through a gateway: a guarded route beside an open one of the same process."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from gateway_world import certificates, envoy
from grpc_container import wait_until
from http_gateways import debian, http_gateway

from bench import load, machine, paced
from bench.figures import Section, at_most
from bench.options import Options
from bench.over_grpc import server
from bench.world import World
from keyrail.dev.functions import answers
from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

GUARDED, OPEN, TOLD = "/infer", "/open", b"ok"
KEYS, CONNECTIONS, WARMING_REQUESTS = 20, 8, 500
MOST_ADDED_MS = 3.0
SERVICE = """
daemon off; pid {folder}/service.pid; error_log stderr; events {{}}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }} }}
"""
# The open route stands before the guarded one, in the words of each file.
IN_NGINX = "    location /infer {"
OPEN_IN_NGINX = {IN_NGINX: "location /open { auth_request off; proxy_pass http://inference; }\n" + IN_NGINX}
IN_ENVOY = f"{' ' * 24}- match: {{prefix: /infer}}"
PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
OPEN_IN_ENVOY = {
    IN_ENVOY: f"""{" " * 24}- match: {{prefix: /open}}
                          route: {{cluster: inference}}
                          typed_per_filter_config:
                            envoy.filters.http.ext_authz: {{"@type": "{PER_ROUTE}", disabled: true}}
{IN_ENVOY}"""
}


@dataclass
class _Gateway:
    """`decides` is the process that it asks; the rest is what each round showed."""

    name: str
    port: int
    decides: int
    most_per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    guarded: list[load.Sample] = field(default_factory=list)
    opened: list[load.Sample] = field(default_factory=list)


def measure(options: Options) -> Section:
    section = Section("9  A request through a gateway, at half of the most it can do", beside="open route")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        world = stack.enter_context(World(folder))
        keys, (gateways_key,) = world.fill(KEYS), world.fill(1, tenant="system", scopes=("keys:validate",))
        service = stack.enter_context(_service(folder))
        for gateway in _gateways(world, service, gateways_key):
            _measure(section, options, gateway, keys)
    section.notes.append(
        f"{KEYS} keys in memory, default settings; one core for what decides, another for gateway, service and load. "
        f"Requests come evenly spaced over {paced.CONNECTIONS} connections, whether or not answers do; latency counts "
        f"from when one is due. The most is that of {CONNECTIONS} connections without pause, on the guarded route. "
        "At half of it the benchmark's own processes run before all others of the machine."
    )
    return section


def _gateways(world: World, service: int, key: str) -> Iterator[_Gateway]:
    """One after the other, each with the one process that it asks."""
    with world.function("validate_key") as ours:
        for name, edits in (("nginx", OPEN_IN_NGINX), ("envoy", OPEN_IN_ENVOY)):
            (folder := world.folder / name).mkdir()
            with http_gateway(name, folder, [ours.port] * 2, service, key, edits) as by_http:
                yield _Gateway(f"{name} over HTTP", by_http.port, ours.worker)
    (folder := world.folder / "envoy-by-grpc").mkdir()
    with (
        server(world, **certificates(folder)) as (process, port),
        envoy(folder, folder, [port], service, OPEN_IN_ENVOY) as by_grpc,
    ):
        yield _Gateway("envoy by gRPC", by_grpc.port, process.pid)


@contextlib.contextmanager
def _service(folder: Path) -> Iterator[int]:
    """nginx itself, which answers at once."""
    (port,) = free_ports(1)
    (config := folder / "service.conf").write_text(SERVICE.format(folder=folder, port=port))
    command = [debian("nginx"), "-p", str(folder), "-c", str(config)]
    process = Child("service", command, {"HOME": str(folder)}, folder / "service.log")
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), process)
        yield port
    finally:
        process.stop()


def _measure(section: Section, options: Options, gateway: _Gateway, keys: list[str]) -> None:
    guarded = [load.get(GUARDED, key) for key in keys]
    opened = [load.get(OPEN, key) for key in keys]
    for messages in (guarded, opened):
        load.drive(gateway.port, messages, TOLD, requests=WARMING_REQUESTS, connections=CONNECTIONS)
    for _ in range(options.gateway_rounds // 2):
        _go_all_out(gateway, guarded, options.round_seconds)
    half = median(gateway.most_per_second) / 2
    with machine.ahead_of_others() as is_ahead:
        _go_at(half, gateway, guarded, opened, options)
    _tell(section, gateway, half)
    if not is_ahead:
        section.notes.append(f"{gateway.name}: not root, so other processes of this machine were in the way.")


def _go_at(per_second: float, gateway: _Gateway, guarded: list[bytes], opened: list[bytes], options: Options) -> None:
    order = [(guarded, gateway.guarded), (opened, gateway.opened)]
    for _ in range(options.gateway_rounds):
        for messages, samples in order:
            seconds = options.gateway_round_seconds
            samples.append(paced.drive(gateway.port, messages, TOLD, per_second=per_second, seconds=seconds))
        order.reverse()


def _go_all_out(gateway: _Gateway, messages: list[bytes], seconds: float) -> None:
    before = machine.cpu_seconds(gateway.decides)
    sample = load.drive(gateway.port, messages, TOLD, seconds=seconds, connections=CONNECTIONS)
    gateway.most_per_second.append(sample.requests_per_second)
    gateway.cpu_us.append((machine.cpu_seconds(gateway.decides) - before) / len(sample.latencies_ms) * 1e6)


def _tell(section: Section, gateway: _Gateway, half: float) -> None:
    name = gateway.name
    section.value(f"{name}: the most", "/s", gateway.most_per_second)
    section.value(f"{name}: CPU a decision", "us", gateway.cpu_us)
    for share, target in ((0.5, None), (0.99, at_most(MOST_ADDED_MS))):
        ours, beside = ([each.quantile_ms(share) for each in all_of] for all_of in (gateway.guarded, gateway.opened))
        section.compare(f"{name}: p{share * 100:.0f} at {half:.0f}/s", "ms", ours, beside)
        added = [mine - other for mine, other in zip(ours, beside, strict=True)]
        section.value(f"{name}: p{share * 100:.0f} added", "ms", added, target)
    busiest = max(sample.cpu_seconds / sample.seconds for sample in [*gateway.guarded, *gateway.opened])
    section.notes.append(f"{name}: the load client used at most {busiest:.0%} of its core.")
