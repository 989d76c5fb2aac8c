"""What issuing and a cold validation cost while the store grows."""

import contextlib
import json
import random
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import load
from bench.figures import Section, at_most
from bench.options import Options
from bench.warm import EXPECTED, message
from bench.world import TENANT, World

ROUNDS = 8
VALIDATIONS = 100  # a round
ISSUES = 30  # a round; each adds a key
NO_GROWTH = 1.25  # ours: noise between two servers of the same size is about a tenth


def measure(options: Options) -> Section:
    smallest, *larger = options.store_sizes
    section = Section("5  The cost of an operation while the store grows", beside=f"{smallest:,} keys")
    with contextlib.ExitStack() as stack:
        stores = [_Store(stack, size) for size in options.store_sizes]
        for _ in range(ROUNDS):
            for store in stores:
                store.go()
            stores.reverse()
    by_size = {store.size: store for store in stores}
    for size in larger:
        for name in ("cold validation", "issue"):
            ours, beside = by_size[size].p50_ms[name], by_size[smallest].p50_ms[name]
            section.compare(f"{size:,} keys, {name}, p50", "ms", ours, beside, at_most(NO_GROWTH))
    section.notes += [f"{store.size:,} keys were written in {store.filled_seconds:.0f} s." for store in stores]
    section.notes.append(
        "One client, all keys of one tenant. KEYRAIL_CACHE_TTL_SECONDS=0 and KEYRAIL_VALIDATE_OPEN=true for the "
        f"validations, so that each is 2 reads; the issues add {(ROUNDS + 1) * ISSUES} keys to each store."
    )
    return section


class _Store:
    """A server with `size` keys, and the two functions on it."""

    def __init__(self, stack: contextlib.ExitStack, size: int) -> None:
        self.size = size
        self.p50_ms: dict[str, list[float]] = {"cold validation": [], "issue": []}
        world = stack.enter_context(World(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        started = time.monotonic()
        self._keys = world.fill(size)
        self.filled_seconds = time.monotonic() - started
        settings = {"KEYRAIL_CACHE_TTL_SECONDS": "0", "KEYRAIL_VALIDATE_OPEN": "true"}
        self._validate = stack.enter_context(world.function("validate_key", **settings))
        self._issue = stack.enter_context(world.function("issue_key"))
        body = {"tenant": TENANT, "owner": "team-ml", "name": "a key", "scopes": ["ml:infer"]}
        self._new = load.post("/v1/keys", json.dumps(body).encode(), world.admin_key)
        self._drive_both()  # logins, imports, pepper and roles

    def go(self) -> None:
        for name, sample in self._drive_both().items():
            self.p50_ms[name].append(median(sample.latencies_ms))

    def _drive_both(self) -> dict[str, load.Sample]:
        asked = [message(key, None) for key in random.choices(self._keys, k=VALIDATIONS)]
        return {
            "cold validation": load.drive(self._validate.port, asked, EXPECTED, requests=VALIDATIONS, connections=1),
            "issue": load.drive(self._issue.port, [self._new], b'"key":"krl_', requests=ISSUES, connections=1),
        }
