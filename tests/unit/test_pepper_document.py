"""Versions of the pepper as they are stored: read strictly, changed without touching what was read."""

import pytest

from keyrail.domain.pepper_document import PepperVersions, decode_versions, new_pepper

ONE, TWO = "ab" * 32, "cd" * 32


def test_what_was_written_is_read() -> None:
    versions = PepperVersions(2, {1: ONE, 2: TWO})
    assert decode_versions(versions.document()) == versions
    assert versions.peppers().by_version == {1: bytes.fromhex(ONE), 2: bytes.fromhex(TWO)}


def test_a_version_is_added_behind_the_highest_and_becomes_the_current_one() -> None:
    versions = PepperVersions(7, {3: ONE, 7: TWO})
    added = versions.with_next(ONE)
    assert (added.current, added.values) == (8, {3: ONE, 7: TWO, 8: ONE})
    assert versions.values == {3: ONE, 7: TWO}


def test_a_version_is_forgotten_and_the_others_stay() -> None:
    assert PepperVersions(2, {1: ONE, 2: TWO}).without(1) == PepperVersions(2, {2: TWO})


def test_no_two_are_the_same_and_none_is_shown() -> None:
    first, second = new_pepper(), new_pepper()
    assert first != second
    assert first not in repr(PepperVersions(1, {1: first}))


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"current": 1},
        {"current": 1, "versions": {}},
        {"current": 2, "versions": {"1": ONE}},
        {"current": "1", "versions": {"1": ONE}},
        {"current": True, "versions": {"1": ONE}},
        {"current": 1, "versions": {"1": ONE}, "more": 1},
        {"current": 1, "versions": {"1": ONE[:-1]}},
        {"current": 1, "versions": {"1": ONE.upper()}},
        {"current": 1, "versions": {"1": None}},
        {"current": 1, "versions": {"1": ONE, "01": ONE}},
        {"current": 0, "versions": {"0": ONE}},
    ],
)
def test_anything_else_is_malformed(document: object) -> None:
    assert decode_versions(document) is None
