"""domain/fields.py: what a request may hold."""

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from builders import KEY_ID, NOW, key_text
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from keyrail.domain import fields, key_fields
from keyrail.domain.key_format import new_key_id
from keyrail.domain.scopes import SCOPE

EACH_TEXT = {
    "KeyId": KEY_ID,
    "Tenant": "acme",
    "Text": "my key",
    "Owner": "team-ml",
    "Scope": "ml:infer",
    "ScopeExpression": "ml:infer",
    "RoleName": "admin",
    "LabelName": "team",
    "Cidr": "10.0.0.0/8",
    "Ip": "10.1.2.3",
    "IdempotencyKey": "order-7",
}


def taken(field: str, value: object) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(getattr(fields, field))
    return adapter.validate_python(value, strict=True)


def refused(field: str, value: object) -> bool:
    try:
        taken(field, value)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize(("field", "value"), EACH_TEXT.items())
class TestEachText:
    def test_is_taken_as_it_is(self, field: str, value: str) -> None:
        assert taken(field, value) == value

    def test_is_a_text_and_nothing_like_one(self, field: str, value: str) -> None:
        for other in (1, True, None, [value], {value: 1}, value.encode(), 1.5):
            assert refused(field, other)

    def test_is_neither_empty_nor_endless(self, field: str, value: str) -> None:
        assert refused(field, "")
        assert refused(field, "a" * 2000)
        assert refused(field, "a:" + "a" * 2000)

    def test_has_no_control_character(self, field: str, value: str) -> None:
        if field != "ScopeExpression":  # where any white space stands between words
            assert all(refused(field, value + odd) and refused(field, odd + value) for odd in "\n\r\t\x00\x1b\x7f")

    def test_has_no_lone_surrogate(self, field: str, value: str) -> None:
        assert refused(field, value + "\ud800")


@pytest.mark.parametrize("field", ["Text", "Owner"])
def test_no_text_that_is_kept_holds_a_key(field: str) -> None:
    """Nor a key whose checksum was cut: it follows from the rest."""
    for key in (key_text(), key_text()[:-6], f"glued{key_text()}glued", key_text()[5:]):
        assert refused(field, key)
        assert refused("Metadata", {"deep": [{"down": key}]})
        assert refused("Metadata", {key: 1})
        assert refused("Labels", {"team": key})
    assert taken(field, KEY_ID) == KEY_ID


@given(st.text(max_size=80))
def test_a_tenant_is_one_plain_path_segment(text: str) -> None:
    if not refused("Tenant", text):
        assert text.isascii()
        assert not set(text) & set("/._%\\ \n")
        assert text[0] != "-"
        assert len(text) <= 63


@given(st.from_regex(SCOPE, fullmatch=True))
def test_a_scope_is_what_scopes_say_it_is(scope: str) -> None:
    assert refused("Scope", scope) is (len(scope) > 128)
    for more in (scope + "\n", " " + scope, scope + " or a:b", "x|" + scope):
        assert refused("Scope", more)


def test_every_new_key_id_is_one() -> None:
    assert all(taken("KeyId", key_id) == key_id for key_id in (new_key_id() for _ in range(100)))


class TestTimestamp:
    @pytest.mark.parametrize(
        ("text", "instant"),
        [
            ("2030-01-31T12:00:00Z", NOW),
            ("2030-01-31t12:00:00z", NOW),
            ("2030-01-31T14:00:00+02:00", NOW),
            ("2030-01-31T06:30:00-05:30", NOW),
            ("2030-01-31T12:00:00.000001Z", NOW + timedelta(microseconds=1)),
            ("2030-01-31T12:00:00.5Z", NOW + timedelta(milliseconds=500)),
        ],
    )
    def test_is_rfc_3339_and_becomes_utc(self, text: str, instant: datetime) -> None:
        assert taken("Timestamp", text) == instant
        assert taken("Timestamp", text).tzinfo is UTC

    @pytest.mark.parametrize(
        "value",
        [
            *("2030-01-31T12:00:00", "2030-01-31", "2030-01-31 12:00:00Z", "20300131T120000Z", "2030-W05-4T12:00:00Z"),
            *("2030-02-30T12:00:00Z", "2030-01-31T25:00:00Z", "2030-01-31T12:00:60Z", "2030-01-31T12:00:00+25:00"),
            *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "now", ""),
            *("2030-01-31T12:00:00Z\n", "2030-01-31T12:00:00.0000001Z", "٢٠٣٠-01-31T12:00:00Z"),
            *(1_900_000_000, 1.9e9, True, None, NOW.replace(tzinfo=None), NOW.date()),
        ],
        ids=ascii,
    )
    def test_is_nothing_else(self, value: object) -> None:
        assert refused("Timestamp", value)


class TestNumbers:
    @pytest.mark.parametrize("value", [1, fields.MAX_SECONDS])
    def test_seconds_within_bounds_are_taken(self, value: int) -> None:
        assert taken("Seconds", value) == value

    @pytest.mark.parametrize("value", [0, -1, fields.MAX_SECONDS + 1, 10**30, "60", 60.0, True, None])
    def test_seconds_are_a_positive_integer_and_nothing_like_one(self, value: object) -> None:
        assert refused("Seconds", value)

    @pytest.mark.parametrize("requests", [0, -1, 10**9 + 1, "1", 1.0, True])
    def test_a_limit_allows_at_least_one_use(self, requests: object) -> None:
        with pytest.raises(ValidationError):
            key_fields.LimitField.model_validate({"requests": requests, "window_seconds": 60})
        assert key_fields.LimitField.model_validate({"requests": 1, "window_seconds": 60}).requests == 1


class TestNetworks:
    @given(st.ip_addresses())
    def test_any_address_is_taken_in_its_usual_form(self, address: object) -> None:
        assert ipaddress.ip_address(taken("Ip", str(address))) == ipaddress.ip_address(str(address))
        assert taken("Cidr", str(address)) == str(ipaddress.ip_network(str(address)))

    @pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "010.0.0.0/8", "::/129", "any", "*"])
    def test_what_is_no_network_is_refused(self, text: str) -> None:
        assert refused("Cidr", text)
        assert refused("Ip", text)


class TestSizes:
    def test_metadata_is_bounded_as_json(self) -> None:
        room = fields.MAX_METADATA_BYTES - len('{"a": ""}')
        assert taken("Metadata", {"a": "x" * room})
        assert refused("Metadata", {"a": "x" * (room + 1)})

    def test_labels_are_bounded_in_number(self) -> None:
        assert taken("Labels", {f"l{n}": "x" for n in range(32)})
        assert refused("Labels", {f"l{n}": "x" for n in range(33)})

    def test_a_context_is_bounded_in_number(self) -> None:
        assert key_fields.ContextField.model_validate({"cidrs": ["10.0.0.0/8"] * 32})
        for name, value in (("cidrs", "10.0.0.0/8"), ("audiences", "a")):
            with pytest.raises(ValidationError):
                key_fields.ContextField.model_validate({name: [value] * 33})


def test_a_request_has_no_field_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError):
        key_fields.ContextField.model_validate({"cidr": []})
    with pytest.raises(ValidationError):
        key_fields.LimitField.model_validate({"requests": 1, "window_seconds": 1, "burst": 1})


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(ValidationError) as refusal:
        key_fields.ContextField.model_validate({"cidrs": [key_text()], "audiences": [key_text()]})
    assert key_text()[9:] not in str(refusal.value)
