"""`keyrail list`: a table of a tenant's keys, page by page or all."""

from typing import Any, get_args

import click

from keyrail.domain.views import KeyState
from keyrail.triggers.cli_client import Api
from keyrail.triggers.cli_keys import set_ones
from keyrail.triggers.cli_options import as_json, caller_api, json_option
from keyrail.triggers.cli_output import echo_json, echo_table

_COLUMNS = ("key_id", "state", "owner", "name", "scopes", "roles", "expires_at")


@click.command("list")
@click.option("--tenant", help="Your own where left out.")
@click.option("--owner", help="Only keys of this owner.")
@click.option("--state", type=click.Choice(get_args(KeyState)), help="Only keys in this state.")
@click.option("--limit", type=click.IntRange(1, 200), help="Keys looked at for one page.")
@click.option("--cursor", help="Go on where a page ended.")
@click.option("--all", "all_pages", is_flag=True, help="Every page.")
@caller_api
@json_option
def list_keys(api: Api, all_pages: bool, **asked: Any) -> None:
    """List a tenant's keys."""
    query = set_ones(asked)
    reply = api.call("GET", "/v1/keys", query=query)
    keys = list(reply["keys"])
    while all_pages and reply.get("next_cursor"):
        click.echo(f"{len(keys)} keys ...", err=True)
        reply = api.call("GET", "/v1/keys", query=query | {"cursor": reply["next_cursor"]})
        keys += reply["keys"]
    if as_json():
        echo_json(reply | {"keys": keys})
        return
    echo_table(_COLUMNS, [[key.get(column) for column in _COLUMNS] for key in keys])
    if reply.get("next_cursor"):
        click.echo(f"There are more: --cursor {reply['next_cursor']}", err=True)
