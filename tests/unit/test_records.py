"""domain/records.py: what is kept comes back as it was, and nothing else is taken for a record."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from builders import NOW, SECOND, TICK, digest, generation, record, stored, tombstone
from hypothesis import given
from hypothesis import strategies as st

from keyrail.domain.records import (
    Context,
    Generation,
    GenerationState,
    KeyRecord,
    Limit,
    Rotation,
    RotationStep,
    Tombstone,
    decode_record,
    decode_tombstone,
    encode,
    is_early,
    is_expired,
)
from keyrail.domain.stored_form import Malformed

TEXT = st.text(max_size=20)
INSTANTS = st.datetimes(timezones=st.just(UTC))
COUNTS = st.integers(0, 10**9)
NAMES = st.lists(TEXT, max_size=3).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


GENERATIONS = st.builds(
    Generation,
    n=COUNTS,
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    pepper_version=COUNTS,
    state=st.sampled_from(get_args(GenerationState)),
    activated_at=maybe(INSTANTS),
    retire_at=maybe(INSTANTS),
    digest_scheme=st.sampled_from(["key", "sha256"]),
)
ROTATIONS = st.builds(
    Rotation,
    grace_seconds=COUNTS,
    max_grace_seconds=COUNTS,
    interval_seconds=maybe(COUNTS),
    next_at=maybe(INSTANTS),
    sink=maybe(TEXT),
    rotation_id=maybe(TEXT),
    step=maybe(st.sampled_from(get_args(RotationStep))),
)
LIMITS = maybe(st.builds(Limit, requests=COUNTS, window_seconds=COUNTS))
RECORDS = st.builds(
    KeyRecord,
    **dict.fromkeys(("key_id", "tenant", "env", "prefix", "owner", "name", "created_by"), TEXT),
    **dict.fromkeys(("state_reason", "state_by", "request_fingerprint"), maybe(TEXT)),
    **dict.fromkeys(("state_at", "not_before", "expires_at"), maybe(INSTANTS)),
    **dict.fromkeys(("scopes", "roles"), NAMES),
    created_at=INSTANTS,
    generations=st.lists(GENERATIONS, max_size=4).map(tuple),
    rotation=ROTATIONS,
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    metadata=st.dictionaries(TEXT, JSON, max_size=3),
    state=st.sampled_from(["active", "disabled"]),
    lifetime_seconds=maybe(COUNTS),
    context=st.builds(Context, cidrs=NAMES, audiences=NAMES),
    rate=LIMITS,
    quota=LIMITS,
)
TOMBSTONES = st.builds(Tombstone, key_id=TEXT, revoked_at=INSTANTS, revoked_by=TEXT, reason=TEXT)


@given(RECORDS)
def test_a_record_comes_back_as_it_was(kept: KeyRecord) -> None:
    assert decode_record(through_json(encode(kept))) == kept


@given(TOMBSTONES)
def test_a_tombstone_comes_back_as_it_was(kept: Tombstone) -> None:
    assert decode_tombstone(through_json(encode(kept))) == kept


@given(RECORDS)
def test_what_was_read_is_written_the_same(kept: KeyRecord) -> None:
    written = encode(kept)
    assert encode(decode_record(written)) == written


def test_the_stored_form_stays_the_same_from_release_to_release() -> None:
    """Another form is another schema_version."""
    written = encode(record(expires_at=NOW))
    assert list(written) == [
        *("key_id", "tenant", "env", "prefix", "owner", "name", "created_at", "created_by", "generations", "rotation"),
        *("labels", "metadata", "state", "state_reason", "state_at", "state_by", "not_before", "expires_at"),
        *("lifetime_seconds", "scopes", "roles", "context", "rate", "quota", "request_fingerprint", "schema_version"),
    ]
    assert written["expires_at"] == "2030-01-31T12:00:00Z"
    assert written["schema_version"] == 1
    assert list(written["generations"][0]) == ["n", "digest", "pepper_version", "state", "activated_at", "retire_at"]
    assert list(encode(tombstone())) == ["key_id", "revoked_at", "revoked_by", "reason"]


def test_an_offset_other_than_utc_is_the_same_instant() -> None:
    read = decode_record(encode(record()) | {"expires_at": "2030-01-31T14:00:00+02:00"})
    assert read.expires_at == NOW


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"schema_version": 2},
        {"schema_version": "1"},
        {"schema_version": None},
        {"state": "revoked"},
        {"key_id": 5},
        {"key_id": None},
        {"scopes": "ml:infer"},
        {"scopes": {"ml:infer": True}},
        {"scopes": [1]},
        {"labels": ["a"]},
        {"labels": {"a": 1}},
        {"metadata": "a"},
        {"created_at": "2030-01-31T12:00:00"},
        {"created_at": "2030-01-31"},
        {"created_at": "yesterday"},
        {"expires_at": "2030-01-31T12:00:00"},
        {"lifetime_seconds": "60"},
        {"lifetime_seconds": 60.5},
        {"lifetime_seconds": 60.0},
        {"lifetime_seconds": True},
        {"generations": None},
        {"generations": [{"n": 1}]},
        {"context": {"cidrs": [], "audiences": [], "countries": []}},
        {"rate": {"requests": 1}},
        {"rate": {"requests": "1", "window_seconds": 1}},
        {"rotation": {"grace_seconds": 1}},
        {"rotation": {"grace_seconds": 1, "max_grace_seconds": 1, "step": "halfway"}},
    ],
    ids=str,
)
def test_a_document_of_another_shape_is_no_record(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        decode_record(encode(record()) | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"n": "1"},
        {"n": True},
        {"pepper_version": "1"},
        {"state": "gone"},
        {"digest": None},
        {"retire_at": "2030-01-31T12:00:00"},
    ],
    ids=str,
)
def test_a_document_of_another_shape_is_no_generation(changes: dict[str, Any]) -> None:
    written = encode(record())
    written["generations"][0] |= changes
    with pytest.raises(Malformed):
        decode_record(written)


@pytest.mark.parametrize("missing", ["key_id", "tenant", "created_at", "generations", "rotation"])
def test_a_record_lacks_no_part(missing: str) -> None:
    written = encode(record())
    del written[missing]
    with pytest.raises(Malformed):
        decode_record(written)


@pytest.mark.parametrize("document", [None, [], "", 1, {}, {"data": None}], ids=repr)
def test_something_else_is_neither_record_nor_tombstone(document: object) -> None:
    with pytest.raises(Malformed):
        decode_record(document)
    with pytest.raises(Malformed):
        decode_tombstone(document)


@pytest.mark.parametrize("changes", [{"surprise": 1}, {"revoked_at": "2030-01-31T12:00:00"}, {"reason": None}], ids=str)
def test_a_document_of_another_shape_is_no_tombstone(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        decode_tombstone(encode(tombstone()) | changes)


def test_a_record_shows_no_digest() -> None:
    key = stored(generation(1, "retiring", retire_at=NOW), generation(2))
    for shown in (repr(key), str(key), repr(key.record), repr(key.record.generations[0])):
        assert digest(1) not in shown
        assert digest(2) not in shown
        assert "retiring" in shown


class TestState:
    def test_the_first_that_holds_is_told(self) -> None:
        ended: dict[str, Any] = {"expires_at": NOW}
        early: dict[str, Any] = {"not_before": NOW + SECOND}
        assert stored(tombstone=tombstone(), state="disabled", **ended, **early).state_at(NOW) == "revoked"
        assert stored(state="disabled", **ended, **early).state_at(NOW) == "disabled"
        assert stored(**ended, **early).state_at(NOW) == "expired"
        assert stored(**early).state_at(NOW) == "not_yet_valid"
        assert stored().state_at(NOW) == "active"

    def test_a_key_has_ended_exactly_at_its_expiry(self) -> None:
        assert is_expired(record(expires_at=NOW), NOW)
        assert not is_expired(record(expires_at=NOW + TICK), NOW)
        assert not is_expired(record(), datetime.max.replace(tzinfo=UTC))

    def test_a_key_has_begun_exactly_at_its_not_before(self) -> None:
        assert is_early(record(not_before=NOW + TICK), NOW)
        assert not is_early(record(not_before=NOW), NOW)
        assert not is_early(record(), NOW - timedelta(days=1))


def through_json(data: dict[str, Any]) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))
