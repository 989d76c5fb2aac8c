"""What a trigger needs to know of an operation to offer it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keyrail.domain.access import Caller
from keyrail.domain.fields import Reply, Request
from keyrail.ports import Services


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` may name request fields in braces. `codes` are the problem codes of its own, beside those that every
    operation has. `by_possession`: a key that is no longer usable may still call it on itself. `takes_events`: it may
    be called by a CloudEvent, whose data are its fields."""

    name: str
    summary: str
    method: str
    path: str
    scope: str
    request: type[Request]
    reply: type[Reply]
    run: Callable[[Any, Caller, Services], Reply]
    success_status: int = 200
    codes: tuple[str, ...] = ()
    by_possession: bool = False
    takes_events: bool = False
