"""`keyrail keys due`: what the clock rotates soon."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from keyrail.triggers.cli_client import Api
from keyrail.triggers.cli_keys import set_ones
from keyrail.triggers.cli_options import DURATION, as_json, caller_api, json_option
from keyrail.triggers.cli_output import echo_json, echo_table

PAGE = 200  # the most that list_keys takes
_COLUMNS = ("key_id", "owner", "name", "next_at", "retry_at", "failures", "sink")


@click.group()
def keys() -> None:
    """Look at many keys at once."""


@keys.command()
@click.option("--within", type=DURATION, default="1d", show_default=True, help="Like 12h or 30d; 0: due now.")
@click.option("--tenant", help="Your own where left out.")
@click.option("--owner", help="Only keys of this owner.")
@caller_api
@json_option
def due(api: Api, within: int, tenant: str | None, owner: str | None) -> None:
    """Keys that a tick rotates within a time, the next one first."""
    before = (datetime.now(UTC) + timedelta(seconds=within)).isoformat()
    found = list(listed(api, set_ones({"tenant": tenant, "owner": owner, "due_before": before})))
    found.sort(key=lambda key: datetime.fromisoformat(key["rotation"]["next_at"]))
    if as_json():
        echo_json({"keys": found})
        return
    rows = [{**key["rotation"], **key} for key in found]
    echo_table(_COLUMNS, [[row.get(column) for column in _COLUMNS] for row in rows])


def listed(api: Api, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every key of a tenant that list_keys' filters let through, page by page. Raises: CliError."""
    cursor: dict[str, str] = {}
    while True:
        reply = api.call("GET", "/v1/keys", query={**query, "limit": PAGE, **cursor})
        yield from reply["keys"]
        if reply.get("next_cursor") is None:
            return
        cursor = {"cursor": reply["next_cursor"]}
