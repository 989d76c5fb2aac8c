"""Wheels: Keyrail's own, built as in its containers, and the pinned ones of others for another machine than this."""

import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

from packaging.utils import parse_wheel_filename

from keyrail.dev.dist_pins import Pins

_EPOCH = "1577836800"  # of every file in the wheel, as in containers/function.Dockerfile
_LEFT_OUT = ("/RECORD", "/INSTALLER", "/REQUESTED", ".pyi", ".pyx", ".pxd", ".h", ".c", "/py.typed")
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")  # Amazon Linux 2023 has glibc 2.34


def keyrail(root: Path, scratch: Path) -> Path:
    """Takes its tools from constraints/build.txt. Raises: CalledProcessError."""
    tools, built = scratch / "tools", scratch / "wheel"
    venv.create(tools, with_pip=True)
    pip = [str(tools / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    pinned = ["--only-binary", ":all:", "--require-hashes", "-r", str(root / "constraints/build.txt")]
    subprocess.run([*pip, "install", *pinned], check=True)
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(root)]
    subprocess.run(wheel, check=True, env={"SOURCE_DATE_EPOCH": _EPOCH, "PATH": "/usr/bin:/bin", "HOME": str(scratch)})
    (only,) = built.iterdir()
    return only


def download(
    pins: Pins, names: Iterable[str], machine: str, pythons: Iterable[str], folder: Path
) -> dict[str, list[Path]]:
    """By name: one wheel, or one for each Python. Raises: CalledProcessError, also on a wrong hash; NotPinned."""
    folder.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps"]
    platforms = [word for platform in _PLATFORMS for word in ("--platform", f"{platform}_{machine}")]
    pinned = ["--only-binary", ":all:", "--require-hashes", "--dest", str(folder)]
    found: dict[str, list[Path]] = {}
    for python in pythons:
        requirements = folder / "requirements.txt"
        requirements.write_text("".join(pins[name] for name in names if not _suits_every_python(found.get(name, []))))
        abi = f"cp{python.replace('.', '')}"
        target = ["--python-version", python, "--implementation", "cp", "--abi", abi, "--abi", "abi3", "--abi", "none"]
        subprocess.run([*pip, *pinned, *target, *platforms, "-r", str(requirements)], check=True)
        found = _by_name(folder)
    return found


def _suits_every_python(wheels: list[Path]) -> bool:
    return any(wheel.name.endswith("-none-any.whl") for wheel in wheels)


def _by_name(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for wheel in sorted(folder.glob("*.whl")):
        found.setdefault(parse_wheel_filename(wheel.name)[0], []).append(wheel)
    return found


def unpack(wheels: Iterable[list[Path]], folder: Path) -> None:
    """Native modules of several Pythons lie side by side, since each has its Python in its name."""
    for wheel in (each for group in wheels for each in group):
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if not name.endswith((*_LEFT_OUT, "/"))]
            for name in names:
                if ".data/" in name:
                    raise ValueError(f"{wheel.name} has more than modules: {name}")
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    target.write_bytes(archive.read(name))
