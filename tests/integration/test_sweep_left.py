"""A sweep that the clock called and that did not come to its end in its time: the ticks go on with it, over a real
OpenBao and under the policy of the function that offers both."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from test_sweep import DAY, TICKER, Sweeping, issue

from keyrail.domain.errors import Unavailable
from keyrail.operations import rotate_due
from keyrail.rotation_ports import DueEntry
from keyrail.sweeping import TURN_SECONDS
from vault_mount import Mount
from vault_world import vault_world

KEYS = 12
BUDGET_SECONDS = 5  # a look takes one


@pytest.fixture
def swept(mount: Mount, caplog: pytest.LogCaptureFixture) -> Iterator[Sweeping]:
    """Slowly."""
    with vault_world(mount) as world:
        made = Sweeping(world)
        find = made.services.keys.find

        def slow_find(key_id: str) -> Any:
            world.clock.seconds += 1.0
            return find(key_id)

        made.services.keys.find = slow_find  # type: ignore[method-assign]
        caplog.set_level(logging.INFO, "keyrail")
        yield made


@pytest.fixture
def unused(swept: Sweeping) -> list[str]:
    """By id, in the order of a sweep."""
    made = [issue(swept.world) for _ in range(KEYS)]
    swept.world.clock.seconds += 100 * DAY
    return sorted(made)


def tick(swept: Sweeping, **fields: Any) -> Any:
    swept.world.clock.seconds += 2
    return rotate_due.run(rotate_due.TickRequest(budget_seconds=BUDGET_SECONDS, **fields), TICKER, swept.services)


def left(swept: Sweeping) -> list[str]:
    """Of sweeps, now and within the time of a turn."""
    until = swept.world.clock.now() + timedelta(seconds=2 * TURN_SECONDS)
    return [entry.subject for entry in swept.services.due.due(until) if entry.kind == "sweep"]


def told(caplog: pytest.LogCaptureFixture, fact: str) -> list[Any]:
    """In the lines of all parts."""
    lines = [record.facts for record in caplog.records if record.msg == "sweep"]  # type: ignore[attr-defined]
    return [each for line in lines for each in line[fact]]


def test_the_ticks_go_on_until_all_keys_were_looked_at(
    swept: Sweeping, unused: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert 0 < swept(budget_seconds=BUDGET_SECONDS).looked_at < KEYS
    ticks = 0
    while left(swept):
        assert tick(swept).failed == 0
        ticks += 1
        assert ticks < 50
    assert ticks > 2
    assert told(caplog, "unused") == unused, "each once, in the log, since the clock throws replies away"


def test_with_what_the_clock_asked_for(swept: Sweeping, unused: list[str], caplog: pytest.LogCaptureFixture) -> None:
    swept(budget_seconds=BUDGET_SECONDS, unused_days=365)
    tick(swept)
    assert left(swept)
    assert told(caplog, "unused") == []


def test_whoever_names_a_cursor_goes_on_by_himself(swept: Sweeping, unused: list[str]) -> None:
    assert swept(budget_seconds=BUDGET_SECONDS, cursor="keys:").next_cursor is not None
    assert left(swept) == []


def test_one_that_came_to_its_end_leaves_nothing(swept: Sweeping, unused: list[str]) -> None:
    assert swept(budget_seconds=500).next_cursor is None
    assert left(swept) == []


def test_another_tick_has_no_turn_meanwhile_and_one_that_is_cut_off_loses_it(
    swept: Sweeping, unused: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    swept(budget_seconds=BUDGET_SECONDS)
    (before,) = left(swept)
    looked_at = told(caplog, "unused")

    def cut_off(*_: Any) -> Any:
        tick(swept)  # another one, side by side
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(swept.services.keys, "list_all_ids", cut_off)
        with pytest.raises(KeyboardInterrupt):
            tick(swept)
    assert left(swept) == [before]
    tick(swept)
    assert told(caplog, "unused") == looked_at, "it is still its turn"
    swept.world.clock.seconds += 2 * TURN_SECONDS
    tick(swept)
    assert told(caplog, "unused") == unused[: len(told(caplog, "unused"))]
    assert len(told(caplog, "unused")) > len(looked_at)


def test_what_fails_is_told_and_tried_again(
    swept: Sweeping, unused: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: Any) -> Any:
        raise Unavailable("the store is away")

    swept(budget_seconds=BUDGET_SECONDS)
    with monkeypatch.context() as patched:
        patched.setattr(swept.services.keys, "list_all_ids", away)
        assert tick(swept).failed == 0
    assert [line.facts["code"] for line in caplog.records if line.levelno == logging.ERROR] == ["UNAVAILABLE"]  # type: ignore[attr-defined]
    assert len(left(swept)) == 1


@pytest.mark.parametrize("subject", ["", "keys:", "x:keys:", "90:", "90:keys:../../etc", "90:others:"])
def test_a_hint_that_somebody_put_there_by_hand_is_removed(swept: Sweeping, subject: str) -> None:
    swept.services.due.add(DueEntry.of(swept.world.clock.now(), "sweep", subject))
    assert tick(swept).failed == 0
    assert left(swept) == []
