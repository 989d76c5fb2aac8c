"""A zip of the same bytes for the same files, with their compiled form: without it a start takes twice as long."""

import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path

_TASK = "/var/task"  # where Lambda unpacks it; the tracebacks' file names
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_FILE = 0o100644 << 16


def write(folder: Path, pythons: Iterable[Path], archive: Path) -> Path:
    """`folder` with what each of `pythons` makes of it. Raises: CalledProcessError."""
    for python in pythons:
        _compile(python, folder)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _DATE)
            entry.external_attr, entry.compress_type = _FILE, zipfile.ZIP_DEFLATED
            made.writestr(entry, file.read_bytes(), compresslevel=9)
    return archive


def _compile(python: Path, folder: Path) -> None:
    """Nobody looks at the sources when such a file is loaded (PEP 552)."""
    command = [str(python), "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, "-s", str(folder), "-p", _TASK, str(folder)], check=True, env={"PYTHONHASHSEED": "0"})
