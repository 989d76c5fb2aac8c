"""JSON schemas of the operations' models (JSON Schema 2020-12, as OpenAPI 3.1 takes it), tightened where a model
refuses more than pydantic's own schema says."""

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from keyrail.dev.openapi_notes import field_note
from keyrail.domain.key_format import ANY_KEY
from keyrail.operations.operation import Operation

Schema = dict[str, Any]
HEADERS = {"idempotency_key": "Idempotency-Key", "if_match": "If-Match"}
REF = "#/components/schemas/"
_MAY_BE_NULL = {"state_reason", "not_before", "expires_at", "rate", "quota"}  # UpdateRequest: only these
_MAX_NUMBER = 1e300  # triggers/strict_json.py
_EXPRESSION = r"^[A-Za-z0-9._:/*()\s-]+$"  # the letters of the grammar; the rest of it is beyond a pattern

_JSON_VALUE: Schema = {
    "description": "Any JSON value. Objects and lists nest at most 16 deep in the whole body.",
    "type": ["object", "array", "string", "number", "boolean", "null"],
    "minimum": -_MAX_NUMBER,
    "maximum": _MAX_NUMBER,
    "items": {"$ref": REF + "JsonValue"},
    "additionalProperties": {"$ref": REF + "JsonValue"},
}


