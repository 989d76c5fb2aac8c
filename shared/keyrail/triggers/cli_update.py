"""`keyrail update`: what is named changes, everything else stays."""

from typing import Any

import click

from keyrail.triggers.cli_client import Api
from keyrail.triggers.cli_keys import set_ones, show
from keyrail.triggers.cli_options import (
    KEY_ID,
    LIMIT,
    ROTATION_FIELDS,
    caller_api,
    json_option,
    pairs,
    rotation_options,
)

_AS_GIVEN = ("state", "name", "owner", "expires_at", "not_before", "rate", "quota")
_CLEARABLE = ("not_before", "expires_at", "rate", "quota", "scopes", "roles", "labels", "schedule")
_OF_A_SCHEDULE = ("interval_seconds", "sink", "silent_seconds")


@click.command()
@click.argument("key_id", type=KEY_ID)
@click.option("--disable", "state", flag_value="disabled", help="Refuse it until it is enabled again.")
@click.option("--enable", "state", flag_value="active", help="Accept it again.")
@click.option("--reason", help="Why it is disabled or enabled.")
@click.option("--name", help="What it is for.")
@click.option("--owner", help="Who answers for it.")
@click.option("--scope", "scopes", multiple=True, help="Replaces all scopes; may be repeated.")
@click.option("--role", "roles", multiple=True, help="Replaces all roles; may be repeated.")
@click.option("--label", "labels", multiple=True, help="name=value; replaces all labels; may be repeated.")
@click.option("--expires-at", help="Like 2030-01-31T12:00:00Z.")
@click.option("--not-before", help="Like --expires-at.")
@click.option("--rate", type=LIMIT, help="Like 100/1m.")
@click.option("--quota", type=LIMIT, help="Like 100000/30d.")
@rotation_options
@click.option("--clear", multiple=True, type=click.Choice(_CLEARABLE), help="Take one away; may be repeated.")
@click.option("--if-match", help="The etag you read: refused where the key was changed since.")
@caller_api
@json_option
def update(api: Api, key_id: str, if_match: str | None, clear: tuple[str, ...], **given: Any) -> None:
    """Change, disable or enable a key. What is not named stays as it is."""
    body = set_ones(
        {
            **{name: given[name] for name in _AS_GIVEN},
            "state_reason": given["reason"],
            "scopes": list(given["scopes"]),
            "roles": list(given["roles"]),
            "labels": pairs(given["labels"]),
        }
    )
    body |= {name: _nothing(name) for name in clear if name != "schedule"}
    if given["rotation"] or "schedule" in clear:
        record = api.call("GET", f"/v1/keys/{key_id}")
        body["rotation"] = _rotation(record["rotation"], given["rotation"] or {}, is_cleared="schedule" in clear)
        if_match = if_match or record["etag"]
    show(api.call("PATCH", f"/v1/keys/{key_id}", body=body, headers={"If-Match": if_match} if if_match else None))


def _rotation(standing: dict[str, Any], given: dict[str, Any], *, is_cleared: bool) -> dict[str, Any]:
    """All settings, since the API replaces them as one."""
    kept = [name for name in ROTATION_FIELDS if not (is_cleared and name in _OF_A_SCHEDULE)]
    return {name: standing[name] for name in kept if name in standing} | given


def _nothing(name: str) -> Any:
    return {"scopes": [], "roles": [], "labels": {}}.get(name)
