"""triggers/strict_json.py: JSON as RFC 8259 means it. How HTTP answers is in tests/triggers/test_refused_json.py."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from keyrail.domain.errors import InvalidArgument
from keyrail.operations.list_keys import ListRequest
from keyrail.operations.validate_key import ValidateRequest
from keyrail.triggers.request_models import as_request
from keyrail.triggers.strict_json import MAX_DEPTH, parse_object

FINITE = some.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
TEXTS = some.text(some.characters(exclude_categories=["Cs"]), max_size=10)
LEAVES = some.none() | some.booleans() | some.integers(-(2**63), 2**63) | FINITE | TEXTS
VALUES = some.recursive(
    LEAVES, lambda inner: some.lists(inner, max_size=4) | some.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)


def refusal_of(call: Callable[[], object]) -> InvalidArgument | None:
    try:
        call()
    except InvalidArgument as refused:
        return refused
    return None


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(some.dictionaries(TEXTS, VALUES, max_size=5), some.booleans(), some.sampled_from([None, 2]))
def test_what_json_can_say_comes_through_unchanged(value: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    if depth_of(value) <= MAX_DEPTH:
        assert parse_object(text.encode()) == value
    else:
        with pytest.raises(InvalidArgument):
            parse_object(text.encode())


@given(some.binary(max_size=200))
def test_anything_else_is_malformed_and_not_repeated(body: bytes) -> None:
    refused = refusal_of(lambda: parse_object(body))
    if refused is None:
        assert body == b"" or parse_object(body) == json.loads(body)
    else:
        assert (refused.code, refused.fields, refused.detail) == ("MALFORMED_JSON", (), "")


@given(some.dictionaries(TEXTS, VALUES, min_size=1, max_size=4), some.data())
def test_a_name_twice_is_refused_wherever_it_is(value: dict[str, Any], data: Any) -> None:
    name = data.draw(some.sampled_from(sorted(value)))
    twice = json.dumps(value)[:-1] + f", {json.dumps(name)}: null" + "}"
    for wrapped in (twice, f'{{"a": {twice}}}', f'{{"a": [1, {twice}]}}'):
        with pytest.raises(InvalidArgument):
            parse_object(wrapped.encode())


@given(VALUES)
def test_only_an_object_is_taken(value: Any) -> None:
    if not isinstance(value, dict):
        with pytest.raises(InvalidArgument):
            parse_object(json.dumps(value).encode())


@pytest.mark.parametrize("number", ["1e300", "-1e300", "9" * 300, "0.1e-400", "-0", "1E5", "0"])
def test_numbers_that_a_double_holds_are_taken(number: str) -> None:
    assert parse_object(f'{{"n": {number}}}'.encode()) == {"n": json.loads(number)}


@pytest.mark.parametrize(
    "number",
    ["1.1e300", "1e301", "1" + "0" * 301, "01", "+1", ".5", "1.", "0x1", "1_0", "NaN", "-Infinity", "--1", "١"],
)
def test_others_are_not(number: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_object(f'{{"n": {number}}}'.encode())


def test_nothing_is_an_empty_object() -> None:
    assert parse_object(b"") == {}


class TestFromAQuery:
    @pytest.mark.parametrize("limit", [1, 7, 200])
    def test_an_integer_is_written_in_one_way(self, limit: int) -> None:
        request: Any = as_request(ListRequest, {"limit": str(limit)}, from_strings=True)
        assert request.limit == limit

    @given(some.text(max_size=6))
    def test_any_other_text_is_no_integer(self, text: str) -> None:
        refused = refusal_of(lambda: as_request(ListRequest, {"limit": text}, from_strings=True))
        if refused is None:
            assert text == str(int(text))
        else:
            assert refused.fields[0]["field"] == "limit"

    def test_what_is_asked_for_as_text_stays_text(self) -> None:
        request: Any = as_request(ListRequest, {"owner": "5", "tenant": "007"}, from_strings=True)
        assert (request.owner, request.tenant) == ("5", "007")

    def test_a_body_has_types_of_its_own(self) -> None:
        with pytest.raises(InvalidArgument):
            as_request(ListRequest, {"limit": "5"})


def test_at_most_twenty_problems_are_told() -> None:
    with pytest.raises(InvalidArgument) as refused:
        as_request(ValidateRequest, {"batch": [{"key": 1}] * 100})
    assert len(refused.value.fields) == 20
    assert refused.value.fields[0] == {"field": "batch.0.key", "problem": "Input should be a valid string"}
