"""The zips that make dist writes, each unpacked into a clean folder and run by AWS's own runtime client."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keyrail.dev import interpreters
from keyrail.dev.dist import PYTHONS
from keyrail.dev.lambda_runtime import Lambda, install_client, unpack

FUNCTIONS = ("validate_key", "rotate")
_NATIVE = "x86_64"  # the other architecture's zips have the same sources, and native modules nobody here can run


def make_dist(folder: Path) -> str:
    """What it printed."""
    command = [sys.executable, "-m", "keyrail.dev.dist", "--only", *FUNCTIONS, "--folder", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Zips:
    """`client` by version of Python."""

    dist: Path
    folder: Path
    clients: Mapping[str, Path]

    @contextmanager
    def running(self, function: str, version: str, env: Mapping[str, str]) -> Iterator[Lambda]:
        task = self.folder / f"{function}-{version}"
        if not task.exists():
            unpack(self.dist / f"{function}-{_NATIVE}.zip", task)
        log = self.folder / f"{function}-{version}.log"
        with Lambda(interpreters.find(version), self.clients[version], task, log, env) as instance:
            yield instance


def make_zips(made: Path, folder: Path) -> Zips:
    """`made`: what is the same for every process of a run; whole once its last part is there. `folder`: our own."""
    whole = made / "whole"
    if not whole.exists():
        shutil.rmtree(made, ignore_errors=True)
        make_dist(made / "dist")
        for version in PYTHONS:
            install_client(interpreters.find(version), made / f"client-{version}")
        whole.touch()
    return Zips(made / "dist", folder, {version: made / f"client-{version}" for version in PYTHONS})
