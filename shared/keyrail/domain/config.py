"""What is kept of a config: its value, who wrote it, and how it rotates. One document, so that one check-and-set
changes all of it. Values are secrets: they are in no repr, log, error or event.

Stored form: the JSON of `encode`; unknown fields of a newer schema version are refused, never dropped.
"""

import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from keyrail.domain import stored_form
from keyrail.domain.digest import fingerprint
from keyrail.domain.errors import InvalidArgument
from keyrail.domain.lifecycle import MAX_JITTER_SECONDS, MAX_RETRY_SECONDS, RETRY_SECONDS

_SEGMENT = r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}"
NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,5}}")
MAX_NAME_CHARS = 112  # with config:destroy: before it, it is a scope (domain/scopes.py MAX_SCOPE_CHARS)
MAX_VALUE_BYTES = 64 * 1024  # as JSON; Vault takes up to 1 MiB
KEPT_VERSIONS = 20  # the mount's max_versions: older ones can't be read any more


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRotation:
    """`rotation_id` and `step` speak of the rotation in flight, or of the last one where step is "done".

    settings     of the kind, as its rotator checked them; no secrets
    mark         what the rotator saw before the rotation in flight: how to tell later whether it was done
    lease_until  whoever runs the rotation in flight is left alone until then
    """

    kind: str
    settings: dict[str, Any]
    interval_seconds: int
    next_at: datetime
    rotation_id: str | None = None
    step: Literal["staged", "done"] | None = None
    mark: str | None = None
    lease_until: datetime | None = None
    rotated_at: datetime | None = None

    def is_as(self, other: "ConfigRotation | None") -> bool:
        """The same schedule of the same kind, however far each has come."""
        if other is None:
            return False
        mine = (self.kind, self.settings, self.interval_seconds)
        return mine == (other.kind, other.settings, other.interval_seconds)

    def is_under_way(self, now: datetime) -> bool:
        return self.step == "staged" and self.lease_until is not None and self.lease_until > now


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigWrite:
    """One change of the value. The marks of a rotation in flight are versions too, but none of these."""

    version: int
    at: datetime
    by: str
    how: Literal["written", "restored", "rotated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDocument:
    """`writes`: those whose versions may still be there, the newest last; never empty."""

    value: Any = field(repr=False)
    writes: tuple[ConfigWrite, ...]
    schema: dict[str, Any] | None = field(default=None, repr=False)
    rotation: ConfigRotation | None = None
    schema_version: Literal[1] = 1

    @property
    def last_write(self) -> ConfigWrite:
        return self.writes[-1]

    def with_value(self, value: Any, write: ConfigWrite) -> "ConfigDocument":
        return replace(self, value=value, writes=kept_writes(self.writes, write))


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """A document as read. None is at `version` where the name is unknown (version 0), or what was there was deleted
    or destroyed: then the next write names that version."""

    document: ConfigDocument | None
    version: int


def kept_writes(before: tuple[ConfigWrite, ...], write: ConfigWrite) -> tuple[ConfigWrite, ...]:
    return (*(each for each in before if each.version > write.version - KEPT_VERSIONS), write)


def is_same_json(one: Any, other: Any) -> bool:
    """Where neither true nor 1.0 is 1, as they are in Python."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def require_value_fits(value: Any) -> None:
    """Raises: InvalidArgument VALUE_TOO_LARGE."""
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_VALUE_BYTES:
        raise InvalidArgument(f"The value has more than {MAX_VALUE_BYTES} bytes as JSON.", code="VALUE_TOO_LARGE")


# -- when it rotates ------------------------------------------------------------------------------------------------


def next_rotation_at(subject: str, interval_seconds: int, now: datetime) -> datetime:
    """One interval on, less up to a tenth of it: by the name, so that what was written together is spread."""
    spread = int(fingerprint(subject)[:8], 16) / 2**32
    return now + timedelta(seconds=interval_seconds - spread * min(interval_seconds / 10, MAX_JITTER_SECONDS))


def rotation_id(subject: str, rotation: ConfigRotation) -> str:
    """The same for every tick that sees this rotation due: fired twice, late or side by side, it happens once."""
    return fingerprint("due config", subject, rotation.next_at.isoformat())


def staged(rotation: ConfigRotation, identity: str, mark: str | None, lease_until: datetime) -> ConfigRotation:
    return replace(rotation, rotation_id=identity, step="staged", mark=mark, lease_until=lease_until)


def done(subject: str, rotation: ConfigRotation, identity: str, now: datetime) -> ConfigRotation:
    return replace(
        rotation,
        rotation_id=identity,
        step="done",
        mark=None,
        lease_until=None,
        rotated_at=now,
        next_at=next_rotation_at(subject, rotation.interval_seconds, now),
    )


def retry_at(rotation: ConfigRotation, now: datetime) -> datetime:
    """After a failure: for as long again as it has been due, at least a minute, at most an hour. The hint says it, not
    the document: each note in that would push a version of the value out."""
    overdue_seconds = (now - rotation.next_at).total_seconds()
    return now + timedelta(seconds=min(MAX_RETRY_SECONDS, max(RETRY_SECONDS, overdue_seconds)))


def hint_at(rotation: ConfigRotation) -> datetime:
    """When a tick must come by."""
    return rotation.lease_until if rotation.step == "staged" and rotation.lease_until else rotation.next_at


# -- as it is stored ------------------------------------------------------------------------------------------------


def encode(document: ConfigDocument) -> dict[str, Any]:
    """Plain JSON types."""
    encoded: dict[str, Any] = stored_form.encode(document)
    return encoded


def decode(data: object) -> ConfigDocument:
    """Raises: stored_form.Malformed on a document that is none of this schema version."""
    return stored_form.decode(ConfigDocument, data)
