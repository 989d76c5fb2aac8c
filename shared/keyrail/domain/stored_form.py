"""Frozen dataclasses as plain JSON types and back, strictly: what is kept was written by us, or is refused.

Refused: unknown fields and missing ones, an int or a bool for another, a naive datetime, a text for a list. pydantic
does the same; its adapters for records take half of a function's start to build.
"""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]
_PLAIN = frozenset({str, int, float, bool, NoneType})
UNLESS = "unless"  # metadata of a field: it is written only where its value is another


class Malformed(ValueError):
    """The document is of another shape. Its text names the place at most, never a value."""


def encode(value: Any) -> Any:
    """`value`, a dataclass, and all in it. Datetimes as RFC 3339."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if kind is datetime:
        return value.isoformat().replace("+00:00", "Z")
    if kind is dict:
        return {name: encode(inner) for name, inner in value.items()}
    if kind in (list, tuple):
        return [encode(inner) for inner in value]
    kept = [(name, getattr(value, name), unless) for name, unless in _written(kind)]
    return {name: encode(inner) for name, inner, unless in kept if inner != unless}


@cache
def _written(kind: Any) -> list[tuple[str, object]]:
    """Each field with the value that is not written."""
    return [(each.name, each.metadata.get(UNLESS, MISSING)) for each in fields(kind)]


def decode(kind: type[T], document: object) -> T:
    """Raises: Malformed."""
    any_kind: Any = kind
    read: T = _reader(any_kind)(document)
    return read


@cache
def _reader(kind: Any) -> Reader:
    if is_dataclass(kind):
        return _reader_of_dataclass(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _reader_of_optional(*(each for each in inner if each is not NoneType))
    if origin is Literal:
        return _reader_of_literal(inner)
    if origin is tuple:
        return _reader_of_tuple(inner[0])
    if origin is dict:
        return _reader_of_dict(inner[1])
    if kind is datetime:
        return _instant
    return (lambda value: value) if kind is Any else _reader_of_plain(kind)


def _reader_of_dataclass(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    readers = {each.name: _reader(hints[each.name]) for each in fields(kind)}
    needed = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}

    def read(value: Any) -> Any:
        if not isinstance(value, dict) or not needed <= value.keys() <= readers.keys():
            raise Malformed(f"{kind.__name__} has other fields")
        return kind(**{name: readers[name](inner) for name, inner in value.items()})

    return read


def _reader_of_optional(kind: Any) -> Reader:
    read = _reader(kind)
    return lambda value: None if value is None else read(value)


def _reader_of_literal(values: tuple[Any, ...]) -> Reader:
    def read(value: Any) -> Any:
        if not any(type(value) is type(each) and value == each for each in values):
            raise Malformed("a word that is none of its kind")
        return value

    return read


def _reader_of_tuple(kind: Any) -> Reader:
    read = _reader(kind)

    def read_all(value: Any) -> Any:
        return tuple(map(read, _of_type(value, list)))

    return read_all


def _reader_of_dict(kind: Any) -> Reader:
    read = _reader(kind)

    def read_all(value: Any) -> Any:
        return {_of_type(name, str): read(inner) for name, inner in _of_type(value, dict).items()}

    return read_all


def _reader_of_plain(kind: type) -> Reader:
    return lambda value: _of_type(value, kind)


def _of_type(value: Any, kind: type) -> Any:
    """A bool is no int."""
    if type(value) is not kind:
        raise Malformed(f"no {kind.__name__}")
    return value


def _instant(value: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(_of_type(value, str))
    except ValueError:
        raise Malformed("no datetime") from None  # its text holds the value
    if instant.tzinfo is None:
        raise Malformed("a naive datetime")
    return instant
