"""Until when the call under way may go on reading the store.

Only calls that change nothing have such a limit: a change that is stopped between two writes would be left half done,
and each of its few requests has a deadline of its own.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from keyrail.domain.errors import DeadlineExceeded

_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)  # by time.monotonic


@contextmanager
def reading_until(ends_at: float | None) -> Iterator[None]:
    token = _ends_at.set(ends_at)
    try:
        yield
    finally:
        _ends_at.reset(token)


def require_time_left() -> None:
    """Raises: DeadlineExceeded."""
    ends_at = _ends_at.get()
    if ends_at is not None and time.monotonic() > ends_at:
        raise DeadlineExceeded("the time of the whole call was over before it had read everything")
