"""A rotation that AWS Secrets Manager drives, in four calls: steps of the state machine of keyrail/rotation.py.

    createSecret   the record has one more pending generation, and the secret's new version holds it
    setSecret      record and version agree; nothing else is to be set, since the record has the digest
    testSecret     what the version holds validates, end to end
    finishSecret   AWSCURRENT is moved to the version, then its generation is promoted

Secrets Manager calls again, from the first step on, after any failure. So each step goes by what it finds:
- The rotation's token is the version's id, and AWS changes no version that has a value: whichever try wrote it, and
  however late, all others go on with that.
- What a version holds is told by the record's digests, never by the number that stands beside it.
- A generation is pending, and so accepted, from before it is written anywhere until after AWSCURRENT was moved to it,
  and AWSCURRENT is moved only away from the version that was found there. So it never names a key that does not
  validate. One that it names, and that is pending, is promoted before anything else.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

from keyrail.domain.access import Caller
from keyrail.domain.decisions import Decision, Need
from keyrail.domain.errors import Conflict, DeliveryFailed
from keyrail.domain.fields import Reply
from keyrail.domain.lifecycle import (
    find_generation,
    is_promoted,
    promote,
)
from keyrail.domain.records import Generation, StoredKey
from keyrail.domain.secrets_manager_rotation import secrets_manager_rotation_id, stage_for_secrets_manager
from keyrail.ports import Services
from keyrail.rotation import (
    ACCEPTED,
    NOT_LIVE,
    TRIES,
    SinkRotation,
    failure_noted,
    new_key,
    schedule,
    tell,
    tell_promoted,
)
from keyrail.rotation_ports import DueEntry, SecretVersion
from keyrail.secret_step import FoundSecret, SecretStep, Step, find_secret
from keyrail.validation import examine

SCOPE = "keys:rotate"


class SecretStepReply(Reply):
    """For logs; Secrets Manager does not look at it."""

    step: Step
    key_id: str
    generation: int


def run_step(asked: SecretStep, caller: Caller, services: Services) -> SecretStepReply:
    """Raises: InvalidArgument, NotFound where this secret, or this token of it, is none to rotate; Conflict where the
    key is at its end, or somebody else is at it; Unavailable, DeadlineExceeded."""
    caller.require_scope(SCOPE)
    run = _Run(find_secret(asked, services), caller.key_id, services)
    with failure_noted(run.found.stored, run.rotation, services):
        n = run.make_good() if run.found.is_current else _STEPS[asked.step](run)
    return SecretStepReply(step=asked.step, key_id=run.found.stored.record.key_id, generation=n)


class _Run:
    """One call. Each step gives back the generation that it is about."""

    def __init__(self, found: FoundSecret, actor: str, services: Services) -> None:
        self.found, self.asked, self.actor, self.services = found, found.asked, actor, services
        grace_seconds = found.stored.record.rotation.grace_seconds
        self.rotation = SinkRotation(secrets_manager_rotation_id(self.asked.token), grace_seconds, actor)

    def create(self) -> int:
        self._promote_what_is_current()
        if self.found.held is not None:
            return self._go_on_with(self.found.held)
        claimed, key = self._claimed()
        record, n = claimed.record, claimed.record.generations[-1].n
        with failure_noted(claimed, self.rotation, self.services):
            self._tell("rotation.staged", claimed, n)
            asked, versions = self.asked, self.found.versions
            if not versions.put(asked.secret_id, asked.token, key, record.key_id, n, asked.rotation_token):
                held = versions.read(asked.secret_id, asked.token)
                if held is None:
                    raise DeliveryFailed("the version has a value that can not be read yet")
                return self._go_on_with(held)
        return n

    def set(self) -> int:
        return self._judged("pending").n

    def test(self) -> int:
        """Secrets Manager tries a rotation out by this step alone: with a version that repeats the current one, which
        may name the key and hold none yet."""
        held, current = self.found.held, find_generation(self.found.stored.record, "current")
        if current is not None and held is not None and not held.key and held == self.found.read_current():
            return current.n
        return self._judged("pending", "current").n

    def finish(self) -> int:
        self._promote_what_is_current()
        n, asked = self._judged("pending").n, self.asked
        if not self.found.versions.make_current(asked.secret_id, asked.token, self.found.secret.current or ""):
            raise Conflict("AWSCURRENT was moved at the same moment.", code="CONCURRENT_CHANGE")
        self._tell("rotation.delivered", self.found.stored, n)
        self._promote(n)
        return n

    def make_good(self) -> int:
        """AWSCURRENT was moved before: what was cut off behind that is done now, or told again."""
        generation, stored = self._judged("pending", "current"), self.found.stored
        if generation.state == "pending":
            self._promote(generation.n)
        elif self.asked.step == "finishSecret" and is_promoted(stored.record, self.rotation.rotation_id):
            tell_promoted(stored, self.actor, self.services)
        return generation.n

    # -- claim ------------------------------------------------------------------------------------------------------

    def _claimed(self) -> tuple[StoredKey, str]:
        """The record with one more generation pending, and that one's key. A hint sees to it that a tick tells of the
        promotion where nobody else does."""
        services = self.services
        key, secret = new_key(self.found.stored.record, services)
        for _ in range(TRIES):
            stored, now = self.found.key_now(services), services.clock.now()
            lease_until = now + timedelta(seconds=services.rotation_lease_seconds)
            record = stage_for_secrets_manager(
                stored.record, secret, rotation_id=self.rotation.rotation_id, lease_until=lease_until, now=now
            )
            services.due.add(DueEntry.of(lease_until, "key", record.key_id))
            version = services.keys.replace(record, stored.version)
            if version is not None:
                return StoredKey(record, version), key
        raise _changing()

    def _go_on_with(self, held: SecretVersion) -> int:
        """With what another try has written. Where that is no key to come, nothing can become of the version: it loses
        its label, since Secrets Manager begins no other rotation until then."""
        decision = self._decision(held)
        if decision.generation is not None and decision.generation.state == "pending":
            return decision.generation.n
        self.found.versions.give_up(self.asked.secret_id, self.asked.token)
        raise Conflict(
            "What AWSPENDING held is no key that is still to come, so the label was removed. Rotate the secret anew.",
            code="CONCURRENT_CHANGE",
        )

    # -- test -------------------------------------------------------------------------------------------------------

    def _judged(self, *states: str) -> Generation:
        """What the version of the token holds is in one of these. Raises: Conflict."""
        decision = self._decision(self.found.held)
        generation = decision.generation
        if decision.code in NOT_LIVE:
            raise Conflict("The key has ended since its rotation began.", code="KEY_NOT_LIVE")
        if generation is None or generation.state not in states or decision.code not in ACCEPTED:
            raise Conflict("What AWSPENDING holds is no key that is still to come.", code="CONCURRENT_CHANGE")
        return generation

    def _decision(self, held: SecretVersion | None) -> Decision:
        """As for anybody who presents it, the record read anew; without a generation where it is of another key."""
        record = self.found.stored.record
        decision = examine(held.key if held else "", Need(tenant=record.tenant), self.services, anew=True)
        is_ours = decision.stored is not None and decision.stored.record.key_id == record.key_id
        return decision if is_ours else decision._replace(generation=None)

    # -- promote and tell -------------------------------------------------------------------------------------------

    def _promote_what_is_current(self) -> None:
        """Where AWSCURRENT was moved by a rotation that was cut off behind that, and overtaken by this one."""
        if find_generation(self.found.stored.record, "pending") is not None:
            generation = self._decision(self.found.read_current()).generation
            if generation is not None and generation.state == "pending":
                self._promote(generation.n)

    def _promote(self, n: int) -> None:
        """And tell everybody. Whoever else does the same may be faster."""
        services = self.services
        for _ in range(TRIES):
            stored = self.found.key_now(services)
            lease_until = stored.record.rotation.lease_until
            current = find_generation(stored.record, "current")
            if current is None or current.n != n:
                record = promote(stored.record, n=n, now=services.clock.now())
                schedule(record, services)  # first: a hint too many does no harm
                version = services.keys.replace(record, stored.version)
                if version is None:
                    continue
                stored = StoredKey(record, version)
            tell_promoted(stored, self.actor, services)
            if lease_until is not None:
                services.due.remove(DueEntry.of(lease_until, "key", stored.record.key_id))
            return
        raise _changing()

    def _tell(self, event: str, stored: StoredKey, n: int) -> None:
        tell(event, stored, self.actor, self.services, n)


_STEPS: Mapping[Step, Callable[[_Run], int]] = {
    "createSecret": _Run.create,
    "setSecret": _Run.set,
    "testSecret": _Run.test,
    "finishSecret": _Run.finish,
}


def _changing() -> Conflict:
    return Conflict("Others keep changing this key.", code="CONCURRENT_CHANGE")
