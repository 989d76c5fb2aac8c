"""Processes of `keyrail dev` end with their whole group, once: later the group's number may be somebody else's."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keyrail.dev.processes import Child


def _sleeper(tmp_path: Path) -> Child:
    """A process and a child of its own, both of which would sleep for long."""
    code = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print('up', flush=True); time.sleep(60)"
    child = Child("sleeper", [sys.executable, "-c", code], dict(os.environ), tmp_path / "log")
    while "up" not in child.log.read_text():
        assert child.is_running(), child.log_tail()
    return child


def _living(group: int) -> list[str]:
    """Names of its processes; a dead one that nobody has reaped does not count."""
    found = subprocess.run(["ps", "-A", "-o", "pgid=,state=,comm="], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=2) for line in found.stdout.splitlines()]
    return [name for of_group, state, name in lines if int(of_group) == group and state[0] not in "ZX"]


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_the_whole_group_ends(tmp_path: Path, way: str) -> None:
    child = _sleeper(tmp_path)
    assert len(_living(child.pid)) == 2
    getattr(child, way)()
    ends_at = time.monotonic() + 5
    while _living(child.pid):
        assert time.monotonic() < ends_at
    child.stop()


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_again_is_no_signal_to_whoever_has_the_number_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    child = _sleeper(tmp_path)
    getattr(child, way)()
    signalled: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _: signalled.append(group))
    child.stop()
    child.kill()
    assert signalled == []


_INTERRUPTED = """
import os, subprocess, sys
from pathlib import Path
from keyrail.dev.processes import Child

class Interrupted(subprocess.Popen):
    def __init__(self, command, **options):
        super().__init__(command, **options)
        if "sleep" in command:
            print(self.pid, flush=True)
            raise KeyboardInterrupt

subprocess.Popen = Interrupted
Child("sleeper", ["sleep", "60"], dict(os.environ), Path(sys.argv[1]))
"""


def test_one_that_we_were_interrupted_in_starting_ends_with_us(tmp_path: Path) -> None:
    """As by a SIGTERM between its start and the moment in which we know of it."""
    command = [sys.executable, "-c", _INTERRUPTED, str(tmp_path / "log")]
    ours = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in ours.stderr
    ends_at = time.monotonic() + 5
    while _living(int(ours.stdout)):
        assert time.monotonic() < ends_at
