"""The command of `make localstack`."""

import argparse
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from keyrail.dev import interpreters
from keyrail.dev.demo import DemoError
from keyrail.dev.local_aws import __doc__ as what_it_does
from keyrail.dev.local_aws import rotation, service
from keyrail.dev.local_aws.checks import CheckFailed
from keyrail.dev.local_aws.emulators import EmulatorError
from keyrail.dev.local_aws.first_admin import BootstrapError
from keyrail.dev.local_aws.report import Report
from keyrail.dev.openbao import OpenBaoError
from keyrail.dev.terraform import NoTerraform, TerraformError

EXPECTED = (
    BootstrapError,
    CheckFailed,
    DemoError,
    EmulatorError,
    NoTerraform,
    OpenBaoError,
    TerraformError,
    interpreters.NotFound,
    service.NotStable,
)


def main() -> int:
    chosen = _arguments()
    report = Report(chosen.json)
    cache = chosen.cache.absolute()
    folder = cache / "last"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        run(cache, folder, report)
    except KeyboardInterrupt:
        report.finish("interrupted; everything is down again")
        return 130
    except EXPECTED as error:
        report.finish(f"{error}\nLogs are in {folder}.")
        return 1
    except subprocess.CalledProcessError as error:
        report.finish(f"{error}: {error.stderr}")
        return 1
    report.finish()
    shutil.rmtree(folder)
    return 0


def _stop(_number: int, _frame: object) -> NoReturn:
    """As Ctrl-C does: every context ends what it began."""
    raise KeyboardInterrupt


def run(cache: Path, folder: Path, report: Report) -> None:
    """Raises: what its parts raise."""
    with service.deployed(cache, folder / "with-vault", report) as running:
        service.check(running, report)
        with rotation.deployed(running, cache, folder / "with-vault", report) as rotated:
            rotation.check(rotated, running, report)
    report.say("Once more, without a Vault:")
    with service.deployed(cache, folder / "without-vault", report, with_vault=False) as running:
        service.check_life(running, report)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keyrail.dev.local_aws", description=what_it_does)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--cache", type=Path, default=Path("build/localstack"), help="what takes long to make")
    return parser.parse_args()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    sys.exit(main())
