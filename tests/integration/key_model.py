"""What keys do, told once more and as simply as can be: the reference that the real thing is compared with.

A secret is current, or retiring until a moment, or out. That is all there is to a rotation.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

Told = tuple[str, datetime | None, datetime | None]
"""Code, end of the key, and for a valid secret the end of its grace."""
UNKNOWN: Told = ("NOT_FOUND", None, None)
RETIRED_REMEMBERED = 8  # docs/operations/rotate.md: keys older than these are unknown


@dataclass
class ModelSecret:
    text: str
    ends_at: datetime | None = None
    """None while it is current; a moment that has passed for one that is out."""

    def is_out(self, now: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= now


@dataclass
class ModelKey:
    key_id: str
    tenant: str
    scopes: set[str]
    secrets: list[ModelSecret]
    lifetime: timedelta | None
    expires_at: datetime
    not_before: datetime | None = None
    is_disabled: bool = False
    is_revoked: bool = False
    rotation: tuple[str, int] | None = None
    """Idempotency-Key and grace of the last one."""
    forgotten: list[str] = field(default_factory=list)

    def verdicts(self, asked: str, now: datetime) -> dict[str, Told]:
        """By secret, for every secret that this key ever had."""
        told = dict.fromkeys(self.forgotten, UNKNOWN)
        return told | {secret.text: self._told(secret, asked, now) for secret in self.secrets}

    def _told(self, secret: ModelSecret, asked: str, now: datetime) -> Told:
        code = self._code(secret, asked, now)
        return code, self.expires_at, secret.ends_at if code == "VALID" else None

    def _code(self, secret: ModelSecret, asked: str, now: datetime) -> str:
        if self.state(now) != "active":
            return self.state(now).upper()
        if secret.is_out(now):
            return "ROTATED_OUT"
        return "VALID" if asked in self.scopes else "INSUFFICIENT_SCOPE"

    def state(self, now: datetime) -> str:
        if self.is_revoked:
            return "revoked"
        if self.is_disabled:
            return "disabled"
        if self.is_expired(now):
            return "expired"
        return "not_yet_valid" if self.not_before is not None and now < self.not_before else "active"

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at <= now

    def refuses_rotation(self, idempotency_key: str, grace_seconds: int, now: datetime) -> str | None:
        """The problem code, or None."""
        if self.is_revoked or self.is_expired(now):
            return "KEY_NOT_LIVE"
        if grace_seconds == 0 or self._is_repeat(idempotency_key, now):
            return None
        return "ROTATION_IN_PROGRESS" if self._retiring(now) else None

    def rotated(self, text: str, idempotency_key: str, grace_seconds: int, now: datetime) -> None:
        current = next(secret for secret in self.secrets if secret.ends_at is None)
        if grace_seconds and self._is_repeat(idempotency_key, now):
            current.ends_at = now  # it reached nobody; the one in grace stays as it is
        else:
            for secret in self.secrets:
                secret.ends_at = now if secret.ends_at is None else min(secret.ends_at, now)
            current.ends_at = min(now + timedelta(seconds=grace_seconds), self.expires_at)
            if self.lifetime is not None:
                self.expires_at = now + self.lifetime
            self.rotation = idempotency_key, grace_seconds
        self.secrets.append(ModelSecret(text))
        self._forget(now)

    def _is_repeat(self, idempotency_key: str, now: datetime) -> bool:
        return self._retiring(now) and self.rotation is not None and self.rotation[0] == idempotency_key

    def _retiring(self, now: datetime) -> bool:
        return any(secret.ends_at is not None and not secret.is_out(now) for secret in self.secrets)

    def _forget(self, now: datetime) -> None:
        out = [secret for secret in self.secrets if secret.is_out(now)]
        for secret in out[: max(0, len(out) - RETIRED_REMEMBERED)]:
            self.secrets.remove(secret)
            self.forgotten.append(secret.text)
