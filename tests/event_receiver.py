"""A receiver of CloudEvents as a process of its own: `python event_receiver.py PORT FILE`.

Each request is a line of FILE: {"headers": {...}, "body": "..."}. It answers with the status in FILE.status, by
default 202; `hang` there makes it wait for good.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from keyrail.dev.ports import free_ports
from receiver_process import ReceiverProcess

START_SECONDS = 20.0


class Receiver(ReceiverProcess):
    program = Path(__file__)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events?from=keyrail"

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def ids(self) -> list[str]:
        return [each["headers"]["ce-id"] for each in self.requests()]

    def wait_for(self, count: int) -> list[str]:
        ends_at = time.monotonic() + START_SECONDS
        while len(self.ids()) < count:
            assert time.monotonic() < ends_at, f"{len(self.ids())} of {count} events came"
            time.sleep(0.02)
        return self.ids()


@contextmanager
def receiving(folder: Path) -> Iterator[Receiver]:
    made = Receiver(free_ports(1)[0], folder / "received.jsonl")
    made.start()
    try:
        yield made
    finally:
        made.kill()


def _serve(port: int, file: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            with file.open("a") as lines:
                lines.write(json.dumps({"path": self.path, "headers": headers, "body": body}) + "\n")
            status_file = file.with_suffix(".status")
            status = status_file.read_text() if status_file.exists() else "202"
            if status == "hang":
                time.sleep(3600)
            self.send_response(int(status))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
