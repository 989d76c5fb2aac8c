"""`keyrail revoke --owner` and `keyrail rotate --filter`: over all keys of a tenant that fit."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import click

from keyrail.domain.key_format import ANY_KEY
from keyrail.domain.views import KeyState
from keyrail.triggers.cli_bulk import Bulk, ask_before, show_keys
from keyrail.triggers.cli_client import Api
from keyrail.triggers.cli_due import listed
from keyrail.triggers.cli_keys import set_ones
from keyrail.triggers.cli_report import Report, append, append_line, new_run_id, whole_lines
from keyrail.triggers.cli_root import USAGE, CliError

Key = dict[str, Any]
CLOCKS_APART = timedelta(minutes=10)  # ours and the service's, at most
AT_THEIR_END = ("revoked", "expired")
_FILTERS = ("owner", "tenant", "name", "state", "label")


def revoke_all(
    api: Api, *, owner: str, tenant: str | None, reason: str | None, report_file: Path | None, dry_run: bool, ask: bool
) -> int:
    """The exit code."""
    report = _report(report_file, {"revoke": set_ones({"owner": owner, "tenant": tenant})}, dry_run)
    bulk = Bulk("revoking", report, _key_id)
    found = [key for key in listed(api, set_ones({"owner": owner, "tenant": tenant})) if _is_to_revoke(key, report)]
    if dry_run:
        show_keys(found)
        return 0
    keys = sorted(bulk.left(found), key=lambda key: key["key_id"] == _own_id(api))  # else the rest would be refused

    def act(key: Key) -> tuple[str, dict[str, Any]]:
        api.call("POST", f"/v1/keys/{key['key_id']}/revoke", body=set_ones({"reason": reason}))
        return "revoked", {}

    ask_before(f"Revoke {len(keys)} keys of {owner} for good?", len(keys), ask)
    return bulk.run(keys, act)


def rotate_all(
    api: Api,
    *,
    filters: tuple[str, ...],
    grace: int | None,
    new_keys: Path | None,
    report_file: Path | None,
    dry_run: bool,
    ask: bool,
) -> int:
    """The exit code. A run that was cut off repeats a key under the same Idempotency-Key, which replaces the secret
    that reached nobody (docs/operations/rotate.md)."""
    query, fits = _chosen(filters)
    _require_new(new_keys, report_file)
    command = {"rotate": sorted(filters), "grace": grace, "new_keys": str(new_keys)}
    report = _report(report_file, command, dry_run)
    found = [key for key in listed(api, query) if fits(key)]
    chosen = [key for key in found if new_keys is not None or key["rotation"].get("sink")]
    if dry_run:
        show_keys(chosen)
        return 0
    if new_keys is not None and report is not None:
        _take_note_of(new_keys, report)
    bulk = Bulk("rotating", report, _key_id)
    bulk.skip(len(found) - len(chosen), "without a sink")
    keys, run_id = bulk.left(chosen), report.run_id if report is not None else new_run_id()

    def act(key: Key) -> tuple[str, dict[str, Any]]:
        headers = {"Idempotency-Key": f"{run_id}-{key['key_id']}"}
        body = set_ones({"grace_seconds": grace})
        reply = api.call("POST", f"/v1/keys/{key['key_id']}/rotate", body=body, headers=headers)
        facts = {"generation": reply["generations"][-1]["n"]}
        if "key" not in reply:
            return "delivered", {**facts, "delivered_to": reply["delivered_to"]}
        if new_keys is None:  # its sink was taken away since it was listed
            raise CliError("the key has no sink any more", code="NO_SINK")
        append_line(new_keys, {"key_id": reply["key_id"], **facts, "key": reply["key"]})
        return "rotated", facts

    ask_before(f"Rotate {len(keys)} keys?", len(keys), ask)
    if new_keys is not None:
        append(new_keys, b"")  # that it can be written shows before the first key is rotated
    return bulk.run(keys, act)


def _is_to_revoke(key: Key, report: Report | None) -> bool:
    """Also what a run before may have revoked just when it was killed: again does no harm, and then it is noted."""
    if key["state"] != "revoked":
        return True
    if report is None or report.is_new:
        return False
    return datetime.fromisoformat(key["state_at"]) > report.began_at - CLOCKS_APART


def _report(file: Path | None, command: dict[str, Any], dry_run: bool) -> Report | None:
    return None if file is None or dry_run else Report.open(file, command)


def _key_id(key: Key) -> str:
    return str(key["key_id"])


def _own_id(api: Api) -> str | None:
    """Of the caller's own key; an imported one does not show it."""
    return api.key.split("_")[2] if api.key is not None and ANY_KEY.fullmatch(api.key) else None


def _chosen(filters: tuple[str, ...]) -> tuple[dict[str, str], Callable[[Key], bool]]:
    """What list_keys is asked for, and what is looked at here. Raises: click.UsageError."""
    pairs = [each.partition("=")[::2] for each in filters]
    if any(name not in _FILTERS or not value for name, value in pairs):
        raise click.UsageError(f"--filter takes NAME=VALUE; the names are {', '.join(_FILTERS)}")
    query = {name: value for name, value in pairs if name in ("owner", "tenant", "state")}
    if query.get("state", "active") not in get_args(KeyState):
        raise click.UsageError(f"a state is one of {', '.join(get_args(KeyState))}")
    names = [value for name, value in pairs if name == "name"]
    labels = [value.partition("=")[::2] for name, value in pairs if name == "label"]

    def fits(key: Key) -> bool:
        if key["state"] in AT_THEIR_END or not all(fnmatchcase(key["name"], name) for name in names):
            return False
        return all(key["labels"].get(name) == value for name, value in labels)

    return query, fits


def _require_new(new_keys: Path | None, report_file: Path | None) -> None:
    """Unless a run that was cut off goes on. Raises: CliError."""
    is_going_on = report_file is not None and report_file.exists()
    if new_keys is not None and new_keys.exists() and not is_going_on:
        advice = "Name a new file; or give the --report of the run that was cut off, to go on with it."
        raise CliError(f"{new_keys} is there already.", advice=advice, exit_code=USAGE)


def _take_note_of(file: Path, report: Report) -> None:
    """A key that stands in `file` is done, even where the run was cut off before it noted that. A line that was cut
    is left out: its key is rotated again. Raises: CliError."""
    for line in whole_lines(file):
        key_id = str(json.loads(line)["key_id"])
        if key_id not in report.done:
            report.add(key_id, "rotated")
            report.done[key_id] = "rotated"
