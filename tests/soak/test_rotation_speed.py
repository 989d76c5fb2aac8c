"""Three rotators side by side, and what is due among much that is not. KEYRAIL_FULL=1 for the counts of a release."""

import os

from rotation_speed import measure

FULL = os.environ.get("KEYRAIL_FULL") == "1"
KEYS, DUE = (10_000, 1000) if FULL else (90, 30)
SECONDS = 120
REQUESTS = 20  # a rotation costs 15; the rest is what they look at and find done


def test_three_rotators_rotate_all_that_is_due_once_and_in_time() -> None:
    told = measure(KEYS, DUE, rotators=3)
    print(f"\n{told}")
    assert told["seconds"] < SECONDS
    assert told["vault_requests_a_rotation"] < (REQUESTS if FULL else 2 * REQUESTS)
    assert min(told["rotated_by_each"]) > 0
