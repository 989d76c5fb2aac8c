"""`keyrail validate`: the key comes on stdin or in the environment, and the exit code is the answer."""

import sys

import click

from keyrail.triggers.cli_client import Api, checked_url
from keyrail.triggers.cli_keys import set_ones, show
from keyrail.triggers.cli_options import json_option, key_from, key_from_stdin, service_options
from keyrail.triggers.cli_root import REFUSED, UNAVAILABLE


@click.command()
@click.option("--scopes", help="What it is needed for: 'ml:infer and (data:read or data:admin)'.")
@click.option("--tenant", help="Only a key of this tenant.")
@click.option("--ip", help="Where the key was presented from.")
@click.option("--audience", help="The service it was presented to.")
@service_options
@json_option
def validate(
    url: str, ca_file: str | None, scopes: str | None, tenant: str | None, ip: str | None, audience: str | None
) -> None:
    """May this key be used? Exit code 0: yes, 1: no.

    The key to validate comes on stdin, or in KEYRAIL_VALIDATE_KEY; your own in KEYRAIL_KEY.
    """
    api = Api(checked_url(url), key_from("KEYRAIL_KEY"), ca_file)
    key = key_from("KEYRAIL_VALIDATE_KEY") or key_from_stdin("The key to validate")
    asked = {"key": key, "required_scopes": scopes, "tenant": tenant, "ip": ip, "audience": audience}
    reply = api.call("POST", "/v1/keys/validate", body=set_ones(asked))
    show(reply)
    if not reply.get("valid"):
        sys.exit(UNAVAILABLE if reply.get("code") == "UNAVAILABLE" else REFUSED)
