"""What rotation, events and stored configs need of the world outside, beside ports.py, whose rules hold here too."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from keyrail.domain.events import LifecycleEvent
from keyrail.domain.sinks import Sink

if TYPE_CHECKING:  # a validator starts without them
    from keyrail.domain.config import ConfigDocument, StoredConfig


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a sink holds. `version` is what the write that follows must name."""

    key: str = field(repr=False)
    version: int


class KeyDelivery(Protocol):
    """Puts a rotated key where its consumer reads it. docs/rotation.md "A sink of your own" """

    def read(self, sink: Sink) -> Delivered | None:
        """Never a stale copy; None where nothing was delivered yet. Raises: DeliveryFailed."""
        ...

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        """False where the sink is no longer at `version` (0: empty), and then nothing is changed.

        Raises: DeliveryFailed; the key is in no message.
        """
        ...


CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"  # labels of versions of a secret in AWS


@dataclass(frozen=True, slots=True)
class RotatingSecret:
    """A secret that AWS Secrets Manager rotates by itself. `labels` of each version, by the version's id."""

    sink: str | None  # as a key's record would name it; None where it is none of ours
    is_rotated: bool
    labels: Mapping[str, frozenset[str]]

    @property
    def current(self) -> str | None:
        return next((version for version, labels in self.labels.items() if CURRENT in labels), None)


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """What a version holds: "" for what is not there."""

    key: str = field(repr=False)
    key_id: str


class SecretVersions(Protocol):
    """Each may raise DeliveryFailed: the outcome of a write is unknown then, and its repeat finds out."""

    def describe(self, secret_id: str) -> RotatingSecret: ...

    def read(self, secret_id: str, version_id: str) -> SecretVersion | None:
        """None where the version has no value yet."""
        ...

    def put(
        self, secret_id: str, version_id: str, key: str, key_id: str, generation: int, rotation_token: str | None
    ) -> bool:
        """The value of that version, and AWSPENDING is its label. False where it has another value, and keeps that."""
        ...

    def make_current(self, secret_id: str, version_id: str, instead_of: str) -> bool:
        """False where neither `instead_of` nor the version itself is current; then nothing is changed."""
        ...

    def give_up(self, secret_id: str, version_id: str) -> None:
        """It is AWSPENDING no more."""
        ...


DueKind = Literal["key", "config", "sweep"]


@dataclass(frozen=True, slots=True)
class DueEntry:
    """A hint that something is to be looked at from `at` on, a whole second. `subject` is a key id, a config's
    `tenant/name`, or where a sweep stopped (sweeping.py)."""

    at: datetime
    kind: DueKind
    subject: str

    @classmethod
    def of(cls, at: datetime, kind: DueKind, subject: str) -> Self:
        """Rounded up: at the second of the hint its time has come."""
        whole = at.astimezone(UTC).replace(microsecond=0)
        return cls(whole if whole == at else whole + timedelta(seconds=1), kind, subject)


class DueIndex(Protocol):
    """What a tick must look at: hints only, the records decide. Adding or removing one twice does no harm."""

    def add(self, entry: DueEntry) -> bool:
        """False where it was there already."""
        ...

    def remove(self, entry: DueEntry) -> None: ...

    def due(self, now: datetime) -> list[DueEntry]:
        """Those whose time has come, the oldest first. Its cost follows the due ones, not the total."""
        ...


class UsageLog(Protocol):
    """When each generation was used last: best effort, written in batches, and where there is a background never
    on the way of a validation."""

    def used(self, key_id: str, generation: int, at: datetime, *, is_retiring: bool) -> None:
        """Remembers; raises nothing, and where there is a background returns at once."""
        ...

    def last_used(self, key_id: str) -> dict[int, datetime]:
        """By generation, as far as it was written. Raises: Unavailable."""
        ...


class EventOutbox(Protocol):
    """Lifecycle events on their way out. An event is put before its change is acknowledged, and leaves when its
    receiver has taken it: at least once, under an id that stays the same."""

    def put(self, event: LifecycleEvent) -> None: ...

    def pending(self, limit: int) -> list[LifecycleEvent]:
        """The oldest first."""
        ...

    def remove(self, event: LifecycleEvent) -> None: ...

    def waiting(self) -> int:
        """How many events are there."""
        ...

    def take_turn(self, now: datetime, seconds: float) -> str | None:
        """Who sends, until then: the turn's name; None while somebody else's lasts. Two senders at a time would do no
        harm, but send everything twice and in no order."""
        ...

    def end_turn(self, turn: str) -> None:
        """Ours, if it still is."""
        ...


class EventSink(Protocol):
    def send(self, event: LifecycleEvent, seconds: float) -> bool:
        """True where the receiver has taken it; False where it refuses this very event, and may take others.

        Raises: Unavailable where it did not answer within `seconds`, or takes nothing now.
        """
        ...


class ConfigStore(Protocol):
    """Configs by tenant and name, each with its versions, counted from 1."""

    def find(self, tenant: str, name: str) -> "StoredConfig":
        """The newest version, never a stale copy."""
        ...

    def find_version(self, tenant: str, name: str, version: int) -> "ConfigDocument | None":
        """None where it never was, is kept no more, or was destroyed."""
        ...

    def readable_versions(self, tenant: str, name: str) -> frozenset[int]: ...

    def write(self, tenant: str, name: str, document: "ConfigDocument | None", version: int) -> int | None:
        """The new version, always `version` + 1; None where the newest one is no longer `version` (0: there is none),
        and then nothing is changed. Without a document the name is unknown from then on."""
        ...

    def names(self, after: str) -> Iterator[str]:
        """`<tenant>/<name>` of each that was ever written, ascending by segments, from the one behind `after` on."""
        ...

    def destroy(self, tenant: str, name: str, versions: Collection[int]) -> None:
        """There is no way back. Versions that are not there are passed over."""
        ...


@dataclass(frozen=True, slots=True)
class CredentialRotation:
    """What is to be rotated. `rotation_id` is the same in every try of one rotation; `mark` is what `mark` gave before
    the first of them."""

    rotation_id: str
    tenant: str
    name: str
    value: Any = field(repr=False)
    settings: Mapping[str, Any]
    mark: str | None = None


class CredentialRotator(Protocol):
    """Makes one kind of credential new. docs/rotation-kinds.md

    `has_effects` False: the new value is made of nothing but the call, so nothing is to be undone or found again.
    True: something outside changes, and the call may come again after one whose outcome nobody knows.
    """

    has_effects: bool

    def checked(self, settings: Mapping[str, Any], tenant: str, *, is_system: bool) -> dict[str, Any]:
        """The settings to keep, defaults filled in. `is_system`: whoever sets them may act in every tenant.

        Raises: InvalidArgument BAD_ROTATION, without what was given.
        """
        ...

    def mark(self, asked: CredentialRotation) -> str | None:
        """Read before a rotation, kept with the config, given to every try of it. No secret."""
        ...

    def rotate(self, asked: CredentialRotation) -> Any:
        """The new value. Raises: Unavailable; the value is in no message."""
        ...

    def live(self, value: Any, settings: Mapping[str, Any]) -> Any:
        """What a reader gets for the newest value: the value itself, or with what only its own system knows."""
        ...


class RotatorSource(Protocol):
    def find(self, kind: str) -> CredentialRotator | None:
        """None where no rotator of this kind is installed. Raises: Unavailable where it can't be loaded."""
        ...
