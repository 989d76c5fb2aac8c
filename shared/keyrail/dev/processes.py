"""Processes that end with ours, however ours ends."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 5.0  # then SIGKILL
_TAIL_LINES = 12
_NAMED_TO_THE_WATCHER = 'echo "$$" >&0; exec "$@" </dev/null'


class Child:
    """A running process, leader of its own group: Ctrl-C reaches ours first, which then ends them in order.

    Its output goes to `log`, which begins anew.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._watcher = _watcher()
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - commands of this package, none from outside
                ["/bin/sh", "-c", _NAMED_TO_THE_WATCHER, "sh", *command],
                env=dict(env),
                stdin=self._watcher.stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
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


def _watcher() -> subprocess.Popen[bytes]:
    """A tiny process that ends a group once this one is gone, even by SIGKILL: its input then ends. The group names
    itself, so that there is no moment in which we have started it and nobody would end it."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r group || exit 0; read -r _; kill -s KILL -- "-$group"'],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
