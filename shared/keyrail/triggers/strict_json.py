"""JSON as RFC 8259 means it and nothing looser.

Refused: duplicate names, NaN and Infinity, nesting over 16, lone surrogates, and numbers no double holds.
"""

import json
from typing import Any, NoReturn

from keyrail.domain.errors import InvalidArgument

MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 16


def parse_object(body: bytes) -> dict[str, Any]:
    """An empty body is an empty object. Raises: InvalidArgument MALFORMED_JSON; it never holds a value."""
    if not body:
        return {}
    try:
        value = _decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _malformed("The body is not well-formed JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise _malformed("The body must be a JSON object.")
    _check(value, MAX_DEPTH)
    return value


def _malformed(public: str) -> InvalidArgument:
    return InvalidArgument(public, code="MALFORMED_JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("The body names a field twice.")
    return found


def _refuse(_constant: str) -> NoReturn:
    raise _malformed("NaN and Infinity are not JSON.")


_decode = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse).decode


def _check(value: Any, depth_left: int) -> None:
    if depth_left == 0:
        raise _malformed(f"The body nests deeper than {MAX_DEPTH}.")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_text(name)
            _check_inner(inner, depth_left)
    elif isinstance(value, list):
        for inner in value:
            _check_inner(inner, depth_left)


def _check_inner(value: Any, depth_left: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (dict, list)):
        _check(value, depth_left - 1)
    elif isinstance(value, (int, float)) and abs(value) > 1e300:
        raise _malformed("The body holds a number that is too large.")


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise _malformed("The body holds half of a surrogate pair.") from error
