"""Every function as its own process under functions-framework, with its own identity and nothing else of ours."""

import os
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child

START_SECONDS = 30.0  # on a loaded machine; usually two for all seven
THREADS = 4  # FACTS of functions-framework: its default of 8 has five times the p99 of 2; 1 loses keep-alive
PORT_TRIES = 3
PROBE_SECONDS = 5.0
POLL_SECONDS = 0.05
_OWN = ("KEYRAIL_VAULT_", "KEYRAIL_KEY", "KEYRAIL_VALIDATE_KEY", "KEYRAIL_URL")
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")


class FunctionError(Exception):
    """A function that did not come up, or went down; the message ends with the last lines of its log."""


def find_functions(folder: Path) -> dict[str, Path]:
    """main.py by the name of its directory."""
    return {file.parent.name: file for file in sorted(folder.glob("*/main.py"))}


def function_of_operation(sources: Mapping[str, Path]) -> dict[str, str]:
    """The function's name by the names of the operations that it offers, as its function.yaml says."""
    import yaml

    told = {name: yaml.safe_load((main.parent / "function.yaml").read_text()) for name, main in sources.items()}
    return {route["operation"]: name for name, each in told.items() for route in each["routes"]}


def environment(vault_address: str, identity: Mapping[str, str]) -> dict[str, str]:
    """What a function may know: the settings of Keyrail you have set, its own identity, and no token of yours."""
    ours = {k: v for k, v in os.environ.items() if k.startswith("KEYRAIL_") and not k.startswith(_OWN)}
    system = {k: os.environ[k] for k in _PASSED_ON if k in os.environ}
    return {**system, **ours, "VAULT_ADDR": vault_address, "THREADS": str(THREADS), **identity}


class Function:
    """One function's process on a port of its own. It is starting when this returns; `wait_until_ready` knows more."""

    def __init__(self, name: str, main: Path, env: Mapping[str, str], log: Path, port: int) -> None:
        self.name = name
        self.port = port
        self._main, self._env, self._log = main, env, log
        self._tries_left = PORT_TRIES
        self.process = self._launch()

    def _launch(self) -> Child:
        command = [sys.executable, "-m", "functions_framework", "--source", str(self._main), "--target", "handler"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        return Child(self.name, command, self._env, self._log)

    def require_running(self) -> None:
        """Raises: FunctionError. Where somebody took the port in the meantime, another one is tried first."""
        if self.process.is_running():
            return
        epitaph = self.process.epitaph()
        self.process.stop()
        self._tries_left -= 1
        if "in use" not in epitaph or not self._tries_left:
            raise FunctionError(f"the function {self.name} ended {epitaph}")
        (self.port,) = free_ports(1)
        self.process = self._launch()


def wait_until_ready(functions: list[Function]) -> None:
    """Until each has read the store under its own identity. Raises: FunctionError."""
    ends_at = time.monotonic() + START_SECONDS
    waiting = list(functions)
    while waiting:
        for function in waiting:
            function.require_running()
        waiting = [function for function in waiting if not answers(f"http://127.0.0.1:{function.port}/readyz")]
        if waiting and time.monotonic() > ends_at:
            log = waiting[0].process.log_tail()
            raise FunctionError(f"{waiting[0].name} is not ready after {START_SECONDS:.0f} s:\n{log}")
        time.sleep(POLL_SECONDS)


def answers(url: str) -> bool:
    """True where a GET of this local `url` gives 200; False where nobody listens, or it says anything else."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PROBE_SECONDS) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
