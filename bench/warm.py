"""A warm validation over HTTP beside an empty function: requests a second and the slowest of a hundred."""

import json
import tempfile
from pathlib import Path

from bench import load, machine
from bench.figures import Section, at_least, at_most
from bench.options import Options
from bench.world import Server, World

PATH = "/v1/keys/validate"
EXPECTED = b'{"valid":true'
KEYS = 20
CONNECTIONS = 4
WARMING_REQUESTS = 500


def message(key: str, caller: str | None) -> bytes:
    body = {"key": key, "required_scopes": "ml:infer and (data:read or data:admin)"}
    return load.post(PATH, json.dumps(body).encode(), caller)


def measure(options: Options) -> Section:
    section = Section("1  A warm validation over HTTP, one server core", beside="empty function")
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        keys = world.fill(KEYS)
        (caller,) = world.fill(1, scopes=("keys:validate",))
        for threads in ("2", "4"):
            _measure_threads(section, options, world, keys, caller, threads)
    section.notes.append(
        f"{KEYS} keys, default settings, {CONNECTIONS} connections, one core for the server and another for the load; "
        "JSON lines to a file, metrics on. Keyrail answers ahead of Flask; an empty handler is called by it."
    )
    return section


def _measure_threads(
    section: Section, options: Options, world: World, keys: list[str], caller: str, threads: str
) -> None:
    with (
        world.empty(THREADS=threads) as empty,
        world.function("validate_key", THREADS=threads) as ours,
        world.function("validate_key", THREADS=threads, KEYRAIL_VALIDATE_OPEN="true") as opened,
    ):
        asked = [message(key, caller) for key in keys]
        beside, closed, open_to_all = (
            Run(empty, asked),
            Run(ours, asked),
            Run(opened, [message(key, None) for key in keys]),
        )
        order = [beside, closed, open_to_all]
        for run in order:
            load.drive(run.server.port, run.messages, EXPECTED, requests=WARMING_REQUESTS)
        for _ in range(options.rounds):
            for run in order:
                run.go(options.round_seconds)
            order.reverse()
    for run, who in ((closed, "caller with a key"), (open_to_all, "open to all")):
        name = f"THREADS={threads}, {who}: "
        section.compare(name + "requests/s", "/s", run.per_second, beside.per_second, at_least(0.80))
        section.compare(name + "p99", "ms", run.p99_ms, beside.p99_ms, at_most(1.3))
        section.compare(name + "CPU a request", "us", run.cpu_us, beside.cpu_us)
    busiest = max(share for run in order for share in run.client_share)
    section.notes.append(f"THREADS={threads}: the load client used at most {busiest:.0%} of its core.")


class Run:
    """One server, and what each round of load on it showed."""

    def __init__(self, server: Server, messages: list[bytes]) -> None:
        self.server, self.messages = server, messages
        self.per_second: list[float] = []
        self.p99_ms: list[float] = []
        self.cpu_us: list[float] = []
        self.client_share: list[float] = []

    def go(self, seconds: float) -> None:
        before = machine.cpu_seconds(self.server.worker)
        sample = load.drive(self.server.port, self.messages, EXPECTED, seconds=seconds, connections=CONNECTIONS)
        used = machine.cpu_seconds(self.server.worker) - before
        self.per_second.append(sample.requests_per_second)
        self.p99_ms.append(sample.quantile_ms(0.99))
        self.cpu_us.append(used / len(sample.latencies_ms) * 1e6)
        self.client_share.append(sample.cpu_seconds / sample.seconds)
