"""`keyrail config get|put|history`: stored credentials and settings. Values come on stdin or from a file, and go to
stdout; nothing else goes there with them."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from keyrail.domain.config import NAME
from keyrail.triggers.cli_client import Api
from keyrail.triggers.cli_keys import set_ones, show
from keyrail.triggers.cli_options import as_json, caller_api, caller_api_beside_stdin, json_option
from keyrail.triggers.cli_output import echo_json, echo_table
from keyrail.triggers.cli_root import USAGE, CliError

_COLUMNS = ("version", "written_at", "written_by", "how", "state")
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_TENANT = click.option("--tenant", help="Your own where left out.")


@click.group()
def config() -> None:
    """Read and write stored credentials and settings, by names like models/openai."""


@config.command()
@click.argument("name")
@_TENANT
@click.option("--version", type=click.IntRange(1), help="An old one that is still kept.")
@click.option("--raw", is_flag=True, help="A value that is a text, as it is: without quotes and line end.")
@caller_api
@json_option
def get(api: Api, name: str, tenant: str | None, version: int | None, raw: bool) -> None:
    """Print a config's value, as JSON, and nothing else; which version it is goes to stderr."""
    reply = _read(api, name, {"tenant": tenant, "version": version})
    if as_json():
        echo_json(reply)
        return
    value = reply.get("value")
    if raw and not isinstance(value, str):
        raise CliError("the value is no text.", advice="Leave --raw out: it is printed as JSON.")
    click.echo(value if raw else json.dumps(value, indent=2, ensure_ascii=False), nl=not raw)
    click.echo(f"version {reply['version']}, etag {reply['etag']}, written {reply['written_at']}", err=True)


@config.command()
@click.argument("name")
@_TENANT
@click.option("--file", type=_FILE, help="Where the value is; without it, it comes on stdin.")
@click.option("--text", is_flag=True, help="The value is a text, not JSON; one line end at its end is left out.")
@click.option("--schema", type=_FILE, help="A JSON Schema that this and all later values must keep to.")
@click.option("--rotation", type=_FILE, help="How it rotates, as JSON: see docs/rotation-kinds.md.")
@click.option("--if-match", help="The etag you read: needed to overwrite, refused where it was changed since.")
@caller_api_beside_stdin
@json_option
def put(
    api: Api,
    name: str,
    tenant: str | None,
    file: Path | None,
    text: bool,
    schema: Path | None,
    rotation: Path | None,
    if_match: str | None,
) -> None:
    """Write a config's value, from stdin or a file. Prints its version and etag. Your own key is in KEYRAIL_KEY."""
    value = _value(file, text)
    given = {"schema": schema, "rotation": rotation}
    documents = {field: _json(path.read_text(), str(path)) for field, path in given.items() if path is not None}
    body = set_ones({"tenant": tenant}) | documents | {"value": value}
    show(api.call("PUT", f"/v1/config/{_checked(name)}", body=body, headers=set_ones({"If-Match": if_match})))


@config.command()
@click.argument("name")
@_TENANT
@caller_api
@json_option
def history(api: Api, name: str, tenant: str | None) -> None:
    """List a config's versions, the newest first: who wrote each, and when. No values."""
    reply = _read(api, name, {"tenant": tenant, "history": "true"})
    if as_json():
        echo_json(reply)
    else:
        echo_table(_COLUMNS, [[version.get(column) for column in _COLUMNS] for version in reply["versions"]])


def _read(api: Api, name: str, query: dict[str, Any]) -> dict[str, Any]:
    return api.call("GET", f"/v1/config/{_checked(name)}", query=set_ones(query))


def _checked(name: str) -> str:
    """It becomes a part of a URL. Raises: click.UsageError."""
    if not NAME.fullmatch(name):
        raise click.UsageError("a config's name looks like models/openai: letters, digits, - and _ between slashes")
    return name


def _value(file: Path | None, is_text: bool) -> Any:
    if file is None and sys.stdin.isatty():
        raise click.UsageError("give --file, or send the value on stdin: it never is an argument")
    try:
        given = sys.stdin.read() if file is None else file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CliError("the value is not in UTF-8.", exit_code=USAGE) from None
    return given.removesuffix("\n") if is_text else _json(given, "the value")


def _json(text: str, what: str) -> Any:
    """Raises: CliError that says where it is wrong, without what stands there."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        advice = "A text that is no JSON: --text." if what == "the value" else ""
        raise CliError(
            f"{what} is no JSON: line {error.lineno}, column {error.colno}.", advice=advice, exit_code=USAGE
        ) from None
