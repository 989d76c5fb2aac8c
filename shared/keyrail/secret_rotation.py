"""A rotation that AWS Secrets Manager drives, in four calls: steps of the state machine of keyrail/rotation.py.

    createSecret   the record has one more pending generation, and the secret's new version holds it
    setSecret      record and version agree; nothing else is to be set, since the record has the digest
    testSecret     what the version holds validates, end to end
    finishSecret   AWSCURRENT is moved to the version, then its generation is promoted

Secrets Manager calls again, from the first step on, after any failure. So each step goes by what it finds:
- The rotation's token is the version's id, and AWS changes no version that has a value: whichever try wrote it, and
  however late, all others go on with that.
- What a version holds is told by the record's digests, never by the number or the key id that stand beside it.
- A generation is pending, and so accepted, from before it is written anywhere until after AWSCURRENT was moved to it.
  AWSCURRENT is moved only away from the version that was found there. So it never names a key that does not validate.
- The record must name the secret as its sink: whoever can write a secret can't have a stranger's key rotated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from keyrail.domain.access import Caller
from keyrail.domain.decisions import Decision, Need
from keyrail.domain.errors import Conflict, DeliveryFailed, InvalidArgument, NotFound
from keyrail.domain.fields import Reply, Request, no_key
from keyrail.domain.key_format import KEY_ID
from keyrail.domain.lifecycle import (
    find_generation,
    is_promoted,
    is_secrets_managers,
    promote,
    require_free,
    require_rotatable,
    secrets_manager_rotation_id,
    stage_for_secrets_manager,
)
from keyrail.domain.records import Generation, StoredKey
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
from keyrail.rotation_ports import CURRENT, PENDING, RotatingSecret, SecretVersion, SecretVersions
from keyrail.telemetry import note
from keyrail.validation import examine

SCOPE = "keys:rotate"
Step = Literal["createSecret", "setSecret", "testSecret", "finishSecret"]
Token = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{32,64}$"), AfterValidator(no_key)]


class SecretStep(Request):
    """`token`: the id of the version that the rotation makes. `rotation_token`: what proves to Secrets Manager, where
    it asks, that a write is part of its rotation; a secret."""

    secret_id: str = Field(min_length=1, max_length=2048)
    token: Token
    step: Step
    rotation_token: str | None = Field(default=None, max_length=256, repr=False)


class SecretStepReply(Reply):
    step: Step
    key_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class _Run:
    """`stored` is the key that the secret names; `held` what the version of the token holds, None where nothing."""

    asked: SecretStep
    actor: str
    services: Services
    versions: SecretVersions
    secret: RotatingSecret
    stored: StoredKey
    held: SecretVersion | None

    @property
    def rotation(self) -> SinkRotation:
        grace_seconds = self.stored.record.rotation.grace_seconds
        return SinkRotation(secrets_manager_rotation_id(self.asked.token), grace_seconds, self.actor)


def run_step(asked: SecretStep, caller: Caller, services: Services) -> SecretStepReply:
    """Raises: InvalidArgument, NotFound where this secret, or this token of it, is none to rotate; Conflict where the
    key is at its end, or somebody else is at it; Unavailable, DeadlineExceeded."""
    caller.require_scope(SCOPE)
    run = _found(asked, caller.key_id, services)
    with failure_noted(run.stored, run.rotation, services):
        is_moved = run.secret.current == asked.token
        n = _make_good(run) if is_moved else _STEPS[asked.step](run)
    return SecretStepReply(step=asked.step, key_id=run.stored.record.key_id, generation=n)


# -- what is to be rotated ------------------------------------------------------------------------------------------


def _found(asked: SecretStep, actor: str, services: Services) -> _Run:
    note(step=asked.step)
    versions = services.secret_versions
    if versions is None:
        raise DeliveryFailed("this deployment has no sinks in Secrets Manager")
    secret = versions.describe(asked.secret_id)
    _require_asked_for(asked, secret)
    current = versions.read(asked.secret_id, secret.current) if secret.current else None
    stored = _key_of(secret, current, services)
    held = current if secret.current == asked.token else versions.read(asked.secret_id, asked.token)
    return _Run(asked, actor, services, versions, secret, stored, held)


def _require_asked_for(asked: SecretStep, secret: RotatingSecret) -> None:
    if secret.sink is None:
        raise InvalidArgument("The secret is not below KEYRAIL_SECRETS_PREFIX.", code="BAD_SINK")
    if not secret.is_rotated:
        raise InvalidArgument("Rotation is not turned on for this secret.", code="BAD_ROTATION")
    if secret.labels.get(asked.token, frozenset()).isdisjoint({PENDING, CURRENT}):
        raise InvalidArgument("The token names no version of this secret that is AWSPENDING.", code="BAD_ROTATION")


def _key_of(secret: RotatingSecret, current: SecretVersion | None, services: Services) -> StoredKey:
    """The key that the secret names, where that key names the secret, and ticks don't rotate it."""
    key_id = current.key_id if current else ""
    if not KEY_ID.fullmatch(key_id):
        raise InvalidArgument('The secret names no key: its text has no "key_id".', code="BAD_SINK")
    note(key_id=key_id)
    stored = services.keys.find(key_id)
    if stored is None:
        raise NotFound(f"There is no key {key_id}, which the secret names.", code="KEY_NOT_FOUND", detail="unknown_id")
    if stored.record.rotation.sink != secret.sink:
        raise InvalidArgument("The secret is not the sink of the key that it names.", code="BAD_SINK")
    if stored.record.rotation.interval_seconds is not None:
        raise InvalidArgument("Ticks rotate this key: it has interval_seconds.", code="BAD_ROTATION")
    require_rotatable(stored, services.clock.now())
    return stored


