"""The zips of make dist for this machine's processor, made anew only where what they come from has changed."""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from keyrail.dev.dist import ARCHITECTURES, ROOT
from keyrail.dev.local_aws.environments import alone

SOURCES = ("pyproject.toml", "constraints/deploy.txt", "functions/*/*", "shared/keyrail/**/*.py")
DEV = ROOT / "shared/keyrail/dev"  # in no zip


def architecture() -> str:
    """As Lambda calls it."""
    machine = platform.machine()
    return next(arch for arch, wheels in ARCHITECTURES.items() if machine in (arch, wheels))


def name_of(function: str) -> str:
    return f"{function}-{architecture()}.zip"


def made(folder: Path, functions: Iterable[str]) -> Path:
    """The folder that holds them. Raises: CalledProcessError with what make dist said."""
    place = folder / f"dist-{_digest()[:12]}"
    with alone(place):
        missing = [function for function in functions if not (place / name_of(function)).exists()]
        if missing:
            for old in {*folder.glob("dist-*/")} - {place}:  # 100 MB each
                shutil.rmtree(old)
            place.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                _make(missing, Path(scratch))
                for archive in Path(scratch).glob("*.zip"):
                    archive.rename(place / archive.name)  # whole, or not at all
    return place


def _make(functions: list[str], folder: Path) -> None:
    command = [sys.executable, "-m", "keyrail.dev.dist", "--only", *functions]
    command += ["--arch", architecture(), "--folder", str(folder)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def _digest() -> str:
    found = (file for pattern in SOURCES for file in ROOT.glob(pattern) if file.is_file())
    files = sorted(file for file in found if DEV not in file.parents or file.name.startswith("dist"))
    told = "".join(f"{file.relative_to(ROOT)} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()
