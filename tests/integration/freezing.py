"""A rotator that stands still in the middle of a rotation, as a frozen sandbox does, and wakes when it is all over."""

import contextlib
import os
import signal
import threading
import time

from rotating import Rotations, Rotator
from vault_proxy import Asked


def stops_at_its_sink(rotations: Rotations, rotator: Rotator, sink: str) -> tuple[threading.Thread, threading.Event]:
    """It has claimed a rotation, and stands still when it is about to write the sink. `go` lets that write through;
    the thread is that of its caller."""
    stopped, go = threading.Event(), threading.Event()

    def stop(asked: Asked) -> None:
        if asked.is_write and f"/{sink}" in asked.path and not stopped.is_set():
            os.killpg(rotator.instance.function.process.pid, signal.SIGSTOP)
            stopped.set()
            go.wait(120)

    def call() -> None:
        with contextlib.suppress(TimeoutError):  # as a scheduler does, it gives up before a long stop is over
            rotations.try_tick(rotator.url)

    rotator.proxy.before = stop
    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    assert stopped.wait(15), "it did not come to its sink"
    return caller, go


def wakes(rotator: Rotator, caller: threading.Thread, go: threading.Event) -> None:
    """And does what it was about to do."""
    go.set()
    os.killpg(rotator.instance.function.process.pid, signal.SIGCONT)
    caller.join(30)
    assert not caller.is_alive()
    rotator.proxy.before = lambda _: None


def revoked_while_its_rotator_stood_still(rotations: Rotations, rotator: Rotator, seconds: float) -> list[str]:
    """What is answered to every secret of a key that was revoked meanwhile, the one in its sink included."""
    key = rotations.issue()
    caller, go = stops_at_its_sink(rotations, rotator, key.sink)
    try:
        rotations.api.revoke(key.key_id).ok()
        time.sleep(seconds)
    finally:
        wakes(rotator, caller, go)
    time.sleep(1.5)
    rotations.try_tick()  # by a rotator that was awake
    held = rotations.in_sink(key)
    return [rotations.api.code_of(text) for text in (key.text, held) if text]
