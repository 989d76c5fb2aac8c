"""docs/openapi.yaml, made from the operations' own models: `python -m keyrail.dev.openapi` writes it.

The same catalogue always makes the same bytes; tests/consistency fails where the file is not current.
"""

import inspect
import re
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from textwrap import fill
from typing import Any

from keyrail.dev import openapi_examples as examples
from keyrail.dev.openapi_notes import CODES
from keyrail.dev.openapi_schemas import REF, Schema, operation_schemas, split_request
from keyrail.dev.yaml_text import yaml_text
from keyrail.operations.catalogue import CATALOGUE
from keyrail.operations.operation import Operation
from keyrail.triggers.problems import COMMON_CODES, MESSAGE_CODES, OPERATION_CODES, TITLES

FILE = Path("docs/openapi.yaml")
_WRAP = 100  # columns of a longer text
_WITH_ETAG_OF_CONFIG = {"read_config", "write_config"}
_REPEATED = {  # what 200 means where 201 is the rule
    "issue_key": "The same Idempotency-Key issued this key before; it is not shown again.",
    "import_key": "The same key was imported before, with the same fields.",
}
_WITH_ETAG = {"issue_key", "import_key", "rotate", "update_key", "get_key"}  # those whose reply is one key

_ABOUT = """\
API keys for an AI/ML platform, kept in your own Vault.

Send your own key as `Authorization: Bearer <key>` or as `X-API-Key`; both only where they agree. Keys go into
headers or bodies, never into a URL.

Every error is `application/problem+json` (RFC 9457) with a stable `code`. Send `traceparent` or `X-Correlation-ID`
and every reply and log line carries your id, else a new one.

Each operation is a function of its own. Where one is called at its bare URL, `POST /` takes its path and header
fields in the body, under the names `key_id`, `idempotency_key` and `if_match`.
"""


def document() -> Schema:
    """OpenAPI 3.1 as plain values."""
    requests, schemas = operation_schemas(CATALOGUE)
    paths: dict[str, Schema] = defaultdict(dict)
    for operation in CATALOGUE:
        paths[operation.path][operation.method.lower()] = _operation(operation, requests, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keyrail",
            "version": version("keyrail"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Wherever this file is served."}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [
            {"name": "keys", "description": "The life of a key."},
            {"name": "configs", "description": "Credentials and settings, with their versions."},
        ],
        "paths": dict(paths),
        "components": {
            "securitySchemes": _SECURITY,
            "headers": _HEADERS,
            "responses": _common_responses(),
            "schemas": {**dict(sorted(schemas.items())), "Problem": _problem_schema()},
        },
    }


def _operation(operation: Operation, requests: dict[str, Schema], schemas: dict[str, Schema]) -> Schema:
    name = operation.request.__name__
    parameters, body = split_request(operation, requests[name])
    for parameter in parameters:
        if parameter["in"] == "path":
            parameter["example"] = examples.PATH_FIELDS[parameter["name"]]
    described: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": _description(operation),
        "tags": ["configs" if operation.path.startswith("/v1/config/") else "keys"],
    }
    if parameters:
        described["parameters"] = parameters
    if body is not None:
        schemas[name] = body
        described["requestBody"] = _body(operation, body)
    return described | {"responses": _responses(operation)}


def _description(operation: Operation) -> str:
    opening = inspect.getdoc(sys.modules[operation.run.__module__]) or ""
    about = re.sub(r" docs/operations/\w+\.md$", "", opening)
    more = fill(inspect.getdoc(operation.request) or "", _WRAP)
    return f"{about}\n\n{more}\n\nScope: `{operation.scope}`.\n"


def _body(operation: Operation, body: Schema) -> Schema:
    content: Schema = {
        "schema": {"$ref": REF + operation.request.__name__},
        "examples": _named(examples.requests()[operation.name]),
    }
    media = {"application/json": content}
    if operation.method == "PATCH":
        media["application/merge-patch+json"] = {"schema": content["schema"]}
    may_be_empty = not body.get("required") and not {"oneOf", "minProperties"} & body.keys()
    return {"required": not may_be_empty, "content": media}


def _named(found: examples.Examples) -> Schema:
    return {re.sub(r"\W+", "-", name): {"summary": name, "value": value} for name, value in found.items()}


def _responses(operation: Operation) -> Schema:
    success = _success(operation)
    responses = {str(operation.success_status): success}
    if operation.success_status != 200:
        replayed = success | {"description": _REPEATED[operation.name]}
        responses["200"] = replayed | {"content": _json(operation, with_examples=False)}
    by_status: dict[int, list[str]] = defaultdict(list)
    for code, status in {**MESSAGE_CODES, **COMMON_CODES}.items():
        by_status[status].append(code)
    own: dict[int, list[str]] = defaultdict(list)
    for code in operation.codes:
        own[OPERATION_CODES[code]].append(code)
    for status in sorted(by_status.keys() | own.keys()):
        codes = [*by_status[status], *own[status]]
        shared = {"$ref": f"#/components/responses/{_title(status)}"}
        responses[str(status)] = _refusal(status, codes) if own[status] else shared
    return dict(sorted(responses.items()))


