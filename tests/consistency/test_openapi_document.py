"""docs/openapi.yaml is current, valid, complete, and holds no whole key."""

from typing import Any

import jsonschema_rs
import pytest
import yaml
from openapi_spec_validator import validate
from repository import NAMES, text_of

from keyrail.dev import openapi_examples
from keyrail.dev.openapi import document
from keyrail.dev.openapi_notes import CODES, FIELDS
from keyrail.dev.openapi_schemas import HEADERS
from keyrail.dev.yaml_text import yaml_text
from keyrail.domain.key_format import ANY_KEY, KeyFormat
from keyrail.operations.catalogue import CATALOGUE
from keyrail.operations.operation import Operation
from keyrail.triggers.http_function import _HEADER_FIELDS
from keyrail.triggers.problems import COMMON_CODES, MESSAGE_CODES, OPERATION_CODES

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]
for_each = pytest.mark.parametrize("operation", CATALOGUE, ids=NAMES)


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return found


def followed(value: dict[str, Any]) -> dict[str, Any]:
    """What a $ref leads to."""
    if "$ref" not in value:
        return value
    found: Any = DOCUMENT
    for name in value["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def validator(name: str) -> jsonschema_rs.Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def test_the_file_is_current() -> None:
    assert text_of("docs/openapi.yaml") == yaml_text(document()), "run: make docs"


def test_the_file_reads_back_as_the_document() -> None:
    assert yaml.safe_load(text_of("docs/openapi.yaml")) == DOCUMENT


def test_it_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_its_text_holds_no_whole_key_though_its_examples_do() -> None:
    assert not ANY_KEY.search(text_of("docs/openapi.yaml"))
    examples = openapi_examples.requests()["validate_key"]
    assert KeyFormat().parse(examples["one key"]["key"]).key_id == openapi_examples.KEY_ID


@for_each
def test_every_code_is_listed_under_its_status(operation: Operation) -> None:
    statuses = {**MESSAGE_CODES, **COMMON_CODES} | {code: OPERATION_CODES[code] for code in operation.codes}
    told: dict[str, int] = {}
    for status, response in described(operation)["responses"].items():
        content = followed(response)["content"]
        if "application/problem+json" in content:
            _, only = content["application/problem+json"]["schema"]["allOf"]
            told |= dict.fromkeys(only["properties"]["code"]["enum"], int(status))
    assert told == statuses


def test_the_problem_schema_lists_every_code() -> None:
    codes = {**MESSAGE_CODES, **COMMON_CODES, **OPERATION_CODES}
    assert set(SCHEMAS["Problem"]["properties"]["code"]["enum"]) == set(codes) == set(CODES)


def test_every_field_that_has_a_note_exists() -> None:
    fields = {
        name for operation in CATALOGUE for name in (*operation.request.model_fields, *operation.reply.model_fields)
    }
    fields |= {name for schema in SCHEMAS.values() for name in schema.get("properties", ())}
    assert {name.rpartition(".")[2] for name in FIELDS} == fields - set(SCHEMAS["Problem"]["properties"]) | {"code"}
    models = {name.partition(".")[0] for name in FIELDS if "." in name}
    assert models <= set(SCHEMAS) | {operation.request.__name__ for operation in CATALOGUE}


@for_each
def test_every_request_field_is_in_path_header_query_or_body(operation: Operation) -> None:
    parameters = described(operation).get("parameters", [])
    by_header = {header: name for name, header in HEADERS.items()}
    told = {by_header.get(parameter["name"], parameter["name"]) for parameter in parameters}
    if operation.method != "GET":
        told |= set(SCHEMAS[operation.request.__name__]["properties"])
        assert SCHEMAS[operation.request.__name__]["additionalProperties"] is False
    assert told == set(operation.request.model_fields)


def test_headers_are_named_as_the_trigger_reads_them() -> None:
    assert {name: header.lower() for name, header in HEADERS.items()} == _HEADER_FIELDS


@for_each
def test_examples_of_requests_fit_schema_and_model(operation: Operation) -> None:
    own = {name: value for name, value in openapi_examples.PATH_FIELDS.items() if f"{{{name}}}" in operation.path}
    for example in openapi_examples.requests().get(operation.name, {}).values():
        validator(operation.request.__name__).validate(example)
        operation.request.model_validate(own | example)


@for_each
def test_examples_of_replies_fit_schema_and_model(operation: Operation) -> None:
    examples = openapi_examples.replies()[operation.name]
    assert examples
    for example in examples.values():
        validator(operation.reply.__name__).validate(example)
        told = operation.reply.model_validate(example).model_dump(mode="json", exclude_none=True)
        assert told.items() >= example.items()


def test_whole_keys_are_marked_as_secrets() -> None:
    fields = {
        (name, field): value for name, each in SCHEMAS.items() for field, value in each.get("properties", {}).items()
    }
    keys = {place: value for place, value in fields.items() if place[1] == "key"}
    assert {name for name, _ in keys} == {"ImportRequest", "IssueReply", "RotateReply", "Presented", "ValidateRequest"}
    for (name, _), value in keys.items():
        assert (value["x-secret"], value["format"]) == (True, "password")
        assert value.get("writeOnly", False) is not name.endswith("Reply")
    assert [place for place, value in fields.items() if "x-secret" in value] == list(keys)
