"""A gRPC client of a test's deployment: real grpc on loopback, its clock moved before each call as HTTP's is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from deployment import ADMIN, PAUSE_SECONDS, SETTINGS, Deployment
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from keyrail.operations.catalogue import CATALOGUE
from keyrail.settings import load_settings
from keyrail.triggers.grpc_api import Handlers, messages_of, rpc_of, service_of
from keyrail.triggers.grpc_server import GrpcServer
from keyrail.v1 import keys_pb2

OPERATIONS = {operation.name: operation for operation in CATALOGUE}
SECONDS = 20.0  # longer than anything here should take
LOOPBACK = {"KEYRAIL_GRPC_ADDRESS": "127.0.0.1:0", "KEYRAIL_GRPC_PROBE_ADDRESS": "127.0.0.1:0"}
QUICK = {"KEYRAIL_GRPC_DRAIN_NOTICE_SECONDS": "0", "KEYRAIL_GRPC_DRAIN_SECONDS": "0"}


@dataclass(frozen=True)
class Refusal:
    status: grpc.StatusCode
    text: str
    code: str = ""
    correlation_id: str = ""
    retry_seconds: int | None = None
    fields: dict[str, str] = field(default_factory=dict)


def refusal_of(error: Any) -> Refusal:
    told: dict[str, Any] = {}
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        info, retry, wrong = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.RetryInfo(),
            error_details_pb2.BadRequest(),
        )
        if detail.Unpack(info):
            assert info.domain == "keyrail"
            told |= {"code": info.reason, "correlation_id": info.metadata["correlation_id"]}
        elif detail.Unpack(retry):
            told["retry_seconds"] = retry.retry_delay.seconds
        elif detail.Unpack(wrong):
            told["fields"] = {each.field: each.description for each in wrong.field_violations}
    return Refusal(error.code(), error.details(), **told)


@dataclass
class GrpcClient:
    deployment: Deployment
    server: GrpcServer
    channel: grpc.Channel

    def call(self, operation: str, *, by: str | None = ADMIN, sent: Any = (), **fields: Any) -> Any:
        """The response; `sent` is more metadata. Raises: grpc.RpcError."""
        request, response = messages_of(OPERATIONS[operation])
        method = f"{service_of(OPERATIONS[operation])}/{rpc_of(OPERATIONS[operation])}"
        return self.send(f"/{method}", request(**fields), response, by=by, sent=sent)[0]

    def send(
        self, method: str, request: Any, response: Any, *, by: str | None = ADMIN, sent: Any = ()
    ) -> tuple[Any, dict[str, Any]]:
        """The response and its trailing metadata; `request` may be bytes, which are sent as they are."""
        self.deployment.clock.seconds += PAUSE_SECONDS
        rpc: Any = self.channel.unary_unary(method, _bytes_of, response.FromString)
        answer, call = rpc.with_call(request, metadata=[*self.bearer(by), *sent], timeout=SECONDS)
        return answer, dict(call.trailing_metadata())

    def refused(self, operation: str, **asked: Any) -> Refusal:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(operation, **asked)
        return refusal_of(caught.value)

    def bearer(self, key: str | None) -> list[tuple[str, str]]:
        key = self.deployment.admin if key == ADMIN else key
        return [] if key is None else [("authorization", f"Bearer {key}")]

    def issue(self, **fields: Any) -> Any:
        return self.call("issue_key", **({"tenant": "acme", "owner": "ml-team", "name": "a key"} | fields))

    def validate(self, key: str, **fields: Any) -> keys_pb2.ValidateKeyResponse:
        answer: keys_pb2.ValidateKeyResponse = self.call("validate_key", key=key, **fields)
        return answer


def _bytes_of(message: Any) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


@contextmanager
def serving(deployment: Deployment, more: Handlers | None = None, **env: str) -> Iterator[GrpcClient]:
    """Over the deployment's own services."""
    settings = load_settings({**SETTINGS, **LOOPBACK, **QUICK, **env})
    server = GrpcServer(settings, deployment.services, more)
    server.start()
    try:
        options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{server.port}", options) as channel:
            yield GrpcClient(deployment, server, channel)
    finally:
        server.drain()
