"""The Terraform modules for Vault and Google Cloud under `terraform validate` and `terraform test`, against the
providers' own schemas. The providers themselves can't be had everywhere: keyrail.dev.terraform_provider stands in.
"""

import json
import re
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from repository import ROOT, text_of, tracked_files

from keyrail.dev.terraform import Terraform, copy_of_modules
from keyrail.dev.terraform_provider import stand_ins
from keyrail.dev.terraform_schemas import SCHEMAS, used

MODULES = ["vault", "gcp", "vault/examples/all_logins", "vault/examples/google", "gcp/examples/complete"]


@dataclass(frozen=True)
class Modules:
    """A copy of them, with Terraform pointed at stand-ins for the providers."""

    repository: Path
    environment: dict[str, str]

    def at(self, name: str) -> Terraform:
        state = self.repository / "state" / name.replace("/", "-")
        return Terraform(self.repository / "infra/terraform" / name, state, self.environment)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modules]:
    if shutil.which("terraform") is None:
        warnings.warn("terraform is not here: the modules for Vault and Google Cloud stay unproven", stacklevel=1)
        pytest.skip("terraform is not here")
    folder = tmp_path_factory.mktemp("terraform")
    copy_of_modules(ROOT, folder)
    with stand_ins() as environment:
        yield Modules(folder, environment)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_valid_and_warns_of_nothing(modules: Modules, name: str) -> None:
    module = modules.at(name)
    module.init()
    assert "Warning" not in module.run("validate", "-no-color")


@pytest.mark.parametrize("name", ["vault", "gcp"])
def test_the_tests_of_a_module_pass(modules: Modules, name: str) -> None:
    module = modules.at(name)
    module.init()
    assert re.search(r"^Success! [1-9]\d* passed, 0 failed", module.run("test", "-no-color"), re.MULTILINE)


GCP = ("-var=project_id=acme-keys", "-var=vault_address=https://vault.example.com:8200")
APPLIED = {
    "vault/examples/all_logins": (),
    "vault/examples/google": GCP,
    "gcp/examples/complete": GCP,
    "gcp": (
        *GCP,
        "-var=region=europe-west1",
        "-var=vault_login=approle",
        "-var=identities_dir=tests/identities",
        '-var=functions=["rotate", "validate_key"]',
        '-var=public_functions=["rotate"]',
        "-var=domain=keys.example.com",
    ),
}


@pytest.mark.parametrize("name", APPLIED)
def test_a_plan_after_an_apply_changes_nothing(modules: Modules, name: str) -> None:
    module = modules.at(name)
    module.init()
    module.run("apply", "-auto-approve", "-no-color", *APPLIED[name])
    done = module.attempt("plan", "-detailed-exitcode", "-no-color", *APPLIED[name])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_secret_id_is_in_neither_plan_nor_state(modules: Modules, tmp_path: Path) -> None:
    module = Terraform(copy_of_modules(ROOT, tmp_path) / "gcp", tmp_path / "state", modules.environment)
    module.init()
    module.run("plan", "-out=plan", *APPLIED["gcp"])
    module.run("apply", "plan")
    secret = (module.folder / "tests/identities/rotate.secret-id").read_bytes().strip()
    with zipfile.ZipFile(module.folder / "plan") as plan:
        parts = [plan.read(part) for part in plan.namelist() if not part.startswith("tfconfig/")]
    state = (module.folder / "terraform.tfstate").read_bytes()
    assert b"keyrail-rotate-vault-secret-id" in state
    assert not any(secret in part for part in (*parts, state))


def test_new_secret_ids_are_stored_when_their_version_is_counted_up(modules: Modules) -> None:
    module = modules.at("gcp")
    module.init()
    module.run("apply", "-auto-approve", *APPLIED["gcp"])
    told = module.run("plan", "-no-color", "-var=identities_version=2", *APPLIED["gcp"])
    assert set(re.findall(r"# (\S+) will be", told)) >= {
        f'google_secret_manager_secret_version.secret_id["{name}"]' for name in ("rotate", "validate_key")
    }


FAULTS = {
    "a misspelt argument": ("vault/main.tf", "cas_required = true", "cas_require = true", "Unsupported argument"),
    "a missing argument": ("vault/main.tf", 'type        = "kv"', "", "Missing required argument"),
    "a misspelt type": ("vault/main.tf", '"vault_policy" "this"', '"vault_polycy" "this"', "Invalid resource type"),
    "a reference to nothing": ("vault/main.tf", "var.namespace", "var.name_space", "undeclared input variable"),
    "a value of another type": ("gcp/main.tf", "each.value.timeout_seconds", '"soon"', "a number is required"),
    "a block in the wrong place": ("gcp/main.tf", "    source {", "    storage_source {", "Unsupported block type"),
    "a missing block": ("gcp/secrets.tf", "  replication {\n    auto {}\n  }", "", "Insufficient replication blocks"),
    "an attribute that is not there": ("gcp/clock.tf", "ticker[0].email", "ticker[0].mail", "Unsupported attribute"),
    "an attribute of a block": ("gcp/outputs.tf", "[0].uri", "[0].url", "Unsupported attribute"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(modules: Modules, tmp_path: Path, fault: str) -> None:
    """What proves that the stand-ins know the schemas: each file is valid without its fault."""
    file, good, bad, complaint = FAULTS[fault]
    planted = copy_of_modules(ROOT, tmp_path) / file
    assert good in planted.read_text()
    planted.write_text(planted.read_text().replace(good, bad))
    module = Terraform(planted.parent, tmp_path / "state", modules.environment)
    done = module.attempt("init", "-no-color")
    if done.returncode == 0:
        done = module.attempt("test", "-no-color")
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr


def test_the_schemas_are_of_what_the_modules_use() -> None:
    """Else: `python -m keyrail.dev.terraform_schemas`."""
    for file in SCHEMAS.glob("*.json"):
        told = json.loads(file.read_text())
        assert {kind: set(told[kind]) for kind in ("resource", "data")} == used(file.stem)


def test_each_version_of_a_provider_that_a_module_takes_has_the_schema() -> None:
    """The one that we hold it against is among those it allows."""
    for name in ("vault", "gcp"):
        for provider, told in re.findall(
            r'hashicorp/(\w+)"\s+version = "([^"]+)"', text_of(f"infra/terraform/{name}/versions.tf")
        ):
            version = json.loads((SCHEMAS / f"{provider}.json").read_text())["version"]
            assert allows(told, version), (provider, told, version)


def allows(constraint: str, version: str) -> bool:
    return SpecifierSet(constraint.replace("~> ", "~=")).contains(version)


def test_no_state_and_no_plan_is_kept_here() -> None:
    assert [file for file in tracked_files() if re.search(r"\.tfstate|\.tfplan|\.terraform", file.name)] == []
