"""A Docker engine for tests: where we are root, one of our own over folders of its own, without network of its own;
else whichever answers `docker info`. Nothing that it made outlives the block.

No registry is asked where the engine is our own: the base image is made by debootstrap once, and kept as a file in
the cache folder; wheels come by pip into a wheelhouse.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from keyrail.dev.processes import Child

ROOT = Path(__file__).parents[2]
BASE = "python:3.11-slim-bookworm"  # what the Dockerfiles name
DEBIAN, PACKAGES = "bookworm", "python3-minimal,python3-venv,ca-certificates"
INSTALL = "Docker is not here. As root: tests/install-debian-packages (or apt-get install docker.io debootstrap)"
START_SECONDS, STEP_SECONDS = 30.0, 300.0


class NoDocker(Exception):
    pass


class DockerEngine:
    def __init__(self) -> None:
        self._docker = shutil.which("docker") or _missing()
        self._folder = Path(tempfile.mkdtemp(prefix="krl-docker-"))  # short: sockets lie in it
        self._daemon: Child | None = None
        self._made: list[str] = []
        self.is_own = os.geteuid() == 0 and shutil.which("dockerd") is not None

    def __enter__(self) -> Self:
        try:
            if self.is_own:
                self._start()
                self._load_base()
            elif self._try("info").returncode != 0:
                _missing()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if not self.is_own:
            for image in self._made:
                self._try("image", "rm", "--force", image)
        if self._daemon is not None:
            self._daemon.ask_to_stop()
            _wait_until_ended(self._daemon)
            self._daemon.stop()
        _unmount_below(self._folder)
        shutil.rmtree(self._folder)

    def run(self, *arguments: str) -> str:
        """What `docker <arguments>` prints. Raises: AssertionError with the end of its output."""
        done = self._try(*arguments)
        assert done.returncode == 0, f"docker {arguments[0]}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout.strip()

    def build(self, dockerfile: str, tag: str, **arguments: str) -> int:
        """The size of the image in bytes. The whole checkout is offered as context, as anybody would."""
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        if self.is_own:
            given += ["--network=none", "--build-arg=PIP_NO_INDEX=1"]
        self.run("build", "--quiet", "--file", dockerfile, "--tag", tag, *given, str(self.context()))
        self._made.append(tag)
        return int(self.run("image", "inspect", "--format", "{{.Size}}", tag))

    def context(self) -> Path:
        """A copy of what git knows of the checkout, with a wheelhouse where the index can't be asked."""
        folder = self._folder / "context"
        if folder.exists():
            return folder
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        if self.is_own:
            _fill_wheelhouse(folder / "wheelhouse")
        return folder

    def _start(self) -> None:
        dockerd = shutil.which("dockerd") or _missing()
        command = [dockerd, "--data-root", str(self._folder / "data"), "--exec-root", str(self._folder / "exec")]
        command += ["--pidfile", str(self._folder / "pid"), "--host", self._host, "--bridge=none", "--iptables=false"]
        self._daemon = Child("dockerd", command, {"PATH": os.environ["PATH"]}, self._folder / "dockerd.log")
        ends_at = time.monotonic() + START_SECONDS
        while self._try("version").returncode != 0:
            assert self._daemon.is_running(), self._daemon.epitaph()
            assert time.monotonic() < ends_at, "dockerd does not come up"
            time.sleep(0.1)

    def _load_base(self) -> None:
        with _base_archive().open("rb") as archive:
            done = self._try("import", "--change", 'CMD ["python3"]', "-", BASE, stdin=archive.fileno())
        assert done.returncode == 0, done.stderr

    @property
    def _host(self) -> str:
        return f"unix://{self._folder}/docker.sock"

    @property
    def environ(self) -> dict[str, str]:
        """What leads a client to it."""
        return {"DOCKER_HOST": self._host, "DOCKER_BUILDKIT": "0"} if self.is_own else {}

    def _try(self, *arguments: str, stdin: int | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._docker, *arguments],
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
        )


def _missing() -> str:
    raise NoDocker(INSTALL)


def _wait_until_ended(daemon: Child) -> None:
    """It unmounts what it mounted: a killed one would leave mounts behind."""
    ends_at = time.monotonic() + START_SECONDS
    while daemon.is_running() and time.monotonic() < ends_at:
        time.sleep(0.05)


def _unmount_below(folder: Path) -> None:
    """dockerd leaves the network namespace of its containers without a network behind, as a mount."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in reversed([point for point in points if point.startswith(f"{folder}/")]):
        _quiet("umount", point)


def _base_archive() -> Path:
    """Made once, which takes a minute; the file is whole or not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keyrail-tests"
    archive = cache / f"{DEBIAN}-python.tar"
    if archive.is_file():
        return archive
    if shutil.which("debootstrap") is None:
        _missing()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="krl-base-") as folder:
        root = f"{folder}/root"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", DEBIAN, root]
        _quiet(*command, "http://deb.debian.org/debian")
        unneeded = ["--exclude=./var/cache/apt/archives/*.deb", "--exclude=./var/lib/apt/lists/*"]
        _quiet("tar", "--directory", root, *unneeded, "--create", "--file", f"{folder}/root.tar", ".")
        shutil.move(f"{folder}/root.tar", archive.with_suffix(".new"))
    archive.with_suffix(".new").replace(archive)
    return archive


def _fill_wheelhouse(folder: Path) -> None:
    files = [f"--requirement={ROOT / 'constraints' / name}" for name in ("deploy.txt", "grpc.txt", "build.txt")]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--python-version=3.11"]
    _quiet(sys.executable, "-m", "pip", "download", *options, *files, f"--dest={folder}")


def _quiet(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_SECONDS * 2)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
