"""The API page loads nothing but its own files."""

import re
from pathlib import Path

import pytest
from repository import text_of

from keyrail.dev import api_page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "docs"
    api_page.write_api_page(folder)
    return folder


def test_it_shows_the_current_description(page: Path) -> None:
    assert (page / "openapi.yaml").read_text() == text_of("docs/openapi.yaml")


def test_index_and_style_name_only_files_that_are_there(page: Path) -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', (page / "index.html").read_text())
    named += re.findall(r"url\(([^)]+)\)", (page / "swagger-ui.css").read_text())
    assert len(named) > 4
    assert [name for name in named if not (page / name).is_file()] == []


def test_its_policy_allows_its_own_origin_alone_and_no_inline_script(page: Path) -> None:
    index = (page / "index.html").read_text()
    assert "default-src 'self'; base-uri 'none'; form-action 'none'" in index
    assert re.findall(r"<script(?! src=)|<style|style=|\son\w+=", index) == []


def test_it_can_be_written_again(page: Path) -> None:
    before = {file.name: file.read_bytes() for file in page.iterdir()}
    api_page.write_api_page(page)
    assert {file.name: file.read_bytes() for file in page.iterdir()} == before


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(api_page, "find_spec", lambda _: None)
    with pytest.raises(api_page.NoAssets, match="pip install"):
        api_page.write_api_page(tmp_path)
