"""The Terraform modules for Vault and Google Cloud under `terraform validate` and `terraform test`, against the
providers' own schemas. The providers themselves can't be had everywhere: keyrail.dev.terraform_provider stands in.
"""

import json
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from repository import ROOT, text_of, tracked_files

from keyrail.dev.terraform import Terraform, copied
from keyrail.dev.terraform_schemas import MODULES, SCHEMAS, used
from keyrail.environment import variables
from keyrail.settings import Settings

FOLDERS = ["vault", "gcp", "vault/examples/all_logins", "gcp/examples/complete"]


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    if shutil.which("terraform") is None:
        warnings.warn("terraform is not here: infra/terraform stays unproven", stacklevel=1)
        pytest.skip("terraform is not here")
    with copied(ROOT, tmp_path_factory.mktemp("terraform")) as made:
        yield made


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_module_is_valid(terraform: Terraform, folder: str) -> None:
    done = terraform.at(folder).run("validate", "-no-color")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", ["vault", "gcp"])
def test_the_tests_of_a_module_pass(terraform: Terraform, folder: str) -> None:
    done = terraform.at(folder).run("test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^Success! [1-9]\d* passed, 0 failed", done.stdout, re.MULTILINE)


def test_everything_is_in_terraforms_own_format(terraform: Terraform) -> None:
    done = terraform.run("fmt", "-check", "-recursive", "-no-color")
    assert done.returncode == 0, done.stdout


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
def test_a_fault_is_found(terraform: Terraform, tmp_path: Path, fault: str) -> None:
    """What proves that the stand-ins know the schemas; each of these was valid a line before."""
    file, good, bad, complaint = FAULTS[fault]
    shutil.copytree(terraform.folder.parents[1], tmp_path / "planted", symlinks=True)
    planted = tmp_path / "planted/infra/terraform" / file
    assert good in planted.read_text()
    planted.write_text(planted.read_text().replace(good, bad))
    there = Terraform(planted.parent, terraform.environment)
    done = there.run("init", "-backend=false", "-no-color")
    if done.returncode == 0:
        done = there.run("test", "-no-color")
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


def test_every_setting_that_a_module_sets_is_one_that_we_read() -> None:
    known = set(variables(Settings))
    for file in MODULES.rglob("*.tf"):
        code = re.sub(r"#.*|description\s*=.*|error_message\s*=.*", "", file.read_text())
        named = set(re.findall(r"\b(?:KEYRAIL|VAULT|OTEL)_[A-Z_]+\b", code))
        assert named - known == set(), file


def test_no_state_and_no_plan_is_kept_here() -> None:
    assert [file for file in tracked_files() if re.search(r"\.tfstate|\.tfplan|\.terraform", file.name)] == []
