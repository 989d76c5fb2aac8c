"""`keyrail identities rotate`, with an administrator's Vault token."""

from pathlib import Path

import click

from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_identity_rotation import GRACE_SECONDS, rotate_identities
from keyrail.bootstrap import vault_config
from keyrail.triggers.cli_bootstrap import admin_settings, line_of, plan_of, require_vault_for
from keyrail.triggers.cli_options import DURATION, as_json, json_option, mount_option
from keyrail.triggers.cli_output import echo_json
from keyrail.triggers.cli_root import CliError


@click.group()
def identities() -> None:
    """Give the functions new logins. Needs VAULT_ADDR and an administrator's VAULT_TOKEN."""


@identities.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--functions", type=click.Path(path_type=Path), default=Path("functions"), show_default=True)
@click.option("--auth-mount", default="approle", show_default=True, help="The AppRole auth method.")
@click.option(
    "--grace",
    type=DURATION,
    default=f"{GRACE_SECONDS:.0f}s",
    show_default=True,
    help="Before the old ones are destroyed.",
)
@mount_option
@json_option
def rotate(folder: Path, functions: Path, auth_mount: str, grace: int, mount: str | None) -> None:
    """Replace the secret ids in FOLDER, where `keyrail bootstrap --identities` wrote them, under running functions.

    Cut off at any moment, it leaves every function able to log in; run it again, and it goes on.
    """
    settings = admin_settings(mount)
    require_vault_for(settings, "this")
    plan = plan_of(settings, functions, auth_mount)
    vault = AdminVault(vault_config(settings))
    steps = []
    try:
        for step in rotate_identities(vault, plan, folder, grace_seconds=grace):
            steps.append({"what": step.what, "outcome": step.outcome, "note": step.note})
            if not as_json():
                click.echo(line_of(step))
    except OSError as error:
        raise CliError(f"a file could not be written: {error.strerror}: {error.filename}") from error
    if as_json():
        echo_json({"steps": steps})
