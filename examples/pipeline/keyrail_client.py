"""What a service needs to work with Keyrail: its key from a file that an agent keeps new, and Keyrail's gRPC API.

Without Python: the same file, and a client that is generated from proto/keyrail/v1.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.json_format import MessageToDict

from keyrail.v1 import config_pb2, config_pb2_grpc, keys_pb2, keys_pb2_grpc

SECONDS = 5.0  # for one call
T = TypeVar("T")


class Refused(Exception):
    """401, or UNAUTHENTICATED: the key that was sent is none, or none any more."""


class ApiKey:
    """This service's own key. `reread` counts how often it had been replaced."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._key = file.read_text()
        self.reread = 0

    def call(self, call: Callable[[str], T]) -> T:
        """`call` gets the key. Where it raises Refused, it gets the key that is in the file by now, once."""
        try:
            return call(self._key)
        except Refused:
            self._key = self._file.read_text()
            self.reread += 1
            return call(self._key)


class Keyrail:
    """`channel` gives one with a client certificate, which stands for this service: it needs no key to ask."""

    def __init__(self, channel: Callable[[], grpc.Channel]) -> None:
        self._channel = channel

    def config(self, name: str) -> dict[str, Any]:
        """Its value right now; all numbers are floats. Raises: grpc.RpcError."""
        configs = config_pb2_grpc.ConfigServiceStub(self._channel())
        found = configs.ReadConfig(config_pb2.ReadConfigRequest(name=name), timeout=SECONDS)
        value: dict[str, Any] = MessageToDict(found.value)
        return value

    def verdict(self, key: str, scope: str) -> str:
        """VALID, INSUFFICIENT_SCOPE, or why the key is none. Raises: grpc.RpcError."""
        asked = keys_pb2.ValidateKeyRequest(key=key, required_scopes=scope)
        keys = keys_pb2_grpc.KeyServiceStub(self._channel())
        return str(keys.ValidateKey(asked, timeout=SECONDS).code)
