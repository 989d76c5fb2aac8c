"""The gRPC container's own process, as its Dockerfile starts it, under an identity that bootstrap made."""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from deployed import Deployment
from grpc_health.v1 import health_pb2, health_pb2_grpc

from keyrail.dev.functions import answers
from keyrail.dev.processes import Child
from keyrail.v1 import config_pb2_grpc, keys_pb2, keys_pb2_grpc, rotation_pb2_grpc

START_SECONDS = 30.0
CALL_SECONDS = 20.0
LOOPBACK = {"KEYRAIL_GRPC_ADDRESS": "127.0.0.1:0", "KEYRAIL_GRPC_PROBE_ADDRESS": "127.0.0.1:0"}
AS_IN_THE_DOCKERFILE = {"GRPC_VERBOSITY": "NONE"}  # else grpc writes a line of its own for each refused handshake
SERVING = health_pb2.HealthCheckResponse.SERVING


class Container:
    def __init__(self, deployment: Deployment, identity: str = "grpc", **env: str) -> None:
        self.deployment = deployment
        name = f"{identity}-{len(list((deployment.folder / 'logs').glob('grpc-*')))}"
        self.log = deployment.folder / "logs" / f"grpc-{name}.log"
        command = [sys.executable, "-m", "keyrail.triggers.grpc_server"]
        self.process = Child(
            name, command, deployment.environment(identity) | AS_IN_THE_DOCKERFILE | LOOPBACK | env, self.log
        )
        self.port, self.probe_port = 0, 0

    def wait(self) -> "Container":
        """Until it serves."""
        line = self.wait_for_line("serving")
        self.port, self.probe_port = line["port"], line["probe_port"]
        wait_until(lambda: answers(f"http://127.0.0.1:{self.probe_port}/readyz"), self.process)
        return self

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.log.read_text().splitlines()) if line["kind"] == kind]

    def wait_for_line(self, kind: str, count: int = 1) -> dict[str, Any]:
        wait_until(lambda: len(self.lines(kind)) >= count, self.process)
        return self.lines(kind)[count - 1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.stop()
        self.deployment.canary.search("the output of the gRPC container", self.log.read_text(errors="replace"))


def wait_until(is_so: Callable[[], bool], process: Child | None = None, seconds: float = START_SECONDS) -> None:
    ends_at = time.monotonic() + seconds
    while not is_so():
        assert process is None or process.is_running(), process.epitaph()
        assert time.monotonic() < ends_at, "" if process is None else process.log_tail()
        time.sleep(0.05)


@contextmanager
def running(deployment: Deployment, identity: str = "grpc", **env: str) -> Iterator[Container]:
    container = Container(deployment, identity, **env)
    try:
        yield container.wait()
    finally:
        container.stop()


class Client:
    """Calls by the admin's key, unless told otherwise."""

    def __init__(self, channel: grpc.Channel, key: str | None) -> None:
        self.metadata = () if key is None else (("authorization", f"Bearer {key}"),)
        self.keys = keys_pb2_grpc.KeyServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        self.rotation = rotation_pb2_grpc.RotationServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        self.config = config_pb2_grpc.ConfigServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        self.health = health_pb2_grpc.HealthStub(channel)

    def call(self, rpc: Any, request: Any) -> Any:
        """Raises: grpc.RpcError."""
        return rpc(request, metadata=self.metadata, timeout=CALL_SECONDS)

    def issue(self, **fields: Any) -> Any:
        request = keys_pb2.IssueKeyRequest(**({"tenant": "acme", "owner": "ml-team", "name": "a key"} | fields))
        return self.call(self.keys.IssueKey, request)

    def code_of(self, key: str, **fields: Any) -> str:
        return str(self.call(self.keys.ValidateKey, keys_pb2.ValidateKeyRequest(key=key, **fields)).code)

    def is_serving(self, service: str = "") -> bool:
        answer = self.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=CALL_SECONDS)
        return bool(answer.status == SERVING)


class Load:
    """Threads that call on and on, each failure counted."""

    def __init__(self, call: Callable[[], object], threads: int = 4) -> None:
        self.outcomes: Counter[str] = Counter()
        self._call, self._ended = call, threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(CALL_SECONDS)

    def wait_for(self, calls: int) -> None:
        """So many more."""
        wanted = self.outcomes.total() + calls
        wait_until(lambda: self.outcomes.total() >= wanted)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.outcomes[str(self._call())] += 1
            except grpc.RpcError as error:
                self.outcomes[f"{error.code()} {error.details()}"] += 1
