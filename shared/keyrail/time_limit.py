"""Until when the call under way may go on reading the store.

Only calls that change nothing have such a limit: a change that is stopped between two writes would be left half done,
and each of its few requests has a deadline of its own.
"""

import time
from contextvars import ContextVar

from keyrail.domain.errors import DeadlineExceeded

_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)  # by time.monotonic


class reading_until:
    """Reads as a function; one made of a generator would cost ten times as much."""

    __slots__ = ("_at", "_token")

    def __init__(self, ends_at: float) -> None:
        """`ends_at` by time.monotonic."""
        self._at = ends_at

    def __enter__(self) -> None:
        self._token = _ends_at.set(self._at)

    def __exit__(self, *_: object) -> None:
        _ends_at.reset(self._token)


def require_time_left() -> None:
    """Raises: DeadlineExceeded."""
    ends_at = _ends_at.get()
    if ends_at is not None and time.monotonic() > ends_at:
        raise DeadlineExceeded("the time of the whole call was over before it had read everything")
