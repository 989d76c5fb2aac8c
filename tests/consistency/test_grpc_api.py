"""Operations = rpcs, their fields = the messages' fields, and the generated code is that of the proto files."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from repository import NAMES, ROOT, text_of

from keyrail.dev.proto import PROTO, generate
from keyrail.domain.views import KeyView
from keyrail.envoy import auth_pb2
from keyrail.operations.catalogue import CATALOGUE
from keyrail.operations.operation import Operation
from keyrail.triggers.grpc_api import messages_of, rpc_of, service_of
from keyrail.triggers.grpc_messages import MASK, RECORD
from keyrail.v1 import config_pb2, keys_pb2, record_pb2, rotation_pb2

GENERATED = ("keyrail/v1", "keyrail/envoy")
OWN_PROTO = sorted((PROTO / "keyrail/v1").glob("*.proto"))
SERVICES: list[Any] = [
    service
    for file in (keys_pb2, rotation_pb2, config_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()  # type: ignore[attr-defined]
]
BESIDE_OPERATIONS = {"BatchValidate", "ValidateStream"}  # other ways to call validate_key
_RULE = re.compile(r'path "([^"]+)" \{\s*capabilities = \[([^\]]*)\]\s*\}')

for_each = pytest.mark.parametrize("operation", CATALOGUE, ids=NAMES)


def names(message: Any) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.fields}


def fields(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


def test_the_generated_code_is_that_of_the_proto_files(tmp_path: Path) -> None:
    generate(tmp_path)
    for folder in GENERATED:
        made = {file.name: file.read_text() for file in (tmp_path / folder).iterdir()}
        committed = {
            file.name: file.read_text() for file in (ROOT / "shared" / folder).glob("*_pb2*") if file.is_file()
        }
        assert made == committed, "make proto"


def test_every_operation_has_its_rpc_and_every_rpc_its_operation() -> None:
    offered = {(service.full_name, rpc.name) for service in SERVICES for rpc in service.methods}
    expected = {(service_of(operation), rpc_of(operation)) for operation in CATALOGUE}
    assert offered == expected | {("keyrail.v1.KeyService", rpc) for rpc in BESIDE_OPERATIONS}


@for_each
def test_a_request_has_the_fields_of_its_operation(operation: Operation) -> None:
    request, _ = messages_of(operation)
    asked = names(request) - {MASK}
    if operation.name == "validate_key":
        asked |= names(keys_pb2.BatchValidateRequest)
    assert asked == fields(operation.request)


@for_each
def test_a_mask_is_there_where_nothing_and_empty_differ(operation: Operation) -> None:
    assert (MASK in names(messages_of(operation)[0])) == (operation.name in ("update_key", "write_config"))


@for_each
def test_a_response_has_the_fields_of_its_operation(operation: Operation) -> None:
    _, response = messages_of(operation)
    told = names(response)
    if RECORD in told:
        told = told - {RECORD} | names(record_pb2.KeyRecord)
    if operation.name == "validate_key":
        told |= names(keys_pb2.BatchValidateResponse)
    assert told == fields(operation.reply)


def test_messages_within_messages_have_the_fields_of_their_models() -> None:
    pairs = {
        (field.message_type, model)
        for operation in CATALOGUE
        for message, of in zip(messages_of(operation), (operation.request, operation.reply), strict=True)
        for field in message.DESCRIPTOR.fields
        if field.message_type is not None and field.message_type.full_name.startswith("keyrail.v1.")
        for model in [KeyView if field.name == RECORD else model_of(of, field.name)]
        if model is not None
    }
    assert len(pairs) > 8
    for message, model in pairs:
        own = {field.name for field in message.fields}
        if message.name == "ConfigRotation":  # one message both ways; the kind's settings stand beside in the model
            own = own - {"settings"} if "next_at" in model.model_fields else own - {"settings", "next_at", "step"}
            own -= set() if "next_at" in model.model_fields else {"rotated_at"}
        assert own == fields(model), message.name


def model_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model in a field's type, also in a list or beside None."""
    found = [model.model_fields[name].annotation] if name in model.model_fields else []
    while found:
        kind = found.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        found += get_args(kind)
    return None


@pytest.mark.parametrize("file", OWN_PROTO, ids=lambda file: file.name)
def test_every_field_message_and_rpc_is_explained(file: Path) -> None:
    lines = [line.strip() for line in file.read_text().splitlines()]
    explained = re.compile(r"(message|service|rpc|oneof|[\w.<>, ]+ \w+ = \d+)\b.*[{;]$")
    found = [n for n, line in enumerate(lines) if explained.match(line) and not line.startswith(("//", "option"))]
    assert len(found) > 5
    assert [lines[n] for n in found if not lines[n - 1].startswith("// ")] == []


def test_what_is_secret_says_so_and_is_left_out_of_debug_output() -> None:
    text = "".join(file.read_text() for file in OWN_PROTO)
    secret = re.findall(r"// SECRET\..*\n\s*(?://.*\n\s*)*([^;]+);", text)
    assert len(secret) == text.count("[debug_redact = true]") == 7
    assert all("[debug_redact = true]" in field for field in secret)


@pytest.mark.parametrize("file", OWN_PROTO, ids=lambda file: file.name)
def test_a_file_says_what_it_means_that_a_field_does_not_say_secret(file: Path) -> None:
    text = file.read_text()
    head, told = text.partition("syntax =")[0], "// SECRET. " in text
    assert ("Secret is what says SECRET, and nothing else." in head) is told
    assert ("Nothing in this file is secret." in head) is not told


def test_envoys_messages_keep_envoys_names() -> None:
    (service,) = auth_pb2.DESCRIPTOR.services_by_name.values()  # type: ignore[attr-defined]
    assert service.full_name == "envoy.service.auth.v3.Authorization"
    assert auth_pb2.CheckRequest.DESCRIPTOR.fields[0].message_type.full_name == "envoy.service.auth.v3.AttributeContext"


def rights(policy: str) -> set[tuple[str, str]]:
    return {(path, right.strip(' "')) for path, granted in _RULE.findall(policy) for right in granted.split(",")}


def test_the_containers_policy_is_that_of_all_functions_together() -> None:
    functions = {right for file in (ROOT / "functions").glob("*/policy.hcl") for right in rights(file.read_text())}
    certificate = ("pki/issue/keyrail-grpc", "update")
    assert rights(text_of("containers/grpc/policy.hcl")) == functions | {certificate}


def test_grpc_is_optional() -> None:
    """The functions and the command line start where neither grpc nor protobuf is installed."""
    script = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("grpc", "google", "grpc_health", "grpc_reflection"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import keyrail.operations.catalogue, keyrail.triggers.cli_root, keyrail.triggers.http_exchange, keyrail.bootstrap
from keyrail.settings import load_settings
keyrail.bootstrap.build_services(load_settings({"KEYRAIL_STORE": "memory"}))
"""
    subprocess.run([sys.executable, "-c", script], check=True)
