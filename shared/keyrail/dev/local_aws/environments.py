"""Environments of their own for what can't be installed beside Keyrail, each made once from a file of constraints/."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyrail.dev import interpreters

ROOT = Path(__file__).parents[4]


def made(name: str, version: str, folder: Path) -> Path:
    """The `python` of the environment `name`: Python `version` with what constraints/<name>.txt pins.

    Made anew when the file changes; killed halfway, it is begun again. Raises: CalledProcessError, NotFound.
    """
    pins = ROOT / "constraints" / f"{name}.txt"
    place = folder / f"{name}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    python = place / "bin/python"
    with once(place) as is_due:
        if is_due:
            _run(interpreters.find(version), "-m", "venv", place)
            _run(python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "-r", pins)
    return python


@contextmanager
def once(place: Path) -> Iterator[bool]:
    """Whether `place` is still to be made; whoever else wants it waits. It is whole once the block has ended."""
    with alone(place):
        is_due = not (place / "whole").exists()
        if is_due:
            shutil.rmtree(place, ignore_errors=True)
        yield is_due
        (place / "whole").touch()


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Nobody else is at `place`, in no other process either."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PIP_NO_INPUT": "1"})
