"""HTTP as Lambda's callers tell it: API Gateway's HTTP APIs and function URLs (payload 2.0), its REST APIs and payload
1.0, and Application Load Balancers, with or without multi-value headers.

Shapes: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlencode

from keyrail.domain.errors import InvalidArgument
from keyrail.triggers.http_messages import HttpReply, HttpRequest
from keyrail.triggers.problems import TITLES
from keyrail.triggers.served import Served

Header = Callable[[str], str | None]


def is_http_event(event: Mapping[str, Any]) -> bool:
    """An authorizer's event has a method too, and a `type`."""
    context = event.get("requestContext")
    return isinstance(context, dict) and ("http" in context or "httpMethod" in event) and "type" not in event


def answer(served: Served, event: dict[str, Any], context: Any) -> dict[str, Any]:
    try:
        request = request_of(event, own_id(context))
    except InvalidArgument as error:
        return response_to(served.unserved(own_id(context), error), event)
    return response_to(served.answer(request), event)


def request_of(event: Mapping[str, Any], own: Header) -> HttpRequest:
    """Raises: InvalidArgument where the event is not of the documented shape."""
    context = part(event, "requestContext", dict)
    is_2 = "http" in context
    http = part(context, "http", dict) if is_2 else event
    path = part(event, "rawPath" if is_2 else "path", str)
    header = header_of(event, own)
    return HttpRequest(
        method=part(http, "method" if is_2 else "httpMethod", str),
        path=unquote(_without_stage(path, context.get("stage")) if is_2 else path),
        query=part(event, "rawQueryString", str, "") if is_2 else _query(event, is_encoded="elb" in context),
        header=header,
        read_body=lambda limit: _body(event, limit),
        ip=ip_of(context, header),
    )


def response_to(reply: HttpReply, event: Mapping[str, Any]) -> dict[str, Any]:
    """A load balancer with multi-value headers takes no others, and wants the status in words."""
    context = event.get("requestContext")
    is_balancer = isinstance(context, dict) and "elb" in context
    told: dict[str, Any] = {
        "statusCode": reply.status,
        "headers": reply.headers,
        "body": reply.body.decode(),
        "isBase64Encoded": False,
    }
    if is_balancer:
        told["statusDescription"] = f"{reply.status} {TITLES[reply.status]}"
    if is_balancer and "multiValueHeaders" in event:
        told["multiValueHeaders"] = {name: [value] for name, value in told.pop("headers").items()}
    return told


def own_id(context: Any) -> Header:
    """A look-up that knows no header but the correlation id of this call, which is Lambda's own."""
    request_id = getattr(context, "aws_request_id", None)
    return lambda name: request_id if name == "x-correlation-id" and isinstance(request_id, str) else None


def header_of(event: Mapping[str, Any], own: Header) -> Header:
    """By lower-case name; of one that came several times all, separated by commas. Without X-Correlation-ID the id is
    the gateway's, or of the trace that a load balancer began, so that their logs and ours can be joined."""
    multi: dict[str, Any] = part(event, "multiValueHeaders", dict, {})
    found: dict[str, str] = {}
    for name, value in [*multi.items(), *_only_single(event, multi)]:
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str) for each in values):
            raise _malformed("headers")
        before = [found[name.lower()]] if name.lower() in found else []
        found[name.lower()] = ",".join([*before, *values])
    given = _gateway_id(part(event, "requestContext", dict, {}), found) or own("x-correlation-id")
    if given is not None:
        found.setdefault("x-correlation-id", given)
    return found.get


def _only_single(event: Mapping[str, Any], multi: Mapping[str, Any]) -> list[tuple[str, Any]]:
    single: dict[str, Any] = part(event, "headers", dict, {})
    return [(name, value) for name, value in single.items() if name not in multi]


def _gateway_id(context: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    """HTTP APIs pad theirs with `=`, which no correlation id has."""
    request_id = context.get("requestId")
    if isinstance(request_id, str):
        return request_id.rstrip("=")
    root = headers.get("x-amzn-trace-id", "").partition("Root=")[2].partition(";")[0]
    return root or None


def ip_of(context: Mapping[str, Any], header: Header) -> str | None:
    """None also where it is no address: keys that are bound to networks are then refused. A load balancer appends the
    client's to X-Forwarded-For; what stands before it is the client's own word."""
    told: Any = (header("x-forwarded-for") or "").rpartition(",")[2].strip() if "elb" in context else None
    for name in ("http", "identity"):
        if isinstance(context.get(name), dict):
            told = context[name].get("sourceIp")
    try:
        return str(ipaddress.ip_address(told)) if isinstance(told, str) else None
    except ValueError:
        return None


def _without_stage(path: str, stage: object) -> str:
    """Payload 2.0 puts the stage before the path, but for the one called $default."""
    prefix = f"/{stage}"
    return path.removeprefix(prefix) or "/" if path == prefix or path.startswith(f"{prefix}/") else path


def _query(event: Mapping[str, Any], *, is_encoded: bool) -> str:
    """REST APIs decode what they pass on, load balancers do not."""
    multi = part(event, "multiValueQueryStringParameters", dict, None)
    given = part(event, "queryStringParameters", dict, {}) if multi is None else multi
    pairs = [(name, each) for name, value in given.items() for each in (value if isinstance(value, list) else [value])]
    if not all(isinstance(value, str) for _, value in pairs):
        raise _malformed("queryStringParameters")
    try:
        return "&".join(f"{name}={value}" for name, value in pairs) if is_encoded else urlencode(pairs)
    except UnicodeEncodeError as error:
        raise _malformed("queryStringParameters") from error


def _body(event: Mapping[str, Any], limit: int) -> bytes:
    text: str = part(event, "body", str, "")
    if part(event, "isBase64Encoded", bool, False):
        try:
            return base64.b64decode(text[: 4 * (limit // 3 + 1)], validate=True)[:limit]
        except (binascii.Error, ValueError) as error:
            raise InvalidArgument("The body is not base64.", code="MALFORMED_REQUEST") from error
    return text[:limit].encode("utf-8", "surrogatepass")[:limit]  # JSON's reader refuses half a pair


def part(of: Mapping[str, Any], name: str, kind: type, *default: Any) -> Any:
    """`of[name]`, or `default` where it is missing or null. Raises: InvalidArgument where it is of another kind."""
    value = of.get(name)
    if value is None and default:
        return default[0]
    if not isinstance(value, kind):
        raise _malformed(name)
    return value


def _malformed(name: str) -> InvalidArgument:
    return InvalidArgument(f"The event's {name} is not of the documented shape.", code="MALFORMED_REQUEST")
