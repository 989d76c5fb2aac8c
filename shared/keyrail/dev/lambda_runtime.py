"""A zip of make dist run as Lambda runs it: unpacked, under AWS's own runtime client, with a Runtime API on loopback.

The API: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import queue
import subprocess
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keyrail.dev.processes import Child

CLIENT = "awslambdaric==4.2.2"
REPLY_SECONDS = 30.0  # on a loaded machine; the first reply takes half a second
_NEXT = "/2018-06-01/runtime/invocation/next"
_RESTORE = "/2018-06-01/runtime/restore/next"  # asked where AWS_LAMBDA_INITIALIZATION_TYPE is snap-start


class LambdaError(Exception):
    """The handler raised, or the process ended. `kind` and the text are what Lambda's callers get."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class _Answer:
    is_error: bool
    body: bytes


def install_client(python: Path, folder: Path) -> Path:
    """AWS's runtime client for this Python, in `folder`. Raises: CalledProcessError."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*command, "--only-binary", ":all:", "--target", str(folder), CLIENT], check=True)
    return folder


def unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder


class Lambda:
    """One instance. It is started with the first event, and takes one at a time, as every instance does."""

    def __init__(
        self, python: Path, client: Path, task: Path, log: Path, env: Mapping[str, str], *, timeout_seconds: float = 60
    ) -> None:
        self._server = _RuntimeApi(timeout_seconds)
        address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        own = {
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": task.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_REGION": "eu-central-1",
            "LAMBDA_TASK_ROOT": str(task),
            "_HANDLER": "main.lambda_handler",
            "PYTHONPATH": f"{task}:{client}",
            "PATH": "/usr/bin:/bin",
            "HOME": str(task),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        # -S: none of the .pth files of this machine, which Lambda has not
        command = [str(python), "-S", "-m", "awslambdaric", "main.lambda_handler"]
        self.process = Child(task.name, command, {**own, **env}, log)

    def invoke(self, event: Any) -> Any:
        """Raises: LambdaError."""
        self._server.events.put(json.dumps(event).encode())
        answer = self._answer()
        told = json.loads(answer.body)
        if answer.is_error:
            raise LambdaError(str(told["errorType"]), str(told["errorMessage"]))
        return told

    def _answer(self) -> _Answer:
        ends_at = time.monotonic() + REPLY_SECONDS
        while True:
            try:
                return self._server.answers.get(timeout=0.2)
            except queue.Empty as error:
                if not self.process.is_running() or time.monotonic() > ends_at:
                    raise LambdaError("Runtime.ExitError", self.process.epitaph()) from error

    def close(self) -> None:
        self.process.stop()
        self._server.events.put(None)
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _RuntimeApi(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.timeout_seconds = timeout_seconds
        self.events: queue.Queue[bytes | None] = queue.Queue()
        self.answers: queue.Queue[_Answer] = queue.Queue()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed hangs up as it likes."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _RuntimeApi

    def do_GET(self) -> None:
        if self.path == _RESTORE:  # the snapshot was taken, and restored, at once
            self._reply(200, {"Content-Type": "application/json"}, b"")
            return
        event = self.server.events.get() if self.path == _NEXT else None
        if event is None:
            self.close_connection = True
            return
        deadline_ms = int((time.time() + self.server.timeout_seconds) * 1000)
        headers = {
            "Content-Type": "application/json",  # without it the native client ends without a word
            "Lambda-Runtime-Aws-Request-Id": str(uuid.uuid4()),
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:keyrail",
        }
        self._reply(200, headers, event)

    def do_POST(self) -> None:
        body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self._sized()
        self.server.answers.put(_Answer(self.path.endswith("/error"), body))
        self._reply(202, {"Content-Type": "application/json"}, b"{}")

    def _sized(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """In one write: two would wait for each other, 40 ms a call."""
        lines = [f"HTTP/1.1 {status} OK", *(f"{name}: {value}" for name, value in headers.items())]
        self.wfile.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body)

    def log_message(self, *_: object) -> None:
        """Nothing: what the function writes is its log."""
