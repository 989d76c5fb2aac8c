"""The command of `make localstack`."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from keyrail.dev import interpreters
from keyrail.dev.demo import DemoError
from keyrail.dev.local_aws import __doc__ as what_it_does
from keyrail.dev.local_aws import service
from keyrail.dev.local_aws.checks import CheckFailed
from keyrail.dev.local_aws.emulators import EmulatorError
from keyrail.dev.local_aws.report import Report
from keyrail.dev.local_aws.vault import BootstrapError
from keyrail.dev.openbao import OpenBaoError
from keyrail.dev.terraform import TerraformError

EXPECTED = (
    BootstrapError,
    CheckFailed,
    DemoError,
    EmulatorError,
    OpenBaoError,
    TerraformError,
    interpreters.NotFound,
    service.NotStable,
)


def main() -> int:
    chosen = _arguments()
    report = Report(chosen.json)
    cache = chosen.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="keyrail-aws-") as folder:
            run(cache, Path(folder), report)
    except EXPECTED as error:
        report.finish(str(error))
        return 1
    except subprocess.CalledProcessError as error:
        report.finish(f"{error}: {error.stderr}")
        return 1
    report.finish()
    return 0


def run(cache: Path, folder: Path, report: Report) -> None:
    with service.deployed(cache, folder, report) as running:
        service.check(running, report)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keyrail.dev.local_aws", description=what_it_does)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--cache", type=Path, default=Path("build/localstack"), help="what takes long to make")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
