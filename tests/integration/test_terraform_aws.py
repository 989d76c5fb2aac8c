"""The modules for AWS under the real Terraform and the real provider, with AWS itself mocked by Terraform.

A setting, route or statement that is wrong shows in infra/terraform/aws/tests; here those are run, and looked at.
"""

import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from keyrail.dev.dist import ARCHITECTURES
from keyrail.dev.functions import find_functions
from keyrail.dev.terraform import Terraform, TerraformError, copy_of_modules

ROOT = Path(__file__).parents[2]
EXAMPLES = ("dynamodb", "without_vault")
TESTED = ("aws", "aws/authorizer")
MODULES = (*TESTED, *(f"aws/examples/{name}" for name in EXAMPLES))
PAGE = ROOT / "docs/deploy/aws.md"
PLANNED = """mock_provider "aws" {
  source = "../../tests/mocks"
}

run "planned" {
  command = plan
}
"""
Modules = Callable[[str], Terraform]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the modules, and as `dist` zips whose content nobody looks at."""
    if shutil.which("terraform") is None:
        warnings.warn("terraform is not here: the modules for AWS stay unproven", stacklevel=1)
        pytest.skip("terraform is not here")
    folder = tmp_path_factory.mktemp("terraform")
    (folder / "dist").mkdir()
    for name in find_functions(ROOT / "functions"):
        for architecture in ARCHITECTURES:
            (folder / f"dist/{name}-{architecture}.zip").write_text("no zip")
    copy_of_modules(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def modules(folder: Path) -> Modules:
    """Each made ready once."""
    ready: dict[str, Terraform] = {}

    def module(name: str) -> Terraform:
        if name not in ready:
            ready[name] = Terraform(folder / "infra/terraform" / name, folder / "state" / name.replace("/", "-"))
            ready[name].init()
        return ready[name]

    return module


def test_everything_is_in_terraforms_one_format(folder: Path) -> None:
    Terraform(folder / "infra", folder / "state/fmt").run("fmt", "-check", "-recursive", "-diff")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_valid_and_warns_of_nothing(modules: Modules, name: str) -> None:
    assert "Warning" not in modules(name).run("validate", "-no-color")


@pytest.mark.parametrize("name", TESTED)
def test_its_tests_pass(modules: Modules, folder: Path, name: str) -> None:
    module = modules(name)
    dist = [f"-var=dist={folder / 'dist'}"] if name == "aws" else []
    written = [
        run for file in module.folder.glob("tests/*.tftest.hcl") for run in re.findall(r"^run ", file.read_text(), re.M)
    ]
    assert f"Success! {len(written)} passed, 0 failed" in module.run("test", "-no-color", *dist)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_planned_with_what_the_page_tells(modules: Modules, name: str) -> None:
    module = modules(f"aws/examples/{name}")
    page = PAGE.read_text()
    assert f"infra/terraform/aws/examples/{name}" in page
    told = "".join(re.findall(rf"cd infra/terraform/aws/examples/{name}\n(.*?)```", page, re.DOTALL))
    for output in re.findall(r"terraform output -\w+ (\w+)", told):
        assert f'output "{output}"' in (module.folder / "main.tf").read_text()
    (module.folder / "planned.tftest.hcl").write_text(PLANNED)
    variables = re.findall(r"-var (\S+)", told)
    assert "Success! 1 passed" in module.run("test", "-no-color", *(f"-var={each}" for each in variables))


def test_a_zip_that_is_missing_is_told_before_anything_is_made(modules: Modules, folder: Path) -> None:
    zip_of_one = folder / "dist/rotate-arm64.zip"
    held = zip_of_one.read_text()
    zip_of_one.unlink()
    try:
        with pytest.raises(TerraformError, match=r"rotate-arm64\.zip"):
            modules("aws").run("test", "-no-color", f"-var=dist={folder / 'dist'}", "-filter=tests/alarms.tftest.hcl")
    finally:
        zip_of_one.write_text(held)
