"""domain/scopes.py: boolean expressions of scopes, against Python's own and/or."""

import ast
import re
from collections.abc import Callable

import pytest
from builders import key_text
from hypothesis import assume, given
from hypothesis import strategies as st
from rights import SCOPES

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.scopes import (
    MAX_EXPRESSION_CHARS,
    MAX_EXPRESSION_DEPTH,
    MAX_EXPRESSION_TERMS,
    MAX_SCOPE_CHARS,
    holds,
    parse_expression,
)

SCOPE_NAMES = st.sampled_from(SCOPES)
GAPS = st.sampled_from([" ", "  ", "\n", "\t "])


def _joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.builds(
        lambda left, before, word, after, right: left + before + word + after + right,
        parts,
        GAPS,
        st.sampled_from(["and", "or"]),
        GAPS,
        parts,
    )
    return joined | parts.map(lambda part: f"({part})") | parts.map(lambda part: f"( {part} )")


EXPRESSIONS = st.recursive(SCOPE_NAMES, _joined, max_leaves=20)
HELD = st.lists(SCOPE_NAMES, max_size=4)


def python_of(text: str, held: list[str]) -> str:
    """The same expression in Python, whose `and` and `or` bind as ours do."""
    words = re.sub(r"[^\s()]+", lambda word: word[0] if word[0] in ("and", "or") else str(holds(held, word[0])), text)
    return f"({words})"


def refused(text: str) -> bool:
    try:
        parse_expression(text)
    except InvalidArgument:
        return True
    return False


@given(EXPRESSIONS, HELD)
def test_means_what_python_means(text: str, held: list[str]) -> None:
    assume(len(text) <= MAX_EXPRESSION_CHARS and not refused(text))
    assert parse_expression(text)(held) is eval(python_of(text, held))


@given(EXPRESSIONS)
def test_is_refused_only_where_it_is_too_large(text: str) -> None:
    too_large = len(text) > MAX_EXPRESSION_CHARS or _depth(text) > MAX_EXPRESSION_DEPTH
    assert refused(text) is too_large


@given(EXPRESSIONS, HELD, SCOPE_NAMES)
def test_holding_more_never_refuses_what_was_allowed(text: str, held: list[str], more: str) -> None:
    assume(not refused(text))
    assert parse_expression(text)(held) <= parse_expression(text)([*held, more])


@pytest.mark.parametrize(
    ("text", "held", "met"),
    [
        ("ml:infer", ["ml:infer"], True),
        ("ml:infer and (data:read or data:admin)", ["ml:infer", "data:admin"], True),
        ("ml:infer and (data:read or data:admin)", ["data:read", "data:admin"], False),
        ("a:r or b:r and b:w", ["a:r"], True),
        ("(a:r or b:r) and b:w", ["a:r"], False),
        ("a:r and b:r", ["*"], True),
        ("a:r or b:r", [], False),
        ("*", ["*:*"], False),
        ("((a:r))", ["a:*"], True),
    ],
)
def test_examples(text: str, held: list[str], met: bool) -> None:
    assert parse_expression(text)(held) is met


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "()", "(", ")", ")(", "a:r)", "(a:r", "a:r (b:r)", "a:r b:r", "a:r and", "and a:r", "and", "or"),
        *("a:r and or b:r", "a:r or or b:r", "not a:r", "a:r AND b:r", "a:r && b:r", "a:r, b:r", "a:r | b:r"),
        *("ml", "ml:", "a:r and ml", "A:r", "a:r\x00", "a:r;b:r", "a:r:x:y", "a:r:../b", "'a:r'"),
    ],
)
def test_malformed_ones_are_refused(text: str) -> None:
    assert refused(text)


@given(st.text(max_size=80) | st.text("()ab:*/ andor\n\t", max_size=80))
def test_rubbish_is_refused_or_read_as_python_reads_it(text: str) -> None:
    """Any exception but InvalidArgument fails this test."""
    if not refused(text):
        ast.parse(python_of(text, []), mode="eval")
        assert parse_expression(text)(["*"]) is True
        assert parse_expression(text)([]) is False


@pytest.mark.parametrize(
    "build",
    [
        lambda n: "(" * n,
        lambda n: ")" * n,
        lambda n: "(" * n + "a:r" + ")" * n,
        lambda n: "a:r and " * n,
        lambda n: "a:r or (" * n + "a:r" + ")" * n,
        lambda n: "a:" + "r" * n,
    ],
)
@pytest.mark.parametrize("n", [200, 340, 1024, 1_000_000])
def test_no_size_brings_the_parser_down(build: Callable[[int], str], n: int) -> None:
    assert refused(build(n))


def test_the_bounds_are_exact() -> None:
    deep, wide = MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_TERMS
    for fits, too_much in [
        ("(" * deep + "a:r" + ")" * deep, "(" * (deep + 1) + "a:r" + ")" * (deep + 1)),
        (" or ".join(["a:r"] * wide), " or ".join(["a:r"] * (wide + 1))),
        ("a:" + "r" * (MAX_SCOPE_CHARS - 2), "a:" + "r" * (MAX_SCOPE_CHARS - 1)),
        ("a:r".ljust(MAX_EXPRESSION_CHARS), "a:r".ljust(MAX_EXPRESSION_CHARS + 1)),
    ]:
        assert not refused(fits)
        assert refused(too_much)


@pytest.mark.parametrize("text", [key_text(), f"a:r and {key_text()}", f"({key_text()}", f"{key_text()} or"])
def test_a_refusal_never_holds_the_text(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_expression(text)
    assert key_text()[9:25] not in repr(refusal.value) + refusal.value.public + repr(refusal.value.fields)


def _depth(text: str) -> int:
    deepest = depth = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        deepest = max(deepest, depth)
    return deepest
