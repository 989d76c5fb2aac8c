"""Many things moved by a few threads: backing off where a store is busy, and going on past what fails."""

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import click

from keyrail.domain.errors import DeadlineExceeded, KeyrailError, Unavailable, Unreadable
from keyrail.triggers.cli_bulk import MAX_AWAY_IN_A_ROW

THREADS = 8
AT_A_TIME = 500  # handed to the threads, so that what waits for them stays small
PAUSES_SECONDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # the longest before each try again; the adapters' own come on top

T = TypeVar("T")
Act = Callable[[], str | None]  # gives the outcome, None where that is not to be counted


class _Failed(NamedTuple):
    code: str
    is_away: bool  # the store as a whole, which says nothing of this one
    act: Act


class Movers:
    """Counts outcomes, and keeps the code of whatever failed until it is moved after all."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._failed: dict[str, _Failed] = {}
        self._away_in_a_row = 0
        self._lock = threading.Lock()  # guards all above

    @property
    def is_away(self) -> bool:
        return self._away_in_a_row >= MAX_AWAY_IN_A_ROW

    @property
    def failures(self) -> dict[str, str]:
        """Codes."""
        return {name: failed.code for name, failed in self._failed.items()}

    def move_all(
        self, what: str, items: Sequence[T], act: Callable[[T], str | None], name_of: Callable[[T], str]
    ) -> None:
        """With a progress bar. Stops where a store is away; the rest is `left`."""
        looked_at = 0
        try:
            bar_on_stderr = click.progressbar(length=len(items), label=what, file=sys.stderr)
            with ThreadPoolExecutor(THREADS) as threads, bar_on_stderr as bar:
                for begin in range(0, len(items), AT_A_TIME):
                    some = items[begin : begin + AT_A_TIME]
                    for is_done in threads.map(lambda item: self.move(name_of(item), partial(act, item)), some):
                        looked_at += is_done
                        bar.update(1)
                    if self.is_away:
                        break
        except BaseException:
            self._away_in_a_row = MAX_AWAY_IN_A_ROW  # the threads stop at what they are at
            raise
        finally:
            self.counts["left"] += len(items) - looked_at

    def move(self, name: str, act: Act) -> bool:
        """False where it is left, since a store is away."""
        if self.is_away:
            return False
        try:
            outcome, failed = _repeated(act), None
        except KeyrailError as error:
            outcome, failed = None, _failed(error, act)
        with self._lock:
            self._away_in_a_row = self._away_in_a_row + 1 if failed is not None and failed.is_away else 0
            self._failed.pop(name, None)
            if failed is not None:
                self._failed[name] = failed
            elif outcome is not None:
                self.counts[outcome] += 1
        return True

    def try_again(self) -> None:
        """What failed because a store was away."""
        self._away_in_a_row = 0
        for name, failed in list(self._failed.items()):
            if failed.is_away:
                self.move(name, failed.act)


def _failed(error: KeyrailError, act: Act) -> _Failed:
    if isinstance(error, Unreadable):
        return _Failed("UNREADABLE", is_away=False, act=act)
    return _Failed(error.code, isinstance(error, Unavailable | DeadlineExceeded), act)


def _repeated(act: Act) -> str | None:
    for pause_seconds in PAUSES_SECONDS:
        try:
            return act()
        except Unreadable:
            raise
        except (Unavailable, DeadlineExceeded):
            time.sleep(random.uniform(pause_seconds / 2, pause_seconds))  # noqa: S311 - spreads load
    return act()
