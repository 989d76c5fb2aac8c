"""A receiver of OTLP as a process of its own: `python otlp_receiver.py PORT FILE`.

It is no OpenTelemetry Collector, which neither Debian nor PyPI has: the standard library's HTTP server, and the
messages that the OpenTelemetry project generates from its protocol (PyPI `opentelemetry-proto`), answering POST
/v1/traces as the OTLP/HTTP specification says. Each span is a line of FILE; all bytes that came, headers too, are in
FILE.raw. It answers with the status in FILE.status, by default 200; `hang` there makes it wait for good.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from keyrail.dev.ports import free_ports
from receiver_process import ReceiverProcess

WAIT_SECONDS = 20.0
_KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass(frozen=True)
class Span:
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    is_error: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


class OtlpReceiver(ReceiverProcess):
    program = Path(__file__)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[Span]:
        if not self.file.exists():
            return []
        whole_lines = self.file.read_text().split("\n")[:-1]
        return [Span(**json.loads(line)) for line in whole_lines]

    def wait_for(self, count: int, name: str) -> list[Span]:
        """All spans, once so many have this name."""
        ends_at = time.monotonic() + WAIT_SECONDS
        while [span.name for span in self.spans()].count(name) < count:
            assert time.monotonic() < ends_at, f"{len(self.spans())} spans came"
            time.sleep(0.05)
        return self.spans()

    def raw(self) -> str:
        return self.file.with_suffix(".raw").read_bytes().decode("latin-1")


@contextmanager
def receiving(folder: Path) -> Iterator[OtlpReceiver]:
    made = OtlpReceiver(free_ports(1)[0], folder / "spans.jsonl")
    made.start()
    try:
        yield made
    finally:
        made.kill()


def _spans_of(body: bytes) -> Iterator[dict[str, Any]]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "name": span.name,
                    "kind": _KINDS[span.kind],
                    "trace_id": span.trace_id.hex(),
                    "span_id": span.span_id.hex(),
                    "parent_id": span.parent_span_id.hex(),
                    "is_error": span.status.code == 2,
                    "attributes": _plain(span.attributes),
                    "resource": _plain(of_resource.resource.attributes),
                }


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def _serve(port: int, file: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status_file = file.with_suffix(".status")
            status = status_file.read_text() if status_file.exists() else "200"
            if status == "hang":
                time.sleep(3600)
            is_ours = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
            if is_ours and status == "200":
                with file.with_suffix(".raw").open("ab") as raw, file.open("a") as lines:
                    raw.write(str(self.headers).encode() + body)
                    lines.write("".join(json.dumps(span) + "\n" for span in _spans_of(body)))
            self.send_response(int(status) if is_ours else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
