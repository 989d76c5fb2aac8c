"""The services of keyrail.v1: for each operation the rpc of its name, in the service of its scope's noun."""

from collections.abc import Collection
from functools import partial
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message

from keyrail.domain.fields import Reply, Request
from keyrail.operations.catalogue import CATALOGUE
from keyrail.operations.operation import Operation
from keyrail.triggers import grpc_validate
from keyrail.triggers.grpc_calls import Serving, Unary
from keyrail.triggers.grpc_messages import decoded, fields_of, fill
from keyrail.triggers.request_models import as_request
from keyrail.v1 import config_pb2, keys_pb2, rotation_pb2

_FILES = {"keys": keys_pb2, "rotation": rotation_pb2, "config": config_pb2}
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Handlers = dict[str, dict[str, Handler]]  # by service and rpc


def service_of(operation: Operation) -> str:
    """`keys:issue` is for KeyService."""
    noun = operation.scope.partition(":")[0]
    return f"keyrail.v1.{noun.title().removesuffix('s')}Service"


def rpc_of(operation: Operation) -> str:
    """`issue_key` is IssueKey."""
    return "".join(part.title() for part in operation.name.split("_"))


def messages_of(operation: Operation) -> tuple[type[Message], type[Message]]:
    """Request and response."""
    file, rpc = _FILES[operation.scope.partition(":")[0]], rpc_of(operation)
    return getattr(file, f"{rpc}Request"), getattr(file, f"{rpc}Response")


def handlers(serving: Serving, operations: Collection[str]) -> Handlers:
    """Of the operations so named. Messages pass as bytes: they are decoded once their sender is known."""
    found: Handlers = {}
    for operation in CATALOGUE:
        if operation.name in operations:
            service, rpc = service_of(operation), rpc_of(operation)
            rpcs = found.setdefault(service, {})
            if operation.name == "validate_key":
                rpcs |= grpc_validate.rpcs(serving, service)
            else:
                rpcs[rpc] = _unary(operation, serving, f"{service}/{rpc}")
    return found


def _unary(operation: Operation, serving: Serving, rpc: str) -> Handler:
    request, response = messages_of(operation)
    call = Unary(operation, partial(_parsed, operation.request, request), partial(_encoded, response), serving, rpc)
    return grpc.unary_unary_rpc_method_handler(call)


def _parsed(model: type[Request], kind: type[Message], data: bytes) -> Request:
    return as_request(model, fields_of(decoded(kind, data)))


def _encoded(kind: type[Message], reply: Reply) -> bytes:
    response = kind()
    fill(response, reply)
    return response.SerializeToString()
