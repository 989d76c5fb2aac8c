"""What the consistency tests read: the repository's own files, as git knows them."""

import re
import subprocess
from pathlib import Path

from keyrail.operations.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
NAMES = [operation.name for operation in CATALOGUE]
PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def tracked_files() -> list[Path]:
    """Those in the index, and those that are about to be: new, and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def section(page: str, heading: str) -> str:
    """The text under a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}$\n(.*?)(?=^## |\Z)", text_of(page), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no section {heading}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but heads and rulers, without backticks at their ends."""
    table = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    heads = {n - 1 for n, cells in enumerate(table) if set("".join(cells).strip()) <= set("- ")}
    cells_of = [cells for n, cells in enumerate(table) if n not in heads and n - 1 not in heads]
    return [[cell.strip() for cell in cells] for cells in cells_of]


def names_in(text: str) -> set[str]:
    """Everything in backticks."""
    return set(re.findall(r"`([^`]+)`", text))
