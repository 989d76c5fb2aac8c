"""functions-framework (Flask): the plain function that `functions/<op>/main.py` offers as `handler`."""

import io
import logging
import socket
import struct
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from keyrail.domain.errors import Internal, InvalidArgument, KeyrailError
from keyrail.telemetry import choose_correlation_id, correlation_id, log
from keyrail.triggers import probes
from keyrail.triggers.http_messages import HttpReply, HttpRequest
from keyrail.triggers.problems import TITLES, problem_reply

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    import flask
    from werkzeug.wrappers import Response

    from keyrail.ports import Services
    from keyrail.triggers.http_exchange import HttpFunction

_PIECE_SECONDS = 10  # a client that sends nothing for so long gets 408 and gives its thread back
_PIECE_TIMEVAL, _NO_TIMEVAL = (struct.pack("@ll", seconds, 0) for seconds in (_PIECE_SECONDS, 0))
_DRAIN_BYTES = 1024 * 1024  # of a body that is too large: read away, so that the client gets to see the 413


def http_function(
    *operations: str, services: Callable[[], "Services"] | None = None
) -> Callable[["flask.Request"], "Response"]:
    """One function may offer several operations; at a bare URL it is the first one, or the one that takes events.

    Nothing connects until the first request: gunicorn forks after import. Nothing heavy is imported either: the
    operations, and what they stand on, come with the first request but /livez, since they start as long as Flask.

    functions-framework imports a function within its application's context. There the function answers as WSGI
    middleware, ahead of Flask, whose routing, contexts and response are a third of an empty function's cost, and
    which would refuse some paths (a line break, /robots.txt) in HTML.
    """
    import flask

    own_probes = probes.Probes()

    @cache
    def loaded() -> tuple[Callable[[HttpRequest], "HttpFunction"], Callable[[], "Services"]]:
        from keyrail.bootstrap import process_services
        from keyrail.triggers.http_exchange import HttpFunction, chosen_function

        modules = [import_module(f"keyrail.operations.{operation}") for operation in operations]
        functions = [HttpFunction(module.OPERATION) for module in modules]
        if "validate_key" in operations:
            from keyrail.triggers.forward_auth import ForwardAuth

            functions.append(ForwardAuth())
        return partial(chosen_function, functions), services or process_services

    def wsgi_app(environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        request = _http_request(environ)
        reply = answer(request)
        headers = [*reply.headers.items(), ("Content-Length", str(len(reply.body)))]
        start_response(f"{reply.status} {TITLES[reply.status]}", headers)
        return [] if request.method == "HEAD" else [reply.body]

    def answer(request: HttpRequest) -> HttpReply:
        try:
            if request.path in probes.PATHS:
                return own_probes.answer(request, lambda: loaded()[1]())
            chosen, built = loaded()
            return chosen(request).answer(request, built())
        except KeyrailError as error:  # wrong settings: nothing works, and /readyz says so
            return _unserved(operations[0], request, error)
        except Exception as error:  # noqa: BLE001 - before dispatch, which lets nothing out; logged there
            return _unserved(operations[0], request, error)

    def handler(request: "flask.Request") -> "Response":
        try:
            return flask.Response.from_app(wsgi_app, request.environ)
        finally:
            _leave_nothing_to_read(request.environ)

    if flask.has_app_context():
        flask.current_app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # Flask's own way of adding middleware
    return handler


def _unserved(operation: str, request: HttpRequest, error: Exception) -> HttpReply:
    chosen = choose_correlation_id(request.header("traceparent"), request.header("x-correlation-id"))
    token = correlation_id.set(chosen)
    if not isinstance(error, KeyrailError):
        logging.getLogger("keyrail").error("unforeseen", exc_info=error)
        error = Internal(type(error).__name__)
    log(logging.ERROR, "request", operation=operation, code=error.code)
    correlation_id.reset(token)
    return problem_reply(error, chosen, {})


def _http_request(environ: dict[str, Any]) -> HttpRequest:
    return HttpRequest(
        method=environ["REQUEST_METHOD"],
        path=environ.get("PATH_INFO", ""),
        query=environ.get("QUERY_STRING", ""),
        header=lambda name: environ.get(_environ_name(name)),
        read_body=lambda limit: _read_body(environ, limit),
        ip=environ.get("REMOTE_ADDR"),
    )


@cache
def _environ_name(header: str) -> str:
    return "CONTENT_TYPE" if header == "content-type" else "HTTP_" + header.upper().replace("-", "_")


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


def _read_in_time(connection: Any, stream: Any, wanted: int) -> bytes:
    """The kernel keeps the time: socket.settimeout would hand the interpreter to another thread, twice a request."""
    if connection is None:  # not under gunicorn: a test client holds the whole body
        return bytes(stream.read(wanted))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PIECE_TIMEVAL)
    try:
        return bytes(stream.read(wanted))
    except BlockingIOError as error:
        raise InvalidArgument("The body did not arrive in time.", code="BODY_TOO_SLOW") from error
    finally:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _NO_TIMEVAL)


def _leave_nothing_to_read(environ: dict[str, Any]) -> None:
    """functions-framework reads what is left of a body into memory, however large, before it answers."""
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(), "0"
