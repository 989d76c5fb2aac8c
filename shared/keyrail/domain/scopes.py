"""Rights: `noun:verb` or `noun:verb:selector`, and boolean expressions over them.

A held scope covers an asked one when each of its parts does:
- `*` alone covers everything; `keys:*` covers every verb on keys;
- a scope without selector covers every selector: `config:read` covers `config:read:models/x`;
- a selector may end in `/*`: `config:read:models/*` covers `config:read:models/x` and `.../x/y`.
"""

import re
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache

from keyrail.domain.errors import InvalidArgument

MAX_SCOPE_CHARS = 128
MAX_EXPRESSION_CHARS = 1024
MAX_EXPRESSION_TERMS = 32
MAX_EXPRESSION_DEPTH = 8

_WORD = r"[a-z0-9][a-z0-9._-]*"
_PART = r"[0-9A-Za-z][0-9A-Za-z._-]*"  # of a name in the store; names there tell upper case from lower
_SELECTOR = rf"(?:\*|{_PART}(?:/{_PART})*(?:/\*)?)"
SCOPE_PATTERN = rf"\*|(?:{_WORD}|\*):(?:{_WORD}|\*)(?::{_SELECTOR})?"
SCOPE = re.compile(SCOPE_PATTERN)

Test = Callable[[Collection[str]], bool]


def covers(held: str, asked: str) -> bool:
    """True where whoever holds `held` has all that `asked` names; `asked` may be a pattern too."""
    if held in ("*", asked):
        return True
    held_parts, asked_parts = held.split(":", 2), asked.split(":", 2)
    if len(asked_parts) < 2 or len(held_parts) < 2 or len(held_parts) > len(asked_parts):
        return False
    if any(mine not in ("*", theirs) for mine, theirs in zip(held_parts[:2], asked_parts[:2], strict=True)):
        return False
    return len(held_parts) == 2 or _selector_covers(held_parts[2], asked_parts[2])


def _selector_covers(held: str, asked: str) -> bool:
    if held in ("*", asked):
        return True
    return held.endswith("/*") and asked.startswith(held[:-1])


def holds(held: Collection[str], asked: str) -> bool:
    return asked in held or any(covers(scope, asked) for scope in held)


def missing_scopes(held: Iterable[str], asked: Iterable[str]) -> list[str]:
    """Those of `asked` that no held scope covers: what the holder can't grant."""
    mine = tuple(held)
    return [scope for scope in asked if not holds(mine, scope)]


@lru_cache(maxsize=512)
def parse_expression(text: str) -> Test:
    """A test of held scopes from `ml:infer and (data:read or data:admin)`.

    Grammar: expression = term {"or" term}; term = factor {"and" factor}; factor = scope | "(" expression ")".
    Raises: InvalidArgument where it is malformed or larger than the bounds above.
    """
    if len(text) > MAX_EXPRESSION_CHARS:
        raise InvalidArgument(f"A scope expression has at most {MAX_EXPRESSION_CHARS} characters.")
    tokens = re.findall(r"[()]|[^\s()]+", text)
    parser = _Parser(tokens)
    test = parser.expression(depth=0)
    if parser.peek() is not None:
        raise InvalidArgument("A scope expression joins scopes with 'and', 'or' and parentheses.")
    return test


class _Parser:
    """Recursive descent over tokens; one method a rule of the grammar."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0
        self._terms = 0

    def peek(self) -> str | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def expression(self, depth: int) -> Test:
        if depth > MAX_EXPRESSION_DEPTH:
            raise InvalidArgument(f"A scope expression nests at most {MAX_EXPRESSION_DEPTH} deep.")
        tests = self._joined_by("or", lambda: self._term(depth))
        return tests[0] if len(tests) == 1 else lambda held: any(test(held) for test in tests)

    def _term(self, depth: int) -> Test:
        tests = self._joined_by("and", lambda: self._factor(depth))
        return tests[0] if len(tests) == 1 else lambda held: all(test(held) for test in tests)

    def _joined_by(self, word: str, rule: Callable[[], Test]) -> list[Test]:
        tests = [rule()]
        while self.peek() == word:
            self._next += 1
            tests.append(rule())
        return tests

    def _factor(self, depth: int) -> Test:
        piece = self.peek()
        self._next += 1
        if piece == "(":
            test = self.expression(depth + 1)
            if self.peek() != ")":
                raise InvalidArgument("A scope expression has an unclosed parenthesis.")
            self._next += 1
            return test
        return self._scope(piece)

    def _scope(self, piece: str | None) -> Test:
        self._terms += 1
        if self._terms > MAX_EXPRESSION_TERMS:
            raise InvalidArgument(f"A scope expression has at most {MAX_EXPRESSION_TERMS} scopes.")
        if piece is None or len(piece) > MAX_SCOPE_CHARS or not SCOPE.fullmatch(piece):
            raise InvalidArgument("A scope expression has a scope missing or malformed; scopes look like noun:verb.")
        return lambda held: holds(held, piece)
