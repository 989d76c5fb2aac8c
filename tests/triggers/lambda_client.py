"""A function behind each of Lambda's callers, as a client of theirs would see it. Events begin as the recorded ones in
lambda_events, which have the fields that AWS documents with the values of a deployment."""

import base64
import copy
import json
import runpy
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.test import EnvironBuilder, TestResponse
from werkzeug.wrappers import Request

from keyrail.dev.functions import find_functions, function_of_operation

EVENTS = Path(__file__).parent / "lambda_events"
SHAPES = (
    "http_api",
    "http_api_stage",
    "http_api_payload_1",
    "function_url",
    "rest_api",
    "load_balancer",
    "load_balancer_multi_value",
)


@dataclass(frozen=True)
class Context:
    """What of Lambda's own we read."""

    aws_request_id: str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    milliseconds_left: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds_left


def recorded(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@cache
def _handlers() -> dict[str, Callable[[Any, Any], Any]]:
    """By the operation's name; each function is loaded once, as one instance of Lambda has it."""
    mains = find_functions(Path("functions"))
    loaded = {name: runpy.run_path(str(main))["lambda_handler"] for name, main in mains.items()}
    return {operation: loaded[name] for operation, name in function_of_operation(mains).items()}


def handler_of(operation: str) -> Callable[[Any, Any], Any]:
    return _handlers()[operation]


class LambdaClient:
    """Takes messages as werkzeug's client does, and answers as that."""

    def __init__(self, shape: str, operation: str) -> None:
        self.shape, self._handler = shape, handler_of(operation)

    def open(self, **message: Any) -> TestResponse:
        environ = EnvironBuilder(**message)
        reply = self._handler(event_of(self.shape, environ), Context())
        headers = [(name, each) for name, values in _headers_of(reply).items() for each in values]
        response = TestResponse(
            [reply["body"].encode()], str(reply["statusCode"]), headers, Request(environ.get_environ())
        )
        assert reply["isBase64Encoded"] is False
        return response

    def post(self, path: str, **message: Any) -> TestResponse:
        return self.open(path=path, method="POST", **message)


def _headers_of(reply: dict[str, Any]) -> dict[str, list[str]]:
    if "multiValueHeaders" in reply:
        assert "headers" not in reply
        return dict(reply["multiValueHeaders"])
    return {name: [value] for name, value in reply["headers"].items()}


def event_of(shape: str, environ: EnvironBuilder) -> dict[str, Any]:
    event = copy.deepcopy(recorded(shape))
    _put_headers(event, [(name, value) for name, value in environ.headers if name != "Content-Length"])
    _put_body(event, environ.get_environ()["wsgi.input"].read(), always_encoded=shape == "function_url")
    _put_source(event, environ.get_environ().get("REMOTE_ADDR", "127.0.0.1"), secrets.token_hex(16))
    if "http" in event["requestContext"]:
        _put_head_2(event, shape, environ)
    else:
        _put_head_1(event, environ)
    return event


def _put_source(event: dict[str, Any], ip: str, request_id: str) -> None:
    """Whose request it is, and what the gateway calls it."""
    context = event["requestContext"]
    for place in ("http", "identity"):
        if place in context:
            context[place]["sourceIp"] = ip
    if "elb" not in context:
        context["requestId"] = f"{request_id}="
        return
    _put_headers(event, [("x-amzn-trace-id", f"Root={request_id}"), ("x-forwarded-for", f"10.0.0.1, {ip}")])


def _put_head_2(event: dict[str, Any], shape: str, environ: EnvironBuilder) -> None:
    event["rawPath"] = f"/prod{environ.path}" if shape == "http_api_stage" else environ.path
    event["rawQueryString"] = environ.query_string
    event["requestContext"]["http"] |= {"method": environ.method, "path": event["rawPath"]}


def _put_head_1(event: dict[str, Any], environ: EnvironBuilder) -> None:
    """REST APIs decode the query; a load balancer passes it on as it came."""
    event |= {"httpMethod": environ.method, "path": environ.path}
    query = environ.query_string
    if "elb" in event["requestContext"]:
        pairs = [(name, value) for name, _, value in (each.partition("=") for each in query.split("&") if each)]
    else:
        pairs = parse_qsl(query, keep_blank_values=True)
    event["queryStringParameters"] = dict(pairs) or None
    if "multiValueQueryStringParameters" in event:
        event["multiValueQueryStringParameters"] = _listed(pairs) or None


def _put_headers(event: dict[str, Any], headers: list[tuple[str, str]]) -> None:
    """Single ones are joined where the gateway has one payload for all, and the last one wins where it has two."""
    if "http" in event["requestContext"] or ("version" not in event and "resource" not in event):
        headers = [(name.lower(), value) for name, value in headers]
    if "headers" in event:
        joined = {name: ",".join(values) for name, values in _listed(headers).items()}
        event["headers"] |= dict(headers) if "multiValueHeaders" in event else joined
    if "multiValueHeaders" in event:
        event["multiValueHeaders"] |= _listed(headers)


def _listed(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for name, _ in pairs)
    return {name: [value for other, value in pairs if other == name] for name in names}


def _put_body(event: dict[str, Any], body: bytes, *, always_encoded: bool) -> None:
    """What is no text is encoded by every one of them."""
    text = _text(body)
    is_encoded = always_encoded or text is None
    event["body"] = base64.b64encode(body).decode() if is_encoded else text or None
    event["isBase64Encoded"] = is_encoded


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