# -- the steps ------------------------------------------------------------------------------------------------------


def _create(run: _Run) -> int:
    if run.held is not None:
        return _go_on_with(run.held, run)
    run = _with_what_was_moved_promoted(run)
    claimed, key = _claimed(run)
    record, n = claimed.record, claimed.record.generations[-1].n
    with failure_noted(claimed, run.rotation, run.services):
        tell("rotation.staged", claimed, run.actor, run.services, n)
        asked = run.asked
        if run.versions.put(asked.secret_id, asked.token, key, record.key_id, n, asked.rotation_token):
            return n
        held = run.versions.read(asked.secret_id, asked.token)
        return _go_on_with(held or SecretVersion("", ""), run)


def _check(run: _Run) -> int:
    """Whether it validates, and is still to come."""
    return _judged(run, "pending").n


def _test(run: _Run) -> int:
    """Secrets Manager tries a rotation out, too, by this step alone: with a version that repeats the current one."""
    return _judged(run, "pending", "current").n


def _finish(run: _Run) -> int:
    n, asked = _judged(run, "pending").n, run.asked
    if not run.versions.make_current(asked.secret_id, asked.token, run.secret.current or ""):
        raise Conflict("AWSCURRENT was moved at the same moment.", code="CONCURRENT_CHANGE")
    tell("rotation.delivered", run.stored, run.actor, run.services, n)
    _promote(n, run)
    return n


_STEPS: Mapping[Step, Callable[[_Run], int]] = {
    "createSecret": _create,
    "setSecret": _check,
    "testSecret": _test,
    "finishSecret": _finish,
}


def _make_good(run: _Run) -> int:
    """AWSCURRENT was moved already: what was cut off behind that is done, or told again."""
    generation = _judged(run, "pending", "current")
    if generation.state == "pending":
        _promote(generation.n, run)
    elif run.asked.step == "finishSecret" and is_promoted(run.stored.record, run.rotation.rotation_id):
        tell_promoted(run.stored, run.actor, run.services)
    return generation.n


# -- parts of them --------------------------------------------------------------------------------------------------


def _claimed(run: _Run) -> tuple[StoredKey, str]:
    """With one more generation pending, and its key."""
    stored, services = run.stored, run.services
    key, secret = new_key(stored.record, services)
    for _ in range(TRIES):
        now = services.clock.now()
        lease_until = now + timedelta(seconds=services.rotation_lease_seconds)
        record = stage_for_secrets_manager(
            stored.record, secret, token=run.asked.token, lease_until=lease_until, now=now
        )
        version = services.keys.replace(record, stored.version)
        if version is not None:
            return StoredKey(record, version), key
        stored = _anew(run)
    raise _changing()


def _with_what_was_moved_promoted(run: _Run) -> _Run:
    """Where AWSCURRENT names a pending generation, a rotation was cut off behind its move: first that one is ended."""
    record, services = run.stored.record, run.services
    if find_generation(record, "pending") is None:
        return run
    if not is_secrets_managers(record):
        require_free(record, services.clock.now())
    current = run.versions.read(run.asked.secret_id, run.secret.current or "")
    decision = _decision(current, run)
    if decision.generation is None or decision.generation.state != "pending":
        return run
    return replace(run, stored=_promote(decision.generation.n, run))


def _go_on_with(held: SecretVersion, run: _Run) -> int:
    """What was written by another try. Where that is no key to come, nothing can become of this version: its label is
    taken away, since Secrets Manager begins no other rotation until then."""
    decision = _decision(held, run)
    if decision.generation is not None and decision.generation.state == "pending":
        return decision.generation.n
    run.versions.give_up(run.asked.secret_id, run.asked.token)
    raise Conflict(
        "What AWSPENDING held is no key that is still to come, so the label was removed. Rotate the secret anew.",
        code="CONCURRENT_CHANGE",
    )


def _judged(run: _Run, *states: str) -> Generation:
    """What the version holds is one of those. Raises: Conflict."""
    decision = _decision(run.held, run)
    if decision.code in NOT_LIVE:
        raise Conflict("The key has ended since its rotation began.", code="KEY_NOT_LIVE")
    generation = decision.generation
    if generation is None or generation.state not in states or decision.code not in ACCEPTED:
        raise Conflict("What AWSPENDING holds is no key of this rotation.", code="CONCURRENT_CHANGE")
    return generation


def _decision(held: SecretVersion | None, run: _Run) -> Decision:
    """As for any caller who presents it, with the record read anew; no generation where it is another key's."""
    decision = examine(held.key if held else "", Need(tenant=run.stored.record.tenant), run.services, anew=True)
    is_ours = decision.stored is not None and decision.stored.record.key_id == run.stored.record.key_id
    return decision if is_ours else decision._replace(generation=None)


def _promote(n: int, run: _Run) -> StoredKey:
    """And told to everybody. Somebody else may have been faster."""
    services = run.services
    for _ in range(TRIES):
        stored = _anew(run)
        current = find_generation(stored.record, "current")
        if current is None or current.n != n:
            record = promote(stored.record, n=n, now=services.clock.now())
            schedule(record, services)  # first: a hint too many does no harm
            version = services.keys.replace(record, stored.version)
            if version is None:
                continue
            stored = StoredKey(record, version)
        tell_promoted(stored, run.actor, services)
        return stored
    raise _changing()


def _anew(run: _Run) -> StoredKey:
    stored = run.services.keys.find(run.stored.record.key_id)
    if stored is None or stored.record.rotation.sink != run.secret.sink:
        raise _changing()
    require_rotatable(stored, run.services.clock.now())
    return stored


def _changing() -> Conflict:
    return Conflict("Others keep changing this key.", code="CONCURRENT_CHANGE")
