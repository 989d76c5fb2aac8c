"""The table of inputs in each infra/terraform/*/README.md, from the variables.tf beside it; `make manifests` writes it.

Reads what `terraform fmt` leaves: a variable's arguments begin at two spaces, and what they go on with lies deeper.
"""

import re
from pathlib import Path

_VARIABLE = re.compile(r'^variable "(\w+)" \{\n(.*?)^\}$', re.DOTALL | re.MULTILINE)
_ARGUMENT = re.compile(r"^  (\w+)\s+= (.*?)(?=^  \w+ +=|^  \w+ \{|\Z)", re.DOTALL | re.MULTILINE)
_HEREDOC = re.compile(r"<<-?(\w+)\n(.*)\n\s*\1", re.DOTALL)
_TABLE = re.compile(r"(?<=<!-- inputs -->\n).*?(?=<!-- /inputs -->)", re.DOTALL)
_HEAD = "| name | type | default | what |\n|---|---|---|---|\n"


def readmes(modules: Path) -> dict[Path, str]:
    """The text of each README whose module has variables. Raises: ValueError where one has no place for the table."""
    files = sorted(file.with_name("README.md") for file in modules.glob("*/variables.tf"))
    return {file: _with_table(file) for file in files}


def _with_table(readme: Path) -> str:
    table = _HEAD + "".join(_row(*each) for each in _VARIABLE.findall(readme.with_name("variables.tf").read_text()))
    text, count = _TABLE.subn(lambda _: table, readme.read_text())
    if count != 1:
        raise ValueError(f"{readme} has no <!-- inputs --> and <!-- /inputs -->")
    return text


def _row(name: str, body: str) -> str:
    """Raises: KeyError where the variable has no type or description."""
    told = {
        argument: _one_line(value) for argument, value in _ARGUMENT.findall(re.sub(r"^ +#.*\n", "", body, flags=re.M))
    }
    default = f"`{told['default']}`" if "default" in told else "required"
    description = told["description"].strip('"').replace('\\"', '"')
    return "| " + " | ".join(_cell(each) for each in (f"`{name}`", f"`{told['type']}`", default, description)) + " |\n"


def _one_line(value: str) -> str:
    """What `terraform fmt` aligned over lines, or stands in a heredoc, as one would write it in one."""
    heredoc = _HEREDOC.fullmatch(value.strip())
    if heredoc is not None:
        return " ".join(heredoc[2].split())
    lines = re.sub(r" +", " ", "\n".join(line.strip() for line in value.strip().splitlines()))
    joined = re.sub(r"(?<=[^{(\[,])\n(?=[^})\]])", ", ", lines)
    return re.sub(r"\s*\n\s*", " ", joined)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
