"""JSON as RFC 8259 means it and nothing looser, into a request model.

Refused: duplicate names, NaN and Infinity, nesting over 16, lone surrogates, numbers no double holds, and whatever
the model does not know.
"""

import json
import re
from typing import Annotated, Any, NoReturn, get_args, get_origin

from pydantic import ValidationError

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.fields import Request

MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 16
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


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


def as_request(model: type[Request], payload: dict[str, Any], *, from_strings: bool = False) -> Request:
    """`from_strings`: the values come from a query and are text. Raises: InvalidArgument INVALID_FIELD."""
    try:
        return model.model_validate(_as_meant(model, payload) if from_strings else payload)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        fields = tuple(_field_problem(item["loc"], item["msg"], model) for item in found[:20])
        raise InvalidArgument("Some fields are wrong; see errors.", code="INVALID_FIELD", fields=fields) from None


def _as_meant(model: type[Request], payload: dict[str, str]) -> dict[str, Any]:
    """Numbers and booleans, in one spelling only: pydantic would read " 5", "1_0" and "5.0" as integers too."""
    return {name: _value(model, name, text) for name, text in payload.items()}


def _value(model: type[Request], name: str, text: str) -> Any:
    declared = model.model_fields[name].annotation if name in model.model_fields else str
    kinds = {kind.__origin__ if get_origin(kind) is Annotated else kind for kind in (declared, *get_args(declared))}
    if int in kinds and _INTEGER.fullmatch(text):
        return int(text)
    return text == "true" if bool in kinds and text in ("true", "false") else text


def _field_problem(place: tuple[int | str, ...], problem: str, model: type[Request]) -> dict[str, str]:
    """Any name that is no field of ours is shown only by where it is: it may be anything, even a key."""
    if place and place[0] not in model.model_fields:
        return {"field": "(unknown field)", "problem": problem}
    ours = {name for request in (*Request.__subclasses__(), model) for name in request.model_fields}
    names = [str(part) if isinstance(part, int) or part in ours else "(name)" for part in place if part != "[key]"]
    if problem.startswith("Extra inputs"):
        names[-1] = "(unknown field)"
    return {"field": ".".join(names), "problem": problem.removeprefix("Value error, ")}
