"""What a trigger needs to know of an operation to offer it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyrail.domain.access import Caller
from keyrail.ports import Services

if TYPE_CHECKING:
    from keyrail.domain.fields import Reply, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What is called, and where. `path` may name request fields in braces; the one called `long_field` takes slashes
    too. `by_possession`: a key that is no longer usable may still call it on itself. `takes_events`: it may be called
    by a CloudEvent, whose data are its fields. `takes_oidc`: a scheduler may prove itself by a token that its platform
    signed, beside a key."""

    name: str
    method: str
    path: str
    scope: str
    run: Callable[[Any, Caller, Services], Any]
    success_status: int = 200
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Route):
    """With what describes it: `run` takes a `request` and gives a `reply`. `codes` are the problem codes of its own,
    beside those that every operation has."""

    summary: str
    request: "type[Request]"
    reply: "type[Reply]"
    codes: tuple[str, ...] = ()
