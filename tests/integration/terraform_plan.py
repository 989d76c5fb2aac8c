"""What infra/terraform/vault plans, and a real Vault that it is written to as Terraform's provider for Vault would do:
that one can't be had everywhere."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import hvac
import pytest
from bootstrapping import Place

from keyrail.adapters.vault_setup import MOUNT_READY_SECONDS
from keyrail.dev.terraform import Terraform, copy_of_modules
from keyrail.dev.terraform_provider import stand_ins

ROOT = Path(__file__).parents[2]
Values = dict[str, Any]
WRITTEN = {  # in the order in which they need each other: where to, with what of the plan in it
    "vault_mount": "sys/mounts/{path}",
    "vault_kv_secret_backend_v2": "{mount}/config",
    "vault_policy": "sys/policies/acl/{name}",
    "vault_auth_backend": "sys/auth/{path}",
    "vault_approle_auth_backend_role": "auth/{backend}/role/{role_name}",
    "vault_jwt_auth_backend": "sys/auth/{path}",
    "vault_jwt_auth_backend_role": "auth/{backend}/role/{role_name}",
}


def planned(place: Place, scratch: Path, *variables: str) -> list[tuple[str, Values]]:
    """Type and values of each resource, for the mounts of `place`."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not here")
    config, delivery = place.other_mounts
    names = {"mount": place.mount, "config_mount": config, "delivery_mount": delivery}
    given = [f"-var={name}={value}" for name, value in names.items()]
    given += [f'-var=approle={{ path = "{place.mount}" }}', *variables]
    with stand_ins() as environment:
        module = Terraform(copy_of_modules(ROOT, scratch) / "vault", scratch / "state", environment)
        module.init()
        module.run("plan", "-out=plan", *given)
        told = json.loads(module.run("show", "-json", "plan"))
    resources = told["planned_values"]["root_module"]["resources"]
    return sorted(((each["type"], each["values"]) for each in resources), key=lambda each: list(WRITTEN).index(each[0]))


def place_of(kind: str, values: Values) -> str:
    return WRITTEN[kind].format_map(values)


def write(root: hvac.Client, kind: str, values: Values) -> None:
    given = {name: value for name, value in values.items() if value is not None}
    body = {name: value for name, value in given.items() if f"{{{name}}}" not in WRITTEN[kind]}
    _write_once_ready(root, place_of(kind, given), body)


def _write_once_ready(root: hvac.Client, path: str, body: Values) -> None:
    """A new KV version 2 mount refuses everything for a moment; Terraform's provider tries again, too."""
    ends_at = time.monotonic() + MOUNT_READY_SECONDS
    while True:
        try:
            root.write_data(path, data=body)
        except hvac.exceptions.InvalidRequest as refused:
            if "Upgrading" not in str(refused) or time.monotonic() > ends_at:
                raise
            time.sleep(0.1)
        else:
            return
