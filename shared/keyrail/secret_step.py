"""One call of AWS Secrets Manager that rotates a secret: what it asks, and which key it is about.

The record of a key must name the secret as its sink: whoever can write a secret can't have a stranger's key rotated.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from keyrail.domain.errors import DeliveryFailed, InvalidArgument, NotFound
from keyrail.domain.fields import Request
from keyrail.domain.key_format import KEY_ID
from keyrail.domain.lifecycle import require_rotatable
from keyrail.domain.records import StoredKey
from keyrail.domain.secrets_manager_rotation import require_secrets_managers_turn
from keyrail.domain.texts import no_key
from keyrail.ports import Services
from keyrail.rotation_ports import CURRENT, PENDING, RotatingSecret, SecretVersion, SecretVersions
from keyrail.telemetry import note

Step = Literal["createSecret", "setSecret", "testSecret", "finishSecret"]


class SecretStep(Request):
    """`token` is the id of the version that the rotation makes. `rotation_token`, a secret, goes with the write, and
    tells Secrets Manager that it is of its rotation. Limits:
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html"""

    step: Step
    secret_id: str = Field(min_length=1, max_length=2048)
    token: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{32,64}$"), AfterValidator(no_key)]
    rotation_token: str | None = Field(default=None, min_length=1, max_length=256, repr=False)


@dataclass(frozen=True, slots=True)
class FoundSecret:
    """`stored` is the key that the secret names; `held` what the version of the token holds, None where nothing."""

    asked: SecretStep
    versions: SecretVersions
    secret: RotatingSecret
    stored: StoredKey
    held: SecretVersion | None

    @property
    def is_current(self) -> bool:
        """AWSCURRENT was moved to the version already."""
        return self.secret.current == self.asked.token

    def read_current(self) -> SecretVersion | None:
        current = self.secret.current
        return None if current is None else self.versions.read(self.asked.secret_id, current)

    def key_now(self, services: Services) -> StoredKey:
        """The record, read anew. Raises: Conflict, InvalidArgument where it is no longer to be rotated so."""
        return _rotatable(self.stored.record.key_id, self.secret, services)


def find_secret(asked: SecretStep, services: Services) -> FoundSecret:
    """Raises: InvalidArgument, NotFound where there is nothing to rotate; Conflict; Unavailable."""
    note(step=asked.step)
    versions = services.secret_versions
    if versions is None:
        raise DeliveryFailed("this deployment has no sinks in Secrets Manager")
    secret = versions.describe(asked.secret_id)
    _require_asked_for(asked, secret)
    stored = _rotatable(_key_id_in(secret, asked, versions), secret, services)
    return FoundSecret(asked, versions, secret, stored, versions.read(asked.secret_id, asked.token))


def _require_asked_for(asked: SecretStep, secret: RotatingSecret) -> None:
    if secret.sink is None:
        raise InvalidArgument("The secret is not below KEYRAIL_SECRETS_PREFIX.", code="BAD_SINK")
    if not secret.is_rotated:
        raise InvalidArgument("Rotation is not turned on for this secret.", code="BAD_ROTATION")
    if secret.labels.get(asked.token, frozenset()).isdisjoint({PENDING, CURRENT}):
        raise InvalidArgument("The token names no version of this secret that is AWSPENDING.", code="BAD_ROTATION")


def _key_id_in(secret: RotatingSecret, asked: SecretStep, versions: SecretVersions) -> str:
    current = versions.read(asked.secret_id, secret.current) if secret.current else None
    if current is None or not KEY_ID.fullmatch(current.key_id):
        raise InvalidArgument('The secret names no key: its current text has no "key_id".', code="BAD_SINK")
    note(key_id=current.key_id)
    return current.key_id


def _rotatable(key_id: str, secret: RotatingSecret, services: Services) -> StoredKey:
    stored = services.keys.find(key_id)
    if stored is None:
        raise NotFound(f"There is no key {key_id}, which the secret names.", code="KEY_NOT_FOUND", detail="unknown_id")
    if stored.record.rotation.sink != secret.sink:
        raise InvalidArgument("The secret is not the sink of the key that it names.", code="BAD_SINK")
    if stored.record.rotation.interval_seconds is not None:
        raise InvalidArgument("The key has interval_seconds: ticks rotate it.", code="BAD_ROTATION")
    require_rotatable(stored, services.clock.now())
    require_secrets_managers_turn(stored.record)
    return stored
