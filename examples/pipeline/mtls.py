"""gRPC where each side shows a certificate of one CA: the files that an agent keeps new, and calls between services."""

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from keyrail_client import Keyrail

THREADS = 8
CONNECTION_SECONDS = 5  # less than the life of a certificate: a connection shows the one that it began with
STOP_SECONDS = 5.0  # for calls under way
_OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_connection_age_ms", CONNECTION_SECONDS * 1000)]


class Tls:
    """tls.pem (certificate, then key) and ca.pem in a folder."""

    def __init__(self, folder: Path) -> None:
        self._pair, self._ca = folder / "tls.pem", folder / "ca.pem"
        self._seen = 0

    def stamp(self) -> int:
        """Another one once the certificate was renewed."""
        return self._pair.stat().st_mtime_ns

    def channel(self, address: str, name: str) -> grpc.Channel:
        pair = self._pair.read_bytes()
        credentials = grpc.ssl_channel_credentials(self._ca.read_bytes(), pair, pair)
        return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", name)])

    def server_credentials(self) -> grpc.ServerCredentials:
        """Asked before each handshake: one that was renewed is shown from then on, without a restart."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._renewed, require_client_authentication=True
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        self._seen = self.stamp()
        pair = self._pair.read_bytes()
        return grpc.ssl_server_certificate_configuration([(pair, pair)], self._ca.read_bytes())

    def _renewed(self) -> Any:
        return None if self.stamp() == self._seen else self._configuration()


class Peer:
    """The server at `address`, whose certificate says `name`; where DNS knows it by that name, they are the same."""

    def __init__(self, tls: Tls, address: str, name: str) -> None:
        self._tls, self._address, self._name = tls, address, name
        self._stamp, self._channel = tls.stamp(), tls.channel(address, name)

    def channel(self) -> grpc.Channel:
        """Another one once our certificate was renewed; calls under way end on the one before."""
        stamp = self._tls.stamp()
        if stamp != self._stamp:
            self._stamp, self._channel = stamp, self._tls.channel(self._address, self._name)
        return self._channel


class Guard:
    """Whoever comes through mTLS still needs a key with the scope: what the gateway has checked is checked again."""

    def __init__(self, keyrail: Keyrail) -> None:
        self._keyrail = keyrail

    def require(self, scope: str, context: grpc.ServicerContext) -> None:
        """Ends the call unless its metadata has such a key; fails closed where Keyrail can't say."""
        sent = dict(context.invocation_metadata())
        key = str(sent.get("authorization", "")).removeprefix("Bearer ") or str(sent.get("x-api-key", ""))
        try:
            verdict = self._keyrail.verdict(key, scope)
        except grpc.RpcError:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Keyrail does not answer")
        if verdict == "INSUFFICIENT_SCOPE":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, verdict)
        if verdict != "VALID":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, verdict)


def serve_until_stopped(address: str, tls: Tls, add: Callable[[grpc.Server], None]) -> None:
    """What `add` adds to a server, and the standard health service. SIGTERM lets calls under way end."""
    server = grpc.server(ThreadPoolExecutor(THREADS), options=_OPTIONS)
    add(server)
    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    server.add_secure_port(address, tls.server_credentials())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server.start()
    stop.wait()
    healthy.enter_graceful_shutdown()
    server.stop(STOP_SECONDS).wait()
