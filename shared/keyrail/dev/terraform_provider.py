"""Terraform providers of which we have the schema alone, so that `terraform validate`, `test`, `plan` and even `apply`
can be run where the real ones can't be had. Nothing is ever made: what was written comes back, and what a provider
would find out is made up. Terraform itself finds what the schema tells: not a value that a provider would refuse, and
not one that is written where only the provider writes.

Speaks the plugin protocol of version 6, in messages put together by hand since only some of them hold anything:
https://github.com/hashicorp/terraform/blob/main/docs/plugin-protocol/tfplugin6.proto
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgpack

from keyrail.dev.terraform_package import Body
from keyrail.dev.terraform_schemas import SCHEMAS

_NESTING = {"single": 1, "list": 2, "set": 3}
_UNKNOWN = msgpack.ExtType(0, b"\0")  # https://github.com/zclconf/go-cty/blob/main/docs/concepts.md
_FLAGS = {"required": 4, "optional": 5, "computed": 6, "write_only": 11}  # of Schema.Attribute


def _number(value: int) -> bytes:
    """A varint."""
    head, rest = value & 0x7F, value >> 7
    return bytes([head | 0x80]) + _number(rest) if rest else bytes([head])


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    data = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(data)) + data


def _entry(number: int, key: str, value: bytes) -> bytes:
    """Of a map."""
    return _field(number, _field(1, key) + _field(2, value))


def _attribute(name: str, told: Body) -> bytes:
    flags = [next((flag for flag in ("required", "computed") if told.get(flag)), "optional")]
    flags += ["write_only"] if told.get("write_only") else []
    text = _field(1, name) + _field(2, json.dumps(told["type"]))
    return text + b"".join(_field(_FLAGS[flag], 1) for flag in flags)


def _block(body: Body) -> bytes:
    attributes = [_field(2, _attribute(name, told)) for name, told in sorted(body["attributes"].items())]
    blocks = [_field(3, _nested(name, told)) for name, told in sorted(body["blocks"].items())]
    return b"".join(attributes + blocks)


def _nested(name: str, told: Body) -> bytes:
    text = _field(1, name) + _field(2, _block(told)) + _field(3, _NESTING[told["nesting"]])
    return text + (b"" if told["nesting"] == "single" else _field(4, told["min"]) + _field(5, told.get("max", 0)))


def _provider_schema(told: Body) -> bytes:
    whole = _field(1, _field(2, _block(told["provider"])))
    for number, kind in ((2, "resource"), (3, "data")):
        whole += b"".join(_entry(number, name, _field(2, _block(body))) for name, body in sorted(told[kind].items()))
    return whole


def _parts(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message that hold bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(message):
        tag = number()
        length = number()
        if tag & 7 == 2:
            yield tag >> 3, message[at : at + length]
            at += length


def _planned(value: Any, body: Body) -> Any:
    """With what only an apply tells, as such; None where it is to be destroyed."""
    return value and _filled(value, body, lambda _name, _kind: _UNKNOWN)


def _told(value: Any, body: Body) -> Any:
    """With something made up in place of what is to be found out."""
    return value and _filled(value, body, _made_up)


def _made_up(name: str, kind: Any) -> Any:
    simple = {"string": f"some-{name}", "number": 0, "bool": False}
    return simple[kind] if isinstance(kind, str) else {} if kind[0] == "map" else []


def _filled(value: Body, body: Body, fill: Callable[[str, Any], Any]) -> Body:
    """`value` with what `fill` gives for what is computed, and without what must not be kept."""
    kept = {
        name: None if body["attributes"].get(name, {}).get("write_only") else given for name, given in value.items()
    }
    missing = {name: told["type"] for name, told in body["attributes"].items() if told.get("computed")}
    filled = {name: fill(name, kind) for name, kind in missing.items() if kept.get(name) in (None, _UNKNOWN)}
    return {**kept, **filled, **{name: _each(value.get(name), told, fill) for name, told in body["blocks"].items()}}


def _each(value: Any, body: Body, fill: Callable[[str, Any], Any]) -> Any:
    """Of a block: one, several or none."""
    if isinstance(value, list):
        return [_filled(each, body, fill) for each in value]
    return _filled(value, body, fill) if isinstance(value, dict) else value


class _Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in its stubs alone
    """Only the answers that hold something are made; an empty one means: nothing to complain of."""

    def __init__(self, told: Body) -> None:
        self._told = told
        self._schema = _provider_schema(told)

    def service(self, details: Any) -> Any:
        service, _, method = details.method.rpartition("/")
        if service != "/tfplugin6.Provider":
            return None  # streams of the plugin library, each of which would keep a thread waiting
        return grpc.unary_unary_rpc_method_handler(lambda message, _: self._answer(method, dict(_parts(message))))

    def _answer(self, method: str, asked: dict[int, bytes]) -> bytes:
        if method == "GetProviderSchema":
            return self._schema
        if method == "UpgradeResourceState":
            return _state(json.loads(dict(_parts(asked[3]))[1]))
        if method in _CHANGES:
            kind, number, change = _CHANGES[method]
            value = msgpack.unpackb(dict(_parts(asked[number]))[1])
            return _state(change(value, self._told[kind][asked[1].decode()]))
        return b""


_CHANGES: dict[str, tuple[str, int, Callable[[Any, Body], Any]]] = {  # of what, which field of the question, into what
    "PlanResourceChange": ("resource", 3, _planned),
    "ApplyResourceChange": ("resource", 3, _told),
    "ReadResource": ("resource", 2, _told),
    "ReadDataSource": ("data", 2, _told),
}


def _state(value: Any) -> bytes:
    """The first field of all their answers: a DynamicValue."""
    return _field(1, _field(1, msgpack.packb(value)))


@contextmanager
def stand_ins() -> Iterator[dict[str, str]]:
    """The environment that points Terraform at a stand-in for each provider in infra/terraform/schemas/."""
    servers, addresses = [], {}
    for file in sorted(Path(SCHEMAS).glob("*.json")):
        told = json.loads(file.read_text())
        server = grpc.server(ThreadPoolExecutor(4), handlers=[_Handler(told)], options=[("grpc.so_reuseport", 0)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        addresses[f"registry.terraform.io/{told['source']}"] = {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
        }
    try:
        yield {"TF_REATTACH_PROVIDERS": json.dumps(addresses)}
    finally:
        for server in servers:
            server.stop(None)
