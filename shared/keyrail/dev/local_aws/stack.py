"""What infra/localstack declares, deployed by Terraform to one of the servers that stand for AWS."""

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from keyrail.dev.functions import find_functions
from keyrail.dev.local_aws.emulators import Emulator
from keyrail.dev.local_aws.environments import ROOT
from keyrail.dev.terraform import Terraform, copy_of_modules


class Stack:
    """infra/localstack/<name>. `folder` is new: it gets a copy of the modules, and Terraform's state.

    The modules find `functions` in that copy, and no others of the repository's.
    """

    def __init__(
        self, name: str, folder: Path, variables: Mapping[str, object], aws: Emulator, functions: Collection[str]
    ) -> None:
        root = copy_of_modules(ROOT, folder / "modules").parent / "localstack" / name
        for left_out in find_functions(folder / "modules/functions").keys() - set(functions):
            shutil.rmtree(folder / "modules/functions" / left_out)
        (root / "terraform.tfvars.json").write_text(json.dumps(variables))
        self._terraform = Terraform(root, folder / "state", aws.environment)

    def deploy(self) -> dict[str, Any]:
        """The outputs. Raises: NoTerraform, TerraformError."""
        self._terraform.init()
        self._terraform.run("apply", "-input=false", "-no-color", "-auto-approve")
        told = json.loads(self._terraform.run("output", "-json"))
        return {name: each["value"] for name, each in told.items()}

    def changes(self) -> set[str]:
        """What an apply would still do, as `<action> <address>`. Raises: TerraformError."""
        events = map(json.loads, self._terraform.run("plan", "-json", "-input=false").splitlines())
        planned = (event["change"] for event in events if event["type"] == "planned_change")
        return {f"{change['action']} {change['resource']['addr']}" for change in planned}
