"""Other Pythons on this machine, on the PATH or among pyenv's."""

import os
import shutil
import subprocess
from pathlib import Path


class NotFound(Exception):
    """Its text says which Python is missing, and where it was looked for."""


def find(version: str) -> Path:
    """`version` like 3.12. Raises: NotFound."""
    for candidate in _candidates(version):
        if _is(candidate, version):
            return candidate
    raise NotFound(f"Python {version} is neither on the PATH nor among pyenv's: install python{version}")


def _candidates(version: str) -> list[Path]:
    """pyenv's own shims come first on many a PATH, and fail where that version is not chosen."""
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return [
        *([Path(on_path)] if on_path else []),
        *sorted(pyenv.glob(f"{version}.*/bin/python{version}"), reverse=True),
    ]


def _is(candidate: Path, version: str) -> bool:
    asked = [str(candidate), "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return told.returncode == 0 and told.stdout.strip() == version
