"""One thing done to many keys, one after the other: a progress bar, a report to resume from, a summary.

Each call may be repeated without a second effect, so one that got no answer is repeated here, and by the next run.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import click

from keyrail.domain.decisions import Code
from keyrail.triggers.cli_options import as_json, require_yes
from keyrail.triggers.cli_output import echo_json, echo_record, echo_table
from keyrail.triggers.cli_report import FAILED, CannotWrite, Report
from keyrail.triggers.cli_root import REFUSED, UNAVAILABLE, CliError

PAUSES_SECONDS = (0.5, 2.0)  # before a call that got no answer is repeated
MAX_AWAY_IN_A_ROW = 3  # keys: then the rest is left to the next run
SHOWN_FAILURES = 20
LONGEST_PAUSE_SECONDS = 60.0  # where the service says when to come again
_OF_THE_CALLER = {str(code) for code in Code} - {"RATE_LIMITED", "QUOTA_EXCEEDED", "UNAVAILABLE"}  # each would fail
Act = Callable[[Any], tuple[str, dict[str, Any]]]  # gives the outcome, and facts for the report; raises CliError


def ask_before(question: str, count: int, ask: bool) -> None:
    """Unless there is nothing to do. Raises: CliError on any answer but yes."""
    if count and ask:
        require_yes(question)


class Bulk:
    """`key_id_of` an item names it in the report and in the summary."""

    def __init__(self, what: str, report: Report | None, key_id_of: Callable[[Any], str]) -> None:
        self._what, self._report, self._key_id_of = what, report, key_id_of
        self.counts: Counter[str] = Counter()
        self.failures: list[tuple[str, str]] = []
        self._away_in_a_row = 0

    def left(self, items: Sequence[Any]) -> list[Any]:
        """Those that no run before has done; the others are counted."""
        done = self._report.done if self._report is not None else {}
        left = [item for item in items if self._key_id_of(item) not in done]
        if len(left) < len(items):
            self.counts["done before"] += len(items) - len(left)
        return left

    def run(self, items: Sequence[Any], act: Act) -> int:
        """The exit code. The summary is told also where it is interrupted."""
        looked_at = 0
        try:
            with click.progressbar(items, label=self._what, file=sys.stderr) as bar:
                for item in bar:
                    self._one(item, act)
                    looked_at += 1
                    if self._away_in_a_row == MAX_AWAY_IN_A_ROW:
                        break
        finally:
            self.counts["left"] = len(items) - looked_at
            self._tell()
        if self._away_in_a_row == MAX_AWAY_IN_A_ROW:
            return UNAVAILABLE
        return REFUSED if self.failures else 0

    def skip(self, count: int, why: str) -> None:
        if count:
            self.counts[why] += count

    def _one(self, item: Any, act: Act) -> None:
        key_id = self._key_id_of(item)
        try:
            outcome, facts = _repeated(lambda: act(item))
            self._away_in_a_row = 0
        except CliError as error:
            if isinstance(error, CannotWrite) or error.code in _OF_THE_CALLER:
                raise
            outcome, facts = FAILED, {"code": error.code or "NO_ANSWER"}
            self.failures.append((key_id, facts["code"]))
            self._away_in_a_row = self._away_in_a_row + 1 if _is_away(error) else 0
        self.counts[outcome] += 1
        if self._report is not None:
            self._report.add(key_id, outcome, **facts)

    def _tell(self) -> None:
        again = "Run it again: it does what is left." if self._report else "Run it again; --report tells what is left."
        tell_summary(self.counts, self.failures, again)


def tell_summary(counts: Counter[str], failures: Sequence[tuple[str, str]], again: str) -> None:
    """`failures`: key ids and codes; `again` is advised where there are any, or some keys are left."""
    if as_json():
        echo_json({**counts, "failures": [{"key_id": key_id, "code": code} for key_id, code in failures]})
        return
    echo_record(dict(counts))
    if failures:
        click.echo(err=True)
        click.echo("\n".join(f"{key_id}  {code}" for key_id, code in failures[:SHOWN_FAILURES]), err=True)
    if counts["left"] or failures:
        click.echo(again, err=True)


def show_keys(keys: Sequence[dict[str, Any]]) -> None:
    """Of a dry run."""
    if as_json():
        echo_json({"keys": list(keys)})
    else:
        columns = ("key_id", "state", "tenant", "owner", "name")
        echo_table(columns, [[key.get(column) for column in columns] for key in keys])


def _is_away(error: CliError) -> bool:
    """The service or its store; one key's sink says nothing of the next."""
    return error.exit_code == UNAVAILABLE and error.code != "DELIVERY_FAILED"


def _repeated(act: Callable[[], tuple[str, dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    for pause_seconds in PAUSES_SECONDS:
        try:
            return act()
        except CliError as error:
            if not _is_away(error) and error.code != "RATE_LIMITED":
                raise
            pause_seconds = min(error.retry_after_seconds or pause_seconds, LONGEST_PAUSE_SECONDS)
        time.sleep(pause_seconds)
    return act()
