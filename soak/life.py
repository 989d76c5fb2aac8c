"""Random lives of keys, sinks and configs with ticks between, held against the reference model after every step.

In memory, and on a real Vault with each operation under its own function's identity; time is set by hand.
"""

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from canary import Canary
from deployed import FUNCTION_OF, Deployment
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from key_world import SECOND_VALIDATOR, OPERATIONS, SetClock, World, memory_stores, vault_stores
from rotation_lives import RotationLives

from keyrail.adapters.cached_lookup import CacheBounds, CachedLookup
from keyrail.bootstrap import build_services
from keyrail.dev.openbao import OpenBao
from keyrail.ports import NoMetrics
from keyrail.settings import load_settings
from soak.figures import Figure, Options, Progress, judged

IN_MEMORY, ON_VAULT = 1000, 60
STEPS = 40


def run(options: Options) -> list[Figure]:
    return [*_in_memory(options), *_on_vault(options)]


def _in_memory(options: Options) -> list[Figure]:
    return _lived("memory", lambda: World.over(memory_stores()), options.of(IN_MEMORY), options.seed)


def _on_vault(options: Options) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, OpenBao(Path(folder) / "openbao") as vault:
        deployment = Deployment(vault, Path(folder) / "deployment", Canary())
        world = _vault_world(deployment)
        return _lived("a real Vault", lambda: world, options.of(ON_VAULT), options.seed)


def _vault_world(deployment: Deployment) -> World:
    """One for all lives: each has tenants of its own, and what others left to do is done before it begins."""
    clock, store_of, services = SetClock(), vault_stores(deployment), {}
    for name in [*OPERATIONS, SECOND_VALIDATOR]:
        keys, peppers, roles, feed = store_of(name)
        environ = deployment.environment(FUNCTION_OF[name.removesuffix(" again")])
        whole = build_services(load_settings(environ | {"KEYRAIL_METRICS": "none"}))
        bounds = CacheBounds(poll_seconds=1.0, background=False)
        lookup = CachedLookup(keys, peppers, roles, feed, clock, NoMetrics(), bounds)
        services[name] = replace(whole, keys=keys, lookup=lookup, feed=feed, clock=clock)
    return World(clock, services)


def _lived(where: str, world: Callable[[], World], lives: int, number: int) -> list[Figure]:
    """A life that goes otherwise than the model says is shown step by step, made as short as can be."""
    canary, progress, counted = Canary(), Progress(f"lives in {where}", lives), itertools.count(1)
    asked = f"{lives:,} lives of up to {STEPS} steps"

    def one() -> RotationLives:
        progress.at(next(counted))
        made = world()
        made.passes(timedelta(0))
        made.call("rotate_due", budget_seconds=840, max_rotations=10_000)
        return RotationLives(made, canary)

    config = settings(
        max_examples=lives,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    machine: Any = seed(number)(one)
    failed = 0
    try:
        run_state_machine_as_test(machine, settings=config)
    except Exception as error:  # noqa: BLE001 - what hypothesis found; its story is the message
        failed = 1
        print("\n".join([f"  {type(error).__name__}: {error}", *getattr(error, "__notes__", [])]), flush=True)
    return [
        judged(f"life: other than the model says, {where}", asked, failed, "=", 0),
        judged(f"life: secrets seen in replies, {where}", f"{canary.known:,} secrets", len(canary.hits), "=", 0),
    ]
