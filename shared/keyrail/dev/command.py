"""`keyrail dev` and `keyrail demo`."""

import contextlib
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import click

from keyrail.dev.demo import DemoError, show_life_of_a_key
from keyrail.dev.functions import FunctionError
from keyrail.dev.gateway import GatewayError
from keyrail.dev.openbao import OpenBaoError
from keyrail.dev.ports import free_ports
from keyrail.dev.system import CannotRun, System
from keyrail.domain.errors import KeyrailError
from keyrail.triggers.cli_root import CliError, told

_FUNCTIONS = click.option(
    "--functions", type=click.Path(path_type=Path), default=Path("functions"), show_default=True, help="Where they are."
)
_JSON = "-H 'Content-Type: application/json'"


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="On 127.0.0.1.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".keyrail"), show_default=True)
@_FUNCTIONS
def dev(port: int, folder: Path, functions: Path) -> None:
    """Run everything on this machine: OpenBao, the functions and one port before them. Ctrl-C ends it all.

    The folder keeps the keys: the next run goes on with them.
    """
    with _stopped_by_signals(), _explained(), System(folder, functions, port, _say, with_docs=True) as system:
        click.echo(_introduction(system))
        system.watch()
    _say("Everything is down again.")


@click.command()
@_FUNCTIONS
def demo(functions: Path) -> None:
    """Show the whole life of a key, with everything running; it leaves nothing behind."""
    started = time.monotonic()
    with (
        _stopped_by_signals(),
        _explained(),
        tempfile.TemporaryDirectory(prefix="keyrail-demo-") as folder,
        System(Path(folder), functions, free_ports(1)[0], _say, outlives=False) as system,
    ):
        show_life_of_a_key(system.url, system.admin_key_file.read_text().strip(), click.echo)
        _say("\nEverything goes down ...")
    _say(f"Done in {time.monotonic() - started:.1f} s. `make run` leaves it up.")


def _say(line: str) -> None:
    click.echo(line, err=True)


class _Stopped(BaseException):
    """SIGTERM or SIGHUP: leaves every context in order, as Ctrl-C does."""


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Ends quietly on Ctrl-C, SIGTERM and SIGHUP, after everything inside has ended."""

    def stop(_number: int, _frame: object) -> NoReturn:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)  # what is being stopped must not be left halfway
        raise _Stopped

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, stop)
    try:
        yield
    except _Stopped:
        _say("Stopped: everything is down again.")
        sys.exit(0)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (CannotRun, DemoError, FunctionError, GatewayError, OpenBaoError) as error:
        raise CliError(str(error)) from error
    except KeyrailError as error:
        raise CliError(told(error).removeprefix("error: ")) from error


def _introduction(system: System) -> str:
    quote: Callable[[object], str] = lambda path: shlex.quote(str(path))  # noqa: E731
    curl, reply = f"curl -sS -w '\\n' -K {quote(system.admin_curl_file)}", quote(system.folder / "reply.json")
    body = '{"tenant": "acme", "owner": "you", "name": "first key", "scopes": ["ml:infer"]}'
    to_body = 's/.*"key":"\\([^"]*\\)".*/{"key":"\\1"}/p'
    return f"""
Keyrail is up at {system.url}      Ctrl-C ends it.
The API, to read and to try: {system.url}/docs

The admin key is in {system.admin_key_file} (mode 0600); admin.curl beside it has it as a header for curl.
Logs are in {system.folder / "logs"}.

Issue a key, validate it, list the tenant's keys:

{curl} {_JSON} -d '{body}' {system.url}/v1/keys | tee {reply}
sed -n '{to_body}' {reply} | {curl} {_JSON} -d @- {system.url}/v1/keys/validate
{curl} '{system.url}/v1/keys?tenant=acme'

With the command line: export KEYRAIL_URL={system.url} KEYRAIL_KEY="$(cat {quote(system.admin_key_file)})"
then: keyrail list --tenant acme
"""
