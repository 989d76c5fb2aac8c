"""Options that several commands share, and the notations they take: 90d, 100/1m, name=value."""

import os
import re
import sys
from collections.abc import Callable
from functools import update_wrapper, wraps
from pathlib import Path
from typing import Any

import click

from keyrail.domain.key_format import KEY_ID as KEY_ID_PATTERN
from keyrail.triggers.cli_client import Api, checked_url
from keyrail.triggers.cli_root import USAGE, CliError

_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_JSON = "keyrail.json"


class DurationType(click.ParamType[int]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"([0-9]{1,9})([smhdw]?)", str(value))
        if match is None:
            self.fail("a duration looks like 45s, 30m, 12h, 90d or 2w", param, ctx)
        return int(match[1]) * _UNIT_SECONDS[match[2]]


class LimitType(click.ParamType[dict[str, int]]):
    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        requests, _, window = str(value).partition("/")
        if not re.fullmatch(r"[0-9]{1,10}", requests):
            self.fail("a limit looks like 100/1m: requests, then a duration", param, ctx)
        return {"requests": int(requests), "window_seconds": DURATION.convert(window, param, ctx)}


class KeyIdType(click.ParamType[str]):
    name = "key_id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not KEY_ID_PATTERN.fullmatch(str(value)):
            self.fail(
                "a key id has 16 letters and digits: the part of a key between its second and third _", param, ctx
            )
        return str(value)


DURATION, LIMIT, KEY_ID = DurationType(), LimitType(), KeyIdType()
FILE = click.Path(path_type=Path, dir_okay=False)  # one that may be made


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """`name=value` each. Raises: click.UsageError."""
    split = [each.partition("=") for each in given]
    if not all(name and equals for name, equals, _ in split):
        raise click.UsageError("--label takes name=value")
    return {name: value for name, _, value in split}


_ROTATION = {
    "grace_seconds": click.option("--grace", "grace_seconds", type=DURATION, help="How long an old secret lives on."),
    "max_grace_seconds": click.option(
        "--max-grace", "max_grace_seconds", type=DURATION, help="The longest grace that a rotation may ask for."
    ),
    "interval_seconds": click.option(
        "--rotate-every", "interval_seconds", type=DURATION, help="Rotate it on a schedule; needs --sink."
    ),
    "sink": click.option("--sink", help="Where its consumer reads it, like vault:acme/gateway."),
    "silent_seconds": click.option(
        "--silent", "silent_seconds", type=DURATION, help="End a grace early after so long without use."
    ),
}


ROTATION_FIELDS = tuple(_ROTATION)


def rotation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`rotation` of the command: the fields that were given, None without any."""

    @wraps(command)
    def run(**given: Any) -> Any:
        fields = {name: given.pop(name) for name in _ROTATION}
        asked = {name: value for name, value in fields.items() if value is not None}
        return command(**given, rotation=asked or None)

    for option in reversed(_ROTATION.values()):
        run = option(run)
    return run


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--json", "_json", is_flag=True, expose_value=False, callback=_remember_json, help="The reply as it is."
    )(command)


def _remember_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_JSON] = value


def as_json() -> bool:
    return bool(click.get_current_context().meta.get(_JSON))


def mount_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """For an administrator's commands."""
    return click.option("--mount", help="The KV version 2 mount. [KEYRAIL_VAULT_MOUNT, else keyrail]")(command)


def yes_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The parameter `ask`: False where --yes was given."""
    return click.option("--yes", "ask", is_flag=True, flag_value=False, default=True, help="Do not ask.")(command)


def many_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Of commands over many keys: the parameters `report_file`, `dry_run` and `ask`."""
    command = click.option(
        "--report", "report_file", type=FILE, help="Append each key's outcome there; run again, do only what is left."
    )(command)
    command = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(command)
    return yes_option(command)


def require_one(key_id: str | None, is_many: bool, option: str) -> None:
    """Raises: click.UsageError."""
    if (key_id is None) != is_many:
        raise click.UsageError(f"give a key id or {option}, one of the two")


def require_yes(question: str) -> None:
    """On a terminal it is asked there, else the next line of stdin is the answer. Raises: CliError on any but yes."""
    if sys.stdin.isatty():
        is_yes = click.confirm(question, err=True)
    else:
        is_yes = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not is_yes:
        raise CliError(f"{question} Not confirmed: nothing was done.", advice="Give --yes where nobody can be asked.")


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--url and --ca-file, as parameters `url` and `ca_file`."""
    command = click.option("--ca-file", envvar="KEYRAIL_CA_FILE", help="CA bundle (PEM) of an https service.")(command)
    return click.option(
        "--url", envvar="KEYRAIL_URL", required=True, help="Where Keyrail is. [KEYRAIL_URL]", metavar="URL"
    )(command)


def caller_api(command: Callable[..., Any]) -> Callable[..., Any]:
    """The parameter `api`, with the caller's key from KEYRAIL_KEY, else from the first line of stdin."""
    return _with_api(command, lambda: key_from("KEYRAIL_KEY") or key_from_stdin("Your key"))


def caller_api_beside_stdin(command: Callable[..., Any]) -> Callable[..., Any]:
    """As caller_api, but only from KEYRAIL_KEY: stdin has something else, which must not be sent as a key."""
    return _with_api(command, _key_from_environment)


def _with_api(command: Callable[..., Any], find_key: Callable[[], str]) -> Callable[..., Any]:
    def with_api(url: str, ca_file: str | None, **rest: Any) -> Any:
        service = checked_url(url)
        return command(api=Api(service, find_key(), ca_file), **rest)

    return service_options(update_wrapper(with_api, command))


def _key_from_environment() -> str:
    key = key_from("KEYRAIL_KEY")
    if key is None:
        raise CliError(
            "Your key is missing.", advice="Put it into KEYRAIL_KEY: stdin is for the value.", exit_code=USAGE
        )
    return key


def key_from(variable: str) -> str | None:
    """Raises: CliError where it holds what no header can carry."""
    return _checked(os.environ.get(variable, "").strip(), variable) or None


def key_from_stdin(what: str) -> str:
    """The first line; on a terminal it is asked for and not shown. Raises: CliError where there is none."""
    asked = sys.stdin.isatty()
    text = str(click.prompt(what, hide_input=True, err=True) if asked else sys.stdin.readline())
    if not text.strip():
        raise CliError(f"{what} is missing.", advice="Send it on stdin, or see keyrail --help.", exit_code=USAGE)
    return _checked(text.strip(), "stdin")


def _checked(key: str, source: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]*", key):
        raise CliError(f"{source} holds something that is no key.", exit_code=USAGE)
    return key
