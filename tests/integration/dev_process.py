"""`keyrail dev` as the process that a user would start, and who its processes are."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyrail.dev.ports import free_ports
from keyrail.triggers.cli_root import run

FUNCTIONS = Path(__file__).parents[2] / "functions"
KEYRAIL = (sys.executable, "-c", "from keyrail.triggers.cli import main; main()")
UP_SECONDS = 60.0  # on a loaded machine
GONE_SECONDS = 10.0


def keyrail(
    *arguments: str, stdin: str = "", cwd: Path | None = None, **env: str
) -> "subprocess.CompletedProcess[str]":
    """The command line, with none of the environment's own settings."""
    return subprocess.run(
        [*KEYRAIL, *arguments],
        env=clean_environment() | env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
    )


def run_here(*arguments: str, stdin: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in [name for name in os.environ if name.startswith(("VAULT_", "KEYRAIL_"))]:
            patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            run(list(arguments))
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("VAULT_", "KEYRAIL_"))}


@dataclass
class Running:
    process: "subprocess.Popen[bytes]"
    folder: Path
    url: str
    printed: Path

    @classmethod
    def start(cls, folder: Path, port: int | None = None, **env: str) -> "Running":
        port = port or free_ports(1)[0]
        printed = Path(tempfile.mkstemp(dir=folder.parent, prefix="dev-")[1])
        with printed.open("wb") as output:
            process = subprocess.Popen(
                [*KEYRAIL, "dev", "--functions", str(FUNCTIONS), "--folder", str(folder), "--port", str(port)],
                env=clean_environment() | env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(process, folder, f"http://127.0.0.1:{port}", printed)

    @property
    def output(self) -> str:
        return self.printed.read_text()

    def wait_until_up(self) -> None:
        """`output` then has the lines to copy. Raises: AssertionError with the output where it does not come up."""
        assert eventually(lambda: "keyrail list" in self.output or self.process.poll() is not None, UP_SECONDS)
        assert self.process.poll() is None, self.output

    @property
    def admin_key(self) -> str:
        return (self.folder / "admin.key").read_text().strip()

    def cli(self, *arguments: str, stdin: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
        """The command line with the admin key, in this process: ten times as fast as in one of its own."""
        own = {"KEYRAIL_URL": self.url, "KEYRAIL_KEY": self.admin_key}
        return run_here(*arguments, stdin=stdin, **{**own, **env})

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code. May be called again."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)


def descendants(pid: int) -> set[int]:
    """Everything that `pid` started and what that started, zombies left out."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in table.splitlines():
        child, parent, state = line.split()
        if not state.startswith("Z"):
            children.setdefault(int(parent), []).append(int(child))
    found, waiting = set(), [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found.add(child)
            waiting.append(child)
    return found


def still_alive(pids: set[int]) -> set[int]:
    """Those of `pids` that have not ended `GONE_SECONDS` from now."""
    left = set(pids)
    eventually(lambda: not left.intersection(living(left)), GONE_SECONDS)
    return living(left)


def living(pids: set[int]) -> set[int]:
    if not pids:
        return set()
    asked = ",".join(map(str, pids))
    table = subprocess.run(
        ["ps", "-ww", "-o", "pid=,stat=", "-p", asked], capture_output=True, text=True, check=False
    ).stdout
    return {int(line.split()[0]) for line in table.splitlines() if not line.split()[1].startswith("Z")}


def eventually(holds: Callable[[], bool], seconds: float) -> bool:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        if holds():
            return True
        time.sleep(0.05)
    return holds()
