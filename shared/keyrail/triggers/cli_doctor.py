"""`keyrail doctor`: one line a check, and what to do where it fails."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import click

from keyrail.adapters.setup_checks import BOOTSTRAP, Check, Wrong
from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_checks import VaultChecks, private_mode
from keyrail.adapters.vault_identities import read_identity
from keyrail.adapters.vault_setup import Plan
from keyrail.bootstrap import build_services, vault_config
from keyrail.bootstrap_aws import is_without_vault
from keyrail.bootstrap_aws_admin import aws_place
from keyrail.domain.errors import KeyrailError
from keyrail.settings import Settings, load_settings
from keyrail.telemetry import redact
from keyrail.triggers.cli_bootstrap import admin_settings, plan_of, require_vault_for
from keyrail.triggers.cli_output import echo_json
from keyrail.triggers.cli_root import REFUSED

_ADVICE_ON_AWS = {"UNAVAILABLE": "Are the region and the names right, and may these credentials do it?"}
_ADVICE = {
    "UNAVAILABLE": "Is VAULT_ADDR right, and does VAULT_CACERT name the CA of its certificate?",
    "PERMISSION_DENIED": "Is VAULT_TOKEN a token of an administrator, and not expired?",
}


@click.command()
@click.option("--functions", type=click.Path(path_type=Path), default=Path("functions"), show_default=True)
@click.option("--mount", help="The KV version 2 mount. [KEYRAIL_VAULT_MOUNT, else keyrail]")
@click.option("--auth-mount", default="approle", show_default=True, help="The AppRole auth method.")
@click.option("--identities", type=click.Path(path_type=Path), help="Log in as each function and read, with these.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(functions: Path, mount: str | None, auth_mount: str, identities: Path | None, as_json: bool) -> None:
    """Find out what is wrong with a Vault that Keyrail uses, and what to do. It changes nothing.

    Needs VAULT_ADDR and an administrator's VAULT_TOKEN, or AWS credentials where KEYRAIL_PEPPER says that there is no
    Vault. Exit code 1 where a check fails.
    """
    settings = admin_settings(mount)
    if is_without_vault(settings):
        require_vault_for(settings, "--identities", identities)
        report = _Report(as_json, _ADVICE_ON_AWS)
        _look_at_aws(settings, report)
    else:
        report = _Report(as_json, _ADVICE)
        _look_at_vault(settings, plan_of(settings, functions, auth_mount), identities, report)
    report.finish()


def _look_at_aws(settings: Settings, report: "_Report") -> None:
    services = build_services(settings)
    place = aws_place(settings, services.clock)
    if report.run(place.checks_of_account(), stop=True):
        report.run(place.checks_of_setup())
        report.run([("pepper as functions get it", lambda: f"{len(services.lookup.peppers().by_version)} versions")])


def _look_at_vault(settings: Settings, plan: Plan, identities: Path | None, report: "_Report") -> None:
    config = vault_config(settings)
    checks = VaultChecks(AdminVault(config), plan, is_tls=config.url.scheme == "https", is_loopback=config.is_loopback)
    if report.run(checks.of_server(), stop=True):
        report.run(checks.of_setup())
        if identities is not None:
            report.run(_identities(identities, plan, settings.vault_addr))


def _identities(folder: Path, plan: Plan, address: str) -> Iterator[Check]:
    for function in plan.policies:
        yield f"identity {function}", partial(_read_as, folder, function, address)


def _read_as(folder: Path, function: str, address: str) -> str:
    """A login as the function and a real read of the feed."""
    private_mode(folder / f"{function}.env")
    identity = read_identity(folder, function)
    private_mode(Path(identity["KEYRAIL_VAULT_SECRET_ID_FILE"]))
    inherited = {k: v for k, v in os.environ.items() if k.startswith("VAULT_") and k != "VAULT_TOKEN"}
    ours = {"KEYRAIL_FEED_POLL": "inline", "KEYRAIL_METRICS": "none", "VAULT_ADDR": address}
    services = build_services(load_settings({**inherited, **ours, **identity}))
    try:
        services.feed.head()
        services.lookup.peppers()
    except KeyrailError as error:
        raise Wrong(_text_of(error), f"Run `keyrail bootstrap --identities {folder}`.") from error
    return "logs in and reads"


def _text_of(error: KeyrailError) -> str:
    return redact(error.detail or error.public)


class _Report:
    def __init__(self, as_json: bool, advice: dict[str, str]) -> None:
        self._as_json, self._advice = as_json, advice
        self._findings: list[dict[str, object]] = []

    def run(self, checks: Iterable[Check], *, stop: bool = False) -> bool:
        """True where none failed; with `stop` nothing is checked after the first that did."""
        is_well = True
        for what, check in checks:
            is_well = self._one(what, check) and is_well
            if stop and not is_well:
                return False
        return is_well

    def _one(self, what: str, check: Callable[[], str]) -> bool:
        try:
            note, advice = check(), None
        except Wrong as wrong:
            note, advice = wrong.what, wrong.advice
        except KeyrailError as error:
            note, advice = _text_of(error), self._advice.get(error.kind, BOOTSTRAP)
        self._findings.append({"check": what, "ok": advice is None, "note": note, "advice": advice})
        if not self._as_json:
            click.echo(f"{'ok  ' if advice is None else 'FAIL'}  {what}: {note}")
            if advice is not None:
                click.echo(f"      {advice}")
        return advice is None

    def finish(self) -> None:
        failed = sum(not finding["ok"] for finding in self._findings)
        if self._as_json:
            echo_json({"ok": failed == 0, "checks": self._findings})
        else:
            click.echo(f"{len(self._findings)} checks, {failed} failed.", err=True)
        if failed:
            sys.exit(REFUSED)
