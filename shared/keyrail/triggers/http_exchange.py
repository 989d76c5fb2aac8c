"""One HTTP request to one reply, for any server: functions-framework, Lambda, a test.

route and method -> headers -> body -> dispatch -> JSON, or problem+json
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

from keyrail import tracing
from keyrail.domain.errors import InvalidArgument
from keyrail.domain.key_format import ANY_KEY
from keyrail.operations.operation import Route
from keyrail.ports import Services
from keyrail.telemetry import choose_correlation_id, holds_imported_key
from keyrail.triggers.cloud_events import data_of_structured_event, is_event, is_structured_event
from keyrail.triggers.dispatch import Call, Outcome, dispatch
from keyrail.triggers.eventbridge import data_of_scheduled_event, is_eventbridge_event
from keyrail.triggers.headers import credential_of, sunset_headers
from keyrail.triggers.http_messages import HttpReply, HttpRequest
from keyrail.triggers.problems import problem_reply
from keyrail.triggers.strict_json import MAX_BODY_BYTES, parse_object

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TRACE_CONTEXT = ("traceparent", "tracestate")  # https://www.w3.org/TR/trace-context/
_JSON = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
_PATCH = re.compile(r'application/(merge-patch\+)?json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)  # RFC 7396


class HttpRoute(ABC):
    """Something offered at its route, and at `/` for a bare function URL."""

    def __init__(self, operation: Route) -> None:
        self.operation = operation
        self.path = operation.path
        self.route = re.compile(operation.route())

    def answer(self, request: HttpRequest, services: Services) -> HttpReply:
        """Within a span of its own, where traces are collected."""
        if tracing.tracer is None:
            return self.answered(request, services)
        carrier = {name: text for name in _TRACE_CONTEXT if (text := request.header(name)) is not None}
        told = self._told(request)
        name = f"{told['http.request.method']} {told.get('http.route', '')}".rstrip()
        with tracing.tracer.serve(name, carrier, told) as span:
            reply = self.answered(request, services)
            span.put("http.response.status_code", reply.status)
            if reply.status >= 500:
                span.fail(str(reply.status))
            return reply

    def _told(self, request: HttpRequest) -> dict[str, str]:
        """https://opentelemetry.io/docs/specs/semconv/http/http-spans/ Nothing in it is the client's text, which might
        be a secret at the wrong place: the path is told as its route, where it has one."""
        told = {"http.request.method": request.method if request.method in _METHODS else "_OTHER"}
        if request.path == "/":
            return told | {"http.route": "/", "url.path": "/"}
        if self.route.fullmatch(request.path):
            return told | {"http.route": self.path, "url.path": self.path}
        return told

    @abstractmethod
    def answered(self, request: HttpRequest, services: Services) -> HttpReply:
        """Never raises."""


class HttpOperation(HttpRoute):
    """One operation. At a bare function URL its path's fields come in the body, or in the query of a GET."""

    header_fields: Sequence[tuple[str, str]] = ()

    @abstractmethod
    def request_of(self, payload: dict[str, Any], *, from_strings: bool) -> Any:
        """`from_strings`: it came in a query. Raises: InvalidArgument."""

    @abstractmethod
    def body_of(self, reply: Any) -> bytes:
        """As JSON."""

    def status_and_headers_of(self, reply: Any) -> tuple[int, dict[str, str]]:  # noqa: ARG002  others look
        return self.operation.success_status, {}

    def answered(self, request: HttpRequest, services: Services) -> HttpReply:
        correlation_id = choose_correlation_id(request.header("traceparent"), request.header("x-correlation-id"))
        exchange = _Exchange(self, request)
        call = Call(correlation_id, exchange.credential, request.ip, exchange.parsed)
        outcome = dispatch(self.operation, call, services)
        if outcome.error is not None:
            allow = {"Allow": ", ".join(self.methods(request.path))}
            headers = sunset_headers(outcome) | (allow if outcome.error.code == "METHOD_NOT_ALLOWED" else {})
            return problem_reply(outcome.error, correlation_id, headers)
        return self._success(outcome, correlation_id)

    def methods(self, path: str) -> tuple[str, ...]:
        """What is taken at a path that is served: at a bare URL also POST, with every field in the body."""
        own = self.operation.method
        return (own, "POST") if path == "/" and own != "POST" else (own,)

    def _success(self, outcome: Outcome, correlation_id: str) -> HttpReply:
        status, own = self.status_and_headers_of(outcome.reply)
        headers = sunset_headers(outcome) | {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "X-Correlation-ID": correlation_id,
        }
        return HttpReply(status, self.body_of(outcome.reply), headers | own)


