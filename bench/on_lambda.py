"""The zip of validate_key under AWS's own runtime client: its cold start, and what a warm validation adds."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import machine
from bench.figures import Section, at_most
from bench.options import Options
from bench.world import FUNCTIONS, World
from keyrail.adapters.vault_identities import read_identity
from keyrail.dev import dist, interpreters
from keyrail.dev.lambda_runtime import Lambda, install_client, unpack

MOST_MS = 250  # of CPU, from the start of the process to its first reply
MOST_TIMES = 2.5  # what a handler takes that imports nothing but pydantic
MOST_ADDED_MS = 0.5
ROUND_REQUESTS = 200
BESIDE = {"empty": "", "pydantic": "from pydantic import BaseModel\n"}
_ANSWER = 'def lambda_handler(event, context):\n    return {"statusCode": 200, "body": "{\\"valid\\":true"}\n'


def measure(options: Options) -> Section:
    section = Section("10  On AWS Lambda, from the zip", beside="pydantic alone")
    with tempfile.TemporaryDirectory() as name, World(Path(name)) as world:
        folder = Path(name)
        functions = {"validate_key": FUNCTIONS / "validate_key/main.py"}
        dist.build(functions, ["x86_64"], folder, _made(folder / "scratch"))
        task = unpack(folder / "validate_key-x86_64.zip", folder / "validate_key")
        for version in dist.PYTHONS:
            python = interpreters.find(version)
            client = install_client(python, folder / f"client-{version}")
            _measure_python(section, options, world, _Place(version, python, client, task))
    section.notes.append("CPU, the runtime client's own included. The first validation logs in and reads from Vault.")
    return section


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@dataclass(frozen=True)
class _Place:
    version: str
    python: Path
    client: Path
    task: Path

    @contextmanager
    def running(self, name: str, env: dict[str, str]) -> Iterator[Lambda]:
        """Of this zip, or beside it: a handler of another kind, with the zip's pydantic."""
        task, path = self.task, f"{self.task}:{self.client}"
        if name in BESIDE:
            task, path = self.task.parent / name, f"{self.task.parent / name}:{path}"
            task.mkdir(exist_ok=True)
            (task / "main.py").write_text(BESIDE[name] + _ANSWER)
        with Lambda(self.python, self.client, task, self.task.parent / f"{name}.log", env | {"PYTHONPATH": path}) as it:
            machine.pin_to_the_measured_core(it.process.pid)
            yield it


@dataclass
class _Runs:
    cold_ms: list[float] = field(default_factory=list)
    warm_ms: list[float] = field(default_factory=list)


def _measure_python(section: Section, options: Options, world: World, place: _Place) -> None:
    (key,) = world.fill(1)
    (caller,) = world.fill(1, scopes=("keys:validate",))
    event = _event(key, caller)
    identity = read_identity(world.folder / "identities", "validate_key") | {"VAULT_ADDR": world.vault.address}
    order = [("empty", _Runs()), ("pydantic", _Runs()), ("validate_key", _Runs())]
    runs = dict(order)
    for _ in range(options.starts):
        for name, run in order:
            _go(place, name, run, event, identity)
        order.reverse()
    ours, pydantic, empty = runs["validate_key"], runs["pydantic"], runs["empty"]
    title = f"Python {place.version}: "
    section.value(title + "cold start", "ms", ours.cold_ms, at_most(MOST_MS), pydantic.cold_ms)
    section.compare(title + "the same, as a ratio", "ms", ours.cold_ms, pydantic.cold_ms, at_most(MOST_TIMES))
    added = [mine - other for mine, other in zip(ours.warm_ms, empty.warm_ms, strict=True)]
    section.value(title + "a warm validation adds to an empty handler", "ms", added, at_most(MOST_ADDED_MS))


def _go(place: _Place, name: str, run: _Runs, event: dict[str, Any], identity: dict[str, str]) -> None:
    with place.running(name, identity) as instance:
        _require(instance.invoke(event))
        run.cold_ms.append(_cpu_ms(instance))
        before = _cpu_ms(instance)
        for _ in range(ROUND_REQUESTS):
            _require(instance.invoke(event))
        time.sleep(0.01)  # the last reply is sent before the client has asked for the next event
        run.warm_ms.append((_cpu_ms(instance) - before) / ROUND_REQUESTS)


def _cpu_ms(instance: Lambda) -> float:
    return machine.cpu_seconds(instance.process.pid) * 1000


def _require(reply: dict[str, Any]) -> None:
    if not str(reply["body"]).startswith('{"valid":true'):
        raise RuntimeError(f"not validated: {reply['statusCode']}")


def _event(key: str, caller: str) -> dict[str, Any]:
    """Of an HTTP API: what of it is read."""
    http = {"method": "POST", "path": "/v1/keys/validate", "sourceIp": "192.0.2.7"}
    return {
        "version": "2.0",
        "rawPath": http["path"],
        "rawQueryString": "",
        "headers": {"x-api-key": caller, "content-type": "application/json"},
        "requestContext": {"http": http, "requestId": "JKJaXmPLvHcESHA=", "stage": "$default"},
        "body": json.dumps({"key": key, "required_scopes": "ml:infer and (data:read or data:admin)"}),
        "isBase64Encoded": False,
    }
