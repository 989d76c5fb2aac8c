"""adapters/memory_limiter.py: fixed windows, counted in one process."""

import threading

import pytest

from keyrail.adapters import memory_limiter
from keyrail.adapters.memory_limiter import MemoryRateLimiter
from keyrail.domain.records import Limit
from keyrail.ports import Refused

RATE, QUOTA = Limit(requests=2, window_seconds=10), Limit(requests=3, window_seconds=3600)


class Uses:
    """Uses of keys at a time that the test moves."""

    def __init__(self) -> None:
        self.seconds = 5000.0
        self._limiter = MemoryRateLimiter(lambda: self.seconds)

    def take(self, key_id: str = "a", rate: Limit | None = RATE, quota: Limit | None = None) -> Refused | None:
        return self._limiter.take(key_id, rate, quota)

    def allowed(self, times: int, key_id: str = "a", rate: Limit | None = RATE, quota: Limit | None = None) -> int:
        return sum(self.take(key_id, rate, quota) is None for _ in range(times))


@pytest.fixture
def uses() -> Uses:
    return Uses()


def test_no_limit_is_no_refusal(uses: Uses) -> None:
    assert uses.allowed(1000, rate=None) == 1000


def test_as_many_as_the_limit_says_in_each_window(uses: Uses) -> None:
    for _ in range(3):
        assert uses.allowed(5) == 2
        uses.seconds += RATE.window_seconds


def test_a_window_begins_with_the_first_use_and_ends_on_time(uses: Uses) -> None:
    assert uses.allowed(2) == 2
    uses.seconds += 9.999
    assert uses.allowed(1) == 0
    uses.seconds += 0.001
    assert uses.allowed(3) == 2


@pytest.mark.parametrize(("waited", "seconds"), [(0, 10), (0.1, 10), (4, 6), (4.6, 6), (9, 1), (9.9, 1)])
def test_who_waits_as_long_as_told_is_let(uses: Uses, waited: float, seconds: int) -> None:
    uses.allowed(2)
    uses.seconds += waited
    assert uses.take() == Refused("rate", seconds)
    uses.seconds += seconds
    assert uses.take() is None


def test_each_key_has_its_own(uses: Uses) -> None:
    assert [uses.allowed(3, key_id) for key_id in ("a", "b")] == [2, 2]


def test_both_limits_hold_and_a_refusal_counts_against_neither(uses: Uses) -> None:
    assert uses.allowed(2, quota=QUOTA) == 2
    assert uses.take(quota=QUOTA) == Refused("rate", 10)
    uses.seconds += 10
    assert uses.allowed(1, quota=QUOTA) == 1
    assert uses.take(quota=QUOTA) == Refused("quota", 3590)
    assert uses.allowed(1) == 1  # the refusal by the quota took nothing from the rate
    uses.seconds += 3590
    assert uses.allowed(3, quota=QUOTA) == 2


def test_a_limit_that_is_changed_holds_at_once(uses: Uses) -> None:
    assert uses.allowed(2) == 2
    assert uses.allowed(3, rate=Limit(requests=4, window_seconds=10)) == 2
    assert uses.allowed(1, rate=Limit(requests=1, window_seconds=10)) == 0


def test_memory_is_bounded_and_the_longest_untouched_starts_anew(uses: Uses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limiter, "_MAX_KEYS", 3)
    for key_id in "abc":
        uses.allowed(2, key_id)
    uses.take("a")  # refused, and so touched
    uses.take("d")
    assert len(uses._limiter._windows) == 3
    assert uses.allowed(1, "a") == 0
    assert uses.allowed(1, "b") == 1


def test_threads_are_counted_one_by_one() -> None:
    uses = Uses()
    limit = Limit(requests=500, window_seconds=10)
    allowed: list[int] = []
    threads = [
        threading.Thread(target=lambda: allowed.append(uses.allowed(200, rate=limit, quota=limit))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(allowed), sum(allowed)) == (8, 500)
