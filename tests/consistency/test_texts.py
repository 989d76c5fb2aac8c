"""Links lead somewhere, words are used as the glossary says, and no file holds a key or the place it was written at."""

import re
from pathlib import Path

import pytest
import yaml
from repository import PAGES, ROOT, rows, text_of, tracked_files

from keyrail.domain.key_format import ANY_KEY

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_HOME_OF_SOMEBODY = re.compile(r"(?<![\w./}])/(?:home|Users|root|work)/\w+")
_INDEX_ADDRESS = re.compile(r"(?:index-url|registry)\s*[=:]\s*https?://|/simple/[a-z]|--trusted-host", re.IGNORECASE)
_TEXT = {".md", ".py", ".yaml", ".yml", ".toml", ".hcl", ".txt", ".sh", ".json", ""}

for_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(prose)}


@for_each_page
def test_every_relative_link_leads_to_a_file_and_a_heading_of_it(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@for_each_page
def test_every_page_can_be_reached_from_the_readme(page: Path) -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        at = todo.pop()
        if at not in reached and at.suffix == ".md":
            reached.add(at)
            todo += [
                (at.parent / link.partition("#")[0]).resolve()
                for link in _LINK.findall(at.read_text())
                if "//" not in link
            ]
    assert page in reached


@for_each_page
def test_a_contents_list_names_every_section_in_order(page: Path) -> None:
    text = page.read_text()
    told = re.findall(r"^- \[([^\]]+)\]\(#", text, re.MULTILINE)
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert not told or told == sections


def test_every_word_of_the_glossary_is_used() -> None:
    elsewhere = " ".join(page.read_text() for page in PAGES if page.stem != "glossary").lower()
    elsewhere += (ROOT / "docs/openapi.yaml").read_text().lower()
    elsewhere += " ".join(file.read_text().lower() for file in (ROOT / "shared/keyrail").rglob("*.py"))
    words = {word.strip() for row in rows(text_of("docs/glossary.md")) for word in row[0].split(",")}
    assert {word for word in words if word.lower() not in elsewhere} == set()


def test_verify_is_said_of_no_key() -> None:
    pages = " ".join(page.read_text() for page in PAGES if page.stem != "glossary") + text_of("docs/openapi.yaml")
    assert (
        re.findall(r".{20}\bverif(?:y|ies|ied|ication)\b.{20}", pages.replace("VAULT_SKIP_VERIFY", ""), re.IGNORECASE)
        == []
    )


def test_no_module_is_called_by_a_word_that_says_nothing() -> None:
    forbidden = {"utils", "util", "common", "helpers", "helper", "manager", "misc", "core"}
    assert {file.stem for file in (ROOT / "shared").rglob("*.py")} & forbidden == set()


def text_files() -> list[Path]:
    return [file for file in tracked_files() if file.suffix in _TEXT and file != Path(__file__)]


def test_no_file_holds_a_whole_key() -> None:
    assert [file for file in text_files() if ANY_KEY.search(file.read_text(encoding="utf-8"))] == []


def test_no_file_holds_a_folder_of_somebodys_machine_or_the_address_of_an_index() -> None:
    for file in text_files():
        text = file.read_text(encoding="utf-8")
        assert not _HOME_OF_SOMEBODY.search(text), file
        assert not _INDEX_ADDRESS.search(text), file


def test_every_text_file_ends_its_lines_with_lf_and_ends_in_one() -> None:
    for file in text_files():
        data = file.read_bytes()
        assert b"\r" not in data, file
        assert not data or data.endswith(b"\n"), file


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", text_of("Makefile"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b(?! it| a )", text_of("README.md"))) - {"alone"} <= targets


def test_yaml_files_can_be_read() -> None:
    for file in tracked_files():
        if file.suffix in (".yaml", ".yml"):
            assert all(yaml.safe_load_all(file.read_text())), file


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports them by that."""
    tests = [path for path in tracked_files() if path.suffix == ".py" and ROOT / "tests" in path.parents]
    names = [path.name for path in tests if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


def test_no_test_imports_a_conftest() -> None:
    """There are several, and which one that name stands for depends on what was imported first."""
    tests = [path for path in tracked_files() if path.suffix == ".py" and ROOT / "tests" in path.parents]
    assert [
        path.name for path in tests if re.search(r"^(?:from|import) conftest\b", path.read_text(), re.MULTILINE)
    ] == []
