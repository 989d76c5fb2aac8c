"""Processes that end with ours, however ours ends."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 5.0  # then SIGKILL
_TAIL_LINES = 12
_WATCHER = 'read -r group || exit 0; read -r _; kill -s KILL -- "-$group"'
_NAMED_TO_THE_WATCHER = 'echo "$$" >&0; exec "$@" </dev/null'


class Child:
    """A running process, leader of its own group: Ctrl-C reaches ours first, which then ends them in order.

    Its output goes to `log`, which begins anew.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._process, self._watcher = start_watched(command, env, log)
        self._group_was_killed = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting: several can then end side by side."""
        if self.is_running():
            self._process.terminate()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to its whole group. May be called again."""
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self.kill()
        self._watcher.kill()
        self._watcher.communicate()

    def kill(self) -> None:
        """SIGKILL to its whole group. May be called again, and then sends none: the number may be another's by now."""
        if not self._group_was_killed:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._group_was_killed = True
        self._process.wait()

    def epitaph(self) -> str:
        """How it ended, and the last lines of its log."""
        status = self._process.poll()
        how = "is running" if status is None else f"signal {-status}" if status < 0 else f"status {status}"
        return f"({how}) {self.log_tail()}".rstrip()

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])


def start_watched(
    command: Sequence[str], env: Mapping[str, str], log: Path
) -> tuple["subprocess.Popen[bytes]", "subprocess.Popen[bytes]"]:
    """`command`, leader of its own group and with its output in `log`, and its watcher: a tiny process that ends the
    group once this one is gone, however it went, since its input then ends. The group names itself to the watcher, so
    that there is no moment in which it runs and nobody would end it.

    Not PR_SET_PDEATHSIG: that fires when the starting thread ends, and exists on Linux only.
    """
    watcher = subprocess.Popen(  # noqa: S603 - a constant
        ["/bin/sh", "-c", _WATCHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - commands of this package, none from outside
            ["/bin/sh", "-c", _NAMED_TO_THE_WATCHER, "sh", *command],
            env=dict(env),
            stdin=watcher.stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, watcher
