"""One stored credential's rotation, from wherever it stands to its end. Run by ticks only; docs/rotation-kinds.md

    find -> stage (only where something outside changes) -> rotator -> write -> tell everybody -> remove the hint

Killed at any step, or stopped while others take over:
- Value, schedule and mark lie in one document, written by check-and-set: of any number of runners one ends a rotation.
- Before anything outside changes, the document says so, with what tells later whether it was done (`mark`). Whoever
  takes over after the lease goes on with the same rotation.
- The hint goes last. One that is found although nothing is due was left behind, so what it stood for is told again,
  under the same event id.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from keyrail.announce import announce_as
from keyrail.domain import config
from keyrail.domain.config import ConfigDocument, ConfigRotation, ConfigWrite, require_value_fits
from keyrail.domain.config_fields import ConfigRotationField
from keyrail.domain.errors import Conflict, InvalidArgument, KeyrailError, RotatorFailed
from keyrail.domain.value_schema import require_valid
from keyrail.ports import Services
from keyrail.rotation_ports import CredentialRotation, CredentialRotator, DueEntry, RotatorSource

Outcome = Literal["rotated", "resumed", "skipped", "nothing"]


@dataclass(frozen=True, slots=True)
class _Run:
    """What one look at a hint has to do with. `document` and `rotation` as they were found."""

    entry: DueEntry
    document: ConfigDocument
    rotation: ConfigRotation
    version: int
    now: datetime
    actor: str
    services: Services

    @property
    def tenant(self) -> str:
        return self.entry.subject.partition("/")[0]

    @property
    def name(self) -> str:
        return self.entry.subject.partition("/")[2]

    @property
    def is_resumed(self) -> bool:
        return self.rotation.step == "staged"


def rotate_config(entry: DueEntry, actor: str, services: Services) -> Outcome:
    """Raises: Conflict where somebody else was faster; RotatorFailed and others where a step failed, and then the next
    try is put off."""
    tenant, _, name = entry.subject.partition("/")
    stored = services.configs.find(tenant, name)
    document, now = stored.document, services.clock.now()
    if document is None or document.rotation is None:
        services.due.remove(entry)
        return "nothing"
    run = _Run(entry, document, document.rotation, stored.version, now, actor, services)
    if run.rotation.is_under_way(now):
        return "skipped"
    if not run.is_resumed and run.rotation.next_at > now:
        return _tell_what_was_left(run)
    try:
        _rotate(run)
    except Conflict:
        raise
    except KeyrailError as error:
        _put_off(run, error)
        raise
    services.due.remove(entry)
    return "resumed" if run.is_resumed else "rotated"


def find_rotator(kind: str, rotators: RotatorSource) -> CredentialRotator:
    """Raises: RotatorFailed; whoever wrote the config had it."""
    rotator = rotators.find(kind)
    if rotator is None:
        raise RotatorFailed(f"this deployment has no rotator of the kind {kind}")
    return rotator


def rotation_asked(
    asked: ConfigRotationField,
    standing: ConfigRotation | None,
    subject: str,
    now: datetime,
    services: Services,
    *,
    is_system: bool,
) -> ConfigRotation:
    """One that stays the same goes on as it stands. What whoever could set it did set, others may leave as it is.

    Raises: InvalidArgument BAD_ROTATION.
    """
    rotator = services.rotators.find(asked.kind)
    if rotator is None:
        raise InvalidArgument("This deployment has no rotation of this kind.", code="BAD_ROTATION")
    if standing is not None and (asked.kind, asked.settings) == (standing.kind, standing.settings):
        settings = standing.settings
    else:
        settings = rotator.checked(asked.settings, subject.partition("/")[0], is_system=is_system)
    next_at = config.next_rotation_at(subject, asked.interval_seconds, now)
    made = ConfigRotation(kind=asked.kind, settings=settings, interval_seconds=asked.interval_seconds, next_at=next_at)
    return standing if standing is not None and made.is_as(standing) else made


def require_rotatable(
    document: ConfigDocument, rotation: ConfigRotation, tenant: str, name: str, services: Services
) -> None:
    """Before it is written. Where a rotation has no effects it is tried out: what it makes must keep to the schema too.

    Raises: InvalidArgument, RotatorFailed.
    """
    rotator = find_rotator(rotation.kind, services.rotators)
    if rotator.has_effects:
        return
    tried = rotator.rotate(
        CredentialRotation(rotation_id="", tenant=tenant, name=name, value=document.value, settings=rotation.settings)
    )
    require_value_fits(tried)
    if document.schema is not None:
        require_valid(tried, document.schema)


def _rotate(run: _Run) -> None:
    rotator = find_rotator(run.rotation.kind, run.services.rotators)
    identity = run.rotation.rotation_id if run.is_resumed else None
    asked = CredentialRotation(
        rotation_id=identity or config.rotation_id(run.entry.subject, run.rotation),
        tenant=run.tenant,
        name=run.name,
        value=run.document.value,
        settings=run.rotation.settings,
        mark=run.rotation.mark,
    )
    if rotator.has_effects:
        if not run.is_resumed:
            with _as_rotator_failed():
                asked = replace(asked, mark=rotator.mark(asked))
        run = _staged(run, asked)
    with _as_rotator_failed():
        value = rotator.rotate(asked)
        require_value_fits(value)
    _write_down(run, asked, value)


@contextmanager
def _as_rotator_failed() -> Iterator[None]:
    """A rotator may be anybody's: whatever it raises stops its own config, and no other."""
    try:
        yield
    except KeyrailError as error:
        raise RotatorFailed(error.detail or error.public) from error
    except Exception as error:
        raise RotatorFailed(f"the rotator raised {type(error).__name__}") from error  # its text may hold the value


