"""A server between us and AWS that answers, or loses answers, as a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

Answer = tuple[int, bytes] | None  # None: the connection is closed without one


@dataclass(frozen=True)
class Fate:
    """What a request gets, and whether AWS got it all the same."""

    answer: Answer = None
    arrives: bool = False


ANSWER_LOST = Fate(arrives=True)
REQUEST_LOST = Fate()


class Between:
    """`fates`: of the next requests, in their order; those without one, and all after them, are handed on."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.fates: list[Fate | None] = []
        self.seen = 0

    def answer(self, headers: Any, body: bytes) -> Answer:
        self.seen += 1
        fate = self.fates.pop(0) if self.fates else None
        if fate is not None and not fate.arrives:
            return fate.answer
        reply = urllib3.request("POST", self.endpoint, headers=dict(headers), body=body, retries=False)
        return (reply.status, reply.data) if fate is None else fate.answer


def aws_error(code: str, status: int = 400) -> Answer:
    """In the form of https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"""
    return status, json.dumps({"__type": f"com.amazonaws#{code}", "message": "no"}).encode()


@contextmanager
def serving(answer: Callable[[Any, bytes], Answer]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            given = answer(self.headers, self.rfile.read(int(self.headers["Content-Length"] or 0)))
            if given is None:
                self.close_connection = True
                return
            self.send_response(given[0])
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(given[1])))
            self.end_headers()
            self.wfile.write(given[1])

        do_GET = do_POST  # of Vault; AWS takes nothing else here

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
