"""`keyrail events flush`, with an administrator's Vault token: a tick does the same, once a minute."""

import sys

import click

from keyrail.bootstrap import build_services
from keyrail.event_delivery import deliver_events
from keyrail.triggers.cli_bootstrap import admin_settings
from keyrail.triggers.cli_options import DURATION, as_json, json_option, mount_option
from keyrail.triggers.cli_output import echo_json, echo_record
from keyrail.triggers.cli_root import UNAVAILABLE, USAGE, CliError


@click.group()
def events() -> None:
    """Look after the outbox of events. Needs VAULT_ADDR and an administrator's VAULT_TOKEN."""


@events.command()
@click.option("--budget", type=DURATION, default="45s", show_default=True, help="It stops before so much time is over.")
@mount_option
@json_option
def flush(budget: int, mount: str | None) -> None:
    """Send what waits in the outbox to its receiver, the oldest first. Exit code 3 where some is left.

    Nothing is lost where it is not called: events wait for the next tick, or the next flush.
    """
    services = build_services(admin_settings(mount))
    if services.event_sink is None:
        advice = "Set KEYRAIL_EVENT_ARN, or K_SINK and the settings beside it, as the functions have them."
        raise CliError("nobody listens: neither K_SINK nor KEYRAIL_EVENT_ARN is set.", advice=advice, exit_code=USAGE)
    report = deliver_events(services, services.clock.elapsed_seconds() + budget)
    told = {"sent": report.sent, "waiting": report.waiting, "failure": report.failure}
    if as_json():
        echo_json(told)
    else:
        echo_record(told)
    sys.exit(0 if report.waiting == 0 else UNAVAILABLE)
