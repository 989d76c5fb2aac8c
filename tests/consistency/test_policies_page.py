"""docs/concepts.md says of each function what its policy grants: no more, no less."""

import re

import pytest
from repository import ROOT, names_in, rows, section, text_of

_RULE = re.compile(r'path "([^"]+)" \{\s*capabilities = \[([^\]]*)\]\s*\}')
_OWN = re.compile(r"keyrail/(?:data|metadata)/")  # told without it; paths in other mounts are told whole
MOUNTS = ("keyrail", "keyrail-config", "keyrail-delivery", "database")
NAMES = sorted(file.parent.name for file in (ROOT / "functions").glob("*/policy.hcl"))
Rights = set[tuple[str, str]]  # path, capability


def granted(function: str) -> Rights:
    text = text_of(f"functions/{function}/policy.hcl")
    rules = _RULE.findall(text)
    assert len(rules) == text.count("path "), "a rule that is not of the usual form"
    return {
        (_OWN.sub("", path).rstrip("/"), right.strip(' "')) for path, rights in rules for right in rights.split(",")
    }


def common() -> Rights:
    text = section("docs/concepts.md", "Threat model")
    ((read, noted),) = re.findall(r"Every function reads (.*?), because .*? creates, reads and updates (.*?), to", text)
    noting = {(path, right) for path in names_in(noted) for right in ("create", "read", "update")}
    return {(path, "read") for path in names_in(read)} | noting


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
def test_no_function_reaches_beyond_the_mounts_or_deletes_a_key(function: str) -> None:
    text = text_of(f"functions/{function}/policy.hcl")
    assert {path.partition("/")[0] for path in re.findall(r'path "([^"]+)"', text)} <= set(MOUNTS)
    assert not re.search(r"sudo|patch|scan|deny", text.split("path", 1)[1])
    folders = {path.partition("/")[0] for path, right in granted(function) if right == "delete" or "*" in path}
    assert folders <= {"due", "outbox", "tenants", "keyrail-config", "keyrail-delivery"}