def _staged(run: _Run, asked: CredentialRotation) -> _Run:
    """The document is ours until the lease ends."""
    lease_until = run.now + timedelta(seconds=run.services.rotation_lease_seconds)
    document = replace(run.document, rotation=config.staged(run.rotation, asked.rotation_id, asked.mark, lease_until))
    return replace(run, version=_written(run, document))


def _write_down(run: _Run, asked: CredentialRotation, value: object) -> None:
    now = run.services.clock.now()
    rotation = config.done(run.entry.subject, run.rotation, asked.rotation_id, now)
    write = ConfigWrite(version=run.version + 1, at=now, by=run.actor, how="rotated")
    document = replace(run.document.with_value(value, write), rotation=rotation)
    schedule(run.tenant, run.name, rotation, run.services)  # first: a hint too many does no harm
    _written(run, document)
    _tell(replace(run, document=document, rotation=rotation))


def schedule(tenant: str, name: str, rotation: ConfigRotation, services: Services) -> None:
    services.due.add(DueEntry.of(rotation.next_at, "config", f"{tenant}/{name}"))


def _written(run: _Run, document: ConfigDocument) -> int:
    version = run.services.configs.write(run.tenant, run.name, document, run.version)
    if version is None:
        raise Conflict("The config was changed at the same moment.", code="ROTATION_IN_PROGRESS")
    return version


def _tell_what_was_left(run: _Run) -> Outcome:
    """Whoever ended the rotation may just be about to remove the hint."""
    rotated_at = run.rotation.rotated_at
    if rotated_at is not None:
        if run.now < rotated_at + timedelta(seconds=run.services.rotation_lease_seconds):
            return "skipped"
        _tell(run)
    run.services.due.remove(run.entry)
    return "nothing"


def _tell(run: _Run) -> None:
    """Of the last rotation that came to its end. Said again, it is the same event."""
    facts = {"version": _rotated_version(run.document), "at": run.rotation.rotated_at}
    _announce(run, "config.rotated", run.rotation.rotation_id or "", **facts)


def _rotated_version(document: ConfigDocument) -> int | None:
    return next((write.version for write in reversed(document.writes) if write.how == "rotated"), None)


def _put_off(run: _Run, error: KeyrailError) -> None:
    """The next try is later with every failure; where even that can't be noted, the hint stays as it is."""
    later = DueEntry.of(config.retry_at(run.rotation, run.now), "config", run.entry.subject)
    facts = {"code": error.code, "detail": error.detail, "retry_at": later.at.isoformat()}
    _announce(run, "config.rotation_failed", f"{run.rotation.next_at}:{later.at}", **facts)
    run.services.due.add(later)
    run.services.due.remove(run.entry)


def _announce(run: _Run, event: str, change: str, **facts: Any) -> None:
    tenant, name = run.tenant, run.name
    announce_as(
        run.services,
        event,
        tenant,
        name,
        actor=run.actor,
        change=f"{tenant}:{change}",
        rotation=run.rotation.kind,
        **facts,
    )
