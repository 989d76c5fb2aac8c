"""`keyrail bootstrap`: everything that Keyrail needs in a Vault, or in AWS without one, and the first admin key. Safe
to repeat."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from keyrail.adapters.admin_key import AdminKeys, HandOver
from keyrail.adapters.private_files import write_private
from keyrail.adapters.setup_documents import Documents, Step
from keyrail.adapters.vault_admin import AdminVault, MountDocuments
from keyrail.adapters.vault_identities import write_identities
from keyrail.adapters.vault_setup import Plan, read_policies, set_up
from keyrail.bootstrap import build_services, vault_config
from keyrail.bootstrap_aws import is_without_vault
from keyrail.bootstrap_aws_admin import aws_place
from keyrail.domain.errors import Internal, KeyrailError
from keyrail.domain.key_format import ANY_KEY
from keyrail.ports import Services
from keyrail.settings import Settings, load_settings
from keyrail.triggers.cli_output import echo_json
from keyrail.triggers.cli_root import USAGE, CliError, told

VAULT_CLI_TOKEN = ".vault-token"  # noqa: S105 - where `vault login` and `bao login` put a token


@dataclass(frozen=True)
class Bootstrap:
    """One run; `hand_over` gets the admin key where one is made."""

    settings: Settings
    functions: Path
    hand_over: HandOver
    new_admin: bool = False
    replace_dead_admin: bool = False
    identities: Path | None = None
    auth_mount: str = "approle"
    containers: Path | None = None

    def steps(self) -> Iterator[Step]:
        """Each is done when it is yielded. Raises: KeyrailError, OSError."""
        services = build_services(self.settings)
        if is_without_vault(self.settings):
            place = aws_place(self.settings, services.clock)
            yield from self._of_store(place.set_up(), place.documents, services)
            return
        plan = plan_of(self.settings, self.functions, self.auth_mount, self.containers)
        vault = AdminVault(vault_config(self.settings))
        yield from self._of_store(set_up(vault, plan), MountDocuments(vault, plan.mount), services)
        if self.identities is not None:
            yield from write_identities(vault, plan, self.identities)

    def _of_store(self, steps: Iterator[Step], documents: Documents, services: Services) -> Iterator[Step]:
        for step in steps:
            if step.what == "default roles" and step.outcome == "mended":
                services.feed.publish("roles")
            yield step
        admin_keys = AdminKeys(documents, services)
        yield admin_keys.ensure(self.hand_over, new=self.new_admin, replace_dead=self.replace_dead_admin)


def plan_of(settings: Settings, functions: Path, auth_mount: str, containers: Path | None = None) -> Plan:
    return Plan(
        read_policies(functions, *([] if containers is None else [containers])),
        settings.vault_mount,
        auth_mount,
        settings.config_mount,
        settings.database_mount,
        settings.delivery_mount,
        settings.grpc_pki_mount,
    )


def admin_settings(mount: str | None) -> Settings:
    """For whoever administrates Vault: by VAULT_TOKEN or the Vault CLI's token file. Where there is none, AWS knows
    whoever calls. Raises: CliError."""
    environ = {**os.environ, "KEYRAIL_VAULT_AUTH": "token", "KEYRAIL_FEED_POLL": "inline"}
    if environ.get("KEYRAIL_STORE") == "memory":
        environ["KEYRAIL_STORE"] = "vault"  # nothing lasts in memory
    token_file = Path.home() / VAULT_CLI_TOKEN
    if not environ.get("VAULT_TOKEN") and token_file.is_file():
        environ["VAULT_TOKEN"] = token_file.read_text().strip()
    if mount is not None:
        environ["KEYRAIL_VAULT_MOUNT"] = mount
    try:
        settings = load_settings(environ)
        if not is_without_vault(settings):
            vault_config(settings)  # says here already what is wrong with it
    except Internal as error:
        advice = "Set VAULT_ADDR, and VAULT_TOKEN to a token that may manage mounts, policies and auth methods."
        raise CliError(error.detail.removeprefix("settings: "), advice=advice, exit_code=USAGE) from error
    return settings


def require_vault_for(settings: Settings, what: str, given: object = True) -> None:
    """Raises: CliError."""
    if given and is_without_vault(settings):
        raise CliError(f"{what} is for Vault, and KEYRAIL_PEPPER says that there is none.", exit_code=USAGE)


@click.command()
@click.option("--functions", type=click.Path(path_type=Path), default=Path("functions"), show_default=True)
@click.option("--containers", type=click.Path(path_type=Path), help="Also set up those there, such as gRPC's.")
@click.option("--mount", help="The KV version 2 mount. [KEYRAIL_VAULT_MOUNT, else keyrail]")
@click.option("--auth-mount", default="approle", show_default=True, help="The AppRole auth method.")
@click.option("--identities", type=click.Path(path_type=Path), help="Write each function's login to files there.")
@click.option("--admin-key-file", type=click.Path(path_type=Path), help="Write the admin key there, not to stdout.")
@click.option("--new-admin", is_flag=True, help="Replace a lost admin key; the old one is revoked.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def bootstrap(
    functions: Path,
    containers: Path | None,
    mount: str | None,
    auth_mount: str,
    identities: Path | None,
    admin_key_file: Path | None,
    new_admin: bool,
    as_json: bool,
) -> None:
    """Set up a Vault for Keyrail: mount, policies, AppRoles, pepper, roles, and the first admin key.

    Needs VAULT_ADDR and an administrator's VAULT_TOKEN; where KEYRAIL_PEPPER says that there is no Vault, an
    administrator's AWS credentials. Says on stderr what it made and what was there already. The admin key goes to
    stdout, this once, or to a file of mode 0600. Repeat it after each upgrade.
    """
    settings = admin_settings(mount)
    require_vault_for(settings, "--identities", identities)
    report = _Report(as_json, admin_key_file)
    run = Bootstrap(
        settings,
        functions,
        report.hand_over,
        new_admin=new_admin,
        identities=identities,
        auth_mount=auth_mount,
        containers=containers,
    )
    try:
        for step in run.steps():
            report.add(step)
    except KeyrailError as error:
        report.error = told(error)
        raise
    except OSError as error:
        raise CliError(f"a file could not be written: {error.strerror}: {error.filename}") from error
    finally:
        report.finish()


@dataclass
class _Report:
    """A key that was made is told of, whatever fails after it."""

    as_json: bool
    key_file: Path | None
    steps: list[Step] = field(default_factory=list)
    key: dict[str, str] = field(default_factory=dict)
    error: str | None = None

    def __post_init__(self) -> None:
        kept = self.key_file.read_text().strip() if self.key_file and self.key_file.exists() else ""
        if kept and not ANY_KEY.fullmatch(kept):
            raise CliError(f"{self.key_file} holds something that is no key; it was left as it is.", exit_code=USAGE)

    def hand_over(self, key_id: str, key: str) -> None:
        self.key = {"key_id": key_id}
        if self.key_file is not None:
            write_private(self.key_file, key)
            self.key["file"] = str(self.key_file)
        else:
            self.key["key"] = key
            if not self.as_json:
                click.echo(key)

    def add(self, step: Step) -> None:
        self.steps.append(step)
        if not self.as_json:
            click.echo(line_of(step), err=True)

    def finish(self) -> None:
        if self.as_json:
            steps = [{"what": step.what, "outcome": step.outcome, "note": step.note} for step in self.steps]
            document: dict[str, Any] = {"steps": steps, "admin_key": self.key or None, "error": self.error}
            echo_json(document)
        elif "file" in self.key:
            click.echo(f"The admin key is in {self.key_file} (mode 0600).", err=True)
        elif self.key:
            click.echo("The line on stdout is the admin key, shown this once. Store it now.", err=True)


def line_of(step: Step) -> str:
    return f"{step.outcome:<6}  {step.what}" + (f"  ({step.note})" if step.note else "")
