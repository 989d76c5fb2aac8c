"""docs/concepts.md says of each function what its policy grants: no more, no less."""

import re

import pytest
from repository import NAMES, names_in, rows, section, text_of

_RULE = re.compile(r'path "keyrail/(data|metadata)/([^"]+)" \{\s*capabilities = \[([^\]]*)\]\s*\}')
Rights = set[tuple[str, str]]  # path, capability


def granted(function: str) -> Rights:
    text = text_of(f"functions/{function}/policy.hcl")
    rules = _RULE.findall(text)
    assert len(rules) == text.count("path "), "a rule that is not of the usual form"
    return {(path.rstrip("/"), right.strip(' "')) for _, path, rights in rules for right in rights.split(",")}


def common() -> Rights:
    (paths,) = re.findall(r"Every function reads (.*?), because", section("docs/concepts.md", "Threat model"))
    return {(path, "read") for path in names_in(paths)}


def told_beyond(function: str) -> Rights:
    cells = next(row for row in rows(section("docs/concepts.md", "Threat model")) if row[0] == f"`{function}`")
    return {
        (path, right)
        for part in cells[1].split(";")
        if "`" in part
        for path in names_in(part)
        for right in re.findall(r"\b(create|read|update|list|delete)\b", part.partition("`")[0])
    }


@pytest.mark.parametrize("function", NAMES)
def test_a_function_may_do_what_the_threat_model_says_and_nothing_else(function: str) -> None:
    assert granted(function) == common() | told_beyond(function)


@pytest.mark.parametrize("function", NAMES)
def test_no_function_may_delete_or_reach_beyond_the_mount(function: str) -> None:
    text = text_of(f"functions/{function}/policy.hcl")
    assert all(path.startswith("keyrail/") for path in re.findall(r'path "([^"]+)"', text))
    assert not re.search(r"delete|sudo|patch|scan|deny|\*", text.split("path", 1)[1])
