"""What Terraform's modules name exists, and what they take and give is described."""

import re

import pytest
from repository import ROOT

from keyrail.environment import variables
from keyrail.settings import Settings

FILES = sorted(path for path in (ROOT / "infra/terraform").rglob("*.tf") if ".terraform" not in path.parts)
_SETTING = re.compile(r"\b((?:KEYRAIL|VAULT|K|OTEL)_[A-Z_]+)\b")
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[tuple[str, str]]:
    found = [(file, *block) for file in FILES for block in _BLOCK.findall(file.read_text())]
    return [(f"{file.parent.relative_to(ROOT)}: {name}", body) for file, sort, name, body in found if sort == kind]


def test_every_setting_that_a_module_names_exists() -> None:
    named = {name for file in FILES for name in _SETTING.findall(file.read_text())}
    assert named - {"KEYRAIL_KEY", "KEYRAIL_URL"} <= set(variables(Settings))
    assert "KEYRAIL_STORE" in named


@pytest.mark.parametrize(("name", "body"), blocks("variable"))
def test_a_variable_has_a_description_and_a_type(name: str, body: str) -> None:
    assert re.search(r"^  description += (\"[^\"]+[.:]?|<<-)", body, re.MULTILINE)
    assert re.search(r"^  type +=", body, re.MULTILINE)


@pytest.mark.parametrize(("name", "body"), blocks("output"))
def test_an_output_has_a_description(name: str, body: str) -> None:
    assert re.search(r"^  description +=", body, re.MULTILINE)
