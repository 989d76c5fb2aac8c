"""What infra/terraform/vault plans, written to a real Vault, is what `keyrail bootstrap` keeps without a change."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bootstrapping import Place
from terraform_resources import place_of, vault_resources, write

from keyrail.dev.openbao import OpenBao


@pytest.fixture
def place(openbao: OpenBao) -> Iterator[Place]:
    made = Place.make(openbao)
    yield made
    made.root.sys.disable_auth_method(made.mount)
    for mount in (made.mount, *made.other_mounts):
        made.root.sys.disable_secrets_engine(mount)


def test_bootstrap_keeps_what_terraform_made(place: Place, tmp_path: Path) -> None:
    resources = vault_resources(place, tmp_path)
    for kind, values in resources:
        write(place.root, kind, values)
    steps, keys = place.bootstrap(auth_mount=place.mount)
    changed = {step.what: step.outcome for step in steps if step.outcome != "kept"}
    assert changed == {"pepper": "made", "default roles": "made", "change feed": "made", "admin key": "made"}
    assert len(steps) - len(changed) == len(resources)
    assert len(keys) == 1


def test_terraform_leaves_out_nothing_that_bootstrap_makes_but_for_secrets(place: Place, tmp_path: Path) -> None:
    made = {(kind, place_of(kind, values)) for kind, values in vault_resources(place, tmp_path)}
    place.bootstrap(auth_mount=place.mount)
    there = {path.removesuffix("/") for path in place.root.sys.list_mounted_secrets_engines()["data"]}
    assert {path.removeprefix("sys/mounts/") for kind, path in made if kind == "vault_mount"} == {
        each for each in there if each.startswith(place.mount)
    }
    policies = place.root.sys.list_acl_policies()["data"]["keys"]
    assert {path.rpartition("/")[2] for kind, path in made if kind == "vault_policy"} == {
        each for each in policies if each.startswith(f"{place.mount}-")
    }
