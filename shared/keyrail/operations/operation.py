"""What a trigger needs to know of an operation to offer it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keyrail.domain.access import Caller
from keyrail.domain.fields import Reply, Request
from keyrail.ports import Services


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` may name request fields in braces; the one called `long_field` takes slashes too. `codes` are the
    problem codes of its own, beside those that every operation has. `by_possession`: a key that is no longer usable
    may still call it on itself. `takes_events`: it may be called by a CloudEvent, whose data are its fields.
    `takes_oidc`: a scheduler may prove itself by a token that its platform signed, beside a key."""

    name: str
    summary: str
    method: str
    path: str
    scope: str
    request: type[Request]
    reply: type[Reply]
    run: Callable[[Any, Caller, Services], Any]  # to a `reply`, or what a trigger writes as one
    success_status: int = 200
    codes: tuple[str, ...] = ()
    by_possession: bool = False
    takes_events: bool = False
    takes_oidc: bool = False
    long_field: str | None = None

    def route(self) -> str:
        """A regular expression, in the letters that Python and RE2 share, that matches this operation's whole paths;
        each field in it is a group."""
        return re.sub(r"\\\{(\w+)\\\}", self._group, re.escape(self.path))

    def _group(self, field: re.Match[str]) -> str:
        return rf"(?P<{field[1]}>{'.+' if field[1] == self.long_field else '[^/]+'})"
