"""Answers to validations, given again while nothing has changed that they stand on.

Most of what is asked was asked before: the same, of the same key, by the same caller. What is found anew for it takes
little time by itself, but it is spread over so much code that a processor which has other things to do has most of it
no longer at hand. An answer is given again only while

- both keys' records, the pepper and the roles are held in memory, fresh, and the very ones that it was found by;
- no date in it has come: an end of a key, or of a grace;
- it is a yes, by and of keys without limits, which count.

It is told as ever (log, metrics, use of the keys), but in a moment, many at once, which takes less. What
was asked is remembered as a keyed hash: no key lies here.
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from keyrail import tracing
from keyrail.domain.decisions import Decision
from keyrail.judging import Judged, noted_of
from keyrail.ports import Holding, Services
from keyrail.telemetry import RepeatedLine, log_soon
from keyrail.triggers.dispatch import Outcome, facts_of
from keyrail.triggers.grpc_calls import Head
from keyrail.triggers.grpc_errors import Metadata
from keyrail.triggers.questions import JUDGING

T = TypeVar("T")
MOST = 20_000  # about 1 KB each
_NEVER = datetime.max.replace(tzinfo=UTC)


class Told(NamedTuple, Generic[T]):
    """`reply` is None where the outcome is no yes."""

    outcome: Outcome
    reply: T | None
    metadata: Metadata


class _Use(NamedTuple):
    key_id: str
    generation: int
    is_retiring: bool


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    """Made so that telling it again takes little. `metadata` is without the correlation id. Good from `since`, as a
    clock may be set back, to before `until`."""

    outcome: Outcome
    reply: T
    metadata: Metadata
    line: RepeatedLine
    uses: list[_Use]
    holding: Holding
    since: datetime
    until: datetime


class Answers(Generic[T]):
    """`reply_of` makes a trigger's own form of a yes."""

    def __init__(self, services: Services, reply_of: Callable[[Judged], T]) -> None:
        self._services, self._reply_of = services, reply_of
        self._secret = secrets.token_bytes(32)
        self._known: dict[bytes, _Answer[T]] = {}
        self._lock = threading.Lock()  # of those who keep

    def ask(self, head: Head, asked: bytes, parse: Callable[[], Any], *, replies_with_errors: bool = False) -> Told[T]:
        """`asked`: all that is asked, in any form."""
        began_at, services = time.perf_counter(), self._services
        name, now = self._name(asked, head.caller()), services.clock.now()
        known = self._known.get(name) if tracing.tracer is None else None
        if known is not None and known.since <= now < known.until and services.lookup.still_holds(known.holding):
            log_soon(partial(self._tell, known, head.correlation_id, now, time.perf_counter() - began_at))
            return Told(known.outcome, known.reply, (("x-correlation-id", head.correlation_id), *known.metadata))
        changes = services.lookup.changes()
        outcome = head.ask(JUDGING, parse, services, replies_with_errors=replies_with_errors)
        metadata = head.metadata(outcome)
        if outcome.error is not None or outcome.reply.is_batch or not outcome.reply.valid:
            return Told(outcome, None, metadata)
        reply = self._reply_of(outcome.reply)
        self._keep(name, Told(outcome, reply, metadata), head, changes)
        return Told(outcome, reply, metadata)

    def _name(self, asked: bytes, caller: str) -> bytes:
        data = b"%d:%b" % (len(asked), asked) + caller.encode(errors="surrogatepass")
        return hashlib.blake2b(data, key=self._secret, digest_size=32).digest()

    def _tell(self, known: _Answer[T], chosen: str, at: datetime, seconds: float) -> str:
        """Counts what was given again under the correlation id `chosen`, and gives its line."""
        services = self._services
        for use in known.uses:
            services.usage.used(use.key_id, use.generation, at, is_retiring=use.is_retiring)
        services.metrics.cache("hit", len(known.uses))
        services.metrics.request(JUDGING.name, known.outcome.code, seconds)
        return known.line.text(at, chosen, seconds)

    def _keep(self, name: bytes, told: Told[T], head: Head, changes: int) -> None:
        """`changes` of what is held, from before it was asked: what was read meanwhile may be newer than the answer."""
        outcome, actor = told.outcome, _actor(told.outcome, head)
        decisions = [*outcome.reply.decisions, *filter(None, (outcome.caller_decision,))]
        uses = [use for use in map(_use, decisions) if use is not None]
        if actor is None or told.reply is None or len(uses) < len(decisions):
            return
        holding = self._services.lookup.holding([use.key_id for use in uses], changes)
        if holding is None:
            return
        until = min(filter(None, (decision.ends_at() for decision in decisions)), default=_NEVER)
        line = RepeatedLine(**facts_of(JUDGING, outcome, actor, noted_of(decisions[0])))
        now = self._services.clock.now()
        answer = _Answer(outcome, told.reply, told.metadata[1:], line, uses, holding, now, until)
        with self._lock:
            self._known[name] = answer
            if len(self._known) > MOST:
                del self._known[next(iter(self._known))]


def _use(decision: Decision) -> _Use | None:
    """None where it counts against a limit."""
    if decision.stored is None or decision.generation is None:
        return None
    record, generation = decision.stored.record, decision.generation
    if record.rate is not None or record.quota is not None:
        return None
    return _Use(record.key_id, generation.n, generation.state == "retiring")


def _actor(outcome: Outcome, head: Head) -> str | None:
    """As dispatch has it in the log; None for a caller that nobody knows."""
    if outcome.caller_decision is not None:
        return outcome.caller_decision.presented_id
    return None if head.principal is None else head.principal.name
