"""A frozen dataclass from environment variables, strictly, and without a word of their values in what is refused.

pydantic does the same; the first model of a process takes it a third of a validator's start.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import Field, field, fields
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin

T = TypeVar("T")
_VARIABLE, _BOUNDS, _PATTERN = "variable", "bounds", "pattern"
_TRUE, _FALSE = frozenset({"1", "t", "true", "y", "yes", "on"}), frozenset({"0", "f", "false", "n", "no", "off"})
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_BOUND_TEXTS = {"gt": "greater than", "ge": "at least", "le": "at most"}


class WrongVariables(ValueError):
    """Its text names each wrong variable and what it takes."""


def setting(
    default: Any,
    variable: str,
    *,
    pattern: str | None = None,
    gt: float | None = None,
    ge: float | None = None,
    le: float | None = None,
    repr: bool = True,
) -> Any:
    """A field read from `variable`: text that matches `pattern` as a whole, or a number within the bounds."""
    bounds = {name: bound for name, bound in (("gt", gt), ("ge", ge), ("le", le)) if bound is not None}
    told = {_VARIABLE: variable, _BOUNDS: bounds, _PATTERN: pattern}
    return field(default=default, repr=repr, metadata=told)


def variables(kind: Any) -> dict[str, "Field[Any]"]:
    """The fields of such a dataclass by the variable that sets each."""
    return {each.metadata[_VARIABLE]: each for each in fields(kind)}


def read(kind: type[T], environ: Mapping[str, str]) -> T:
    """What is not in `environ` has its default; what `kind` does not know is left alone. Raises: WrongVariables."""
    values, wrong = {}, []
    for variable, each in variables(kind).items():
        text = environ.get(variable)
        if text is None:
            continue
        try:
            values[each.name] = _value(each, text)
        except ValueError as error:
            wrong.append(f"{variable}: {error}")
    if wrong:
        raise WrongVariables("; ".join(wrong))
    return kind(**values)


def _value(declared: "Field[Any]", text: str) -> Any:
    """Raises: ValueError, whose text is ours."""
    kind: Any = declared.type
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind), text)
    kind = next((each for each in get_args(kind) if each is not NoneType), kind)
    if kind is bool:
        return _switch(text)
    if kind in (int, float):
        return _within(declared.metadata[_BOUNDS], _whole(text) if kind is int else _number(text))
    pattern = declared.metadata[_PATTERN]
    if pattern is not None and not re.fullmatch(pattern, text):
        raise ValueError(f"must match {pattern}")
    return text


def _one_of(words: tuple[str, ...], text: str) -> str:
    if text not in words:
        raise ValueError(f"must be {' or '.join(words)}")
    return text


def _switch(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return text.lower() in _TRUE


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError("must be a whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("must be a number")
    return number


def _within(bounds: Mapping[str, float], number: float) -> float:
    holds = {"gt": number > bounds.get("gt", -math.inf), "ge": number >= bounds.get("ge", -math.inf)}
    holds["le"] = number <= bounds.get("le", math.inf)
    if not all(holds.values()):
        raise ValueError("must be " + " and ".join(f"{_BOUND_TEXTS[name]} {bound:g}" for name, bound in bounds.items()))
    return number
