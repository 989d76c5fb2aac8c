"""The parts of a key that a caller sets, as request models."""

from typing import Self

from pydantic import Field, model_validator

from keyrail.domain.fields import MAX_SECONDS, Cidr, Owner, Request, Seconds
from keyrail.domain.lifecycle import MAX_GRACE_SECONDS

DEFAULT_GRACE_SECONDS = 24 * 3600  # a day to roll the new key out


class ContextField(Request):
    """Where and for whom the key may be used. Empty lists allow anything."""

    cidrs: list[Cidr] = Field(default=[], max_length=32)
    audiences: list[Owner] = Field(default=[], max_length=32)


class LimitField(Request):
    """At most `requests` uses in each window of `window_seconds`."""

    requests: int = Field(ge=1, le=1_000_000_000)
    window_seconds: Seconds


class RotationField(Request):
    """`grace_seconds`: how long the generation before is still accepted after a rotation.

    With a `sink` such as `vault:<tenant>/service/name` new keys go there; with `interval_seconds` too, on schedule.
    `silent_seconds` ends a grace early once the old generation was not used for so long.
    """

    grace_seconds: int = Field(default=DEFAULT_GRACE_SECONDS, ge=0, le=MAX_GRACE_SECONDS)
    max_grace_seconds: int = Field(default=MAX_GRACE_SECONDS, ge=0, le=MAX_GRACE_SECONDS)
    interval_seconds: int | None = Field(default=None, ge=60, le=MAX_SECONDS)
    sink: str | None = Field(default=None, max_length=512)
    silent_seconds: int | None = Field(default=None, ge=60, le=MAX_GRACE_SECONDS)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.grace_seconds > self.max_grace_seconds:
            raise ValueError("grace_seconds is greater than max_grace_seconds")
        if self.interval_seconds is not None and self.sink is None:
            raise ValueError("interval_seconds needs a sink: without one, a key rotated on schedule reaches nobody")
        if self.interval_seconds is not None and self.interval_seconds <= self.grace_seconds:
            raise ValueError("interval_seconds must be greater than grace_seconds")
        return self
