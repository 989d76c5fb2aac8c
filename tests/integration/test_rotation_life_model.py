"""Any order of operations, ticks, sinks and configs included, does what the reference model says. `make soak` does it
for long, and on a real Vault too."""

from typing import Any

from canary import Canary
from deployed import FULL
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from key_world import World, memory_stores
from rotation_lives import RotationLives
from test_key_life_model import FIXED


def test_on_memory(canary: Canary) -> None:
    machine: Any = lambda: RotationLives(World.over(memory_stores()), canary)  # noqa: E731  as hypothesis takes it
    run_state_machine_as_test(machine, settings=settings(FIXED, max_examples=500 if FULL else 50))
