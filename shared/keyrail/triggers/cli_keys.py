"""`keyrail issue`, `rotate`, `revoke` and `get`."""

import sys
import uuid
from pathlib import Path
from typing import Any

import click

from keyrail.triggers.cli_client import Api
from keyrail.triggers.cli_options import (
    DURATION,
    FILE,
    KEY_ID,
    LIMIT,
    as_json,
    caller_api,
    json_option,
    many_options,
    pairs,
    require_one,
    rotation_options,
)
from keyrail.triggers.cli_output import echo_json, echo_record

SHOWN_ONCE = "This key is shown this once and kept nowhere. Store it now."


@click.command()
@click.option("--owner", required=True, help="Who answers for the key.")
@click.option("--name", required=True, help="What it is for.")
@click.option("--tenant", help="Needed where your own key acts in all tenants.")
@click.option("--scope", "scopes", multiple=True, help="A right, like ml:infer; may be repeated.")
@click.option("--role", "roles", multiple=True, help="A role; may be repeated.")
@click.option("--lifetime", type=DURATION, help="Like 90d or 12h; each rotation starts it anew.")
@click.option("--expires-at", help="Like 2030-01-31T12:00:00Z: the end, whatever happens.")
@click.option("--not-before", help="Like --expires-at: not valid earlier.")
@click.option("--label", "labels", multiple=True, help="name=value; may be repeated.")
@click.option("--cidr", "cidrs", multiple=True, help="Usable from these networks only; may be repeated.")
@click.option("--audience", "audiences", multiple=True, help="Usable for these services only; may be repeated.")
@click.option("--rate", type=LIMIT, help="Uses in a time, like 100/1m.")
@click.option("--quota", type=LIMIT, help="Like --rate, over a longer time: 100000/30d.")
@rotation_options
@click.option("--idempotency-key", help="The same one never makes a second key; chosen for you if left out.")
@caller_api
@json_option
def issue(api: Api, idempotency_key: str | None, **given: Any) -> None:
    """Make a key and show it once."""
    as_given = ("owner", "name", "tenant", "expires_at", "not_before", "rate", "quota", "rotation")
    body = {name: given[name] for name in as_given}
    body |= {"scopes": list(given["scopes"]), "roles": list(given["roles"]), "lifetime_seconds": given["lifetime"]}
    body |= {"labels": pairs(given["labels"])}
    body |= {"context": {"cidrs": list(given["cidrs"]), "audiences": list(given["audiences"])}}
    reply = api.call("POST", "/v1/keys", body=set_ones(body), headers=_idempotent(idempotency_key))
    _show_key(reply)
    if reply.get("replayed"):
        click.echo("This Idempotency-Key made that key before. Its secret is gone: rotate it for a new one.", err=True)


@click.command()
@click.argument("key_id", type=KEY_ID, required=False)
@click.option("--grace", type=DURATION, help="How long the old secret lives on; 0 ends every older one now.")
@click.option("--idempotency-key", help="The same one repeats a rotation whose reply was lost.")
@click.option("--filter", "filters", multiple=True, help="Of many: owner=, tenant=, name= (with *), state=, label=a=b.")
@click.option("--new-keys", type=FILE, help="Of many: rotate keys without a sink too; new ones go there (mode 0600).")
@many_options
@caller_api
@json_option
def rotate(
    api: Api,
    key_id: str | None,
    grace: int | None,
    idempotency_key: str | None,
    filters: tuple[str, ...],
    new_keys: Path | None,
    **many: Any,
) -> None:
    """Give a key its next secret; its id stays. The old secret lives on for the grace period.

    Or, with --filter, every key that fits: into its sink, or into the file of --new-keys.
    """
    require_one(key_id, bool(filters), "--filter")
    if key_id is None:
        from keyrail.triggers.cli_bulk_keys import rotate_all

        sys.exit(rotate_all(api, filters=filters, grace=grace, new_keys=new_keys, **many))
    body = set_ones({"grace_seconds": grace})
    _show_key(api.call("POST", f"/v1/keys/{key_id}/rotate", body=body, headers=_idempotent(idempotency_key)))


@click.command()
@click.argument("key_id", type=KEY_ID, required=False)
@click.option("--reason", help="Kept with the key, and told to whoever reads it.")
@click.option("--owner", help="Of many: every key of this owner.")
@click.option("--tenant", help="With --owner; your own where left out.")
@many_options
@caller_api
@json_option
def revoke(
    api: Api, key_id: str | None, reason: str | None, owner: str | None, tenant: str | None, **many: Any
) -> None:
    """End a key for good, with all of its secrets; or, with --owner, all keys of an owner. There is no way back."""
    require_one(key_id, owner is not None, "--owner")
    if key_id is None:
        from keyrail.triggers.cli_bulk_keys import revoke_all

        sys.exit(revoke_all(api, owner=owner or "", tenant=tenant, reason=reason, **many))
    show(api.call("POST", f"/v1/keys/{key_id}/revoke", body=set_ones({"reason": reason})))


@click.command()
@click.argument("key_id", type=KEY_ID)
@caller_api
@json_option
def get(api: Api, key_id: str) -> None:
    """Show a key's record. The key itself is kept nowhere."""
    show(api.call("GET", f"/v1/keys/{key_id}"))


def _show_key(reply: dict[str, Any]) -> None:
    show(reply)
    if "key" in reply:
        click.echo(SHOWN_ONCE, err=True)


def show(reply: dict[str, Any]) -> None:
    if as_json():
        echo_json(reply)
    else:
        echo_record({"key": reply.get("key"), **reply})


def set_ones(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value not in (None, [], {})}


def _idempotent(given: str | None) -> dict[str, str]:
    """Always sent: a lost reply can then be repeated without a second effect."""
    return {"Idempotency-Key": given or uuid.uuid4().hex}
