"""The one local port: only what the operations offer passes, bounded, and everything else is a clear refusal."""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from dev_process import eventually

from keyrail.dev import gateway
from keyrail.dev.functions import answers
from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child
from keyrail.operations.catalogue import CATALOGUE
from keyrail.triggers.strict_json import MAX_BODY_BYTES

AWAY = "get_key"  # its function is not running
NOT_OURS = [
    "/",
    "/v1",
    "/v1/keys/",
    "/v1/keys/a/b",
    "/v1/keys/a/rotate/b",
    "/health/rotate/v1/keys",
    "/health/nobody/livez",
    "/metrics",
    "/config/",
    "/docs/../secret.txt",
    "/docs/%2e%2e/secret.txt",
    "/docs/nothing.html",
]


class Echo(BaseHTTPRequestHandler):
    """Says which function it is, and what reached it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self.chunks()
        told = {"function": self.server.name, "method": self.command, "path": self.path, "bytes": len(body)}  # type: ignore[attr-defined]
        self.send_response(200)
        content = json.dumps(told | {"headers": dict(self.headers)}).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def chunks(self) -> bytes:
        """Until the last one, or until the gateway hangs up."""
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


class Gateway:
    def __init__(self, port: int) -> None:
        self.port = port

    def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        document = json.loads(content) if content.startswith(b"{") else {"text": content.decode()}
        return answer.status, answer.headers, document


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    servers = []
    for operation in CATALOGUE:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the gateway hangs up on a large body
        server.name = operation.name  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
    ports = {operation.name: server.server_port for operation, server in zip(CATALOGUE, servers, strict=True)}
    port, ports[AWAY] = free_ports(2)
    (folder / "docs").mkdir()
    (folder / "docs" / "index.html").write_text("the API page\n")
    (folder / "secret.txt").write_text("not for you\n")
    config = folder / "caddy.json"
    config.write_text(gateway.configuration(port, CATALOGUE, ports, folder / "docs"))
    child = Child("gateway", gateway.command(config), gateway.environment(folder), folder / "gateway.log")
    try:
        assert eventually(lambda: answers(f"http://127.0.0.1:{port}/docs/"), 15), child.log_tail()
        yield Gateway(port)
    finally:
        child.stop()
        for server in servers:
            server.shutdown()
            server.server_close()


@pytest.mark.parametrize(
    ("method", "path", "function"),
    [
        ("POST", "/v1/keys", "issue_key"),
        ("GET", "/v1/keys?tenant=acme", "list_keys"),
        ("POST", "/v1/keys/validate", "validate_key"),
        ("POST", "/v1/keys/abc/rotate", "rotate"),
        ("POST", "/v1/keys/abc/revoke", "revoke_key"),
        ("PATCH", "/v1/keys/abc", "update_key"),
        ("GET", "/v1/config/models", "read_config"),
        ("GET", "/v1/config/models/openai/a/b/c/d?tenant=acme", "read_config"),
        ("PUT", "/v1/config/models/openai", "write_config"),
    ],
)
def test_each_operation_reaches_its_function_as_it_was_sent(
    served: Gateway, method: str, path: str, function: str
) -> None:
    status, _, told = served.call(method, path, b"{}" if method != "GET" else None, Authorization="Bearer x")
    assert (status, told["function"], told["method"], told["path"]) == (200, function, method, path)
    assert told["headers"]["Authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/v1/keys", "GET, POST"), ("GET", "/v1/keys/validate", "POST"), ("PUT", "/v1/keys/abc", "GET, PATCH")],
)
def test_another_method_is_405_with_those_that_go(served: Gateway, method: str, path: str, allowed: str) -> None:
    status, headers, problem = served.call(method, path)
    assert (status, headers["Allow"], problem["code"]) == (405, allowed, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("path", NOT_OURS)
def test_anything_else_is_a_404_of_our_own_shape(served: Gateway, path: str) -> None:
    status, headers, problem = served.call("GET", path)
    assert (status, problem["code"], problem["status"]) == (404, "NO_SUCH_ROUTE", 404)
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["correlation_id"] == headers["X-Correlation-ID"]


def test_a_function_that_is_away_is_503_and_not_a_no(served: Gateway) -> None:
    status, headers, problem = served.call("GET", "/v1/keys/abc")
    assert (status, problem["code"], headers["Retry-After"]) == (503, "UNAVAILABLE", "1")


def test_probes_are_reached_by_function(served: Gateway) -> None:
    for probe in gateway.PROBES:
        status, _, told = served.call("GET", f"/health/rotate/{probe}")
        assert (status, told["function"], told["path"]) == (200, "rotate", f"/{probe}")
    assert served.call("POST", "/health/rotate/livez", b"{}")[0] == 404


def test_the_api_page_is_served(served: Gateway) -> None:
    assert served.call("GET", "/docs")[:1] == (308,)
    status, _, page = served.call("GET", "/docs/")
    assert (status, page["text"]) == (200, "the API page\n")


def test_a_body_at_the_limit_passes_and_a_larger_one_never_reaches_a_function(served: Gateway) -> None:
    status, _, told = served.call("POST", "/v1/keys", b"x" * (MAX_BODY_BYTES + 1))
    assert (status, told["bytes"]) == (200, MAX_BODY_BYTES + 1), "the function's own 413 says more"
    status, _, problem = served.call("POST", "/v1/keys", b"x" * (MAX_BODY_BYTES + gateway.SLACK_BYTES + 1))
    assert (status, problem["code"]) == (413, "BODY_TOO_LARGE")


def test_a_body_in_chunks_is_bounded_alike(served: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("POST", "/v1/keys", iter([b"x" * 30_000] * 2), encode_chunked=True)
    assert json.loads(connection.getresponse().read())["bytes"] == 60_000
    connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("POST", "/v1/keys", iter([b"x" * 40_000] * 2), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_it_listens_on_loopback_alone_and_has_no_admin_endpoint(tmp_path: Path) -> None:
    config = json.loads(gateway.configuration(8080, CATALOGUE, {o.name: 1 for o in CATALOGUE}))
    assert config["admin"]["disabled"] is True
    assert config["apps"]["http"]["servers"]["keyrail"]["listen"] == ["127.0.0.1:8080"]
