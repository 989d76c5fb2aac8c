"""functions-framework (Flask): the plain function that `functions/<op>/main.py` offers as `handler`."""

import io
import socket
import struct
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from keyrail.domain.errors import InvalidArgument
from keyrail.triggers import probes
from keyrail.triggers.http_messages import HttpReply, HttpRequest
from keyrail.triggers.problems import TITLES
from keyrail.triggers.served import Served

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    import flask
    from werkzeug.wrappers import Response

_PIECE_SECONDS = 10  # a client that sends nothing for so long gets 408 and gives its thread back
_PIECE_TIMEVAL, _NO_TIMEVAL = (struct.pack("@ll", seconds, 0) for seconds in (_PIECE_SECONDS, 0))
_DRAIN_BYTES = 1024 * 1024  # of a body that is too large: read away, so that the client gets to see the 413


def http_function(served: Served) -> Callable[["flask.Request"], "Response"]:
    """functions-framework imports a function within its application's context. There the function answers as WSGI
    middleware, ahead of Flask, whose routing, contexts and response are a third of an empty function's cost, and
    which would refuse some paths (a line break, /robots.txt) in HTML.

    Where nobody has imported Flask, as on Lambda, this does not either.
    """
    own_probes = probes.Probes()

    def wsgi_app(environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        request = _http_request(environ)
        reply = answer(request)
        headers = [*reply.headers.items(), ("Content-Length", str(len(reply.body)))]
        start_response(f"{reply.status} {TITLES[reply.status]}", headers)
        return [] if request.method == "HEAD" else [reply.body]

    def answer(request: HttpRequest) -> HttpReply:
        if request.path not in probes.PATHS:
            return served.answer(request)
        try:
            return own_probes.answer(request, served.services)
        except Exception as error:  # noqa: BLE001 - logged there
            return served.unserved(request.header, error)

    def handler(request: "flask.Request") -> "Response":
        import flask

        try:
            return flask.Response.from_app(wsgi_app, request.environ)
        finally:
            _leave_nothing_to_read(request.environ)

    loaded_flask: Any = sys.modules.get("flask")
    if loaded_flask is not None and loaded_flask.has_app_context():
        loaded_flask.current_app.wsgi_app = wsgi_app  # Flask's own way of adding middleware
    return handler


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
