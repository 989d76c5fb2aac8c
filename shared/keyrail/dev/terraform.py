"""The real Terraform with its real providers: from a mirror on this machine where there is one, else their registry."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

REGISTRY = "registry.terraform.io"
_MIRRORS = ("*/*", "usr/*/terraform/plugins", "usr/local/*/terraform/plugins")  # below /, as images lay them out


class TerraformError(Exception):
    """What it said."""


class NotInstalled(TerraformError):
    """There is no terraform on the PATH."""


class Terraform:
    """One configuration, `root`, with a state of its own in `folder`. `env` holds the provider's settings.

    The lock file beside `root` is of this machine alone: git ignores it.
    """

    def __init__(self, root: Path, folder: Path, variables: Mapping[str, object], env: Mapping[str, str]) -> None:
        self._root, self._folder = root, folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "terraform.rc").write_text(_settings())
        (folder / "variables.tfvars.json").write_text(json.dumps(variables))
        self._env = {
            **os.environ,
            **env,
            "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
            "TF_DATA_DIR": str(folder / "data"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",  # it would ask for newer versions of itself
        }
        self._state = f"-state={folder / 'terraform.tfstate'}"
        self._variables = f"-var-file={folder / 'variables.tfvars.json'}"

    def apply(self) -> dict[str, Any]:
        """The outputs. Raises: TerraformError."""
        self._run("init", "-input=false", "-no-color")
        self._run("apply", "-input=false", "-no-color", "-auto-approve", self._state, self._variables)
        told = json.loads(self._run("output", "-json", self._state))
        return {name: each["value"] for name, each in told.items()}

    def changes(self) -> list[str]:
        """What an apply would still do, as `<action> <address>`. Raises: TerraformError."""
        told = self._run("plan", "-json", "-input=false", self._state, self._variables)
        return [
            f"{event['change']['action']} {event['change']['resource']['addr']}"
            for event in _events(told)
            if event["type"] == "planned_change"
        ]

    def _run(self, command: str, *arguments: str) -> str:
        given = [_terraform(), f"-chdir={self._root}", command, *arguments]
        done = subprocess.run(given, env=self._env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise TerraformError(f"terraform {command} in {self._root}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done.stdout


def _events(lines: str) -> Iterator[dict[str, Any]]:
    yield from map(json.loads, lines.splitlines())


def _terraform() -> str:
    found = shutil.which("terraform")
    if found is None:
        raise NotInstalled("terraform is not on the PATH: https://developer.hashicorp.com/terraform/install")
    return found


def _settings() -> str:
    """Without such a mirror Terraform looks where it always does, its registry last."""
    mirror = next((place.parent for each in _MIRRORS for place in Path("/").glob(f"{each}/{REGISTRY}")), None)
    return "" if mirror is None else f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror}" }}\n}}\n'
