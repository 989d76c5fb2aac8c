"""Environments of their own for what can't be installed beside Keyrail, each made once from a file of constraints/."""

import hashlib
import os
import shutil
import subprocess
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
    if not (place / "whole").exists():
        shutil.rmtree(place, ignore_errors=True)
        _run(interpreters.find(version), "-m", "venv", place)
        _run(python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "-r", pins)
        (place / "whole").touch()
    return python


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PIP_NO_INPUT": "1"})
