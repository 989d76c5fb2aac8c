"""What was sent, as a request model; and what is wrong with it, without a word of its values."""

import re
from typing import Annotated, Any, get_args, get_origin

from pydantic import ValidationError

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.fields import Request

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


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
