"""`keyrail tick` and `keyrail sweep`: what the clock calls, for a cron of one's own or to see what is going on."""

import sys
from collections import Counter
from typing import Any

import click

from keyrail.triggers.cli_client import Api
from keyrail.triggers.cli_keys import set_ones
from keyrail.triggers.cli_options import DURATION, as_json, caller_api, json_option
from keyrail.triggers.cli_output import echo_json, echo_record, echo_table
from keyrail.triggers.cli_root import UNAVAILABLE, CliError

ANSWER_SECONDS = 20.0  # beyond its budget: the last look, and the way here
_TICK_COLUMNS = (
    *("rotated", "resumed", "retired", "skipped", "failed", "remaining"),
    *("events_sent", "events_waiting"),
)
_BUDGET = click.option("--budget", type=DURATION, help="It stops before so much time is over: 45s.")


@click.command()
@_BUDGET
@click.option("--max-rotations", type=click.IntRange(1, 10_000), help="It stops after so many.")
@caller_api
@json_option
def tick(api: Api, budget: int | None, max_rotations: int | None) -> None:
    """Rotate everything that is due. Exit code 3 where something failed: the next tick tries it again."""
    body = set_ones({"budget_seconds": budget, "max_rotations": max_rotations})
    report = api.call("POST", "/v1/rotation/tick", body=body, read_seconds=_read_seconds(budget))
    if as_json():
        echo_json(report)
    else:
        echo_table(_TICK_COLUMNS, [[report.get(column) for column in _TICK_COLUMNS]])
        _show_failures(report)
    sys.exit(UNAVAILABLE if report["failed"] else 0)


@click.command()
@_BUDGET
@click.option("--unused-days", type=click.IntRange(1, 3650), help="Name keys that were not used for so many: 90.")
@caller_api
@json_option
def sweep(api: Api, budget: int | None, unused_days: int | None) -> None:
    """Mend what a crash may have left, and tell what an owner should know, over all keys.

    Calls the service as often as it takes. Exit code 3 where something failed; the rest was done.
    """
    body = set_ones({"budget_seconds": budget, "unused_days": unused_days})
    report = _swept(api, body, _read_seconds(budget))
    if as_json():
        echo_json(report)
    else:
        echo_record({name: value for name, value in report.items() if name != "failures"})
        _show_failures(report)
    sys.exit(UNAVAILABLE if report["failed"] else 0)


def _swept(api: Api, body: dict[str, Any], read_seconds: float) -> dict[str, Any]:
    """The sum of all calls. Raises: CliError."""
    counts: Counter[str] = Counter()
    by_pepper_version: Counter[str] = Counter()
    lists: dict[str, list[Any]] = {"unused": [], "old_pepper": [], "failures": []}
    cursor = "keys:"  # the beginning; named, so that nobody but us goes on with it
    while True:
        part = api.call("POST", "/v1/rotation/sweep", body=body | {"cursor": cursor}, read_seconds=read_seconds)
        counts.update({name: value for name, value in part.items() if isinstance(value, int)})
        by_pepper_version.update(part["by_pepper_version"])
        for name, found in lists.items():
            found += part[name]
        if part.get("next_cursor") is None:
            return {**counts, **lists, "by_pepper_version": dict(by_pepper_version)}
        if part["next_cursor"] == cursor:
            raise CliError("the sweep gets nowhere within its budget.", advice="Give it a longer --budget.")
        cursor = part["next_cursor"]
        click.echo(f"{counts['looked_at']} keys ...", err=True)


def _read_seconds(budget: int | None) -> float:
    return (budget or 45) + ANSWER_SECONDS


def _show_failures(report: dict[str, Any]) -> None:
    if report["failures"]:
        click.echo()
        echo_table(("failed", "code"), [(failure["subject"], failure["code"]) for failure in report["failures"]])