def chosen_function(functions: Sequence[HttpRoute], request: HttpRequest) -> HttpRoute:
    """By route, else whichever takes an event that this is, else the first."""
    for function in functions:
        if function.route.fullmatch(request.path):
            return function
    if is_event(request.header):
        return next((function for function in functions if function.operation.takes_events), functions[0])
    return functions[0]


class _Exchange:
    """The parts of one request, read in the order in which dispatch asks for them: the body only of a caller who
    has some business here."""

    __slots__ = ("_function", "_path_fields", "_request")

    def __init__(self, function: HttpOperation, request: HttpRequest) -> None:
        self._function, self._request = function, request
        self._path_fields: dict[str, str] = {}

    def credential(self) -> str | None:
        """Raises: InvalidArgument on a wrong route or method, Unauthenticated on a header that can't be read."""
        request, operation = self._request, self._function.operation
        if holds_key(request.path) or holds_key(unquote(request.query)):
            text = "A key was sent in the URL, where servers log it. Rotate it, and send it in a header or the body."
            raise InvalidArgument(text, code="KEY_IN_URL")
        match = self._function.route.fullmatch(request.path)
        if match is None and request.path != "/":
            raise InvalidArgument("This function has no such route.", code="NO_SUCH_ROUTE")
        if request.method != operation.method and request.method not in self._function.methods(request.path):
            raise InvalidArgument(f"This function takes {operation.method}.", code="METHOD_NOT_ALLOWED")
        self._path_fields = match.groupdict() if match else {}
        return credential_of(request.header)

    def parsed(self) -> Any:
        request = self._request
        is_get = request.method == "GET"
        payload = _from_query(request) if is_get else _from_body(request, self._function.operation)
        for name, text in self._given_outside().items():
            if payload.setdefault(name, text) != text:
                raise InvalidArgument(f"{name} is given twice, and differs.", code="MALFORMED_REQUEST")
        return self._function.request_of(payload, from_strings=is_get)

    def _given_outside(self) -> dict[str, str]:
        """Fields from the path and from headers."""
        headers = ((name, self._request.header(header)) for name, header in self._function.header_fields)
        return self._path_fields | {name: value for name, value in headers if value is not None}


def holds_key(text: str) -> bool:
    return ANY_KEY.search(text) is not None or holds_imported_key(text)


def _from_query(request: HttpRequest) -> dict[str, Any]:
    if request.read_body(MAX_BODY_BYTES + 1):
        raise InvalidArgument("A GET has no body here.", code="MALFORMED_REQUEST")
    return pairs_of_query(request)


def pairs_of_query(request: HttpRequest) -> dict[str, str]:
    """Raises: InvalidArgument where a name comes twice."""
    try:
        pairs = parse_qsl(request.query, keep_blank_values=True, strict_parsing=bool(request.query), errors="strict")
    except ValueError as error:
        raise InvalidArgument("The query is malformed.", code="MALFORMED_REQUEST") from error
    if len(dict(pairs)) != len(pairs):
        raise InvalidArgument("The query names a field twice.", code="MALFORMED_REQUEST")
    return dict(pairs)


def _from_body(request: HttpRequest, operation: Route) -> dict[str, Any]:
    if request.query:
        raise InvalidArgument("This takes its fields in the body, not in a query.", code="MALFORMED_REQUEST")
    body = request.read_body(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise InvalidArgument(f"The body has more than {MAX_BODY_BYTES} bytes.", code="BODY_TOO_LARGE")
    content_type = (request.header("content-type") or "").strip()
    if operation.takes_events and is_structured_event(content_type):
        return data_of_structured_event(parse_object(body))
    types = _PATCH if operation.method == "PATCH" else _JSON
    if body and not types.fullmatch(content_type):
        raise InvalidArgument("Send the body as application/json.", code="UNSUPPORTED_MEDIA_TYPE")
    if request.header("content-encoding") not in (None, "", "identity"):
        raise InvalidArgument("Send the body as it is, not compressed.", code="UNSUPPORTED_MEDIA_TYPE")
    payload = parse_object(body)
    if operation.takes_events and is_eventbridge_event(payload):
        return data_of_scheduled_event(payload)
    return payload
