"""The tables of inputs are those of variables.tf, and each input is typed, described, and bounded where it can be."""

import re
from pathlib import Path

import pytest
from repository import ROOT

from keyrail.dev.terraform_inputs import readmes
from keyrail.dev.terraform_schemas import MODULES

FILES = sorted(MODULES.glob("*/variables.tf"))
VARIABLE = """variable "sizes" {
  # a comment
  type = object({
    small = optional(number, 1)
    names = list(string)
  })
  description = "Either \\"this\\" | <that>."
  default     = {}

  validation {
    condition     = true
    error_message = "no"
  }
}

variable "name" {
  type        = string
  description = <<-EOT
    A name
    in two lines.
  EOT
}
"""


@pytest.mark.parametrize("readme", readmes(MODULES), ids=lambda file: file.parent.name)
def test_a_table_is_what_make_manifests_writes(readme: Path) -> None:
    assert readme.read_text() == readmes(MODULES)[readme]


def test_a_table_tells_type_default_and_meaning(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    (tmp_path / "module/variables.tf").write_text(VARIABLE)
    readme = tmp_path / "module/README.md"
    readme.write_text("before\n<!-- inputs -->\nold\n<!-- /inputs -->\nafter\n")
    told = "object({ small = optional(number, 1), names = list(string) })"
    assert readmes(tmp_path)[readme].splitlines() == [
        "before",
        "<!-- inputs -->",
        "| name | type | default | what |",
        "|---|---|---|---|",
        f'| `sizes` | `{told}` | `{{}}` | Either "this" \\| &lt;that>. |',
        "| `name` | `string` | required | A name in two lines. |",
        "<!-- /inputs -->",
        "after",
    ]


def test_a_readme_without_a_place_for_the_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    (tmp_path / "module/variables.tf").write_text(VARIABLE)
    (tmp_path / "module/README.md").write_text("nothing\n")
    with pytest.raises(ValueError, match="inputs"):
        readmes(tmp_path)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_a_module_has_examples_tests_and_bounds(file: Path) -> None:
    assert list(file.parent.glob("tests/*.tftest.hcl"))
    assert list(file.parent.glob("examples/*/main.tf"))
    assert file.read_text().count("validation {") >= 5


def test_no_setting_of_a_module_is_a_plain_secret() -> None:
    for file in ROOT.glob("infra/terraform/**/*.tf"):
        assert not re.search(r'(?i)(password|secret_data|token) *= *"[^"$]+"', file.read_text()), file
