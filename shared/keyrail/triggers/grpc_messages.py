"""Protocol buffers to the fields of request models, and reply models to protocol buffers: by the fields' names.

What has no field of its own in proto stands in the two tables at the end: google.protobuf.Struct and Value (any JSON),
Timestamp, and the two messages of ours that say "all versions" and "settings of the kind". A response's field
`record` takes the reply's own fields. As in JSON, unknown fields are refused and numbers must be numbers.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from pydantic import BaseModel

from keyrail.domain.errors import InvalidArgument
from keyrail.triggers.strict_json import MAX_DEPTH

MASK = "update_mask"  # its fields are taken as they stand, also where they are empty
RECORD = "record"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = 2.0**53  # whole numbers up to here have a double of their own

Write = Callable[[Message, Any], None]


def decoded(kind: type[Message], data: bytes) -> Any:
    """Raises: InvalidArgument."""
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise InvalidArgument(f"This is no {kind.DESCRIPTOR.name}.", code="MALFORMED_REQUEST") from error
    if len(UnknownFieldSet(message)):
        raise unknown_field()
    return message


def fields_of(message: Message, depth_left: int = MAX_DEPTH) -> dict[str, Any]:
    """What is set in it, as a request model takes it. Raises: InvalidArgument."""
    if len(UnknownFieldSet(message)):
        raise unknown_field()
    found = {field.name: _read(field, value, depth_left) for field, value in message.ListFields() if field.name != MASK}
    if MASK in message.DESCRIPTOR.fields_by_name:
        for name in getattr(message, MASK).paths:
            field = message.DESCRIPTOR.fields_by_name.get(name)
            if field is None or name == MASK:
                raise _wrong(MASK, "names something that is no field of this message")
            found.setdefault(name, _empty(field))
    return found


def fill(message: Message, reply: BaseModel) -> None:
    """Sets every field of `message` that `reply` has and that is not None."""
    for name, write in _writers(message.DESCRIPTOR):
        value = reply if name == RECORD else getattr(reply, name, None)
        if value is not None:
            write(message, value)


def put_struct(message: Any, values: Mapping[str, Any]) -> None:
    """The same as Struct.update, which builds each message twice."""
    message.SetInParent()
    for name, value in values.items():
        _put_value(message.fields[name], value)


def put_time(message: Any, value: datetime) -> None:
    """The same as Timestamp.FromDatetime, in a quarter of its time."""
    since = value - _EPOCH
    message.seconds = since.days * 86_400 + since.seconds
    message.nanos = since.microseconds * 1000


def _read(field: FieldDescriptor, value: Any, depth_left: int) -> Any:
    if field.message_type is None:
        return list(value) if field.is_repeated else value
    if field.message_type.GetOptions().map_entry:
        return dict(value)  # all maps of requests are of texts
    if field.is_repeated:
        return [_read_message(each, depth_left) for each in value]
    return _read_message(value, depth_left)


def _read_message(message: Any, depth_left: int) -> Any:
    own = _READ.get(message.DESCRIPTOR.full_name)
    return fields_of(message, depth_left - 1) if own is None else own(message, depth_left)


def _empty(field: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {}
    return [] if field.is_repeated else None


def unknown_field() -> InvalidArgument:
    return _wrong("(unknown field)", "is not known to this server")


def _wrong(field: str, problem: str) -> InvalidArgument:
    told = ({"field": field, "problem": problem},)
    return InvalidArgument("Some fields are wrong; see errors.", code="INVALID_FIELD", fields=told)


# -- writing --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _writers(kind: Descriptor) -> tuple[tuple[str, Write], ...]:
    return tuple((field.name, _writer(field)) for field in kind.fields)


def _writer(field: Any) -> Write:
    name, kind = field.name, field.message_type
    if kind is None and not field.is_repeated:
        return lambda message, value: setattr(message, name, value)
    if kind is None:
        return lambda message, value: getattr(message, name).extend(value)
    if kind.GetOptions().map_entry:
        return lambda message, value: getattr(message, name).update(value)
    put: Write = _WRITE.get(kind.full_name, _fill_message)
    if not field.is_repeated:
        return lambda message, value: put(getattr(message, name), value)

    def put_all(message: Message, values: Any) -> None:
        for each in values:
            put(getattr(message, name).add(), each)

    return put_all


def _fill_message(message: Any, reply: BaseModel) -> None:
    message.SetInParent()  # there, even where all of its fields are empty
    fill(message, reply)


# -- any JSON -------------------------------------------------------------------------------------------------------


def _value(message: Any, depth_left: int) -> Any:
    """Raises: InvalidArgument where it nests deeper than JSON may here, or holds no JSON number."""
    if depth_left <= 0:
        raise InvalidArgument(f"The message nests deeper than {MAX_DEPTH}.", code="MALFORMED_REQUEST")
    match message.WhichOneof("kind"):
        case "struct_value":
            return _struct(message.struct_value, depth_left)
        case "list_value":
            return [_value(each, depth_left - 1) for each in message.list_value.values]
        case "number_value":
            return _number(message.number_value)
        case "string_value":
            return message.string_value
        case "bool_value":
            return message.bool_value
    return None


def _number(value: float) -> int | float:
    if not isfinite(value) or abs(value) > 1e300:
        raise InvalidArgument("NaN, Infinity and numbers over 1e300 are not taken.", code="MALFORMED_REQUEST")
    return int(value) if value.is_integer() and abs(value) <= _EXACT else value


def _struct(message: Any, depth_left: int) -> dict[str, Any]:
    return {name: _value(each, depth_left - 1) for name, each in message.fields.items()}


def _put_value(message: Any, value: Any) -> None:
    match value:
        case None:
            message.null_value = 0
        case bool():
            message.bool_value = value
        case int() | float():
            message.number_value = value
        case str():
            message.string_value = value
        case dict():
            put_struct(message.struct_value, value)
        case _:
            message.list_value.SetInParent()
            for each in value:
                _put_value(message.list_value.values.add(), each)


# -- the tables -----------------------------------------------------------------------------------------------------


def _timestamp(message: Any, _depth_left: int) -> datetime:
    try:
        at: datetime = message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument("A timestamp is out of range.", code="MALFORMED_REQUEST") from error
    return at


def _versions(message: Any, _depth_left: int) -> Any:
    if message.all and message.numbers:
        raise _wrong("destroy_versions", "names versions beside all of them")
    return "all" if message.all else list(message.numbers)


def _config_rotation(message: Any, depth_left: int) -> dict[str, Any]:
    """Settings of the kind stand beside its name. Fields of responses are no settings, and are passed on to be told."""
    return {**_struct(message.settings, depth_left - 1), "kind": message.kind, **_given(message)}


def _given(message: Any) -> dict[str, Any]:
    found = {field.name: value for field, value in message.ListFields() if field.name != "settings"}
    if extra := found.keys() - {"kind", "interval_seconds"}:
        raise _wrong(f"rotation.{min(extra)}", "is told in responses only")
    return found


def _put_config_rotation(message: Any, reply: BaseModel) -> None:
    fill(message, reply)
    put_struct(message.settings, reply.model_extra or {})


_READ: dict[str, Callable[[Any, int], Any]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _value,
    "keyrail.v1.ConfigVersions": _versions,
    "keyrail.v1.ConfigRotation": _config_rotation,
}
_WRITE: dict[str, Write] = {
    "google.protobuf.Timestamp": put_time,
    "google.protobuf.Struct": put_struct,
    "google.protobuf.Value": lambda message, value: _put_value(message, value.root),
    "keyrail.v1.ConfigRotation": _put_config_rotation,
}
