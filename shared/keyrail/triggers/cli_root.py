"""The root of the command line: which commands there are, and how a failure is told.

A command is named here by its module and loaded when it is called: `keyrail get` needs no Vault, `keyrail doctor`
no HTTP client, and an installation without the extra `dev` still has every other command.
"""

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from keyrail.domain.errors import DeadlineExceeded, InvalidArgument, KeyrailError, Unavailable
from keyrail.domain.key_format import IMPORTED_PREFIX
from keyrail.telemetry import redact, redact_imported_keys

REFUSED, USAGE, UNAVAILABLE = 1, 2, 3

_COMMANDS = {  # name: (module:attribute, what it does)
    "issue": ("keyrail.triggers.cli_keys:issue", "Make a key and show it once."),
    "validate": ("keyrail.triggers.cli_validate:validate", "May this key be used? The key comes on stdin."),
    "rotate": ("keyrail.triggers.cli_keys:rotate", "Give a key its next secret."),
    "revoke": ("keyrail.triggers.cli_keys:revoke", "End a key for good."),
    "get": ("keyrail.triggers.cli_keys:get", "Show a key's record."),
    "list": ("keyrail.triggers.cli_list:list_keys", "List a tenant's keys."),
    "update": ("keyrail.triggers.cli_update:update", "Change, disable or enable a key."),
    "keys": ("keyrail.triggers.cli_due:keys", "Look at many keys at once."),
    "config": ("keyrail.triggers.cli_config:config", "Read and write stored credentials and settings."),
    "tick": ("keyrail.triggers.cli_tick:tick", "Rotate everything that is due."),
    "sweep": ("keyrail.triggers.cli_tick:sweep", "Mend and report, over all keys."),
    "import": ("keyrail.triggers.cli_import:import_keys", "Take over keys that were made elsewhere."),
    "bootstrap": ("keyrail.triggers.cli_bootstrap:bootstrap", "Set up a Vault for Keyrail; safe to repeat."),
    "pepper": ("keyrail.triggers.cli_pepper:pepper", "Replace the pepper of all digests, step by step."),
    "identities": ("keyrail.triggers.cli_identities:identities", "Give the functions new logins."),
    "events": ("keyrail.triggers.cli_events:events", "Look after the outbox of events."),
    "migrate": ("keyrail.triggers.cli_migrate:migrate", "Move keys between Vault and DynamoDB, while both run."),
    "doctor": ("keyrail.triggers.cli_doctor:doctor", "Find out what is wrong, and what to do."),
    "dev": ("keyrail.dev.command:dev", "Run everything on this machine."),
    "demo": ("keyrail.dev.command:demo", "Show the whole life of a key, with everything running."),
}


class CliError(Exception):
    """A failure to tell on stderr. `advice` says what to do; none of the texts may hold a secret."""

    def __init__(
        self,
        message: str,
        *,
        advice: str = "",
        code: str = "",
        correlation_id: str = "",
        exit_code: int = REFUSED,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.retry_after_seconds = code, retry_after_seconds
        self.lines = [f"error: {message}" + (f" [{code}]" if code else "")]
        self.lines += [advice] if advice else []
        self.lines += [f"correlation id: {correlation_id}"] if correlation_id else []
        self.exit_code = exit_code


class LazyCommands(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 refused or not valid, 2 wrong usage, 3 not available (try again).",
)
@click.version_option(package_name="keyrail")
def root() -> None:
    """API keys as functions on your own Vault.

    Keys are never arguments: yours comes from KEYRAIL_KEY or stdin, the one to validate from stdin or
    KEYRAIL_VALIDATE_KEY. The service is at --url or KEYRAIL_URL.
    """


def run(arguments: list[str]) -> NoReturn:
    redact_imported_keys(_imported_prefixes())
    _refuse_secrets(arguments)
    try:
        result: Any = root.main(arguments, prog_name="keyrail", standalone_mode=False)
    except click.exceptions.Abort:
        _end(["interrupted"], 130)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE if isinstance(error, click.UsageError) else error.exit_code)
    except CliError as error:
        _end(error.lines, error.exit_code)
    except KeyrailError as error:
        _end([told(error)], exit_code_of(error))
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output is gone; there is nobody to tell
        sys.exit(REFUSED)
    sys.exit(result if isinstance(result, int) else 0)


def exit_code_of(error: KeyrailError) -> int:
    if isinstance(error, Unavailable | DeadlineExceeded):
        return UNAVAILABLE
    return USAGE if isinstance(error, InvalidArgument) else REFUSED


def told(error: KeyrailError) -> str:
    """With its detail: whoever runs a command against the store itself may know."""
    detail = f" ({error.detail})" if error.detail else ""
    return redact(f"error: {error.public}{detail} [{error.code}]")


def _end(lines: list[str], exit_code: int) -> NoReturn:
    for line in lines:
        click.echo(line, err=True)
    sys.exit(exit_code)


def _imported_prefixes() -> tuple[str, ...]:
    """As far as they are known here; what is no prefix is left for the service to refuse."""
    given = os.environ.get("KEYRAIL_IMPORTED_PREFIXES", "").split(",")
    return tuple(prefix for prefix in given if IMPORTED_PREFIX.fullmatch(prefix))


def _refuse_secrets(arguments: list[str]) -> None:
    """Before anything is parsed, so that no error message repeats it either."""
    if any(redact(argument) != argument for argument in arguments):
        _end(
            [
                "error: one of the arguments looks like an API key or a Vault token, so this was not run.",
                "It now stands in your shell's history and was in the list of processes: rotate that key, or revoke "
                "that token. Then send the key on stdin or in the environment (keyrail --help).",
            ],
            USAGE,
        )
