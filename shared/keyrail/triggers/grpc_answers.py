"""Answers to validations, given again while nothing has changed that they stand on.

Most of what is asked was asked before: the same, of the same key, by the same caller. What is found anew for it takes
little time by itself, but it is spread over so much code that a processor which has other things to do has most of it
no longer at hand. An answer is given again only while

- both keys' records, the pepper and the roles are held in memory, fresh, and the very ones that it was found by;
- no date in it has come: an end of a key, or of a grace;
- it is a yes, by and of keys without limits, which count.

It is told as ever: log, metrics, use of the keys. What was asked is remembered as a keyed hash: no key lies here.
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from keyrail import tracing
from keyrail.domain.decisions import Decision
from keyrail.judging import Judged, noted_of
from keyrail.ports import Holding, Services
from keyrail.triggers.dispatch import Outcome, tell_again
from keyrail.triggers.grpc_calls import Head
from keyrail.triggers.questions import JUDGING
from keyrail.validation import remember_use

T = TypeVar("T")
MOST = 20_000  # about 1 KB each
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    """`decisions`: on the key that was asked about, and on the caller's where it has one. Good from `since`, as a clock
    may be set back, to before `until`."""

    outcome: Outcome
    reply: T
    actor: str
    decisions: list[Decision]
    holding: Holding
    since: datetime
    until: datetime


class Answers(Generic[T]):
    """Each with a trigger's own form of it."""

    def __init__(self, services: Services, reply_of: Callable[[Judged], T]) -> None:
        self._services, self._reply_of = services, reply_of
        self._secret = secrets.token_bytes(32)
        self._known: dict[bytes, _Answer[T]] = {}
        self._lock = threading.Lock()  # of those who keep

    def ask(
        self, head: Head, asked: bytes, parse: Callable[[], Any], *, replies_with_errors: bool = False
    ) -> tuple[Outcome, T | None]:
        """`asked`: all that is asked, in any form. The reply is None where there is an error."""
        began_at, services = time.perf_counter(), self._services
        name = self._name(asked, head.caller())
        known = None if tracing.tracer is not None or head.is_late() else self._find(name)
        if known is not None:
            notes = noted_of(known.decisions[0])
            tell_again(JUDGING, known.outcome, known.actor, notes, head.correlation_id, began_at, services)
            return known.outcome, known.reply
        changes = services.lookup.changes()
        outcome = head.ask(JUDGING, parse, services, replies_with_errors=replies_with_errors)
        if outcome.error is not None:
            return outcome, None
        reply = self._reply_of(outcome.reply)
        actor = _actor(outcome, head)
        if actor is not None and outcome.reply.valid:
            self._keep(name, outcome, reply, actor, changes)
        return outcome, reply

    def _name(self, asked: bytes, caller: str) -> bytes:
        data = b"%d:%b" % (len(asked), asked) + caller.encode(errors="surrogatepass")
        return hashlib.blake2b(data, key=self._secret, digest_size=32).digest()

    def _find(self, name: bytes) -> _Answer[T] | None:
        known = self._known.get(name)
        if known is None or not known.since <= self._services.clock.now() < known.until:
            return None
        if not self._services.lookup.still_holds(known.holding):
            return None
        for decision in known.decisions:
            remember_use(decision, self._services)
        return known

    def _keep(self, name: bytes, outcome: Outcome, reply: T, actor: str, changes: int) -> None:
        """`changes` of what is held, from before it was asked: what was read meanwhile may be newer than the answer."""
        decisions: list[Decision] = [*outcome.reply.decisions, *filter(None, (outcome.caller_decision,))]
        records = [decision.stored.record for decision in decisions if decision.stored is not None]
        if len(records) < len(decisions) or any(record.rate or record.quota for record in records):
            return
        holding = self._services.lookup.holding([record.key_id for record in records], changes)
        if holding is None:
            return
        until = min(filter(None, (decision.ends_at() for decision in decisions)), default=_NEVER)
        now = self._services.clock.now()
        with self._lock:
            self._known[name] = _Answer(outcome, reply, actor, decisions, holding, now, until)
            if len(self._known) > MOST:
                del self._known[next(iter(self._known))]


def _actor(outcome: Outcome, head: Head) -> str | None:
    """As dispatch has it in the log; None for a caller that nobody knows."""
    if outcome.caller_decision is not None:
        return outcome.caller_decision.presented_id
    return None if head.principal is None else head.principal.name
