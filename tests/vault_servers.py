"""Servers that misbehave as no real Vault would on demand: each is a thread on loopback, gone at the block's end."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@contextmanager
def answering(
    answer: Callable[[socket.socket], None], heads: list[str] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """An address where each request's head is read (into `heads`), and `answer` then does what it likes."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError):  # the client hung up, which is what most of these tests are about
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
                accepted.append(connection)
            while head := connection.recv(65536):
                if heads is not None:
                    heads.append(head.decode())
                answer(connection)

    def accept() -> None:
        with suppress(OSError):  # the listener was closed: the end of the test
            while True:
                connection, _ = listener.accept()
                accepted.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for each in [listener, *accepted]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def reply(status: str, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def drip(connection: socket.socket, text: bytes, seconds: float = 0.05) -> None:
    """One byte every `seconds`: a socket's own timeout never fires."""
    for byte in text:
        connection.sendall(bytes([byte]))
        time.sleep(seconds)


class LossyProxy:
    """Passes requests on to a real Vault; `lose(method, path)` says which of the answers are lost on the way back."""

    def __init__(self, vault_address: str) -> None:
        self.lose: Callable[[str, str], bool] = lambda method, path: False
        self.after_passing_on: Callable[[], None] = lambda: None
        self.lost: list[tuple[str, str]] = []
        self._vault = urlsplit(vault_address).netloc
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "LossyProxy":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                upstream = http.client.HTTPConnection(proxy._vault)
                upstream.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k != "Host"})
                answer = upstream.getresponse()
                content = answer.read()
                upstream.close()
                if proxy.lose(self.command, self.path):
                    proxy.after_passing_on()
                    proxy.lost.append((self.command, self.path))
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_LIST = pass_on

            def log_message(self, *_: object) -> None:
                pass

        return Handler
