"""`keyrail bootstrap`, as an administrator runs it once the service is deployed."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from keyrail.dev.local_aws.environments import ROOT

_OURS = ("VAULT_", "KEYRAIL_", "AWS_")


class BootstrapError(Exception):
    """The message is what the command said."""


def made(folder: Path, settings: Mapping[str, str]) -> str:
    """The admin key. No setting of whoever runs this counts but `settings`. Raises: BootstrapError."""
    file = folder / "admin.key"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    command = [sys.executable, "-c", "from keyrail.triggers.cli import main; main()", "bootstrap"]
    command += ["--functions", str(ROOT / "functions"), "--admin-key-file", str(file)]
    done = subprocess.run(command, env={**clean, **settings}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BootstrapError(f"keyrail bootstrap: {done.stderr}")
    return file.read_text().strip()
