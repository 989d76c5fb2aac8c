"""A schema is checked to the letter, tells nothing of the value, and can't keep a processor busy."""

import time
from typing import Any

import pytest

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.value_schema import require_schema, require_valid

SECONDS = 15.0  # what else than a bound would stay below this on a busy machine?


def refused(value: Any, schema: dict[str, Any]) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        require_valid(value, schema)
    return caught.value


@pytest.mark.parametrize(
    ("schema", "good", "bad", "rule"),
    [
        ({"type": "string"}, "x", 1, "type"),
        ({"enum": [1, None]}, None, 2, "enum"),
        ({"pattern": "^a+$"}, "aaa", "ab", "pattern"),
        ({"pattern": "^a+$"}, 5, "b", "pattern"),
        ({"uniqueItems": True}, [1, True, "1", {}, []], [1, 1.0], "uniqueItems"),
        ({"uniqueItems": True}, [{"a": 1}, {"a": 2}], [{"a": [1], "b": 2}, {"b": 2, "a": [1.0]}], "uniqueItems"),
        ({"uniqueItems": False}, [1, 1], None, ""),
        ({"propertyNames": {"pattern": "^[a-z]+$"}}, {"ab": 1}, {"A": 1}, "pattern"),
        ({"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}, [1], ["x"], "type"),
        ({"properties": {"a": {"$ref": "#"}}, "type": "object"}, {"a": {"a": {}}}, {"a": {"a": 1}}, "type"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1, "b": 1}, {"a": 1}, "dependentRequired"),
        ({"not": {"type": "null"}}, 1, None, "not"),
        ({"unevaluatedProperties": False, "properties": {"a": True}}, {"a": 1}, {"b": 1}, "unevaluatedProperties"),
    ],
)
def test_a_value_keeps_to_it_or_not(schema: dict[str, Any], good: Any, bad: Any, rule: str) -> None:
    require_schema(schema)
    require_valid(good, schema)
    if rule:
        error = refused(bad, schema)
        assert error.code == "INVALID_VALUE"
        assert error.fields[0]["problem"] == f"breaks the rule {rule}"


def test_no_more_than_twenty_problems_are_told() -> None:
    assert len(refused(["x"] * 100, {"items": {"type": "integer"}}).fields) == 20


def doubling(levels: int) -> dict[str, Any]:
    """Each definition refers to the next one twice."""
    names: dict[str, Any] = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": names | {f"a{levels}": {}}, "$ref": "#/$defs/a0"}


@pytest.mark.parametrize(
    ("value", "schema", "code"),
    [
        (1, doubling(40), "BAD_SCHEMA"),
        ([0] * 20_000, {"items": {"anyOf": [{"const": n} for n in range(1, 800)]}}, "BAD_SCHEMA"),
        ("a" * 60_000, {"pattern": "^(a+)+(a|aa)+$!"}, "INVALID_VALUE"),
        ([{}] * 20_000, {"uniqueItems": True}, "INVALID_VALUE"),
    ],
    ids=["references", "rules", "pattern", "unique"],
)
def test_what_could_take_for_ever_ends_soon(value: Any, schema: dict[str, Any], code: str) -> None:
    require_schema(schema)
    began_at = time.monotonic()
    assert refused(value, schema).code in (code, "INVALID_VALUE")
    assert time.monotonic() - began_at < SECONDS


def test_a_pattern_that_needs_much_memory_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        require_schema({"pattern": "((a{1,100}){1,100}){1,100}"})
    assert caught.value.code == "BAD_SCHEMA"


def test_nothing_is_fetched() -> None:
    """Sockets are closed in unit tests: trying would fail the test. Written past require_schema, as from a store."""
    assert refused(1, {"$ref": "http://127.0.0.1:9/schema.json"}).code == "BAD_SCHEMA"
    assert refused(1, {"$ref": "https://json-schema.org/draft/2020-12/none"}).code == "BAD_SCHEMA"