def _success(operation: Operation) -> Schema:
    headers = [*_ALWAYS, "Deprecation", "Sunset"]
    if operation.name in _WITH_ETAG:
        headers.append("ETag")
    if operation.name in _WITH_ETAG_OF_CONFIG:
        headers.append("ETag(of-config)")
    return {
        "description": " ".join((inspect.getdoc(operation.reply) or "").split()),
        "headers": _headers(headers),
        "content": _json(operation, with_examples=True),
        **_links(operation),
    }


def _json(operation: Operation, *, with_examples: bool) -> Schema:
    content: Schema = {"schema": {"$ref": REF + operation.reply.__name__}}
    if with_examples:
        content["examples"] = _named(examples.replies()[operation.name])
    return {"application/json": content}


def _links(operation: Operation) -> Schema:
    """What can be done with a key that is new here."""
    if operation.name not in _REPEATED:
        return {}
    of_this_key = {"parameters": {"key_id": "$response.body#/key_id"}}
    names = (other.name for other in CATALOGUE if "{key_id}" in other.path)
    return {"links": {name.replace("_", "-"): {"operationId": name, **of_this_key} for name in names}}


def _refusal(status: int, codes: list[str]) -> Schema:
    """`codes` are all that this status can mean here."""
    headers = [*_ALWAYS, *_HEADERS_OF_STATUS.get(status, ())]
    only: Schema = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
    return {
        "description": "\n".join(f"- `{code}`: {CODES[code]}" for code in codes) + "\n",
        "headers": _headers(headers),
        "content": {
            "application/problem+json": {
                "schema": {"allOf": [{"$ref": REF + "Problem"}, only]},
                "example": _problem_example(status, codes[-1]),
            }
        },
    }


def _problem_example(status: int, code: str) -> Schema:
    return {
        "type": f"urn:keyrail:problem:{code.lower().replace('_', '-')}",
        "title": TITLES[status],
        "status": status,
        "detail": CODES[code],
        "code": code,
        "correlation_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }


def _common_responses() -> Schema:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code, status in {**MESSAGE_CODES, **COMMON_CODES}.items():
        by_status[status].append(code)
    return {_title(status): _refusal(status, codes) for status, codes in sorted(by_status.items())}


def _title(status: int) -> str:
    return TITLES[status].replace(" ", "")


def _headers(names: list[str]) -> Schema:
    """A component may say in brackets when its header is there."""
    return {name.partition("(")[0]: {"$ref": f"#/components/headers/{_component(name)}"} for name in names}


def _component(name: str) -> str:
    return name.replace("(", "-").rstrip(")")


def _problem_schema() -> Schema:
    codes = list(dict.fromkeys([*MESSAGE_CODES, *COMMON_CODES, *OPERATION_CODES]))
    text = {"type": "string"}
    return {
        "description": "What went wrong (RFC 9457). `code` is stable; the texts are for people and may change.",
        "type": "object",
        "properties": {
            "type": text | {"description": "The code as a URN.", "pattern": "^urn:keyrail:problem:[a-z-]+$"},
            "title": text | {"description": "The status in words."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": text | {"description": "What is wrong, and what to do; names scopes, roles and key ids at most."},
            "code": text | {"description": "Stable; decide by it.", "enum": codes},
            "correlation_id": text | {"description": "Quote it when you report a problem."},
            "errors": {
                "description": "With INVALID_FIELD: what is wrong where.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"field": text, "problem": text},
                    "required": ["field", "problem"],
                },
            },
        },
        "required": ["type", "title", "status", "detail", "code", "correlation_id"],
    }


_SECURITY: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Your own key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "Your own key."},
}
_ALWAYS = ("X-Correlation-ID", "Cache-Control")
_HEADERS_OF_STATUS = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate(of-scope)",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def _header(description: str, *, required: bool = False, **schema: Any) -> Schema:
    return {
        "description": description,
        **({"required": True} if required else {}),
        "schema": {"type": "string", **schema},
    }


_HEADERS: Schema = {
    "X-Correlation-ID": _header("Names this request in every log.", required=True),
    "Cache-Control": _header("Nothing here may be kept by a cache.", required=True, const="no-store"),
    "ETag": _header("The version of the key's record.", required=True, pattern='^"[0-9]+"$'),
    "ETag-of-config": _header("The version of the config; absent where there is none.", pattern='^"[0-9]+"$'),
    "Deprecation": _header("Since when the key used is superseded (RFC 9745).", pattern="^@[0-9]+$"),
    "Sunset": _header("Until when the key used is accepted (RFC 8594)."),
    "WWW-Authenticate": _header("RFC 6750, section 3.", required=True),
    "WWW-Authenticate-of-scope": _header("RFC 6750, section 3; with INSUFFICIENT_SCOPE."),
    "Retry-After": _header("Seconds to wait (RFC 9110, section 10.2.3).", required=True, pattern="^[0-9]+$"),
    "Allow": _header("The methods that this path takes.", required=True),
}


def main() -> None:
    FILE.write_text(yaml_text(document()), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
