"""`keyrail migrate`: key records from Vault to DynamoDB, or back, while the functions run. docs/deploy/choose-store.md

The authority is an administrator's: VAULT_TOKEN, and what boto3 finds.
"""

import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import click

from keyrail.bootstrap import build_services
from keyrail.domain.errors import DeadlineExceeded, Internal, Unavailable
from keyrail.migration import Migration, Outcome, Store
from keyrail.rotation_ports import DueEntry
from keyrail.settings import Settings
from keyrail.triggers.cli_bootstrap import admin_settings, require_vault_for
from keyrail.triggers.cli_bulk import ask_before, tell_summary
from keyrail.triggers.cli_migrate_notes import NotesFile
from keyrail.triggers.cli_migrate_run import Movers
from keyrail.triggers.cli_options import json_option, many_options, mount_option
from keyrail.triggers.cli_root import REFUSED, UNAVAILABLE, USAGE, CliError, told

StoreName = Literal["vault", "dynamodb"]
NAMES: dict[StoreName, str] = {"vault": "Vault", "dynamodb": "DynamoDB"}
CATCH_UPS = 3  # with what changed while it copied; each takes a fraction of the one before
POLL_SECONDS = 0.5
INDEX_SECONDS = 10.0  # DynamoDB's indexes follow within about a second


@click.command()
@click.option("--to", "target", type=click.Choice(sorted(NAMES)), required=True, help="Where they go.")
@click.option("--follow", is_flag=True, help="Then copy what changes, within a second, until Ctrl-C.")
@mount_option
@many_options
@json_option
def migrate(
    target: StoreName, follow: bool, mount: str | None, report_file: Path | None, dry_run: bool, ask: bool
) -> None:
    """Copy all key records, tombstones and hints between Vault and DynamoDB, while both are in use.

    Needs --report FILE, the same for every run of either direction. Run again, it copies what is missing or was
    changed; what is newer at the target stays. In which order to switch the functions: docs/deploy/choose-store.md
    """
    if report_file is None and not dry_run:
        raise click.UsageError("--report FILE is needed: without it nobody knows later which of two records is newer")
    (source,) = NAMES.keys() - {target}
    settings = admin_settings(mount)
    require_vault_for(settings, "this")
    command = {"migrate": {"vault": settings.vault_mount, "dynamodb": settings.dynamodb_table}}
    is_kept = report_file is not None and (not dry_run or report_file.exists())
    notes = NotesFile(report_file if is_kept else None, command, source, target)
    run = Run(Migration(_store(settings, source), _store(settings, target), notes, dry_run), Movers())
    try:
        ids = run.begin()
        ask_before(f"Copy {len(ids)} keys from {NAMES[source]} to {NAMES[target]}?", len(ids), ask and not dry_run)
        sys.exit(run.all(ids, follow=follow and not dry_run))
    finally:
        notes.close()


def _store(settings: Settings, name: StoreName) -> Store:
    """Raises: CliError."""
    try:
        services = build_services(replace(settings, store=name))
    except Internal as error:
        raise CliError(error.detail.removeprefix("settings: "), exit_code=USAGE) from error
    return Store(services.keys, services.due, services.feed)


@dataclass
class Run:
    migration: Migration
    movers: Movers
    seq: int = 0

    def begin(self) -> list[str]:
        """Key ids. What changes from here on is in the feed, or in the next list."""
        self.migration.target.feed.head()  # that it is there shows before anything is asked
        self.seq = self.migration.source.feed.head().seq
        return self.migration.key_ids()

    def all(self, ids: list[str], *, follow: bool) -> int:
        """The exit code. The summary is told also where it is interrupted."""
        try:
            if not self.migration.dry_run:
                self.migration.tell_again()
            self._pass(ids)
            self.movers.move_all("hints", self.migration.hints(), self.migration.move_hint, _name_of_hint)
            if not self.migration.dry_run and not self.movers.is_away:
                for _ in range(CATCH_UPS):
                    self.catch_up()
                if follow:
                    self._follow()
                self._count(ids)
        finally:
            again = "Run it again with the same report: it does what is left."
            tell_summary(self.movers.counts, list(self.movers.failures.items()), again)
        if self.movers.is_away:
            return UNAVAILABLE
        return REFUSED if self.movers.failures or self.movers.counts["missing there"] else 0

    def _pass(self, ids: list[str]) -> None:
        self.movers.move_all("keys", ids, self.migration.move, str)

    def catch_up(self) -> None:
        """With the changes that the feed tells of, and with what failed since a store was away: until each was tried,
        they are told of again. Raises: Unavailable, DeadlineExceeded."""
        self.movers.try_again()
        seq, names = self.migration.changed_since(self.seq)
        if names is None:
            click.echo("more changed than the feed remembers: looking at all again", err=True)
            self.movers.counts["left"] = 0
            self._pass(self.migration.key_ids())
        for key_id in names or ():
            self.movers.move(key_id, partial(self._move_again, key_id))
        if not self.movers.is_away:
            self.seq = seq

    def _move_again(self, key_id: str) -> Outcome | None:
        """None where it was the same still: it has been counted."""
        outcome = self.migration.move(key_id)
        return None if outcome is Outcome.SAME else outcome

    def _follow(self) -> None:
        is_waiting = False
        click.echo("All is copied. Following what changes; Ctrl-C ends it.", err=True)
        try:
            while True:
                time.sleep(POLL_SECONDS)
                try:
                    self.catch_up()
                    is_waiting = False
                except (Unavailable, DeadlineExceeded) as error:
                    if not is_waiting:
                        click.echo(f"{told(error)} Waiting.", err=True)
                    is_waiting = True
        except KeyboardInterrupt:
            return

    def _count(self, ids: list[str]) -> None:
        """Each was read and compared by itself; this is what the target's own list says of them."""
        expected = len(ids) - self.movers.counts["gone"] - len(self.movers.failures)
        ends_at = time.monotonic() + INDEX_SECONDS
        while (there := self.migration.count_there()) < expected and time.monotonic() < ends_at:
            time.sleep(POLL_SECONDS)
        self.movers.counts.update({"records": len(ids), "records there": there})
        if there < expected:
            self.movers.counts["missing there"] = expected - there


def _name_of_hint(entry: DueEntry) -> str:
    return f"{entry.kind} {entry.subject}"
