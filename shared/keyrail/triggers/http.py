"""functions-framework (Flask): the plain function that `functions/<op>/main.py` offers as `handler`."""

import io
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keyrail.bootstrap import process_services
from keyrail.domain.errors import InvalidArgument, KeyrailError
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.telemetry import choose_correlation_id, correlation_id, log
from keyrail.triggers import probes
from keyrail.triggers.http_exchange import HttpFunction, HttpReply, HttpRequest, problem_reply

if TYPE_CHECKING:
    import flask

_PIECE_SECONDS = 10.0  # a client that sends nothing for so long gets 408 and gives its thread back
_DRAIN_BYTES = 1024 * 1024  # of a body that is too large: read away, so that the client gets to see the 413


def http_function(
    operation: Operation, services: Callable[[], Services] = process_services
) -> Callable[["flask.Request"], "flask.Response"]:
    """Nothing connects until the first request: gunicorn forks after import."""
    function, own_probes = HttpFunction(operation), probes.Probes()

    def handler(request: "flask.Request") -> "flask.Response":
        http_request = _http_request(request.environ)
        is_probe = http_request.path in probes.PATHS
        try:
            reply = own_probes.answer(http_request, services) if is_probe else answer(http_request)
        finally:
            _leave_nothing_to_read(request.environ)
        return _response(reply)

    def answer(request: HttpRequest) -> HttpReply:
        try:
            built = services()
        except KeyrailError as error:  # wrong settings: nothing works, and /readyz says so
            return _unserved(operation, request, error)
        return function.answer(request, built)

    _answer_what_the_framework_would(handler)
    return handler


def _answer_what_the_framework_would(handler: Callable[["flask.Request"], "flask.Response"]) -> None:
    """A path with a line break, /robots.txt and /favicon.ico, in HTML: they are ours to refuse too."""
    import functions_framework  # loaded already where it serves us

    def not_found(_error: Exception) -> "flask.Response":
        import flask

        return handler(flask.request)

    functions_framework.errorhandler(404)(not_found)


def _unserved(operation: Operation, request: HttpRequest, error: KeyrailError) -> HttpReply:
    chosen = choose_correlation_id(request.header("traceparent"), request.header("x-correlation-id"))
    token = correlation_id.set(chosen)
    log(logging.ERROR, "request", operation=operation.name, code=error.code)
    correlation_id.reset(token)
    return problem_reply(error, chosen, {})


def _http_request(environ: dict[str, Any]) -> HttpRequest:
    def header(name: str) -> str | None:
        found: str | None = environ.get("HTTP_" + name.upper().replace("-", "_"))
        return environ.get("CONTENT_TYPE") if name == "content-type" else found

    return HttpRequest(
        method=environ["REQUEST_METHOD"],
        path=environ.get("PATH_INFO", ""),
        query=environ.get("QUERY_STRING", ""),
        header=header,
        read_body=lambda limit: _read_body(environ, limit),
        ip=environ.get("REMOTE_ADDR"),
    )


def _read_body(environ: dict[str, Any], limit: int) -> bytes:
    length, stream = environ.get("CONTENT_LENGTH") or None, environ["wsgi.input"]
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""
    if length is not None and not length.isdecimal():
        raise InvalidArgument("Content-Length is not a number.", code="MALFORMED_REQUEST")
    wanted = limit if length is None else int(length)
    if wanted > limit:
        stream.read(min(wanted, _DRAIN_BYTES))
        raise InvalidArgument(f"The body has more than {limit - 1} bytes.", code="BODY_TOO_LARGE")
    body = _read_in_time(environ.get("gunicorn.socket"), stream, wanted)
    if length is not None and len(body) < wanted:
        raise InvalidArgument("The body is shorter than its Content-Length.", code="MALFORMED_REQUEST")
    return body


def _read_in_time(socket: Any, stream: Any, wanted: int) -> bytes:
    if socket is None:  # not under gunicorn: a test client holds the whole body
        return bytes(stream.read(wanted))
    usual_timeout = socket.gettimeout()
    socket.settimeout(_PIECE_SECONDS)
    try:
        return bytes(stream.read(wanted))
    except TimeoutError as error:
        raise InvalidArgument("The body did not arrive in time.", code="BODY_TOO_SLOW") from error
    finally:
        socket.settimeout(usual_timeout)


def _leave_nothing_to_read(environ: dict[str, Any]) -> None:
    """functions-framework reads what is left of a body into memory, however large, before it answers."""
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(), "0"


def _response(reply: HttpReply) -> "flask.Response":
    import flask

    return flask.Response(reply.body, reply.status, reply.headers)
