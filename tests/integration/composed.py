"""infra/compose.yaml run by a real docker-compose.

Where the engine is our own no registry is asked: what it would have is made of the same programs, from PyPI and Debian.
Jaeger is in neither; what stands for it takes spans and can tell whose they were.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import yaml
from docker_engine import BASE, DockerEngine, NoDocker

from keyrail.dev.openbao import binary
from keyrail.dev.ports import free_ports

UP_SECONDS, STEP_SECONDS = 240.0, 300.0
JAEGER = """\
import http.server, json, re, threading
services = set()
class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        services.update(re.findall("keyrail-[a-z_]+", sent.decode("latin-1")))
        self.answer(b"")
    def do_GET(self):
        self.answer(json.dumps({"data": sorted(services)}).encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
for port in (4318, 16686):
    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Collector)
    threading.Thread(target=server.serve_forever).start()
"""
WGET = """\
#!/usr/bin/env python3
import sys, urllib.request
urllib.request.urlopen(sys.argv[-1], timeout=3).read()
"""


class Composed:
    """Up within the block. `ports` are those of this machine, by those in the file."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine, self._command, self._project = engine, _command(), f"krl{secrets.token_hex(4)}"
        self._file = engine.context() / "infra/compose.yaml"
        self._text = self._file.read_text()
        self.services: dict[str, Any] = yaml.safe_load(self._text)["services"]
        told = re.findall(r"127\.0\.0\.1:(\d+):\d+", self._text)
        self.ports = dict(zip(map(int, told), free_ports(len(told)), strict=True))

    def __enter__(self) -> Self:
        if self._engine.is_own:
            self._make_images()
        edits = {f"127.0.0.1:{told}:{told}": f"127.0.0.1:{used}:{told}" for told, used in self.ports.items()}
        edits["while sleep 60"] = "while sleep 2"  # the ticker
        text = self._text
        for told, used in edits.items():
            text = text.replace(told, used)
        self._file.write_text(text)
        try:
            self.run("up", "-d", *([] if self._engine.is_own else ["--build"]))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.run("down", "-v", "--timeout", "5")
        self._file.write_text(self._text)

    def run(self, *arguments: str) -> str:
        """What `docker-compose <arguments>` prints. Raises: AssertionError with the end of its output."""
        done = subprocess.run(
            [*self._command, "--project-name", self._project, "--file", str(self._file), *arguments],
            env={**os.environ, **self._engine.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
        )
        assert done.returncode == 0, f"docker-compose {arguments[0]}: {done.stdout[-1500:]}\n{done.stderr[-2500:]}"
        return done.stdout.strip()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + UP_SECONDS
        while not is_so():
            assert time.monotonic() < ends_at, self.run("ps")
            time.sleep(0.5)

    def state_of(self, service: str) -> str:
        """`healthy`, `running` where it has no check, or `exited 0`."""
        container = self.run("ps", "-a", "-q", service)
        form = "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}} {{.State.ExitCode}}"
        status, health, code = self._engine.run("inspect", "--format", form, container).split(" ")
        return f"exited {code}" if status == "exited" else health or status

    def _make_images(self) -> None:
        for service in self.services.values():
            if "build" in service:
                self._engine.build(service["build"]["dockerfile"], service["image"], **service["build"].get("args", {}))
        own = Path(sys.executable).parent
        programs = {"openbao": binary(), "gateway": own / "caddy", "prometheus": shutil.which("prometheus")}
        for name, program in programs.items():
            assert program, f"{name} is not here: tests/install-debian-packages"
            self._make(name, {"wget": WGET}, Path(program), self.services[name].get("entrypoint", ["caddy"])[0])
        self._make("jaeger", {"jaeger": JAEGER}, None, "", 'CMD ["python3", "/usr/local/bin/jaeger"]')

    def _make(self, service: str, scripts: dict[str, str], program: Path | None, name: str, more: str = "") -> None:
        """From the base image, with these in its path."""
        folder = self._engine.context().parent / service
        (folder / "bin").mkdir(parents=True)
        for script, text in scripts.items():
            (folder / "bin" / script).write_text(text)
        if program is not None:
            shutil.copyfile(program, folder / "bin" / name)
        for file in (folder / "bin").iterdir():
            file.chmod(0o755)
        (folder / "Dockerfile").write_text(f"FROM {BASE}\nCOPY bin /usr/local/bin\n{more}\n")
        self._engine.run("build", "--quiet", "--tag", self.services[service]["image"], str(folder))


def _command() -> list[str]:
    """Version 1, or version 2."""
    if found := shutil.which("docker-compose"):
        return [found]
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        raise NoDocker("docker-compose is not here. As root: tests/install-debian-packages")
    return [docker, "compose"]
