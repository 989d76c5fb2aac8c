"""A real Envoy before a service that tells which headers reached it, and the gRPC containers that Envoy asks."""

import http.client
import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from grpc_container import wait_until

from keyrail.dev.ports import free_ports
from keyrail.dev.processes import Child
from own_ca import OwnCa

CONFIG = Path(__file__).parents[2] / "infra/gateways/envoy.yaml"
ENVOY = Path(sys.executable).parent / "envoy"
ENVOY_OPTIONS = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning")
PRINCIPAL = "spiffe://cluster/ns/edge/sa/envoy"
SECONDS = 20.0
AS_IT_IS: Mapping[str, str] = MappingProxyType({})
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Seen:
    """A request that reached the service; the names of its headers in lower case."""

    path: str
    headers: Headers
    body_bytes: int = 0


@contextmanager
def echo_service(seen: list[Seen] | None = None) -> Iterator[int]:
    """The port of a service that answers with the headers it got, and tells `seen` of each request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            length = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline().strip() or b"0", 16):
                    length += len(self.rfile.read(size + 2)) - 2
                self.rfile.readline()
            if seen is not None:
                headers = [(name.lower(), value) for name, value in self.headers.items()]
                seen.append(Seen(self.path, headers, length))
            body = json.dumps(list(self.headers.items())).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a gateway hangs up as it likes
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def code(self) -> str:
        return str(json.loads(self.text)["code"])

    @property
    def passed_on(self) -> Headers:
        """What the service got."""
        return [(name.lower(), value) for name, value in json.loads(self.text)]


class Gateway:
    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.putrequest("GET", path)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders()
            reply = connection.getresponse()
            told = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, told, reply.read().decode())
        finally:
            connection.close()


def certificates(folder: Path) -> dict[str, str]:
    """Writes the files of both sides, Envoy's called as in its configuration. The container's settings."""
    ca = OwnCa()
    ca.issue("keyrail.svc").write(folder, "keyrail")
    chain, key = ca.issue(PRINCIPAL).write(folder, "envoy")
    chain.rename(folder / "tls.crt")
    key.rename(folder / "tls.key")
    (folder / "ca.crt").write_bytes(ca.pem)
    (folder / "clients.json").write_text(json.dumps({PRINCIPAL: {"tenant": "system", "scopes": ["keys:validate"]}}))
    files = {"TLS_CERT": "keyrail.pem", "TLS_KEY": "keyrail.key", "CLIENT_CA": "ca.crt", "CLIENTS": "clients.json"}
    return {f"KEYRAIL_GRPC_{name}": str(folder / file) for name, file in files.items()}


@contextmanager
def envoy(
    folder: Path, tls: Path, containers: Sequence[int], service_port: int, edits: Mapping[str, str] = AS_IT_IS
) -> Iterator[Gateway]:
    """As infra/gateways/envoy.yaml says, but for ports, the folder of the certificates, and `edits`."""
    (port,) = free_ports(1)
    text = edited(CONFIG.read_text(), {"/etc/envoy/tls": str(tls), **edits})
    config: dict[str, Any] = yaml.safe_load(text)
    static = config["static_resources"]
    static["listeners"][0]["address"] = _address(port)
    for cluster, ports in zip(static["clusters"], (containers, [service_port]), strict=True):
        cluster["type"] = "STATIC"
        endpoints = [{"endpoint": {"address": _address(each)}} for each in ports]
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]
    file = folder / "envoy.json"
    file.write_text(json.dumps(config))
    command = [str(ENVOY), "-c", str(file), *ENVOY_OPTIONS]
    process = Child("envoy", command, {"HOME": str(folder)}, folder / "envoy.log")
    try:
        gateway = Gateway(port)
        wait_until(lambda: _answers(gateway), process)
        yield gateway
    finally:
        process.stop()


def edited(text: str, edits: Mapping[str, str]) -> str:
    """What a file says, and what is said here instead."""
    for told, used in edits.items():
        text = text.replace(told, used)
    return text


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _answers(gateway: Gateway) -> bool:
    """Envoy is up, and has found a container healthy: without a key its answer is then 401, before 503."""
    try:
        return gateway.get("/infer").status == 401
    except OSError:
        return False
