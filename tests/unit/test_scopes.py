"""domain/scopes.py: which scope covers which."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rights import SCOPES, WORLD, rights_of

from keyrail.domain.scopes import SCOPE, covers, holds, missing_scopes

ANY_SCOPE = st.from_regex(SCOPE, fullmatch=True)


@pytest.mark.parametrize(
    "scope",
    [
        "*",
        "ml:infer",
        "ml:*",
        "*:read",
        "*:*",
        "config:read:models/*",
        "config:read:*",
        "config:read:models/llama-3.1/v2_a",
        "0:9",
    ],
)
def test_well_formed(scope: str) -> None:
    assert SCOPE.fullmatch(scope)


@pytest.mark.parametrize(
    "scope",
    [
        *("", "ml", "ml:", ":infer", "ml::x", "ml:infer:", "ml:infer:x:y", "**", "*:", "m*:infer", "ml:in*"),
        *("ML:infer", "ml:Infer", "ml infer", " ml:infer", "ml:infer ", "ml:infer\n", "ml:ínfer", "ml:３"),
        *("a:b:/x", "a:b:x/", "a:b:x//y", "a:b:../x", "a:b:x/../y", "a:b:x/./y", "a:b:x/*/y", "a:b:x*", "a:b:**"),
        *("-a:b", ".a:b", "_a:b", "a:b\x00", "a:b,c:d"),
    ],
)
def test_malformed(scope: str) -> None:
    assert not SCOPE.fullmatch(scope)


@pytest.mark.parametrize(
    ("held", "asked", "covered"),
    [
        ("*", "anything:at:all", True),
        ("*", "*", True),
        ("*:*", "*", False),
        ("keys:*", "keys:issue", True),
        ("keys:*", "key:issue", False),
        ("keys:issue", "keys:*", False),
        ("keys", "keys:issue", False),
        ("keys:issue", "keys", False),
        ("*:read", "data:read", True),
        ("*:read", "data:write", False),
        ("config:read", "config:read:models/x", True),
        ("config:read:models/x", "config:read", False),
        ("config:read:*", "config:read", False),
        ("config:read:models/*", "config:read:models/x", True),
        ("config:read:models/*", "config:read:models/x/y", True),
        ("config:read:models/*", "config:read:models/x/*", True),
        ("config:read:models/*", "config:read:models", False),
        ("config:read:models/*", "config:read:models2/x", False),
        ("config:read:models/x", "config:read:models/x/y", False),
        ("config:read:models/x/*", "config:read:models/*", False),
        ("config:*:models/*", "config:write:models/x", True),
    ],
)
def test_covers(held: str, asked: str, covered: bool) -> None:
    assert covers(held, asked) is covered


def test_a_scope_covers_another_just_where_it_gives_all_of_its_rights() -> None:
    """Every pair of a small world. `*` alone covers `*`: it also gives what is not invented yet."""
    for held, asked in product(SCOPES, SCOPES):
        expected = rights_of(asked) <= rights_of(held) and (asked != "*" or held == "*")
        assert covers(held, asked) is expected, (held, asked)


def test_no_scope_covers_a_broader_one() -> None:
    for held, asked in product(SCOPES, SCOPES):
        if rights_of(held) < rights_of(asked):
            assert not covers(held, asked), (held, asked)


def test_covering_is_transitive() -> None:
    covered_by = {held: {asked for asked in SCOPES if covers(held, asked)} for held in SCOPES}
    for covered in covered_by.values():
        assert all(covered_by[middle] <= covered for middle in covered)


@given(ANY_SCOPE)
def test_covering_is_reflexive_and_the_star_covers_all(scope: str) -> None:
    assert covers(scope, scope)
    assert covers("*", scope)
    assert covers(scope, "*") is (scope == "*")


@given(ANY_SCOPE, ANY_SCOPE, st.text(max_size=20))
def test_what_is_covered_stays_covered_when_it_is_narrowed(held: str, asked: str, selector: str) -> None:
    """Whatever text comes as a selector."""
    if covers(held, asked) and asked.count(":") == 1:
        assert covers(held, f"{asked}:{selector}")


@given(st.text(), st.text())
def test_rubbish_is_covered_by_nothing_but_itself_and_the_star(held: str, asked: str) -> None:
    if ":" not in held and held not in ("*", asked):
        assert not covers(held, asked)


@given(st.lists(st.sampled_from(SCOPES), max_size=5), st.lists(st.sampled_from(SCOPES), max_size=5))
def test_what_is_missing_is_what_no_held_scope_covers(held: list[str], asked: list[str]) -> None:
    missing = missing_scopes(iter(held), iter(asked))
    assert missing == [scope for scope in asked if not any(covers(mine, scope) for mine in held)]
    assert all(holds(held, scope) is (scope not in missing) for scope in asked)


def test_the_small_world_tells_every_two_scopes_apart() -> None:
    """Else the comparisons above would prove less than they say; `*` and `*:*` differ only by what is to come."""
    assert len({rights_of(scope) for scope in SCOPES}) == len(SCOPES) - 1
    assert rights_of("*:*") == rights_of("*") == WORLD
