"""/livez, /readyz and /metrics of the gRPC container over plain HTTP, on a port of their own."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from keyrail.domain.errors import InvalidArgument
from keyrail.ports import Services
from keyrail.telemetry import choose_correlation_id
from keyrail.triggers import probes
from keyrail.triggers.http_messages import HttpReply, HttpRequest
from keyrail.triggers.problems import problem_reply

_SECONDS = 5  # for a request to arrive


class ProbePort:
    """Answers from its construction on, until `close`."""

    def __init__(self, host: str, port: int, own_probes: probes.Probes, services: Callable[[], Services]) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(own_probes, services))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(own_probes: probes.Probes, services: Callable[[], Services]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _SECONDS

        def answer(self) -> None:
            request = HttpRequest(self.command, self.path, "", lambda _: None, lambda _: b"")
            reply = own_probes.answer(request, services) if self.path in probes.PATHS else _not_there()
            self.close_connection = True
            self.send_response(reply.status)
            for name, value in (*reply.headers.items(), ("Content-Length", str(len(reply.body)))):
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            """A line for each probe would drown the others."""

    return Handler


def _not_there() -> HttpReply:
    error = InvalidArgument("This port has no such path.", code="NO_SUCH_ROUTE")
    return problem_reply(error, choose_correlation_id(None, None), {})
