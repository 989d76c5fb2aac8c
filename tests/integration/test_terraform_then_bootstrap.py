"""What infra/terraform/vault plans, written to a real Vault, is what `keyrail bootstrap` keeps without a change.

Terraform's provider for Vault can't be had everywhere: its plan is real, and this file writes it as that provider does.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
from bootstrapping import Place

from keyrail.dev.openbao import OpenBao
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
}


@pytest.fixture
def place(openbao: OpenBao) -> Iterator[Place]:
    made = Place.make(openbao)
    yield made
    made.root.sys.disable_auth_method(made.mount)
    for mount in (made.mount, *made.other_mounts):
        made.root.sys.disable_secrets_engine(mount)


def planned(place: Place, scratch: Path) -> list[tuple[str, Values]]:
    config, delivery = place.other_mounts
    names = {"mount": place.mount, "config_mount": config, "delivery_mount": delivery}
    variables = [f"-var={name}={value}" for name, value in names.items()]
    with stand_ins() as environment:
        module = Terraform(copy_of_modules(ROOT, scratch) / "vault", scratch / "state", environment)
        module.init()
        module.run("plan", "-out=plan", *variables, f'-var=approle={{ path = "{place.mount}" }}')
        told = json.loads(module.run("show", "-json", "plan"))
    resources = told["planned_values"]["root_module"]["resources"]
    return sorted(((each["type"], each["values"]) for each in resources), key=lambda each: list(WRITTEN).index(each[0]))


def write(root: hvac.Client, kind: str, values: Values) -> None:
    given = {name: value for name, value in values.items() if value is not None}
    place = WRITTEN[kind]
    body = {name: value for name, value in given.items() if f"{{{name}}}" not in place}
    root.write_data(place.format_map(given), data=body)


def test_bootstrap_keeps_what_terraform_made(place: Place, tmp_path: Path) -> None:
    resources = planned(place, tmp_path)
    for kind, values in resources:
        write(place.root, kind, values)
    steps, keys = place.bootstrap(auth_mount=place.mount)
    changed = {step.what: step.outcome for step in steps if step.outcome != "kept"}
    assert changed == {"pepper": "made", "default roles": "made", "change feed": "made", "admin key": "made"}
    assert len(steps) - len(changed) == len(resources)
    assert len(keys) == 1


def test_terraform_leaves_out_nothing_that_bootstrap_makes_but_for_secrets(place: Place, tmp_path: Path) -> None:
    made = {(kind, WRITTEN[kind].format_map(values)) for kind, values in planned(place, tmp_path)}
    place.bootstrap(auth_mount=place.mount)
    there = {path.removesuffix("/") for path in place.root.sys.list_mounted_secrets_engines()["data"]}
    assert {path.removeprefix("sys/mounts/") for kind, path in made if kind == "vault_mount"} == {
        each for each in there if each.startswith(place.mount)
    }
    policies = place.root.sys.list_acl_policies()["data"]["keys"]
    assert {path.rpartition("/")[2] for kind, path in made if kind == "vault_policy"} == {
        each for each in policies if each.startswith(f"{place.mount}-")
    }
