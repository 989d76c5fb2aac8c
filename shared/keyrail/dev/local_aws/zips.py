"""The zips of make dist for this machine's processor, made anew only where what they come from has changed."""

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from keyrail.dev.dist import ARCHITECTURES, ROOT
from keyrail.dev.local_aws.environments import once

SOURCES = ("pyproject.toml", "constraints/deploy.txt", "functions/*/*", "shared/keyrail/**/*.py")
DEV = ROOT / "shared/keyrail/dev"  # in no zip


def architecture() -> str:
    """As Lambda calls it."""
    machine = platform.machine()
    return next(arch for arch, wheels in ARCHITECTURES.items() if machine in (arch, wheels))


def made(folder: Path) -> Path:
    """The folder that holds them. Raises: CalledProcessError with what make dist said."""
    place = folder / f"dist-{_digest()[:12]}"
    with once(place) as is_due:
        if is_due:
            for old in folder.glob("dist-*/"):  # 100 MB each
                shutil.rmtree(old)
            command = [sys.executable, "-m", "keyrail.dev.dist", "--arch", architecture(), "--folder", str(place)]
            subprocess.run(command, check=True, capture_output=True, text=True)
    return place


def _digest() -> str:
    found = (file for pattern in SOURCES for file in ROOT.glob(pattern) if file.is_file())
    files = sorted(file for file in found if DEV not in file.parents or file.name.startswith("dist"))
    told = "".join(f"{file.relative_to(ROOT)} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()
