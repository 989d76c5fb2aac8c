"""`keyrail import FILE`: keys that were made elsewhere, by their hashes or whole."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from keyrail.triggers.cli_bulk import Bulk, ask_before
from keyrail.triggers.cli_client import Api
from keyrail.triggers.cli_import_file import Line, read_import_file
from keyrail.triggers.cli_options import as_json, caller_api, json_option, many_options
from keyrail.triggers.cli_output import echo_json, echo_table
from keyrail.triggers.cli_report import Report


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--tenant", help="Where a line has none.")
@many_options
@caller_api
@json_option
def import_keys(api: Api, file: Path, tenant: str | None, report_file: Path | None, dry_run: bool, ask: bool) -> None:
    """Import the keys in FILE: CSV with a head, or JSON lines (docs/cli.md).

    Columns: key or sha256; owner, name, scopes, tenant, expires_at, metadata. The whole file is checked before anything
    is sent. A key that was imported before with the same fields is kept as it is.
    """
    lines = read_import_file(file, tenant)
    if dry_run:
        _show(lines)
        return
    report = None if report_file is None else Report.open(report_file, {"import": tenant or ""})
    bulk = Bulk("importing", report, lambda line: line.key_id)
    left = bulk.left(lines)
    ask_before(f"Import {len(left)} keys?", len(left), ask)

    def act(line: Line) -> tuple[str, dict[str, Any]]:
        reply = api.call("POST", "/v1/keys/import", body=line.body)
        return "kept" if reply["replayed"] else "imported", {"line": line.number, "state": reply["state"]}

    sys.exit(bulk.run(left, act))


def _show(lines: list[Line]) -> None:
    """How many keys of whom."""
    counts = Counter((line.body.get("tenant"), line.body["owner"]) for line in lines)
    if as_json():
        owners = [{"tenant": tenant, "owner": owner, "keys": count} for (tenant, owner), count in counts.items()]
        echo_json({"keys": len(lines), "owners": owners})
    else:
        echo_table(("tenant", "owner", "keys"), [(*whose, count) for whose, count in counts.items()])
