"""`make example`: everything up, rotated under load, down again. Ends non-zero where anybody noticed."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from keyrail.dev.functions import FunctionError
from keyrail.dev.gateway import GatewayError
from keyrail.dev.openbao import OpenBaoError
from keyrail.dev.postgres import NoPostgreSQL
from keyrail.dev.system import CannotRun
from keyrail.domain.errors import KeyrailError
from keyrail.triggers.cli_root import CliError, told
from stage.load import Load
from stage.pipeline import Pipeline
from stage.processes import DidNotStart, lines_of, renewals
from stage.rotations import Rotations
from stage.table import Outcome

Then = Callable[[Pipeline, Rotations], None]
CANNOT = (CannotRun, CliError, DidNotStart, FunctionError, GatewayError, NoPostgreSQL, OpenBaoError)


def main(arguments: Sequence[str] | None = None, then: Then | None = None) -> int:
    """The exit code. `then` comes while everything is still up."""
    chosen = _arguments(arguments)
    with tempfile.TemporaryDirectory(prefix="keyrail-example-") as folder, Pipeline(Path(folder), _say) as pipeline:
        _say(f"Load and rotations: {chosen.rounds} rounds ...")
        rotations = Rotations(pipeline)
        outcome = _run(pipeline, rotations, chosen.rounds)
        print(f"\n{outcome}\n\n{'Nobody noticed.' if outcome.is_good else 'Somebody noticed.'}", flush=True)
        if then is not None:
            then(pipeline, rotations)
        if chosen.keep:
            print(_to_try(pipeline), flush=True)
            signal.pause()
    return 0 if outcome.is_good else 1


def _run(pipeline: Pipeline, rotations: Rotations, rounds: int) -> Outcome:
    load = Load(pipeline.ports["gateway"], pipeline.client_key_file)
    with load:
        rotations.rotate_all(rounds)
    counts = {
        "the client's key": rotations.counts["client"],
        "the inference service's key": rotations.counts["inference"],
        "the database's password": rotations.counts["database"],
        "Keyrail's certificate": len(lines_of(pipeline.keyrail, "certificate")),
        "the services' certificates": sum(map(renewals, pipeline.agents.values())),
    }
    return Outcome(load.seen, counts, rotations.still_accepted())


def _to_try(pipeline: Pipeline) -> str:
    """The key goes through a pipe: in the arguments of curl everybody here could read it."""
    send = f"""printf 'Authorization: Bearer %s' "$(cat {pipeline.client_key_file})" | curl -sS -w '\\n' -H @-"""
    admin = f"curl -sS -w '\\n' -K {pipeline.system.admin_curl_file} -H 'Content-Type: application/json'"
    return f"""
Left up until Ctrl-C. A flower, what it probably is, and a request without a key:

{send} {pipeline.url}/data/120
{send} {pipeline.url}/infer/120
curl -sS -w '\\n' {pipeline.url}/infer/120

Rotate the client's key, and try the first two again:

{admin} -d '{{}}' {pipeline.system.url}/v1/keys/{pipeline.keys["client"]}/rotate

Logs: {pipeline.folder}/logs, {pipeline.folder}/keyrail/logs"""


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make example", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of rotations; about five seconds each")
    parser.add_argument("--keep", action="store_true", help="leave everything up until Ctrl-C")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # in order: everything ended, the folder removed
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _say("Stopped: everything is down again.")
    except CANNOT as error:
        sys.exit(f"The example can't run: {error}")
    except KeyrailError as error:
        sys.exit(f"The example can't run: {told(error)}")
