"""The Makefile: what a newcomer types."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dev_process import clean_environment, descendants, still_alive

from keyrail.dev.ports import free_ports

ROOT = Path(__file__).parents[2]
BUILT = ("-o", ".venv/.installed")  # as it is: a test installs nothing


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The project with a .keyrail of its own."""
    for name in ("Makefile", "pyproject.toml", "functions", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture
def terminal(checkout: Path) -> Iterator[tuple[int, int]]:
    """`make run` in a terminal of its own: its pid and the terminal's other end."""
    (port,) = free_ports(1)
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(checkout)
        os.execvpe("make", ["make", *BUILT, "run", f"PORT={port}"], clean_environment())
    yield pid, screen
    os.close(screen)


def read_until(screen: int, text: str, seconds: float) -> str:
    shown, ends_at = "", time.monotonic() + seconds
    while text not in shown:
        assert time.monotonic() < ends_at, shown
        if select.select([screen], [], [], 0.1)[0]:
            shown += os.read(screen, 65536).decode(errors="replace")
    return shown


def test_make_alone_lists_every_target() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make (\w+) +\S", done.stdout, re.MULTILINE)
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    assert listed == phony


def test_an_old_python_is_refused_with_what_to_do(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={old}", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_ctrl_c_ends_make_run_and_all_it_started(terminal: tuple[int, int]) -> None:
    pid, screen = terminal
    read_until(screen, "keyrail list", 60)
    started = descendants(pid)
    assert len(started) > 16
    os.write(screen, b"\x03")
    read_until(screen, "everything is down again", 30)
    os.waitpid(pid, 0)
    assert still_alive(started) == set()
