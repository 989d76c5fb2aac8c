"""What is deployed, one bundle a function. `make dist` writes it to dist/, the same bytes whenever the sources are.

<op>/            for Google Cloud: main.py, requirements.txt with hashes, the wheel of Keyrail
<op>-<arch>.zip  for AWS Lambda on Python 3.12 and 3.13, arm64 and x86_64: what that function imports, compiled
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from keyrail.dev import dist_modules, dist_pins, dist_wheels, dist_zip, interpreters
from keyrail.dev.functions import find_functions

ROOT = Path(__file__).parents[3]
PYTHONS = ("3.12", "3.13")  # of the zips: Lambda's runtimes python3.12 and python3.13
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}  # Lambda's word, the wheels' word


def main() -> None:
    """Raises: SystemExit where something that it needs is missing; it says what."""
    chosen = _arguments()
    functions = {name: main for name, main in find_functions(ROOT / "functions").items() if name in chosen.only}
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="keyrail-dist-") as scratch:
        try:
            build(functions, chosen.arch, chosen.folder, Path(scratch))
        except (dist_pins.NotPinned, interpreters.NotFound, subprocess.CalledProcessError) as error:
            sys.exit(f"make dist: {error}")


def build(functions: dict[str, Path], architectures: list[str], folder: Path, scratch: Path) -> None:
    """`scratch` is an empty folder."""
    pins = dist_pins.read(ROOT / "constraints/deploy.txt")
    extras = {name: tuple(_manifest(main)["extras"]) for name, main in functions.items()}
    wheel = dist_wheels.keyrail(ROOT, scratch)
    for name, main in functions.items():
        _write_source(name, main, wheel, pins, extras[name], folder)
    pythons = [interpreters.find(version) for version in PYTHONS]
    needed = {name: dist_pins.closure(extras[name]) for name in functions}
    for arch in architectures:
        everything = sorted({each for names in needed.values() for each in names})
        wheels = dist_wheels.download(pins, everything, ARCHITECTURES[arch], PYTHONS, scratch / arch)
        for name, main in functions.items():
            staged = scratch / f"{name}-{arch}"
            dist_modules.stage(ROOT / "shared", main, _operations(main), staged)
            dist_wheels.unpack([wheels[each] for each in needed[name]], staged)
            archive = dist_zip.write(staged, pythons, folder / f"{name}-{arch}.zip")
            _say(archive)
            shutil.rmtree(staged)


def _write_source(
    name: str, main: Path, wheel: Path, pins: dist_pins.Pins, extras: tuple[str, ...], folder: Path
) -> None:
    source = folder / name
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    shutil.copyfile(main, source / "main.py")
    shutil.copyfile(wheel, source / wheel.name)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lines = [f"./{wheel.name} --hash=sha256:{digest}\n", *(pins[each] for each in dist_pins.closure(("http", *extras)))]
    (source / "requirements.txt").write_text("".join(lines))


def _manifest(main: Path) -> dict[str, list[str]]:
    told: dict[str, list[str]] = yaml.safe_load((main.parent / "function.yaml").read_text())
    return told


def _operations(main: Path) -> list[str]:
    routes: list[dict[str, str]] = yaml.safe_load((main.parent / "function.yaml").read_text())["routes"]
    return [route["operation"] for route in routes]


def _say(archive: Path) -> None:
    sys.stdout.write(f"{archive.name:32} {archive.stat().st_size / 1_000_000:6.2f} MB\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keyrail.dev.dist", description=__doc__)
    names = list(find_functions(ROOT / "functions"))
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="FUNCTION")
    archs = list(ARCHITECTURES)
    parser.add_argument("--arch", nargs="+", choices=archs, default=archs, help="of the zips")
    parser.add_argument("--folder", type=Path, default=ROOT / "dist")
    return parser.parse_args()


if __name__ == "__main__":
    main()
