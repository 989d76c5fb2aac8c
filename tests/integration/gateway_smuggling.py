"""Requests that two servers in a row might read differently, sent byte by byte.

{key} is a live key without scopes. Whoever reads any of these so that /infer is reached with it, or that an identity
comes from the client, lets in what should not be.
"""

import socket
import time
from urllib.parse import unquote

from gateway_vectors import faults_of_identity
from gateway_world import Seen

ANSWER_SECONDS = 0.6
_HIDDEN = "GET /infer/hidden HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nX-Keyrail-Scopes: evil\r\n\r\n"
_POST = "POST /any HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
_GET = "GET /any HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"


def _with_hidden(*lines: str, before: str = "0\r\n\r\n") -> str:
    return _POST + "".join(f"{line}\r\n" for line in lines) + "\r\n" + before + _HIDDEN


def _get(target: str, *lines: str) -> str:
    return (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nX-API-Key: {{key}}\r\n"
        + "".join(f"{each}\r\n" for each in lines)
        + "\r\n"
    )


CORPUS: dict[str, str] = {
    # where a body ends
    "length and chunks": _with_hidden("Content-Length: {length}", "Transfer-Encoding: chunked"),
    "chunks and a short length": _with_hidden("Transfer-Encoding: chunked", "Content-Length: 5"),
    "chunks and no length": _with_hidden("Transfer-Encoding: chunked"),
    "a space before the colon": _with_hidden("Transfer-Encoding : chunked", "Content-Length: {length}"),
    "unknown coding": _with_hidden("Transfer-Encoding: xchunked", "Content-Length: {length}"),
    "identity after chunked": _with_hidden("Transfer-Encoding: chunked, identity", "Content-Length: {length}"),
    "two codings": _with_hidden("Transfer-Encoding: chunked", "Transfer-Encoding: x", "Content-Length: {length}"),
    "a tab in the coding": _with_hidden("Transfer-Encoding:\x0bchunked", "Content-Length: {length}"),
    "a folded coding": _with_hidden("Transfer-Encoding:\r\n chunked", "Content-Length: {length}"),
    "an underscore in the name": _with_hidden("Transfer_Encoding: chunked", "Content-Length: {length}"),
    "two lengths": _with_hidden("Content-Length: 5", "Content-Length: {length}"),
    "two lengths in one": _with_hidden("Content-Length: 5, {length}"),
    "a signed length": _with_hidden("Content-Length: +5"),
    "a length in hex": _with_hidden("Content-Length: 0x5"),
    "chunks in HTTP/1.0": _with_hidden("Transfer-Encoding: chunked").replace("HTTP/1.1", "HTTP/1.0", 1),
    "a chunk size with a sign": _with_hidden("Transfer-Encoding: chunked", before="+0\r\n\r\n"),
    "a chunk size that overflows": _with_hidden("Transfer-Encoding: chunked", before="10000000000000000\r\n\r\n"),
    "a chunk that ends in LF": _with_hidden("Transfer-Encoding: chunked", before="0\n\n"),
    "a chunk extension": _with_hidden("Transfer-Encoding: chunked", before='0;x="\r\n\r\n"\r\n\r\n'),
    "a length on a GET": (_GET + "Content-Length: {length}\r\n\r\n0\r\n\r\n") + _HIDDEN,
    "expect": _with_hidden("Expect: 100-continue", "Content-Length: {length}"),
    "an upgrade": _GET + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + _HIDDEN,
    "an upgrade to h2c": _GET
    + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
    + _HIDDEN,
    "two requests at once": _get("/any") + _HIDDEN,
    # what a header says
    "a folded header": _get("/any", "X-A: a", " X-Keyrail-Scopes: evil"),
    "a folded key": "GET /infer HTTP/1.1\r\nHost: x\r\nX-API-Key:\r\n {key}\r\n\r\n",
    "a space before an identity": _get("/any", "X-Keyrail-Scopes : evil"),
    "a bare CR": _get("/any", "X-A: a\rX-Keyrail-Scopes: evil"),
    "a bare LF": _get("/any", "X-A: a\nX-Keyrail-Scopes: evil"),
    "a NUL": _get("/any", "X-A: a\x00X-Keyrail-Scopes: evil"),
    "no name": _get("/any", ": evil", "X-Keyrail-Scopes: evil"),
    "identities as hop by hop": _get("/any", "Connection: close, X-Keyrail-Key-Id, X-Keyrail-Scopes, X-Real-IP"),
    "the gateway's as hop by hop": _get("/infer", "Connection: X-Keyrail-Gateway-Key, X-API-Key, X-Forwarded-For"),
    "two hosts": _get("/any", "Host: keyrail"),
    "an own gateway key": _get("/any", "X-Keyrail-Gateway-Key: {key}", "X-Keyrail-Gateway-Key: evil"),
    "another target": _get("/any", "X-Original-URL: /infer", "X-Rewrite-URL: /infer", "X-Forwarded-Uri: /infer"),
    "another method": _get("/infer", "X-HTTP-Method-Override: OPTIONS", "X-Forwarded-Method: GET"),
    # which route it is
    "absolute form": _get("http://x/infer"),
    "absolute form of another host": _get("http://keyrail/v1/authorize"),
    "absolute form without a path": _get("http://x"),
    "authority form": _get("x:80"),
    "asterisk form": "OPTIONS * HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n",
    "the question itself": _get("/keyrail/authorize"),
    "the question's route": _get("/v1/authorize"),
    **{
        f"the path {path}": _get(path)
        for path in (
            "/any/..%2finfer",
            "/any%2f..%2finfer",
            "/any/%2e%2e/infer",
            "/any/../infer",
            "/any/./../infer",
            "//infer",
            "/.//infer",
            "/./infer",
            "/%69nfer",
            "/%49nfer/../infer",
            "/any/..;/infer",
            "/any/..;x=1/infer",
            "\\infer",
            "/any\\..\\infer",
            "/any%5c..%5cinfer",
            "/%2finfer",
            "/infer%00",
            "/infer%20",
            "/healthz/../infer",
            "/healthz%2f..%2finfer",
            "/healthz/..%2finfer",
            "/healthz?/../infer",
            "/healthz#/../infer",
            "/any#/../infer",
            "/any?/../infer",
            "/%u002finfer",
            "/%c0%afinfer",
            "/data/../infer",
        )
    },
}


