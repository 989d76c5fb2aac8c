"""A reference for what scopes mean: each stands for the set of single rights it gives, over a small world.

Written apart from domain/scopes.py: sets of rights are compared here, never the scopes' texts.
"""

from functools import cache
from itertools import product

Right = tuple[str, str, str | None]  # noun, verb, selector

_NOUNS, _VERBS = ("a", "b"), ("r", "w")
# enough selectors that patterns which mean different things give different sets
_SELECTORS = (None, "x", "xy", "y", "x/y", "x/z", "x/y/z", "x/y/q", "xy/z")
WORLD: frozenset[Right] = frozenset(product(_NOUNS, _VERBS, _SELECTORS))

SELECTORS = ("*", "x", "xy", "x/*", "x/y", "x/y/*", "x/y/z")
SCOPES: tuple[str, ...] = (
    "*",
    *(f"{noun}:{verb}" for noun, verb in product("ab*", "rw*")),
    *(f"{noun}:{verb}:{selector}" for noun, verb, selector in product("ab*", "rw*", SELECTORS)),
)


@cache
def rights_of(scope: str) -> frozenset[Right]:
    if scope == "*":
        return WORLD
    noun, verb, *rest = scope.split(":")
    return frozenset(
        right
        for right in WORLD
        if noun in ("*", right[0]) and verb in ("*", right[1]) and (not rest or _selects(rest[0], right[2]))
    )


def _selects(pattern: str, selector: str | None) -> bool:
    if selector is None:
        return False
    steps, taken = pattern.split("/"), selector.split("/")
    if steps[-1] != "*":
        return steps == taken
    return len(taken) >= len(steps) and steps[:-1] == taken[: len(steps) - 1]
