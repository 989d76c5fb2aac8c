"""A secret as AWS Secrets Manager keeps it: versions that never change once they have a value, and labels that move.

What of it is so at moto as well, tests/contract/test_secret_versions.py says.
"""

import uuid
from dataclasses import dataclass, field

from keyrail.domain.sinks import Sink
from keyrail.rotation_ports import CURRENT, PENDING, Delivered, RotatingSecret, SecretVersion

PREVIOUS = "AWSPREVIOUS"


@dataclass
class SecretInMemory:
    sink: str
    is_rotated: bool = True
    values: dict[str, SecretVersion] = field(default_factory=dict)
    labels: dict[str, set[str]] = field(default_factory=dict)

    # -- what its owner does ----------------------------------------------------------------------------------------

    def fill(self, key: str, key_id: str) -> None:
        self._write(str(uuid.uuid4()), SecretVersion(key, key_id), CURRENT)

    def begin(self) -> str:
        """RotateSecret. Raises: AssertionError where AWS would refuse, since a rotation is under way."""
        assert self.pending in (None, self.current)
        token = str(uuid.uuid4())
        self._label(token, PENDING)
        return token

    def cancel(self) -> None:
        """What is left of a rotation after CancelRotateSecret is its owner's to clean up."""
        if self.pending is not None:
            self.labels[self.pending].discard(PENDING)

    @property
    def current(self) -> str | None:
        return self._labelled(CURRENT)

    @property
    def pending(self) -> str | None:
        return self._labelled(PENDING)

    @property
    def key(self) -> str:
        """What its consumer reads."""
        return self.values[self.current].key if self.current else ""

    # -- SecretVersions ---------------------------------------------------------------------------------------------

    def describe(self, secret_id: str) -> RotatingSecret:
        labels = {version: frozenset(labels) for version, labels in self.labels.items() if labels}
        return RotatingSecret(self.sink, self.is_rotated, labels)

    def read(self, secret_id: str, version_id: str) -> SecretVersion | None:
        return self.values.get(version_id)

    def put(
        self, secret_id: str, version_id: str, key: str, key_id: str, generation: int, rotation_token: str | None
    ) -> bool:
        value = SecretVersion(key, key_id)
        if self.values.get(version_id, value) != value:
            return False
        self._write(version_id, value, PENDING)
        return True

    def make_current(self, secret_id: str, version_id: str, instead_of: str) -> bool:
        if self.current == instead_of:
            self._move_current(version_id)
        return self.current == version_id

    def give_up(self, secret_id: str, version_id: str) -> None:
        self.labels.get(version_id, set()).discard(PENDING)

    # -- parts ------------------------------------------------------------------------------------------------------

    def _write(self, version: str, value: SecretVersion, label: str) -> None:
        self.values[version] = value
        if label == CURRENT:
            self._move_current(version)
        else:
            self._label(version, label)

    def _move_current(self, version: str) -> None:
        """https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html: it takes
        AWSPENDING away as well."""
        if self.current is not None:
            self._label(self.current, PREVIOUS)
        self._label(version, CURRENT)
        self.labels[version].discard(PENDING)

    def _label(self, version: str, label: str) -> None:
        for labels in self.labels.values():
            labels.discard(label)
        self.labels.setdefault(version, set()).add(label)

    def _labelled(self, label: str) -> str | None:
        return next((version for version, labels in self.labels.items() if label in labels), None)


@dataclass
class AsSink:
    """The same secret, as rotations by hand and ticks see it."""

    secret: SecretInMemory
    writes: int = 0

    def read(self, sink: Sink) -> Delivered | None:
        if self.secret.current is None:
            return None
        return Delivered(self.secret.key, self._version)

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        if version != self._version:
            return False
        self.secret.fill(key, key_id)
        return True

    @property
    def _version(self) -> int:
        """Grows with each version that was ever current; here any that differs will do."""
        return 0 if self.secret.current is None else int(self.secret.current.replace("-", "")[:12], 16) + 1
