"""Resident memory of a validate_key function that holds many keys, and whether it stays flat: gunicorn's two processes
added up, so that what they share counts twice."""

import json
import tempfile
from pathlib import Path

from bench import load, machine
from bench.figures import Section, at_most
from bench.options import Options
from bench.warm import EXPECTED, PATH, message
from bench.world import Server, World

BATCH = 100
STEPS = 10
FLAT_MB = 2.0  # what an allocator may gain by chance; 20 bytes a request would show
TTL_SECONDS = "300"  # so that filling the cache outlasts no entry, and the requests that follow find them all


def measure(options: Options) -> Section:
    section = Section("4  Resident memory of a function, both of its processes", beside="empty function")
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        keys = world.fill(options.cached_keys)
        (caller,) = world.fill(1, scopes=("keys:validate",))
        with (
            world.empty(THREADS="4") as empty,
            world.function("validate_key", THREADS="4", KEYRAIL_CACHE_TTL_SECONDS=TTL_SECONDS) as ours,
        ):
            fresh = _resident_mb(ours)
            load.drive(ours.port, _batches(keys, caller), EXPECTED, requests=len(keys) // BATCH)
            messages = [message(key, caller) for key in keys]
            load.drive(ours.port, messages, EXPECTED, requests=len(keys))
            load.drive(empty.port, messages, EXPECTED, requests=len(keys))
            series = [_resident_mb(ours)]
            beside = _resident_mb(empty)
            for _ in range(STEPS):
                load.drive(ours.port, messages, EXPECTED, requests=options.further_requests // STEPS)
                series.append(_resident_mb(ours))
    section.value(f"{len(keys):,} keys in memory", "MB", [max(series)], at_most(110), [beside])
    grown = [series[-1] - series[0]]
    section.value(f"grown over {options.further_requests:,} further requests", "MB", grown, at_most(FLAT_MB))
    section.notes += [
        f"Ready: {fresh:.1f} MB; then every {options.further_requests // STEPS:,} requests: "
        + " ".join(f"{each:.1f}" for each in series),
        f"KEYRAIL_CACHE_TTL_SECONDS={TTL_SECONDS}, so that no key is read again meanwhile.",
    ]
    return section


def _resident_mb(server: Server) -> float:
    return machine.resident_mb(server.pid) + machine.resident_mb(server.worker)


def _batches(keys: list[str], caller: str) -> list[bytes]:
    batches = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
    return [
        load.post(PATH, json.dumps({"batch": [{"key": key} for key in batch]}).encode(), caller) for batch in batches
    ]