def send(port: int, request: str, key: str) -> bytes:
    """All that comes back within a moment, or until the gateway hangs up."""
    hidden = len("0\r\n\r\n" + _HIDDEN.format(key=key))
    data = request.replace("{length}", str(hidden)).replace("{key}", key).encode("latin-1")
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(data)
        connection.settimeout(0.08)
        return _received(connection)


def _received(connection: socket.socket) -> bytes:
    answer, ends_at = b"", time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < ends_at:
        try:
            piece = connection.recv(65536)
        except TimeoutError:
            if answer:  # it waits for more of ours
                return answer
            continue
        except ConnectionResetError:
            return answer
        if not piece:
            return answer
        answer += piece
    return answer


def let_in(seen: list[Seen], key_id: str) -> list[str]:
    """What should not have reached the service."""
    faults = [f"{each.path} was reached" for each in seen if _is_guarded(each.path)]
    return faults + [str(fault) for each in seen for fault in faults_of_identity(each.headers, {key_id})]


def _is_guarded(path: str) -> bool:
    """Also where the service would read the path in some other way than the gateway."""
    plain = unquote(unquote(path)).partition("?")[0].replace("\\", "/").lower()
    parts: list[str] = []
    for part in plain.split("/"):
        name = part.partition(";")[0]
        if name == "..":
            parts = parts[:-1]
        elif name not in ("", "."):
            parts.append(name)
    return bool(parts) and parts[0].startswith("infer")