def operation_schemas(operations: Iterable[Operation]) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Requests whole, and replies with everything that either refers to."""
    operations = list(operations)
    requests = {op.request for op in operations}
    models = [(op.request, "validation") for op in operations] + [(op.reply, "serialization") for op in operations]
    unique: list[Any] = list(dict.fromkeys(models))
    _, document = models_json_schema(unique, ref_template=REF + "{model}")
    schemas: dict[str, Schema] = document["$defs"]
    names = {model.__name__ for model in requests}
    for name, schema in schemas.items():
        _polish(name, schema, is_reply=name not in names and schema.get("additionalProperties") is not False)
    schemas = _ordered(schemas | {"JsonValue": _JSON_VALUE})
    return {name: schemas.pop(name) for name in sorted(names)}, schemas


def _polish(model: str, schema: Schema, *, is_reply: bool) -> None:
    schema.pop("title", None)
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    properties: dict[str, Schema] = schema.get("properties", {})
    for name, field in properties.items():
        properties[name] = _field(model, name, field, is_reply=is_reply)
    if schema.get("additionalProperties") is True:
        schema["additionalProperties"] = {"$ref": REF + "JsonValue"}
    schema.update(_beyond_fields(model))


def _field(model: str, name: str, field: Schema, *, is_reply: bool) -> Schema:
    field.pop("title", None)
    if field.get("default", 0) is None:
        del field["default"]
    keeps_null = not is_reply and (model != "UpdateRequest" or name in _MAY_BE_NULL)
    field = _joined(field, keeps_null=keeps_null)
    if not is_reply:
        field = _tightened(name, field)
    if name == "key":
        field["x-secret"] = True
        field["format"] = "password"
        if is_reply:
            field["pattern"] = f"^{ANY_KEY.pattern}$"
    return {"description": field_note(model, name), **field}


def _ordered(value: Any) -> Any:
    """The type first, all the way down: that is what a reader looks for."""
    if isinstance(value, list):
        return [_ordered(each) for each in value]
    if not isinstance(value, dict):
        return value
    first = [name for name in ("description", "type", "format") if name in value]
    return {name: _ordered(value[name]) for name in [*first, *(name for name in value if name not in first)]}


def _joined(field: Schema, *, keeps_null: bool) -> Schema:
    """`anyOf: [X, null]` as one schema, where it can be said in one: a reply leaves out what is not set."""
    if len(field.get("anyOf", ())) != 2 or field["anyOf"][1] != {"type": "null"}:
        return field
    inner: Schema = field.pop("anyOf")[0]
    if not keeps_null:
        return field | inner
    if "type" not in inner or "enum" in inner:
        return field | {"anyOf": [inner, {"type": "null"}]}
    return field | inner | {"type": [inner["type"], "null"]}


def _tightened(name: str, field: Schema) -> Schema:
    if name == "value":
        return {"$ref": REF + "JsonValue"}
    if name in ("metadata", "schema"):
        return field | {"additionalProperties": {"$ref": REF + "JsonValue"}}
    if name == "labels" and "patternProperties" in field:
        ((pattern, value),) = field.pop("patternProperties").items()
        return field | {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
    if name == "ip":
        either = [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]
        return {"anyOf": [*either, {"type": "null"}]}
    if name == "required_scopes":
        return field | {"pattern": _EXPRESSION}
    return field


def _beyond_fields(model: str) -> Schema:
    """What a model refuses of fields taken together."""
    match model:
        case "IssueRequest":
            return {"not": _both_ends()}
        case "ImportRequest":
            one_of = [_either("key", "sha256"), _either("sha256", "key")]
            return {"not": _both_ends(), "oneOf": one_of}
        case "UpdateRequest":
            return {"minProperties": 1, "dependentRequired": {"state_reason": ["state"]}}
        case "ValidateRequest":
            null = {"type": "null"}
            one = {"required": ["key"], "properties": {"key": {"type": "string"}, "batch": null}}
            apart = {name: null for name in ("key", "required_scopes", "ip", "audience")}
            many = {"required": ["batch"], "properties": {"batch": {"type": "array"}, **apart}}
            return {"oneOf": [one, many]}
        case "WriteConfigRequest":
            return {"oneOf": [_only(name) for name in ("value", "restore_version", "destroy_versions")]}
        case _:
            return {}


def _both_ends() -> Schema:
    ends = {"expires_at": {"type": "string"}, "lifetime_seconds": {"type": "integer"}}
    return {"required": list(ends), "properties": ends}


def _either(name: str, other: str) -> Schema:
    return {"required": [name], "properties": {name: {"type": "string"}, other: {"type": "null"}}}


def _only(name: str) -> Schema:
    """Of the three that a write of a config is made of; and what goes with the first."""
    others = {"value", "restore_version", "destroy_versions", "schema", "rotation"} - {name}
    if name == "value":
        others -= {"schema", "rotation"}
    absent: Schema = {"not": {"anyOf": [{"required": [other]} for other in sorted(others)]}}
    return {"required": [name], **absent} | (
        {} if name == "value" else {"properties": {name: {"not": {"type": "null"}}}}
    )


def split_request(operation: Operation, request: Schema) -> tuple[list[Schema], Schema | None]:
    """Parameters, and the body: what is in neither path nor header nor the query of a GET."""
    required = set(request.get("required", ()))
    fields: dict[str, Schema] = dict(request["properties"])
    parameters, body = [], {}
    for name, field in fields.items():
        place = _place(operation, name)
        if place is None:
            body[name] = field
        else:
            parameters.append(_parameter(name, place, field, required=place == "path" or name in required))
    if operation.method == "GET":
        return parameters, None
    kept = {key: value for key, value in request.items() if key not in ("properties", "required")}
    left = [name for name in request.get("required", ()) if name in body]
    return parameters, {**kept, "properties": body, **({"required": left} if left else {})}


def _place(operation: Operation, name: str) -> str | None:
    if f"{{{name}}}" in operation.path:
        return "path"
    if name in HEADERS:
        return "header"
    return "query" if operation.method == "GET" else None


def _parameter(name: str, place: str, field: Schema, *, required: bool) -> Schema:
    schema = {key: value for key, value in field.items() if key != "description"}
    schema = _without_null(schema)
    shown = HEADERS[name] if place == "header" else name
    return {
        "name": shown,
        "in": place,
        "description": field["description"],
        **({"required": True} if required else {}),
        "schema": schema,
    }


def _without_null(schema: Schema) -> Schema:
    """A parameter is text or absent."""
    if isinstance(schema.get("type"), list):
        return schema | {"type": schema["type"][0]}
    return _joined(schema, keeps_null=False)
