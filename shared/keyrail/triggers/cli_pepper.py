"""`keyrail pepper status|rotate|drop`, with an administrator's rights: no function may do any of it."""

import click

from keyrail.adapters.pepper_admin import PepperAdmin
from keyrail.adapters.setup_documents import Step
from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_pepper import VaultPepperPlace
from keyrail.bootstrap import build_services, vault_config
from keyrail.bootstrap_aws import is_without_vault
from keyrail.bootstrap_aws_admin import aws_place
from keyrail.triggers.cli_bootstrap import admin_settings, line_of
from keyrail.triggers.cli_options import as_json, json_option, mount_option, require_yes, yes_option
from keyrail.triggers.cli_output import echo_json, echo_table


@click.group()
def pepper() -> None:
    """Replace the pepper: rotate, let keys rotate for their time, and drop the old version once nothing needs it.

    Needs VAULT_ADDR and an administrator's VAULT_TOKEN, or AWS credentials where KEYRAIL_PEPPER says so.
    """


@pepper.command()
@mount_option
@json_option
def status(mount: str | None) -> None:
    """Count the keys that need each version. Reads every record."""
    found = _admin(mount).status()
    if as_json():
        keys_by_version = {str(version): count for version, count in found.keys_by_version.items()}
        echo_json({"current": found.current, "keys_by_version": keys_by_version, "looked_at": found.looked_at})
        return
    rows = [
        (version, count, "current" if version == found.current else "")
        for version, count in found.keys_by_version.items()
    ]
    echo_table(("version", "keys", ""), rows)


@pepper.command()
@mount_option
@json_option
def rotate(mount: str | None) -> None:
    """Add a version and make it current: new digests use it, and keys keep theirs until they are rotated."""
    _show(_admin(mount).rotate())


@pepper.command()
@click.argument("version", type=click.IntRange(1))
@mount_option
@yes_option
@json_option
def drop(version: int, mount: str | None, ask: bool) -> None:
    """Forget a version that no key needs any more. There is no way back but a backup."""
    if ask:
        require_yes(f"Drop pepper version {version} for good?")
    _show(_admin(mount).drop(version))


def _admin(mount: str | None) -> PepperAdmin:
    settings = admin_settings(mount)
    services = build_services(settings)
    if is_without_vault(settings):
        return PepperAdmin(aws_place(settings, services.clock).pepper, services)
    return PepperAdmin(VaultPepperPlace(AdminVault(vault_config(settings)), settings.vault_mount), services)


def _show(step: Step) -> None:
    if as_json():
        echo_json({"what": step.what, "outcome": step.outcome, "note": step.note})
    else:
        click.echo(line_of(step))
