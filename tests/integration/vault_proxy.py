"""A small HTTP proxy between functions and Vault, which sees every request and may act just before or after one."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """A request on its way to Vault."""

    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def is_write(self) -> bool:
        """Of a document: logins write nothing that anyone reads."""
        return self.method in ("POST", "PUT", "PATCH") and not self.path.startswith("/v1/auth/")


Answer = tuple[int, bytes]
"""Status and JSON."""


class Proxy:
    """`before` and `after` are called around the forwarding of each request; they may take time, or raise Cut.
    What `instead` answers is not forwarded at all."""

    def __init__(self) -> None:
        self.instead: Callable[[Asked], Answer | None] = lambda _: None
        self.before: Callable[[Asked], None] = lambda _: None
        self.after: Callable[[Asked], None] = lambda _: None
        self.address = ""


class Cut(Exception):
    """Nothing is answered; the connection ends."""


@contextmanager
def proxy_to(vault_address: str) -> Iterator[Proxy]:
    proxy, vault = Proxy(), urlsplit(vault_address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, self.headers, body)
            try:
                proxy.before(asked)
                status, answer = proxy.instead(asked) or _exchanged(asked)
                proxy.after(asked)
            except Cut:
                self.close_connection = True
                return
            self.send_response_only(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_LIST = do_POST = do_PUT = do_PATCH = do_DELETE = forward

    def _exchanged(asked: Asked) -> Answer:
        connection = http.client.HTTPConnection(vault.hostname or "", vault.port, timeout=20)
        try:
            connection.request(asked.method, asked.path, asked.body or None, dict(asked.headers.items()))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that were killed, on purpose
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    proxy.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def killed_at(
    proxy: Proxy,
    number: int,
    when: str,
    counts: Callable[[Asked], bool],
    kill: Callable[[], None],
    call: Callable[[], object],
) -> Asked | None:
    """Does `kill` in `call`, `when` ("before", "after") the `number`-th request that counts passes: that one. None
    where `call` came to its end before that."""
    seen, died_at = 0, None

    def maybe(asked: Asked) -> None:
        nonlocal seen, died_at
        seen += counts(asked)
        if counts(asked) and seen == number:
            died_at = asked
            kill()
            raise Cut

    setattr(proxy, when, maybe)
    try:
        call()
    except (ConnectionError, http.client.HTTPException):
        assert died_at is not None
    finally:
        setattr(proxy, when, lambda _: None)
    return died_at
