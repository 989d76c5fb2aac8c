"""`python -m keyrail.triggers.grpc_server`: every operation over gRPC, in one process of threads.

One process, since grpc's own threads don't survive a fork: more of it is more containers. SIGTERM drains:

    NOT_SERVING ── notice ──▶ no new calls, GOAWAY ── calls under way end, at most drain seconds ──▶ exit 0
"""

import gc
import logging
import signal
import sys
import threading
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from keyrail.bootstrap import process_services
from keyrail.domain.errors import Internal, KeyrailError
from keyrail.operations.catalogue import CATALOGUE
from keyrail.ports import Services
from keyrail.settings import Settings, load_settings
from keyrail.telemetry import hold_request_lines, log
from keyrail.triggers import grpc_api, grpc_ext_authz
from keyrail.triggers.grpc_calls import Limits, Serving, Streams, Threads
from keyrail.triggers.grpc_health import MAX_WATCHERS, Health
from keyrail.triggers.grpc_probe_port import ProbePort
from keyrail.triggers.grpc_security import security_of
from keyrail.triggers.probes import Probes

HEALTH, REFLECTION = "grpc.health.v1.Health", reflection.SERVICE_NAME
_CONNECTION_GRACE_MS = 30_000  # for the calls of a connection that is too old
_KEEPALIVE_MS, _KEEPALIVE_TIMEOUT_MS, _MIN_PING_MS = 60_000, 20_000, 10_000
_CALLS_OF_ONE_CONNECTION = 256


class GrpcServer:
    """Serves from `start` on. `alive` is False once it was told to stop, which the probes tell."""

    def __init__(self, settings: Settings, services: Services, more: grpc_api.Handlers | None = None) -> None:
        self.alive = True
        self._settings, self._services = settings, services
        self._security = security_of(settings)
        self._threads = Threads(settings.grpc_threads, "keyrail-grpc")
        at_once = settings.grpc_threads + settings.grpc_waiting + MAX_WATCHERS
        server: Any = grpc.server(self._threads, options=_options(settings), maximum_concurrent_rpcs=at_once)
        self._server = server
        self._probes, self._stopping = Probes(), threading.Event()
        limits = _limits(settings)
        serving = Serving(services, self._security.principal_of, limits, Streams(limits))
        handlers = _handlers(settings, serving) | (more or {})
        self.health = Health(handlers, self._fault)
        for service, rpcs in handlers.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, rpcs),))
            self._server.add_registered_method_handlers(service, rpcs)
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, self._server)
        if settings.grpc_reflection:
            names = (*handlers, HEALTH, REFLECTION)
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Reflection(names, serving), self._server)
        self.port = self._listen()

    def _fault(self) -> str | None:
        return self._probes.fault(self._services) if self.alive else "draining"

    def _listen(self) -> int:
        """Raises: Internal where the address can't be had."""
        address, credentials = self._settings.grpc_address, self._security.credentials
        try:
            if credentials is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, credentials))
        except RuntimeError as error:
            raise Internal(f"settings: KEYRAIL_GRPC_ADDRESS {address} can't be listened on") from error

    def start(self) -> None:
        self.health.start()
        self._server.start()

    def probe_port(self) -> ProbePort:
        host, _, port = self._settings.grpc_probe_address.rpartition(":")
        return ProbePort(host.strip("[]"), int(port), self._probes, lambda: self._services)

    def stop_signal(self, *_: object) -> None:
        """A handler of SIGTERM: returns at once."""
        self.alive = False
        self._stopping.set()

    def wait(self) -> None:
        """Until it was told to stop, and has stopped."""
        self._stopping.wait()
        self.drain()

    def drain(self) -> None:
        self.alive = False
        self.health.drain()
        threading.Event().wait(self._settings.grpc_drain_notice_seconds)
        ended = self._server.stop(self._settings.grpc_drain_seconds)
        self.health.end_watches()
        ended.wait()
        self._security.close()


def _handlers(settings: Settings, serving: Serving) -> grpc_api.Handlers:
    """Raises: Internal where the settings name an operation that there is not."""
    known = {operation.name for operation in CATALOGUE}
    asked = known if settings.grpc_operations is None else set(settings.grpc_operations.split(","))
    if asked - known:
        raise Internal(f"settings: KEYRAIL_GRPC_OPERATIONS: there is no {', '.join(sorted(asked - known))}")
    found = grpc_api.handlers(serving, asked)
    if settings.grpc_ext_authz and "validate_key" in asked:
        found |= grpc_ext_authz.handlers(serving)
    return found


def _limits(settings: Settings) -> Limits:
    return Limits(settings.grpc_deadline_seconds, settings.grpc_threads // 2, settings.grpc_stream_seconds)


def _options(settings: Settings) -> list[tuple[str, Any]]:
    """https://grpc.github.io/grpc/core/group__grpc__arg__keys.html"""
    return [
        ("grpc.so_reuseport", 0),  # else a second server on the port would take half of the calls
        ("grpc.max_receive_message_length", settings.grpc_message_bytes),
        ("grpc.max_metadata_size", settings.grpc_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.grpc_metadata_bytes),
        ("grpc.max_concurrent_streams", _CALLS_OF_ONE_CONNECTION),
        ("grpc.max_connection_age_ms", int(settings.grpc_connection_age_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", _CONNECTION_GRACE_MS),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _MIN_PING_MS),
    ]


class _Reflection(reflection.ReflectionServicer):
    """Its streams count among the others: nobody takes all threads by asking for nothing."""

    def __init__(self, names: tuple[str, ...], serving: Serving) -> None:
        super().__init__(names)
        self._streams = serving.streams

    def ServerReflectionInfo(self, request_iterator: Any, context: Any) -> Any:
        answers: Any = super().ServerReflectionInfo(self._streams.limited(request_iterator, context), context)
        yield from answers


def main(server_class: type[GrpcServer] = GrpcServer) -> int:
    try:
        services, settings = process_services(), load_settings()
        server = server_class(settings, services)
        probe_port = server.probe_port()
    except (KeyrailError, OSError) as error:
        log(logging.ERROR, "settings", code="INTERNAL", detail=getattr(error, "detail", type(error).__name__))
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.stop_signal)
    hold_request_lines()
    gc.collect()
    gc.freeze()  # modules and settings live as long as the process: no collection needs to look at them again
    server.start()
    log(logging.INFO, "serving", address=settings.grpc_address, port=server.port, probe_port=probe_port.port)
    server.wait()
    probe_port.close()
    log(logging.INFO, "stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
