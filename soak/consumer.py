"""A consumer reads its sink anew when it is told 401, once; meanwhile its key rotates, and each rotator is killed.

kill -9 comes right before or right after a random change that the rotation makes in Vault.
"""

import tempfile
import threading
import time
from pathlib import Path
from random import Random

from canary import Canary
from deployed import Deployment
from rotating import LEASE_SECONDS, OTHERS, ROTATOR, Rotations, Rotator, SunkKey
from vault_proxy import proxy_to

from keyrail.dev.openbao import OpenBao
from soak.figures import Figure, Options, Progress, judged

ROTATIONS = 200
CHANGES = 11  # of a rotation by hand, at most; tests/integration/test_rotation_killed.py names them
POLL_SECONDS = 0.02


def run(options: Options) -> list[Figure]:
    rotations = options.of(ROTATIONS)
    with tempfile.TemporaryDirectory() as folder, OpenBao(Path(folder) / "openbao") as vault:
        deployment = Deployment(vault, Path(folder) / "deployment", Canary())
        try:
            deployment.start(*OTHERS)
            deployment.start("rotate", **ROTATOR)
            with proxy_to(vault.address) as proxy:
                instance = deployment.launch("rotate", vault_address=proxy.address, **ROTATOR)
                instance.wait()
                return _rotated(Rotations(deployment), Rotator(deployment, proxy, instance), rotations, options.seed)
        finally:
            deployment.stop()


def _rotated(world: Rotations, rotator: Rotator, rotations: int, seed: int) -> list[Figure]:
    key = world.issue(grace_seconds=1, interval_seconds=None)
    world.tick_until_done(key)
    chance, consumer, progress = Random(seed), _Consumer(world, key), Progress("rotations", rotations)
    killed = 0
    with consumer:
        for number in range(rotations):
            change, when = chance.randint(1, CHANGES), chance.choice(("before", "after"))
            killed += rotator.dies(change, when, lambda: rotator.api.rotate(key.key_id))
            rotator.lives_again()
            time.sleep(LEASE_SECONDS)
            world.tick_until_done(key)
            progress.at(number + 1)
    generation = world.record(key)["generations"][-1]["n"]
    return [
        judged("consumer: refused after reading again", f"{consumer.uses:,} uses", consumer.refused_twice, "=", 0),
        Figure("consumer: told 401 once, and read again", "", f"{consumer.refused_once:,}"),
        Figure("consumer: generations reached", f"{rotations} rotations", f"{generation:,}"),
        Figure("consumer: rotators killed by -9", f"{rotations} rotations", f"{killed:,}"),
    ]


class _Consumer:
    """Uses its key without pause, in a thread of its own, for as long as the context lasts."""

    def __init__(self, world: Rotations, key: SunkKey) -> None:
        self._world, self._key = world, key
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._guarded)
        self._fault: BaseException | None = None
        self.uses = self.refused_once = self.refused_twice = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def _guarded(self) -> None:
        try:
            self._consume()
        except BaseException as fault:  # noqa: BLE001 - told to whoever waits for this thread
            self._fault = fault

    def _consume(self) -> None:
        held = self._world.in_sink(self._key)
        while not self._ended.is_set():
            self.uses += 1
            if self._world.api.code_of(held) != "VALID":
                self.refused_once += 1
                held = self._world.in_sink(self._key)
                self.refused_twice += self._world.api.code_of(held) != "VALID"
            time.sleep(POLL_SECONDS)
