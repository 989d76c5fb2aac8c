"""What infra/terraform/vault makes, and a real Vault that it is written to as Terraform's provider for Vault would do:
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


def vault_resources(place: Place, scratch: Path, *variables: str) -> list[tuple[str, Values]]:
    """Type and values of each resource of the module for Vault, for the mounts of `place`."""
    config, delivery = place.other_mounts
    names = {"mount": place.mount, "config_mount": config, "delivery_mount": delivery}
    given = [f"-var={name}={value}" for name, value in names.items()]
    told = applied("vault", scratch, *given, f'-var=approle={{ path = "{place.mount}" }}', *variables)
    return sorted(((each["type"], each["values"]) for each in told), key=lambda each: list(WRITTEN).index(each[0]))


def applied(module: str, scratch: Path, *variables: str) -> list[Values]:
    """What Terraform keeps of each resource of a module, with stand-ins for the providers."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not here")
    with stand_ins() as environment:
        terraform = Terraform(copy_of_modules(ROOT, scratch) / module, scratch / "state", environment)
        terraform.init()
        terraform.run("apply", "-auto-approve", *variables)
        kept: list[Values] = json.loads(terraform.run("show", "-json"))["values"]["root_module"]["resources"]
    return [each for each in kept if each["mode"] == "managed"]


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
