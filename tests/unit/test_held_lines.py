"""What is held is written soon, in order, once, and before anything that does not wait."""

import json
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from keyrail.held_lines import HELD_SECONDS, HeldLines

_PROCESS = """
import logging, os, signal, sys
from keyrail import telemetry
telemetry.configure_logging()
telemetry.hold_request_lines()
telemetry.log(logging.INFO, telemetry.REQUEST, code="VALID", n=1)
telemetry.log(logging.INFO, telemetry.REQUEST, code="VALID", n=2)
{then}
"""


def _written(then: str, tmp_path: Path) -> list[dict[str, object]]:
    """The lines of a process that logs two requests and then does `then`."""
    with (tmp_path / "lines").open("wb") as file:
        subprocess.run([sys.executable, "-c", _PROCESS.format(then=then)], stdout=file, check=False)
    return [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]


def _until(count: int, lines: list[str]) -> None:
    ends_at = time.monotonic() + 10
    while sum(text.count("\n") for text in lines) < count and time.monotonic() < ends_at:
        time.sleep(0.005)


def test_lines_come_without_anybody_asking_and_many_at_once() -> None:
    written: list[str] = []
    held = HeldLines(written.append)
    for n in range(100):
        held.add(f"{n}\n")
    _until(100, written)
    assert "".join(written) == "".join(f"{n}\n" for n in range(100))
    assert len(written) < 100
    held.add("later\n")
    _until(101, written)
    assert written[-1] == "later\n"


def test_a_line_may_be_made_when_it_is_written() -> None:
    written: list[str] = []
    made: list[int] = []
    held = HeldLines(written.append)

    def line(n: int) -> str:
        made.append(n)
        if n == 1:
            held.add("said while it was made\n")
            held.flush()
        return f"{n}\n"

    held.add("0\n")
    held.add(partial(line, 1))
    held.add(partial(line, 2))
    _until(4, written)
    assert "".join(written) == "said while it was made\n0\n1\n2\n"
    assert made == [1, 2]


def test_no_line_of_many_threads_is_lost_or_told_twice() -> None:
    written: list[str] = []
    held = HeldLines(written.append)

    def log(name: int) -> None:
        for n in range(3000):
            held.add(f"{name} {n}\n")

    threads = [threading.Thread(target=log, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held.flush()
    _until(12_000, written)
    lines = "".join(written).splitlines()
    assert len(lines) == 12_000
    for name in range(4):
        assert [line for line in lines if line.startswith(f"{name} ")] == [f"{name} {n}" for n in range(3000)]


def test_where_they_can_not_be_written_it_is_said_and_later_ones_are_tried(capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []
    faults = [OSError("a line of the log")]

    def write(text: str) -> None:
        if faults:
            raise faults.pop()
        written.append(text)

    held = HeldLines(write)
    held.add("lost\n")
    ends_at = time.monotonic() + 10
    while faults and time.monotonic() < ends_at:
        time.sleep(0.005)
    held.add("later\n")
    _until(1, written)
    assert written == ["later\n"]
    assert capsys.readouterr().err == "log lines are lost: OSError\n"


def test_an_ending_process_writes_what_it_held(tmp_path: Path) -> None:
    assert [line["n"] for line in _written("sys.exit(0)", tmp_path)] == [1, 2]


def test_a_killed_process_has_written_what_is_older_than_the_bound(tmp_path: Path) -> None:
    then = f"import time; time.sleep({HELD_SECONDS} + 1); os.kill(os.getpid(), signal.SIGKILL)"
    assert [line["n"] for line in _written(then, tmp_path)] == [1, 2]


def test_what_does_not_wait_comes_after_what_was_held(tmp_path: Path) -> None:
    then = "telemetry.audit_logger.info('told'); telemetry.log(logging.ERROR, 'worse'); os._exit(0)"
    lines = _written(then, tmp_path)
    assert [line.get("n") or line.get("message") or line["kind"] for line in lines] == [1, 2, "told", "worse"]


def test_a_request_that_failed_does_not_wait(tmp_path: Path) -> None:
    then = "telemetry.log(logging.ERROR, telemetry.REQUEST, code='UNAVAILABLE', n=3); os._exit(0)"
    assert [line["n"] for line in _written(then, tmp_path)] == [1, 2, 3]
