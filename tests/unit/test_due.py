"""domain/due.py: what a tick has to do with a key, and when it should look, as tables with their boundaries."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from builders import HOUR_SECONDS, NOW, SECOND, TICK, generation, record, stored, tombstone

from keyrail.domain.due import (
    USAGE_LAG_SECONDS,
    DueAction,
    LeftBehind,
    due_action,
    due_times,
    grace_watch_times,
    is_still_used,
    left_behind,
    silent_at,
)
from keyrail.domain.records import KeyRecord, Rotation, StoredKey
from keyrail.rotation_ports import DueEntry

HOUR = timedelta(seconds=HOUR_SECONDS)
LEASE_SECONDS = 30.0
LEASE = timedelta(seconds=LEASE_SECONDS)
LAG = timedelta(seconds=USAGE_LAG_SECONDS)
SINK = "vault:acme/gateway"

CURRENT = generation(2)
RETIRING = generation(1, "retiring", retire_at=NOW + HOUR)  # its grace began at NOW
PENDING = generation(3, "pending", activated_at=None)
ABANDONED = generation(3, "retiring", activated_at=None, retire_at=NOW + HOUR)


def rotation(**given: Any) -> Rotation:
    return Rotation(**{"grace_seconds": HOUR_SECONDS, "max_grace_seconds": HOUR_SECONDS, "sink": SINK, **given})


def key(*generations: Any, rotating: Rotation | None = None, **changes: Any) -> StoredKey:
    return stored(*(generations or (CURRENT,)), rotation=rotating or rotation(next_at=NOW), **changes)


class TestWhatIsToBeDone:
    @pytest.mark.parametrize(
        ("asked", "now", "action"),
        [
            (None, NOW, DueAction.DROP),
            (key(tombstone=tombstone()), NOW, DueAction.DROP),
            (key(CURRENT, PENDING, tombstone=tombstone()), NOW, DueAction.DROP),
            (key(expires_at=NOW), NOW, DueAction.DROP),
            (key(expires_at=NOW + TICK), NOW, DueAction.ROTATE),
            (key(state="disabled"), NOW, DueAction.DROP),
            (key(CURRENT, PENDING, state="disabled"), NOW, DueAction.DROP),
            (key(not_before=NOW + HOUR), NOW, DueAction.ROTATE),
        ],
        ids=["unknown", "revoked", "revoked in flight", "expired", "alive", "disabled", "disabled in flight", "early"],
    )
    def test_with_a_key_in_each_state(self, asked: StoredKey | None, now: datetime, action: DueAction) -> None:
        assert due_action(asked, now) is action

    @pytest.mark.parametrize(
        ("given", "now", "action"),
        [
            ({"next_at": None}, NOW, DueAction.DROP),
            ({"next_at": NOW, "sink": None}, NOW, DueAction.DROP),
            ({"next_at": NOW}, NOW - TICK, DueAction.DROP),
            ({"next_at": NOW}, NOW, DueAction.ROTATE),
            ({"next_at": NOW}, NOW + 1000 * HOUR, DueAction.ROTATE),
            ({"next_at": NOW, "retry_at": NOW + SECOND}, NOW + SECOND - TICK, DueAction.WAIT),
            ({"next_at": NOW, "retry_at": NOW + SECOND}, NOW + SECOND, DueAction.ROTATE),
        ],
    )
    def test_with_a_key_whose_time_comes(self, given: dict[str, Any], now: datetime, action: DueAction) -> None:
        assert due_action(key(rotating=rotation(**given)), now) is action

    @pytest.mark.parametrize(
        ("given", "now", "action"),
        [
            ({"lease_until": NOW + LEASE}, NOW + LEASE - TICK, DueAction.WAIT),
            ({"lease_until": NOW + LEASE}, NOW + LEASE, DueAction.RESUME),
            ({"retry_at": NOW + HOUR}, NOW + HOUR - TICK, DueAction.WAIT),
            ({"retry_at": NOW + HOUR}, NOW + HOUR, DueAction.RESUME),
            ({"lease_until": NOW, "retry_at": NOW + HOUR}, NOW + HOUR - TICK, DueAction.WAIT),
            ({"lease_until": NOW + HOUR, "retry_at": NOW}, NOW + HOUR - TICK, DueAction.WAIT),
            ({"next_at": None}, NOW, DueAction.RESUME),
            ({"next_at": NOW + HOUR}, NOW, DueAction.RESUME),
        ],
    )
    def test_with_a_rotation_in_flight(self, given: dict[str, Any], now: datetime, action: DueAction) -> None:
        assert due_action(key(CURRENT, PENDING, rotating=rotation(**given)), now) is action
        assert due_action(key(RETIRING, CURRENT, PENDING, rotating=rotation(**given)), now) is action

    @pytest.mark.parametrize(
        ("given", "now", "action"),
        [
            ({}, NOW + HOUR * 0.9 - TICK, DueAction.DROP),
            ({}, NOW + HOUR * 0.9, DueAction.WATCH_GRACE),
            ({}, NOW + HOUR - TICK, DueAction.WATCH_GRACE),
            ({}, NOW + HOUR, DueAction.RETIRE),
            ({}, NOW + 1000 * HOUR, DueAction.RETIRE),
            ({"silent_seconds": 60}, NOW + 60 * SECOND + LAG - TICK, DueAction.DROP),
            ({"silent_seconds": 60}, NOW + 60 * SECOND + LAG, DueAction.WATCH_GRACE),
            ({"silent_seconds": HOUR_SECONDS}, NOW + HOUR * 0.9 - TICK, DueAction.DROP),
            ({"next_at": NOW + HOUR / 2}, NOW + HOUR / 2, DueAction.WAIT),
            ({"next_at": NOW + HOUR / 2}, NOW + HOUR, DueAction.RETIRE),
        ],
    )
    def test_in_a_grace(self, given: dict[str, Any], now: datetime, action: DueAction) -> None:
        assert due_action(key(RETIRING, CURRENT, rotating=rotation(**given)), now) is action

    def test_with_what_was_abandoned(self) -> None:
        """It retires like others, and nobody waits for it."""
        asked = key(CURRENT, ABANDONED)
        assert due_action(asked, NOW) is DueAction.ROTATE
        assert due_action(asked, NOW + HOUR) is DueAction.RETIRE


class TestWhenToLook:
    @pytest.mark.parametrize(
        ("kept", "times"),
        [
            (record(), []),
            (key().record, [NOW]),
            (key(RETIRING, CURRENT).record, [NOW, NOW + HOUR * 0.9, NOW + HOUR]),
            (
                key(RETIRING, CURRENT, rotating=rotation(silent_seconds=600)).record,
                [NOW + 600 * SECOND + LAG, NOW + HOUR * 0.9, NOW + HOUR],
            ),
            (
                key(RETIRING, CURRENT, rotating=rotation(silent_seconds=HOUR_SECONDS)).record,
                [NOW + HOUR * 0.9, NOW + HOUR],
            ),
            (key(CURRENT, ABANDONED, rotating=rotation()).record, [NOW + HOUR]),
            (key(CURRENT, PENDING, rotating=rotation(lease_until=NOW + LEASE)).record, [NOW + LEASE]),
            (key(CURRENT, PENDING, rotating=rotation(retry_at=NOW + HOUR)).record, [NOW + HOUR]),
            (key(rotating=rotation(retry_at=NOW + HOUR, next_at=NOW)).record, [NOW]),
        ],
    )
    def test_each_moment(self, kept: KeyRecord, times: list[datetime]) -> None:
        assert sorted(due_times(kept)) == times

    @pytest.mark.parametrize("kept", [key(RETIRING, CURRENT).record, key().record, key(CURRENT, ABANDONED).record])
    def test_at_each_of_them_there_is_something_to_do(self, kept: KeyRecord) -> None:
        for at in due_times(kept):
            assert due_action(StoredKey(kept, 1), DueEntry.of(at, "key", kept.key_id).at) is not DueAction.DROP

    @pytest.mark.parametrize(
        ("at", "second"), [(NOW, NOW), (NOW + TICK, NOW + SECOND), (NOW + SECOND - TICK, NOW + SECOND)]
    )
    def test_a_hint_is_of_the_next_whole_second(self, at: datetime, second: datetime) -> None:
        assert DueEntry.of(at, "key", "0Keyrail0Unit0Id").at == second

    def test_the_warning_is_the_first_of_the_grace(self) -> None:
        kept = key(RETIRING, CURRENT, rotating=rotation(silent_seconds=60)).record
        assert grace_watch_times(kept)[0] == NOW + HOUR * 0.9
        assert grace_watch_times(record()) == []


class TestUse:
    KEPT = key(RETIRING, CURRENT, rotating=rotation(silent_seconds=60)).record

    @pytest.mark.parametrize(
        ("used_at", "is_used"),
        [
            (None, False),
            (NOW - HOUR, False),
            (NOW + HOUR * 0.1, False),
            (NOW + HOUR * 0.1 + TICK, True),
            (NOW + HOUR * 0.9, True),
        ],
    )
    def test_counts_once_its_consumer_had_time_to_pick_up_the_new_key(
        self, used_at: datetime | None, is_used: bool
    ) -> None:
        assert is_still_used(self.KEPT, used_at) is is_used

    def test_of_a_key_without_a_grace_is_none(self) -> None:
        assert not is_still_used(record(), NOW)

    @pytest.mark.parametrize(
        ("used_at", "last"), [(None, NOW), (NOW - HOUR, NOW), (NOW, NOW), (NOW + HOUR / 2, NOW + HOUR / 2)]
    )
    def test_silence_begins_with_the_grace_or_the_last_use_and_the_log_is_late(
        self, used_at: datetime | None, last: datetime
    ) -> None:
        assert silent_at(self.KEPT, NOW, used_at) == last + 60 * SECOND + LAG


class TestWhatWasLeftBehind:
    """A hint with which there is nothing to do tells that somebody was cut off before he told what he did."""

    DONE = key(RETIRING, CURRENT, rotating=rotation(step="promoted")).record
    ENDED = key(
        generation(1, "retired", retire_at=NOW + HOUR),
        CURRENT,
        rotating=rotation(step="promoted", next_at=NOW + 9 * HOUR),
    ).record

    @pytest.mark.parametrize(
        ("kept", "at", "left"),
        [
            (DONE, NOW - HOUR, LeftBehind("promoted", 2, NOW)),
            (DONE, NOW + LEASE, LeftBehind("promoted", 2, NOW)),
            (DONE, NOW + LEASE + TICK, None),
            (ENDED, NOW + LEASE, LeftBehind("promoted", 2, NOW)),
            (ENDED, NOW + LEASE + TICK, LeftBehind("retired", 1, NOW + HOUR)),
            (ENDED, NOW + HOUR + LEASE, LeftBehind("retired", 1, NOW + HOUR)),
            (ENDED, NOW + HOUR + LEASE + TICK, None),
            (record(), NOW, None),
            (key(CURRENT, PENDING, rotating=rotation(step="staged")).record, NOW, None),
            (key(CURRENT, rotating=rotation(step="promoted")).record, NOW + HOUR, None),
        ],
    )
    def test_by_the_time_of_the_hint(self, kept: KeyRecord, at: datetime, left: LeftBehind | None) -> None:
        assert left_behind(kept, at, LEASE_SECONDS) == left

    def test_one_that_reached_nobody_left_nothing(self) -> None:
        never_current = generation(1, "retired", activated_at=None, retire_at=NOW + HOUR)
        kept = key(never_current, CURRENT, rotating=rotation(step="promoted")).record
        assert left_behind(kept, NOW + HOUR, LEASE_SECONDS) is None
