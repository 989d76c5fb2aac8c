"""The types that the requests and replies about configs are made of."""

import json
import warnings
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, RootModel, StringConstraints

from keyrail.domain.config import MAX_NAME_CHARS, NAME, ConfigRotation
from keyrail.domain.fields import MAX_SECONDS, Reply, Request
from keyrail.domain.key_format import ANY_SECRET

MAX_SCHEMA_BYTES = 16 * 1024  # as JSON


def _no_key(name: str) -> str:
    if ANY_SECRET.search(name):
        raise ValueError("holds something that looks like an API key; names stand in logs")
    return name


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise ValueError(f"has more than {MAX_SCHEMA_BYTES} bytes as JSON")
    return schema


ConfigName = Annotated[
    str, StringConstraints(pattern=rf"^{NAME.pattern}$", max_length=MAX_NAME_CHARS), AfterValidator(_no_key)
]
ValueSchema = Annotated[dict[str, Any], AfterValidator(_bounded)]
Version = Annotated[int, Field(ge=1, le=2**31)]


with warnings.catch_warnings():
    # pydantic has a deprecated method of this name, which nobody here calls
    warnings.filterwarnings("ignore", message='Field name "schema" in', category=UserWarning)

    class WithSchema(Request):
        """The JSON Schema (draft 2020-12) that each value under this name must keep to."""

        schema: ValueSchema | None = None  # type: ignore[assignment]  # the API's word; pydantic's is a method

    class WithSchemaShown(Reply):
        schema: dict[str, Any] | None = None  # type: ignore[assignment]  # the API's word; pydantic's is a method


class JsonValue(RootModel[Any]):
    """Tells a null from nothing, where what is not set is left out of the JSON."""


class ConfigRotationField(Request):
    """`kind` is `generated`, `database` or one of your own; the other fields are its settings: see
    docs/rotation-kinds.md."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    interval_seconds: int = Field(ge=60, le=MAX_SECONDS)

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class ConfigRotationView(Reply):
    """`next_at`: when the next tick after it rotates the value. Settings of the kind stand beside."""

    model_config = ConfigDict(extra="allow")

    kind: str
    interval_seconds: int
    next_at: datetime
    step: Literal["staged", "done"] | None = None
    rotated_at: datetime | None = None

    @classmethod
    def of(cls, rotation: ConfigRotation | None) -> "ConfigRotationView | None":
        if rotation is None:
            return None
        own = {name: getattr(rotation, name) for name in cls.model_fields}
        return cls(**{**rotation.settings, **own})


class ConfigVersionView(Reply):
    """One change of the value. `state` destroyed: it can't be read or restored any more."""

    version: int
    written_at: datetime
    written_by: str
    how: Literal["written", "restored", "rotated"]
    state: Literal["live", "destroyed"]
