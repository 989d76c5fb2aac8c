"""A function stands still for a minute (SIGSTOP) around a revocation: a validator that remembers, a rotator that is in the middle."""

import os
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from canary import Canary
from deployed import Deployment
from freezing import revoked_while_its_rotator_stood_still
from rotating import OTHERS, ROTATOR, Rotations, Rotator
from vault_proxy import proxy_to

from keyrail.dev.openbao import OpenBao
from soak.figures import Figure, Options, judged

ASLEEP_SECONDS = 60


def run(options: Options) -> list[Figure]:
    seconds = options.of(ASLEEP_SECONDS)
    with tempfile.TemporaryDirectory() as folder, OpenBao(Path(folder) / "openbao") as vault:
        deployment = Deployment(vault, Path(folder) / "deployment", Canary())
        try:
            deployment.start(*OTHERS)
            deployment.start("rotate", **ROTATOR)
            return [_validator(deployment, seconds), _rotator(deployment, seconds)]
        finally:
            deployment.stop()


def _validator(deployment: Deployment, seconds: int) -> Figure:
    """Asked by requests that wait for it while it sleeps: they are the first that it answers."""
    (sleeper,) = deployment.start("validate_key")
    key = deployment.api.issue()
    for _ in range(2):
        assert deployment.api.code_of(key.text, at=sleeper.url) == "VALID"
    os.killpg(sleeper.function.process.pid, signal.SIGSTOP)
    try:
        deployment.api.revoke(key.key_id).ok()
        time.sleep(seconds - 5)  # a client does not wait a minute
        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(deployment.api.code_of, key.text, at=sleeper.url) for _ in range(3)]
            time.sleep(5)
            os.killpg(sleeper.function.process.pid, signal.SIGCONT)
            answers = [each.result() for each in asked]
    finally:
        os.killpg(sleeper.function.process.pid, signal.SIGCONT)
    accepted = sum(answer != "REVOKED" for answer in answers)
    return judged("frozen: revoked key accepted on waking", f"validator, {seconds} s", accepted, "=", 0)


def _rotator(deployment: Deployment, seconds: int) -> Figure:
    with proxy_to(deployment.vault.address) as proxy:
        instance = deployment.launch("rotate", vault_address=proxy.address, **ROTATOR)
        instance.wait()
        rotator = Rotator(deployment, proxy, instance)
        codes = revoked_while_its_rotator_stood_still(Rotations(deployment), rotator, seconds)
    wrong = sum(code != "REVOKED" for code in codes)
    return judged("frozen: secrets of a revoked key accepted", f"rotator, {seconds} s", wrong, "=", 0)
