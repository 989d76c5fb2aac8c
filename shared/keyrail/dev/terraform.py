"""Terraform on this machine: the modules of infra/terraform in a copy, so that the checkout stays as it is.

Providers come from a mirror on this machine where there is one, else from Terraform's registry.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

MIRROR = "KEYRAIL_TERRAFORM_MIRROR"  # a folder as `terraform providers mirror` writes it, for tests alone
STEP_SECONDS = 600.0
_AWS = "registry.terraform.io/hashicorp/aws"
_READ_BY_MODULES = ("functions", "containers", "infra")
_CONFIGURATION = """provider_installation {{
  filesystem_mirror {{
    path    = "{mirror}"
    include = ["{aws}"]
  }}
  direct {{
    exclude = ["{aws}"]
  }}
}}
"""


class NoTerraform(Exception):
    """Its text says what is missing, and how to get it."""


class TerraformError(Exception):
    """A command that failed; its text is what Terraform said."""


class Terraform:
    """Commands in one folder. Raises: NoTerraform."""

    def __init__(self, folder: Path, state: Path, environment: Mapping[str, str] | None = None) -> None:
        """`state`: a folder of ours, for what Terraform keeps."""
        self._program = shutil.which("terraform") or _missing("terraform is not on the PATH")
        self.folder = folder
        state.mkdir(parents=True, exist_ok=True)
        ours = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_DATA_DIR": str(state / "data")}
        ours["TF_CLI_CONFIG_FILE"] = str(_configuration(state))
        self._environment = {**os.environ, **ours, **(environment or {})}

    def init(self) -> None:
        """Raises: NoTerraform where the provider is neither in a mirror nor to be had from the registry."""
        done = self.attempt("init", "-input=false", "-backend=false", "-no-color")
        if done.returncode != 0 and "provider" in done.stderr:
            _missing(f"a provider is missing:\n{done.stderr}")
        _require_success(done)

    def run(self, *arguments: str) -> str:
        """What it printed. Raises: TerraformError."""
        done = self.attempt(*arguments)
        _require_success(done)
        return done.stdout

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self._program, *arguments]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            told = process.communicate(timeout=STEP_SECONDS)
        finally:  # where we are interrupted its providers would stay behind
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return subprocess.CompletedProcess(command, process.returncode, *told)


def copy_of_modules(repository: Path, folder: Path) -> Path:
    """infra/terraform in `folder`, with what its modules read beside it."""
    left_out = shutil.ignore_patterns(".terraform*", "*.tfstate*", "__pycache__")
    for name in _READ_BY_MODULES:
        shutil.copytree(repository / name, folder / name, ignore=left_out)
    return folder / "infra/terraform"


def _configuration(state: Path) -> Path:
    file = state / "terraform.rc"
    mirror = next(iter(_mirrors()), None)
    file.write_text(_CONFIGURATION.format(mirror=mirror, aws=_AWS) if mirror else "")
    return file


def _mirrors() -> Iterable[Path]:
    """Folders with a provider for AWS: the one that is named, or any two deep below the root."""
    named = os.environ.get(MIRROR)
    return [Path(named)] if named else (found.parents[2] for found in Path("/").glob(f"*/*/{_AWS}"))


def _require_success(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        raise TerraformError(f"terraform {done.args[1]}:\n{done.stdout}{done.stderr}")


def _missing(what: str) -> str:
    raise NoTerraform(
        f"{what}\nInstall Terraform 1.9 or newer from https://developer.hashicorp.com/terraform/install. "
        f"Without a network, name a folder that `terraform providers mirror` wrote in {MIRROR}."
    )
